#compdef vmpack-executor

autoload -U is-at-least

_vmpack-executor() {
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
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_vmpack-executor_commands" \
"*::: :->vmpack-executor" \
&& ret=0
    case $state in
    (vmpack-executor)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-executor-command-$line[1]:"
        case $line[1] in
            (snapshot)
_arguments "${_arguments_options[@]}" : \
'*--uri=[A host'\''s libvirt URI, and the address (by TLS) or whole libvirt URI by which other hosts reach it]:URI[=MIGRATE-ADDRESS-OR-URI]:_default' \
'-o+[Where the cluster file is written; standard output without it]:FILE:_files' \
'--output=[Where the cluster file is written; standard output without it]:FILE:_files' \
'--network=[The bandwidth of each host'\''s link, such as 1250MiB/s]:RATE:_default' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(apply)
_arguments "${_arguments_options[@]}" : \
'(--replan)--reverse=[Instead of a plan, the way back of the newest run in that journal\: what happened of it is taken back, on the hosts as they are now; with it that of the runs whose rest it was planned for by --replan]:JOURNAL:_files' \
'()--run=[With --reverse\: the run to take back, instead of the newest; what is taken back of it already stays so]:RUN:_default' \
'*--cluster=[The cluster'\''s files or folders, instead of the cluster.yaml beside the plan; with --simulated they are the world at its start]:FILE:_files' \
'--parallel=[Migrations at once, instead of as many as the plan'\''s policy says]:N:_default' \
'--replan=[Where moves failed for good, plan what is left anew from the hosts as they are, and carry that out without asking again; up to N times. No guest is sent again to a host to which its move failed, unless rules let it neither stay nor go elsewhere]:N:_default' \
'--report=[Write a page of what came of it\: schedule, moves and why, journal (HTML, one file, works offline)]:FILE:_files' \
'*--load=[What the simulated guests do; with --reverse, the load by which the way back is judged; with --replan, the one by which plans are made anew]:FILE:_files' \
'--speed-up=[Simulated seconds per second; without it, simulated time jumps]:TIMES:_default' \
'--seed=[Of the simulation]:SEED:_default' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'(--report)--dry-run[Show what would be done and whether it still can be, and do nothing]' \
'-y[Do not ask]' \
'--yes[Do not ask]' \
'--simulated[Act on a simulated world instead of real hosts]' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
'::plan -- The plan, or - for standard input:_files' \
&& ret=0
;;
(pause)
_arguments "${_arguments_options[@]}" : \
'--reason=[Why, for those who wonder]:TEXT:_default' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(resume)
_arguments "${_arguments_options[@]}" : \
'--parallel=[Migrations at once, instead of as many as the plan'\''s policy says]:N:_default' \
'--replan=[Where moves failed for good, plan what is left anew from the hosts as they are, and carry that out without asking again; up to N times. No guest is sent again to a host to which its move failed, unless rules let it neither stay nor go elsewhere]:N:_default' \
'*--load=[With --replan, what the guests want; a simulated world has it by itself]:FILE:_files' \
'--report=[Write a page of what came of it\: schedule, moves and why, journal (HTML, one file, works offline)]:FILE:_files' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
'--report=[Write a page of what came of it\: schedule, moves and why, journal (HTML, one file, works offline)]:FILE:_files' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(abort)
_arguments "${_arguments_options[@]}" : \
'--run=[Only that run, by its number in \`status\`]:RUN:_default' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(ledger)
_arguments "${_arguments_options[@]}" : \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'--policy[Write the calibration as a policy file]' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(watch)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[The cluster'\''s files or folders]:FILE:_files' \
'*--policy=[The policy'\''s files or folders]:FILE:_files' \
'*--load=[The load'\''s files or folders\: dirty rates, and what guests wanted at most]:FILE:_files' \
'--mode=[What may be done]:MODE:((observe\:"Writes into the audit log what it sees and would decide"
recommend\:"Also gives each decision out as a plan"
auto\:"Carries it out"))' \
'*--probe=[Where a host'\''s probe is, such as h1=https\://10.0.0.1\:9742, whatever the cluster says]:HOST=URL:_default' \
'--tls-cert=[This side'\''s certificate, PEM]:FILE:_files' \
'--tls-key=[Its private key, PEM]:FILE:_files' \
'--tls-ca=[The authority that the other side'\''s certificate must come from, PEM]:FILE:_files' \
'--think=[How long a better answer may be sought beside the one that is being carried out]:TIME:_default' \
'--audit=[The audit log, instead of audit.jsonl beside the journal]:FILE:_files' \
'--parallel=[Migrations at once, instead of as many as the plan'\''s policy says]:N:_default' \
'--speed-up=[Simulated seconds per second]:TIMES:_default' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'--simulated[Act on simulated hosts instead of real ones, with the probes'\'' word for their load]' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(run)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[The cluster'\''s files or folders]:FILE:_files' \
'*--policy=[The policy'\''s files or folders]:FILE:_files' \
'*--load=[The load'\''s files or folders\: dirty rates, and what guests wanted at most]:FILE:_files' \
'--mode=[What may be done]:MODE:((observe\:"Writes into the audit log what it sees and would decide"
recommend\:"Also gives each decision out as a plan"
auto\:"Carries it out"))' \
'*--probe=[Where a host'\''s probe is, such as h1=https\://10.0.0.1\:9742, whatever the cluster says]:HOST=URL:_default' \
'--tls-cert=[This side'\''s certificate, PEM]:FILE:_files' \
'--tls-key=[Its private key, PEM]:FILE:_files' \
'--tls-ca=[The authority that the other side'\''s certificate must come from, PEM]:FILE:_files' \
'--think=[How long a better answer may be sought beside the one that is being carried out]:TIME:_default' \
'--audit=[The audit log, instead of audit.jsonl beside the journal]:FILE:_files' \
'--parallel=[Migrations at once, instead of as many as the plan'\''s policy says]:N:_default' \
'--speed-up=[Simulated seconds per second]:TIMES:_default' \
'--every=[How often a plan is made]:TIME:_default' \
'--last=[Of how long the load is that plans are made from]:TIME:_default' \
'--power=[How hosts are put to sleep and woken]:POWER:((none\:"Not at all"
command\:"By the commands that are given"
libvirt\:"Suspended through libvirt, woken by a magic packet to the host'\''s label \`mac\`"
simulated\:"Only said"))' \
'--wake-command=[What wakes a host]:COMMAND:_default' \
'--sleep-command=[What puts it to sleep]:COMMAND:_default' \
'--broadcast=[Where magic packets are sent]:ADDRESS:_default' \
'--break-even=[How long a host must be able to sleep for that to pay]:TIME:_default' \
'--wake-latency=[From asking a host to wake to its taking guests]:TIME:_default' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'--simulated[Act on simulated hosts instead of real ones, with the probes'\'' word for their load]' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--cluster=[The cluster file that says how the host is reached]:FILE:_files' \
'--uri=[This host'\''s libvirt]:URI:_default' \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
'::host -- A host of the cluster file, asked through libvirt; this host without it:_default' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
':shell -- Which shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(docs)
_arguments "${_arguments_options[@]}" : \
'--journal=[The journal, instead of the one in the state folder]:FILE:_files' \
'*-v[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'*--verbose[Say more\: -v what is done, -vv why (or set RUST_LOG)]' \
'--json[Write the result to standard output as JSON, one document a line]' \
'-h[Print help]' \
'--help[Print help]' \
':folder -- Where to:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack-executor__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-executor-help-command-$line[1]:"
        case $line[1] in
            (snapshot)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(apply)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(pause)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(resume)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(abort)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(ledger)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(watch)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(run)
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

