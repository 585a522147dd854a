# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_vmpack_probe_global_optspecs
    string join \n v/verbose h/help V/version
end

function __fish_vmpack_probe_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_vmpack_probe_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_vmpack_probe_using_subcommand
    set -l cmd (__fish_vmpack_probe_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -s V -l version -d 'Print version'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "record" -d 'Record the load of the running guests into load.yaml'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "doctor" -d 'Say how each guest would be measured, and why'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "serve" -d 'Measure all the time: keep a history and answer over HTTP'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "top" -d 'Show the guests\' load as it is now'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "export" -d 'Write load.yaml from the history that `serve` keeps'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "fetch" -d 'Gather load.yaml from the probes of a cluster (`vmpack load fetch`)'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "pki" -d 'Make certificates for probes that are reached over the network'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "bench" -d 'Measure the history on this machine\'s disk'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "completions" -d 'Print a shell\'s completions'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "docs" -d 'Write the manual pages into a folder'
complete -c vmpack-probe -n "__fish_vmpack_probe_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -l seconds -d 'For how many seconds' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -l window -d 'The length of a window' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -l uri -d 'The libvirt of this host' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -l speed -d 'The speed of this host\'s cores, 1 being what demand is counted in' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -s o -l output -d 'The file to write; standard output if absent' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -l dirty -d 'Sample the guests\' dirty rates too: each gets a window of a second, in which its pages are logged, at most twice a minute. It takes the right to act on libvirt'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -l json -d 'Print JSON: the load, what was not measured and why, windows missed'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand record" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand doctor" -l uri -d 'The libvirt of this host' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand doctor" -l ask-qemu -d 'Ask each guest\'s QEMU too (query-cpus-fast) whether the threads found are its vCPUs. It takes the right to act on libvirt, which marks the guests as tainted (custom-monitor)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand doctor" -l json -d 'Print JSON'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand doctor" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l listen -d 'The address to listen on; one that is not loopback needs --tls-cert, --tls-key and --tls-ca' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l history -d 'The history; by default history.db in $STATE_DIRECTORY or /var/lib/vmpack-probe' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l history-size -d 'The most that the history may take on the disk' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l history-age -d 'What is older is deleted' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l window -d 'The length of a window' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l uri -d 'The libvirt of this host' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l speed -d 'The speed of this host\'s cores, 1 being what demand is counted in' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l cores -d 'The cores of this host that guests may use; by default those that are online' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l vcpus -d 'The vCPUs that eBPF can follow at once; guests beyond are counted and named' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l metrics-guests -d 'Guests that have series of their own in /metrics; the others are counted' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l connections -d 'The most connections at once; a quarter of them may read the stream' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l tls-cert -d 'This side\'s certificate, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l tls-key -d 'Its private key, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l tls-ca -d 'The authority that the other side\'s certificate must come from, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l without-ebpf -d 'Measure by the scheduler\'s statistics even where eBPF works'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -l dirty -d 'Sample the guests\' dirty rates too, which takes a libvirt connection that may act'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand serve" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand top" -l url -d 'The probe to ask; by default this host\'s' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand top" -l tls-cert -d 'This side\'s certificate, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand top" -l tls-key -d 'Its private key, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand top" -l tls-ca -d 'The authority that the other side\'s certificate must come from, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand top" -l uri -d 'The libvirt of this host, where top measures by itself' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand top" -l once -d 'Look for two seconds, print once, and end'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand top" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand top" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand export" -l history -d 'The history; by default the one that `serve` keeps' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand export" -l last -d 'How far back' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand export" -l step -d 'The length of a step of the windows, which all guests have in common; by default such that there are at most 300' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand export" -l statistic -d 'What a step says of the short windows in it' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand export" -s o -l output -d 'The file to write; standard output if absent' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand export" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand export" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l cluster -d 'The cluster whose hosts\' probes are asked; a host\'s `probe` says where its probe is' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l probe -d 'Where a host\'s probe is, such as h1=https://10.0.0.1:9742, whatever the cluster says' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l last -d 'How far back' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l step -d 'The length of a step of the windows, which all guests have in common; by default such that there are at most 300' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l statistic -d 'What a step says of the short windows in it' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l max-age -d 'A probe whose newest window is older is not used' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l timeout -d 'How long each request may take' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l parallel -d 'How many probes are asked at once' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l tls-cert -d 'This side\'s certificate, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l tls-key -d 'Its private key, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l tls-ca -d 'The authority that the other side\'s certificate must come from, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -s o -l output -d 'The file to write; standard output if absent' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -l json -d 'Print JSON: the load, and how each probe did'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand fetch" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and not __fish_seen_subcommand_from ca server client show help" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and not __fish_seen_subcommand_from ca server client show help" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and not __fish_seen_subcommand_from ca server client show help" -f -a "ca" -d 'Make the authority: ca.pem, which everyone gets, and ca.key, which signs and stays'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and not __fish_seen_subcommand_from ca server client show help" -f -a "server" -d 'Make a probe\'s certificate: NAME.pem and NAME.key'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and not __fish_seen_subcommand_from ca server client show help" -f -a "client" -d 'Make the certificate of whoever reads probes, such as Prometheus or `fetch`'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and not __fish_seen_subcommand_from ca server client show help" -f -a "show" -d 'Say until when the certificates in the folder are valid, for whom, and what is wrong with them'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and not __fish_seen_subcommand_from ca server client show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from ca" -l dir -d 'Where the files are' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from ca" -l days -d 'For how many days' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from ca" -l renew -d 'Replace a certificate and key of that name'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from ca" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from ca" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from server" -l address -d 'Another name or address that it is reached by; with --renew and none, all of the old one\'s stay' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from server" -l dir -d 'Where the files are' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from server" -l days -d 'For how many days' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from server" -l renew -d 'Replace a certificate and key of that name'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from server" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from server" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from client" -l dir -d 'Where the files are' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from client" -l days -d 'For how many days' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from client" -l renew -d 'Replace a certificate and key of that name'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from client" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from client" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from show" -l dir -d 'Where the files are' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "ca" -d 'Make the authority: ca.pem, which everyone gets, and ca.key, which signs and stays'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "server" -d 'Make a probe\'s certificate: NAME.pem and NAME.key'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "client" -d 'Make the certificate of whoever reads probes, such as Prometheus or `fetch`'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "show" -d 'Say until when the certificates in the folder are valid, for whom, and what is wrong with them'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -f -a "kills" -d 'Kill -9 a writer of the history again and again; does each committed row stand?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -f -a "day" -d 'Write a day of rows and read it back: size and time'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -f -a "daemon" -d 'Run the whole daemon beside made guests, with a reader of its stream: what does it cost?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -f -a "guests" -d 'Start guests, plug vCPUs and end guests: when are they followed, and when no more?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -f -a "host" -d 'The daemon, beside the guests of `daemon`'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -f -a "guest" -d 'A guest of `daemon`, with the arguments by which a QEMU is known'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -f -a "writer" -d 'Write until killed, telling each commit'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and not __fish_seen_subcommand_from kills day daemon guests host guest writer help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from kills" -l kills -d 'How often' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from kills" -l json -d 'Print JSON'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from kills" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from kills" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from day" -l guests -d 'How many guests' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from day" -l windows -d 'Windows in ten seconds' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from day" -l json -d 'Print JSON'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from day" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from day" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from daemon" -l guests -d 'How many guests, of two vCPUs each' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from daemon" -l seconds -d 'For how long' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from daemon" -l json -d 'Print JSON'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from daemon" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from daemon" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from guests" -l times -d 'How often' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from guests" -l json -d 'Print JSON'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from guests" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from guests" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l guests -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l listen -d 'The address to listen on; one that is not loopback needs --tls-cert, --tls-key and --tls-ca' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l history -d 'The history; by default history.db in $STATE_DIRECTORY or /var/lib/vmpack-probe' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l history-size -d 'The most that the history may take on the disk' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l history-age -d 'What is older is deleted' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l window -d 'The length of a window' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l uri -d 'The libvirt of this host' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l speed -d 'The speed of this host\'s cores, 1 being what demand is counted in' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l cores -d 'The cores of this host that guests may use; by default those that are online' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l vcpus -d 'The vCPUs that eBPF can follow at once; guests beyond are counted and named' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l metrics-guests -d 'Guests that have series of their own in /metrics; the others are counted' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l connections -d 'The most connections at once; a quarter of them may read the stream' -r
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l tls-cert -d 'This side\'s certificate, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l tls-key -d 'Its private key, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l tls-ca -d 'The authority that the other side\'s certificate must come from, PEM' -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l without-ebpf -d 'Measure by the scheduler\'s statistics even where eBPF works'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -l dirty -d 'Sample the guests\' dirty rates too, which takes a libvirt connection that may act'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from host" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from guest" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from guest" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from writer" -l history -r -F
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from writer" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from writer" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "kills" -d 'Kill -9 a writer of the history again and again; does each committed row stand?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "day" -d 'Write a day of rows and read it back: size and time'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "daemon" -d 'Run the whole daemon beside made guests, with a reader of its stream: what does it cost?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "guests" -d 'Start guests, plug vCPUs and end guests: when are they followed, and when no more?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "host" -d 'The daemon, beside the guests of `daemon`'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "guest" -d 'A guest of `daemon`, with the arguments by which a QEMU is known'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "writer" -d 'Write until killed, telling each commit'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand completions" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand completions" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand docs" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand docs" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "record" -d 'Record the load of the running guests into load.yaml'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "doctor" -d 'Say how each guest would be measured, and why'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "serve" -d 'Measure all the time: keep a history and answer over HTTP'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "top" -d 'Show the guests\' load as it is now'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "export" -d 'Write load.yaml from the history that `serve` keeps'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "fetch" -d 'Gather load.yaml from the probes of a cluster (`vmpack load fetch`)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "pki" -d 'Make certificates for probes that are reached over the network'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "bench" -d 'Measure the history on this machine\'s disk'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "completions" -d 'Print a shell\'s completions'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "docs" -d 'Write the manual pages into a folder'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor serve top export fetch pki bench completions docs help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "ca" -d 'Make the authority: ca.pem, which everyone gets, and ca.key, which signs and stays'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "server" -d 'Make a probe\'s certificate: NAME.pem and NAME.key'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "client" -d 'Make the certificate of whoever reads probes, such as Prometheus or `fetch`'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "show" -d 'Say until when the certificates in the folder are valid, for whom, and what is wrong with them'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "kills" -d 'Kill -9 a writer of the history again and again; does each committed row stand?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "day" -d 'Write a day of rows and read it back: size and time'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "daemon" -d 'Run the whole daemon beside made guests, with a reader of its stream: what does it cost?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "guests" -d 'Start guests, plug vCPUs and end guests: when are they followed, and when no more?'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "host" -d 'The daemon, beside the guests of `daemon`'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "guest" -d 'A guest of `daemon`, with the arguments by which a QEMU is known'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "writer" -d 'Write until killed, telling each commit'
