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
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand doctor" -l json -d 'Print JSON'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand doctor" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand completions" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand completions" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand docs" -s v -l verbose -d 'Say more on standard error (RUST_LOG is honoured too)'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand docs" -s h -l help -d 'Print help'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor completions docs help" -f -a "record" -d 'Record the load of the running guests into load.yaml'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor completions docs help" -f -a "doctor" -d 'Say how each guest would be measured, and why'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor completions docs help" -f -a "completions" -d 'Print a shell\'s completions'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor completions docs help" -f -a "docs" -d 'Write the manual pages into a folder'
complete -c vmpack-probe -n "__fish_vmpack_probe_using_subcommand help; and not __fish_seen_subcommand_from record doctor completions docs help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