(( $+functions[_vmpack-executor_commands] )) ||
_vmpack-executor_commands() {
    local commands; commands=(
'snapshot:Read hosts and guests from libvirt into a cluster file' \
'apply:Carry a plan out' \
'pause:Start nothing more for now' \
'resume:End a pause, and carry on what was interrupted or whose executor died' \
'status:Show how far a plan has been carried out' \
'abort:Stop what can be stopped safely\: migrations that have not switched, and all that wait' \
'ledger:Show what migrations were predicted to take, and what they took' \
'watch:Relieve sudden overloads\: hear the probes, decide, switch guests at once' \
'run:The whole loop as a service\: relief, periodic plans, hosts that sleep' \
'doctor:Check whether a host is set up for safe migrations, and say what to set' \
'completions:Print the completions of a shell' \
'docs:Write the man pages into a folder' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-executor commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__abort_commands] )) ||
_vmpack-executor__subcmd__abort_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor abort commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__apply_commands] )) ||
_vmpack-executor__subcmd__apply_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor apply commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__completions_commands] )) ||
_vmpack-executor__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor completions commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__docs_commands] )) ||
_vmpack-executor__subcmd__docs_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor docs commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__doctor_commands] )) ||
_vmpack-executor__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor doctor commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help_commands] )) ||
_vmpack-executor__subcmd__help_commands() {
    local commands; commands=(
'snapshot:Read hosts and guests from libvirt into a cluster file' \
'apply:Carry a plan out' \
'pause:Start nothing more for now' \
'resume:End a pause, and carry on what was interrupted or whose executor died' \
'status:Show how far a plan has been carried out' \
'abort:Stop what can be stopped safely\: migrations that have not switched, and all that wait' \
'ledger:Show what migrations were predicted to take, and what they took' \
'watch:Relieve sudden overloads\: hear the probes, decide, switch guests at once' \
'run:The whole loop as a service\: relief, periodic plans, hosts that sleep' \
'doctor:Check whether a host is set up for safe migrations, and say what to set' \
'completions:Print the completions of a shell' \
'docs:Write the man pages into a folder' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-executor help commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__abort_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__abort_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help abort commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__apply_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__apply_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help apply commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__completions_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help completions commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__docs_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__docs_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help docs commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__doctor_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help doctor commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__help_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help help commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__ledger_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__ledger_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help ledger commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__pause_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__pause_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help pause commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__resume_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__resume_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help resume commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__run_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help run commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__snapshot_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__snapshot_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help snapshot commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__status_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help status commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__help__subcmd__watch_commands] )) ||
_vmpack-executor__subcmd__help__subcmd__watch_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor help watch commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__ledger_commands] )) ||
_vmpack-executor__subcmd__ledger_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor ledger commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__pause_commands] )) ||
_vmpack-executor__subcmd__pause_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor pause commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__resume_commands] )) ||
_vmpack-executor__subcmd__resume_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor resume commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__run_commands] )) ||
_vmpack-executor__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor run commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__snapshot_commands] )) ||
_vmpack-executor__subcmd__snapshot_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor snapshot commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__status_commands] )) ||
_vmpack-executor__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor status commands' commands "$@"
}
(( $+functions[_vmpack-executor__subcmd__watch_commands] )) ||
_vmpack-executor__subcmd__watch_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-executor watch commands' commands "$@"
}

if [ "$funcstack[1]" = "_vmpack-executor" ]; then
    _vmpack-executor "$@"
else
    compdef _vmpack-executor vmpack-executor
fi
