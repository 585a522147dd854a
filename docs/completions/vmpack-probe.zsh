#compdef vmpack-probe

autoload -U is-at-least

_vmpack-probe() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_vmpack-probe_commands" \
"*::: :->vmpack-probe" \
&& ret=0
    case $state in
    (vmpack-probe)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-probe-command-$line[1]:"
        case $line[1] in
            (record)
_arguments "${_arguments_options[@]}" : \
'--seconds=[For how many seconds]:N:_default' \
'--window=[The length of a window]:TIME:_default' \
'--uri=[The libvirt of this host]:URI:_default' \
'--speed=[The speed of this host'\''s cores, 1 being what demand is counted in]:FACTOR:_default' \
'-o+[The file to write; standard output if absent]:FILE:_files' \
'--output=[The file to write; standard output if absent]:FILE:_files' \
'--dirty[Sample the guests'\'' dirty rates too\: each gets a window of a second, in which its pages are logged, at most twice a minute. It takes the right to act on libvirt]' \
'--json[Print JSON\: the load, what was not measured and why, windows missed]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--uri=[The libvirt of this host]:URI:_default' \
'--json[Print JSON]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':shell -- Which shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(docs)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':folder -- The folder, made where it is missing:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack-probe__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-probe-help-command-$line[1]:"
        case $line[1] in
            (record)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(docs)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_vmpack-probe_commands] )) ||
_vmpack-probe_commands() {
    local commands; commands=(
'record:Record the load of the running guests into load.yaml' \
'doctor:Say how each guest would be measured, and why' \
'completions:Print a shell'\''s completions' \
'docs:Write the manual pages into a folder' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-probe commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__completions_commands] )) ||
_vmpack-probe__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe completions commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__docs_commands] )) ||
_vmpack-probe__subcmd__docs_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe docs commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__doctor_commands] )) ||
_vmpack-probe__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe doctor commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help_commands] )) ||
_vmpack-probe__subcmd__help_commands() {
    local commands; commands=(
'record:Record the load of the running guests into load.yaml' \
'doctor:Say how each guest would be measured, and why' \
'completions:Print a shell'\''s completions' \
'docs:Write the manual pages into a folder' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-probe help commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__completions_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help completions commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__docs_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__docs_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help docs commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__doctor_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help doctor commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__help_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help help commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__record_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__record_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help record commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__record_commands] )) ||
_vmpack-probe__subcmd__record_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe record commands' commands "$@"
}

if [ "$funcstack[1]" = "_vmpack-probe" ]; then
    _vmpack-probe "$@"
else
    compdef _vmpack-probe vmpack-probe
fi
