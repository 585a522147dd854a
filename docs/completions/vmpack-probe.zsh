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
'--ask-qemu[Ask each guest'\''s QEMU too (query-cpus-fast) whether the threads found are its vCPUs. It takes the right to act on libvirt, which marks the guests as tainted (custom-monitor)]' \
'--json[Print JSON]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(serve)
_arguments "${_arguments_options[@]}" : \
'--listen=[The address to listen on; one that is not loopback needs --tls-cert, --tls-key and --tls-ca]:ADDRESS:_default' \
'--history=[The history; by default history.db in \$STATE_DIRECTORY or /var/lib/vmpack-probe]:FILE:_files' \
'--history-size=[The most that the history may take on the disk]:SIZE:_default' \
'--history-age=[What is older is deleted]:TIME:_default' \
'--window=[The length of a window]:TIME:_default' \
'--uri=[The libvirt of this host]:URI:_default' \
'--speed=[The speed of this host'\''s cores, 1 being what demand is counted in]:FACTOR:_default' \
'--cores=[The cores of this host that guests may use; by default those that are online]:CORES:_default' \
'--vcpus=[The vCPUs that eBPF can follow at once; guests beyond are counted and named]:N:_default' \
'--metrics-guests=[Guests that have series of their own in /metrics; the others are counted]:N:_default' \
'--connections=[The most connections at once; a quarter of them may read the stream]:N:_default' \
'--tls-cert=[This side'\''s certificate, PEM]:FILE:_files' \
'--tls-key=[Its private key, PEM]:FILE:_files' \
'--tls-ca=[The authority that the other side'\''s certificate must come from, PEM]:FILE:_files' \
'--without-ebpf[Measure by the scheduler'\''s statistics even where eBPF works]' \
'--dirty[Sample the guests'\'' dirty rates too, which takes a libvirt connection that may act]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(top)
_arguments "${_arguments_options[@]}" : \
'--url=[The probe to ask; by default this host'\''s]:URL:_default' \
'--tls-cert=[This side'\''s certificate, PEM]:FILE:_files' \
'--tls-key=[Its private key, PEM]:FILE:_files' \
'--tls-ca=[The authority that the other side'\''s certificate must come from, PEM]:FILE:_files' \
'--uri=[The libvirt of this host, where top measures by itself]:URI:_default' \
'--once[Look for two seconds, print once, and end]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(export)
_arguments "${_arguments_options[@]}" : \
'--history=[The history; by default the one that \`serve\` keeps]:FILE:_files' \
'--last=[How far back]:TIME:_default' \
'--step=[The length of a step of the windows, which all guests have in common; by default such that there are at most 300]:TIME:_default' \
'--statistic=[What a step says of the short windows in it]:STATISTIC:_default' \
'-o+[The file to write; standard output if absent]:FILE:_files' \
'--output=[The file to write; standard output if absent]:FILE:_files' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(fetch)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[The cluster whose hosts'\'' probes are asked; a host'\''s \`probe\` says where its probe is]:FILE:_files' \
'*--probe=[Where a host'\''s probe is, such as h1=https\://10.0.0.1\:9742, whatever the cluster says]:HOST=URL:_default' \
'--last=[How far back]:TIME:_default' \
'--step=[The length of a step of the windows, which all guests have in common; by default such that there are at most 300]:TIME:_default' \
'--statistic=[What a step says of the short windows in it]:STATISTIC:_default' \
'--max-age=[A probe whose newest window is older is not used]:TIME:_default' \
'--timeout=[How long each request may take]:TIME:_default' \
'--parallel=[How many probes are asked at once]:N:_default' \
'--tls-cert=[This side'\''s certificate, PEM]:FILE:_files' \
'--tls-key=[Its private key, PEM]:FILE:_files' \
'--tls-ca=[The authority that the other side'\''s certificate must come from, PEM]:FILE:_files' \
'-o+[The file to write; standard output if absent]:FILE:_files' \
'--output=[The file to write; standard output if absent]:FILE:_files' \
'--json[Print JSON\: the load, and how each probe did]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(pki)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_vmpack-probe__subcmd__pki_commands" \
"*::: :->pki" \
&& ret=0

    case $state in
    (pki)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-probe-pki-command-$line[1]:"
        case $line[1] in
            (ca)
_arguments "${_arguments_options[@]}" : \
'--dir=[Where the files are]:FOLDER:_files' \
'--days=[For how many days]:N:_default' \
'--renew[Replace a certificate and key of that name]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(server)
_arguments "${_arguments_options[@]}" : \
'*--address=[Another name or address that it is reached by; with --renew and none, all of the old one'\''s stay]:NAME|IP:_default' \
'--dir=[Where the files are]:FOLDER:_files' \
'--days=[For how many days]:N:_default' \
'--renew[Replace a certificate and key of that name]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':name -- The host'\''s name, by which the probe is reached too:_default' \
&& ret=0
;;
(client)
_arguments "${_arguments_options[@]}" : \
'--dir=[Where the files are]:FOLDER:_files' \
'--days=[For how many days]:N:_default' \
'--renew[Replace a certificate and key of that name]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':name -- Its name:_default' \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
'--dir=[Where the files are]:FOLDER:_files' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack-probe__subcmd__pki__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-probe-pki-help-command-$line[1]:"
        case $line[1] in
            (ca)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(server)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(client)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(show)
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
;;
(bench)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_vmpack-probe__subcmd__bench_commands" \
"*::: :->bench" \
&& ret=0

    case $state in
    (bench)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-probe-bench-command-$line[1]:"
        case $line[1] in
            (kills)
_arguments "${_arguments_options[@]}" : \
'--kills=[How often]:N:_default' \
'--json[Print JSON]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(day)
_arguments "${_arguments_options[@]}" : \
'--guests=[How many guests]:N:_default' \
'--windows=[Windows in ten seconds]:N:_default' \
'--json[Print JSON]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(daemon)
_arguments "${_arguments_options[@]}" : \
'--guests=[How many guests, of two vCPUs each]:N:_default' \
'--seconds=[For how long]:N:_default' \
'--json[Print JSON]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(guests)
_arguments "${_arguments_options[@]}" : \
'--times=[How often]:N:_default' \
'--json[Print JSON]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(host)
_arguments "${_arguments_options[@]}" : \
'--guests=[]:GUESTS:_default' \
'--listen=[The address to listen on; one that is not loopback needs --tls-cert, --tls-key and --tls-ca]:ADDRESS:_default' \
'--history=[The history; by default history.db in \$STATE_DIRECTORY or /var/lib/vmpack-probe]:FILE:_files' \
'--history-size=[The most that the history may take on the disk]:SIZE:_default' \
'--history-age=[What is older is deleted]:TIME:_default' \
'--window=[The length of a window]:TIME:_default' \
'--uri=[The libvirt of this host]:URI:_default' \
'--speed=[The speed of this host'\''s cores, 1 being what demand is counted in]:FACTOR:_default' \
'--cores=[The cores of this host that guests may use; by default those that are online]:CORES:_default' \
'--vcpus=[The vCPUs that eBPF can follow at once; guests beyond are counted and named]:N:_default' \
'--metrics-guests=[Guests that have series of their own in /metrics; the others are counted]:N:_default' \
'--connections=[The most connections at once; a quarter of them may read the stream]:N:_default' \
'--tls-cert=[This side'\''s certificate, PEM]:FILE:_files' \
'--tls-key=[Its private key, PEM]:FILE:_files' \
'--tls-ca=[The authority that the other side'\''s certificate must come from, PEM]:FILE:_files' \
'--without-ebpf[Measure by the scheduler'\''s statistics even where eBPF works]' \
'--dirty[Sample the guests'\'' dirty rates too, which takes a libvirt connection that may act]' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(guest)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'*::line:_default' \
&& ret=0
;;
(writer)
_arguments "${_arguments_options[@]}" : \
'--history=[]:HISTORY:_files' \
'*-v[Say more on standard error (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack-probe__subcmd__bench__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-probe-bench-help-command-$line[1]:"
        case $line[1] in
            (kills)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(day)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(daemon)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(guests)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(host)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(guest)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(writer)
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
(serve)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(top)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(export)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(fetch)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(pki)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack-probe__subcmd__help__subcmd__pki_commands" \
"*::: :->pki" \
&& ret=0

    case $state in
    (pki)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-probe-help-pki-command-$line[1]:"
        case $line[1] in
            (ca)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(server)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(client)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(bench)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack-probe__subcmd__help__subcmd__bench_commands" \
"*::: :->bench" \
&& ret=0

    case $state in
    (bench)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-probe-help-bench-command-$line[1]:"
        case $line[1] in
            (kills)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(day)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(daemon)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(guests)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(host)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(guest)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(writer)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
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
'serve:Measure all the time\: keep a history and answer over HTTP' \
'top:Show the guests'\'' load as it is now' \
'export:Write load.yaml from the history that \`serve\` keeps' \
'fetch:Gather load.yaml from the probes of a cluster (\`vmpack load fetch\`)' \
'pki:Make certificates for probes that are reached over the network' \
'bench:Measure the history on this machine'\''s disk' \
'completions:Print a shell'\''s completions' \
'docs:Write the manual pages into a folder' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-probe commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench_commands] )) ||
_vmpack-probe__subcmd__bench_commands() {
    local commands; commands=(
'kills:Kill -9 a writer of the history again and again; does each committed row stand?' \
'day:Write a day of rows and read it back\: size and time' \
'daemon:Run the whole daemon beside made guests, with a reader of its stream\: what does it cost?' \
'guests:Start guests, plug vCPUs and end guests\: when are they followed, and when no more?' \
'host:The daemon, beside the guests of \`daemon\`' \
'guest:A guest of \`daemon\`, with the arguments by which a QEMU is known' \
'writer:Write until killed, telling each commit' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-probe bench commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__daemon_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__daemon_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench daemon commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__day_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__day_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench day commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__guest_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__guest_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench guest commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__guests_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__guests_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench guests commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help_commands() {
    local commands; commands=(
'kills:Kill -9 a writer of the history again and again; does each committed row stand?' \
'day:Write a day of rows and read it back\: size and time' \
'daemon:Run the whole daemon beside made guests, with a reader of its stream\: what does it cost?' \
'guests:Start guests, plug vCPUs and end guests\: when are they followed, and when no more?' \
'host:The daemon, beside the guests of \`daemon\`' \
'guest:A guest of \`daemon\`, with the arguments by which a QEMU is known' \
'writer:Write until killed, telling each commit' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-probe bench help commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help__subcmd__daemon_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help__subcmd__daemon_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench help daemon commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help__subcmd__day_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help__subcmd__day_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench help day commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help__subcmd__guest_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help__subcmd__guest_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench help guest commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help__subcmd__guests_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help__subcmd__guests_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench help guests commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help__subcmd__help_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench help help commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help__subcmd__host_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help__subcmd__host_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench help host commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help__subcmd__kills_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help__subcmd__kills_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench help kills commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__help__subcmd__writer_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__help__subcmd__writer_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench help writer commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__host_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__host_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench host commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__kills_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__kills_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench kills commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__bench__subcmd__writer_commands] )) ||
_vmpack-probe__subcmd__bench__subcmd__writer_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe bench writer commands' commands "$@"
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
(( $+functions[_vmpack-probe__subcmd__export_commands] )) ||
_vmpack-probe__subcmd__export_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe export commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__fetch_commands] )) ||
_vmpack-probe__subcmd__fetch_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe fetch commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help_commands] )) ||
_vmpack-probe__subcmd__help_commands() {
    local commands; commands=(
'record:Record the load of the running guests into load.yaml' \
'doctor:Say how each guest would be measured, and why' \
'serve:Measure all the time\: keep a history and answer over HTTP' \
'top:Show the guests'\'' load as it is now' \
'export:Write load.yaml from the history that \`serve\` keeps' \
'fetch:Gather load.yaml from the probes of a cluster (\`vmpack load fetch\`)' \
'pki:Make certificates for probes that are reached over the network' \
'bench:Measure the history on this machine'\''s disk' \
'completions:Print a shell'\''s completions' \
'docs:Write the manual pages into a folder' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-probe help commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__bench_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__bench_commands() {
    local commands; commands=(
'kills:Kill -9 a writer of the history again and again; does each committed row stand?' \
'day:Write a day of rows and read it back\: size and time' \
'daemon:Run the whole daemon beside made guests, with a reader of its stream\: what does it cost?' \
'guests:Start guests, plug vCPUs and end guests\: when are they followed, and when no more?' \
'host:The daemon, beside the guests of \`daemon\`' \
'guest:A guest of \`daemon\`, with the arguments by which a QEMU is known' \
'writer:Write until killed, telling each commit' \
    )
    _describe -t commands 'vmpack-probe help bench commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__bench__subcmd__daemon_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__bench__subcmd__daemon_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help bench daemon commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__bench__subcmd__day_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__bench__subcmd__day_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help bench day commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__bench__subcmd__guest_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__bench__subcmd__guest_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help bench guest commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__bench__subcmd__guests_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__bench__subcmd__guests_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help bench guests commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__bench__subcmd__host_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__bench__subcmd__host_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help bench host commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__bench__subcmd__kills_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__bench__subcmd__kills_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help bench kills commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__bench__subcmd__writer_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__bench__subcmd__writer_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help bench writer commands' commands "$@"
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
(( $+functions[_vmpack-probe__subcmd__help__subcmd__export_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__export_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help export commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__fetch_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__fetch_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help fetch commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__help_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help help commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__pki_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__pki_commands() {
    local commands; commands=(
'ca:Make the authority\: ca.pem, which everyone gets, and ca.key, which signs and stays' \
'server:Make a probe'\''s certificate\: NAME.pem and NAME.key' \
'client:Make the certificate of whoever reads probes, such as Prometheus or \`fetch\`' \
'show:Say until when the certificates in the folder are valid, for whom, and what is wrong with them' \
    )
    _describe -t commands 'vmpack-probe help pki commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__pki__subcmd__ca_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__pki__subcmd__ca_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help pki ca commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__pki__subcmd__client_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__pki__subcmd__client_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help pki client commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__pki__subcmd__server_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__pki__subcmd__server_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help pki server commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__pki__subcmd__show_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__pki__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help pki show commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__record_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__record_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help record commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__serve_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help serve commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__help__subcmd__top_commands] )) ||
_vmpack-probe__subcmd__help__subcmd__top_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe help top commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki_commands] )) ||
_vmpack-probe__subcmd__pki_commands() {
    local commands; commands=(
'ca:Make the authority\: ca.pem, which everyone gets, and ca.key, which signs and stays' \
'server:Make a probe'\''s certificate\: NAME.pem and NAME.key' \
'client:Make the certificate of whoever reads probes, such as Prometheus or \`fetch\`' \
'show:Say until when the certificates in the folder are valid, for whom, and what is wrong with them' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-probe pki commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__ca_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__ca_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki ca commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__client_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__client_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki client commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__help_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__help_commands() {
    local commands; commands=(
'ca:Make the authority\: ca.pem, which everyone gets, and ca.key, which signs and stays' \
'server:Make a probe'\''s certificate\: NAME.pem and NAME.key' \
'client:Make the certificate of whoever reads probes, such as Prometheus or \`fetch\`' \
'show:Say until when the certificates in the folder are valid, for whom, and what is wrong with them' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack-probe pki help commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__help__subcmd__ca_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__help__subcmd__ca_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki help ca commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__help__subcmd__client_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__help__subcmd__client_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki help client commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__help__subcmd__help_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki help help commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__help__subcmd__server_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__help__subcmd__server_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki help server commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__help__subcmd__show_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__help__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki help show commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__server_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__server_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki server commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__pki__subcmd__show_commands] )) ||
_vmpack-probe__subcmd__pki__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe pki show commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__record_commands] )) ||
_vmpack-probe__subcmd__record_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe record commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__serve_commands] )) ||
_vmpack-probe__subcmd__serve_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe serve commands' commands "$@"
}
(( $+functions[_vmpack-probe__subcmd__top_commands] )) ||
_vmpack-probe__subcmd__top_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack-probe top commands' commands "$@"
}

if [ "$funcstack[1]" = "_vmpack-probe" ]; then
    _vmpack-probe "$@"
else
    compdef _vmpack-probe vmpack-probe
fi
