# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_vmpack_executor_global_optspecs
    string join \n v/verbose journal= json h/help V/version
end

function __fish_vmpack_executor_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_vmpack_executor_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_vmpack_executor_using_subcommand
    set -l cmd (__fish_vmpack_executor_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -s V -l version -d 'Print version'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "snapshot" -d 'Read hosts and guests from libvirt into a cluster file'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "apply" -d 'Carry a plan out'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "pause" -d 'Start nothing more for now'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "resume" -d 'End a pause, and carry on what was interrupted or whose executor died'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "status" -d 'Show how far a plan has been carried out'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "abort" -d 'Stop what can be stopped safely: migrations that have not switched, and all that wait'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "ledger" -d 'Show what migrations were predicted to take, and what they took'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "watch" -d 'Relieve sudden overloads: hear the probes, decide, switch guests at once'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "run" -d 'The whole loop as a service: relief, periodic plans, hosts that sleep'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "doctor" -d 'Check whether a host is set up for safe migrations, and say what to set'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "completions" -d 'Print the completions of a shell'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "docs" -d 'Write the man pages into a folder'
complete -c vmpack-executor -n "__fish_vmpack_executor_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand snapshot" -l uri -d 'A host\'s libvirt URI, and the address (by TLS) or whole libvirt URI by which other hosts reach it' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand snapshot" -s o -l output -d 'Where the cluster file is written; standard output without it' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand snapshot" -l network -d 'The bandwidth of each host\'s link, such as 1250MiB/s' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand snapshot" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand snapshot" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand snapshot" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand snapshot" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l reverse -d 'Instead of a plan, the way back of the newest run in that journal: what happened of it is taken back, on the hosts as they are now; with it that of the runs whose rest it was planned for by --replan' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l run -d 'With --reverse: the run to take back, instead of the newest; what is taken back of it already stays so' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l cluster -d 'The cluster\'s files or folders, instead of the cluster.yaml beside the plan; with --simulated they are the world at its start' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l parallel -d 'Migrations at once, instead of as many as the plan\'s policy says' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l replan -d 'Where moves failed for good, plan what is left anew from the hosts as they are, and carry that out without asking again; up to N times. No guest is sent again to a host to which its move failed, unless rules let it neither stay nor go elsewhere' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l report -d 'Write a page of what came of it: schedule, moves and why, journal (HTML, one file, works offline)' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l load -d 'What the simulated guests do; with --reverse, the load by which the way back is judged; with --replan, the one by which plans are made anew' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l speed-up -d 'Simulated seconds per second; without it, simulated time jumps' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l seed -d 'Of the simulation' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l dry-run -d 'Show what would be done and whether it still can be, and do nothing'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -s y -l yes -d 'Do not ask'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l simulated -d 'Act on a simulated world instead of real hosts'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand apply" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand pause" -l reason -d 'Why, for those who wonder' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand pause" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand pause" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand pause" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand pause" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand resume" -l parallel -d 'Migrations at once, instead of as many as the plan\'s policy says' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand resume" -l replan -d 'Where moves failed for good, plan what is left anew from the hosts as they are, and carry that out without asking again; up to N times. No guest is sent again to a host to which its move failed, unless rules let it neither stay nor go elsewhere' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand resume" -l load -d 'With --replan, what the guests want; a simulated world has it by itself' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand resume" -l report -d 'Write a page of what came of it: schedule, moves and why, journal (HTML, one file, works offline)' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand resume" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand resume" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand resume" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand resume" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand status" -l report -d 'Write a page of what came of it: schedule, moves and why, journal (HTML, one file, works offline)' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand status" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand status" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand status" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand status" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand abort" -l run -d 'Only that run, by its number in `status`' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand abort" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand abort" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand abort" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand abort" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand ledger" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand ledger" -l policy -d 'Write the calibration as a policy file'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand ledger" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand ledger" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand ledger" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l cluster -d 'The cluster\'s files or folders' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l policy -d 'The policy\'s files or folders' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l load -d 'The load\'s files or folders: dirty rates, and what guests wanted at most' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l mode -d 'What may be done' -r -f -a "observe\t'Writes into the audit log what it sees and would decide'
recommend\t'Also gives each decision out as a plan'
auto\t'Carries it out'"
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l probe -d 'Where a host\'s probe is, such as h1=https://10.0.0.1:9742, whatever the cluster says' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l tls-cert -d 'This side\'s certificate, PEM' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l tls-key -d 'Its private key, PEM' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l tls-ca -d 'The authority that the other side\'s certificate must come from, PEM' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l think -d 'How long a better answer may be sought beside the one that is being carried out' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l audit -d 'The audit log, instead of audit.jsonl beside the journal' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l parallel -d 'Migrations at once, instead of as many as the plan\'s policy says' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l speed-up -d 'Simulated seconds per second' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l simulated -d 'Act on simulated hosts instead of real ones, with the probes\' word for their load'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l cluster -d 'The cluster\'s files or folders' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l policy -d 'The policy\'s files or folders' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l load -d 'The load\'s files or folders: dirty rates, and what guests wanted at most' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l mode -d 'What may be done' -r -f -a "observe\t'Writes into the audit log what it sees and would decide'
recommend\t'Also gives each decision out as a plan'
auto\t'Carries it out'"
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l probe -d 'Where a host\'s probe is, such as h1=https://10.0.0.1:9742, whatever the cluster says' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l tls-cert -d 'This side\'s certificate, PEM' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l tls-key -d 'Its private key, PEM' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l tls-ca -d 'The authority that the other side\'s certificate must come from, PEM' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l think -d 'How long a better answer may be sought beside the one that is being carried out' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l audit -d 'The audit log, instead of audit.jsonl beside the journal' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l parallel -d 'Migrations at once, instead of as many as the plan\'s policy says' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l speed-up -d 'Simulated seconds per second' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l every -d 'How often a plan is made' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l last -d 'Of how long the load is that plans are made from' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l power -d 'How hosts are put to sleep and woken' -r -f -a "none\t'Not at all'
command\t'By the commands that are given'
libvirt\t'Suspended through libvirt, woken by a magic packet to the host\'s label `mac`'
simulated\t'Only said'"
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l wake-command -d 'What wakes a host' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l sleep-command -d 'What puts it to sleep' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l broadcast -d 'Where magic packets are sent' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l break-even -d 'How long a host must be able to sleep for that to pay' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l wake-latency -d 'From asking a host to wake to its taking guests' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l simulated -d 'Act on simulated hosts instead of real ones, with the probes\' word for their load'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand doctor" -l cluster -d 'The cluster file that says how the host is reached' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand doctor" -l uri -d 'This host\'s libvirt' -r
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand doctor" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand doctor" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand doctor" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand completions" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand completions" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand completions" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand completions" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand docs" -l journal -d 'The journal, instead of the one in the state folder' -r -F
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand docs" -s v -l verbose -d 'Say more: -v what is done, -vv why (or set RUST_LOG)'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand docs" -l json -d 'Write the result to standard output as JSON, one document a line'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand docs" -s h -l help -d 'Print help'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "snapshot" -d 'Read hosts and guests from libvirt into a cluster file'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "apply" -d 'Carry a plan out'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "pause" -d 'Start nothing more for now'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "resume" -d 'End a pause, and carry on what was interrupted or whose executor died'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "status" -d 'Show how far a plan has been carried out'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "abort" -d 'Stop what can be stopped safely: migrations that have not switched, and all that wait'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "ledger" -d 'Show what migrations were predicted to take, and what they took'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "watch" -d 'Relieve sudden overloads: hear the probes, decide, switch guests at once'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "run" -d 'The whole loop as a service: relief, periodic plans, hosts that sleep'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "doctor" -d 'Check whether a host is set up for safe migrations, and say what to set'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "completions" -d 'Print the completions of a shell'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "docs" -d 'Write the man pages into a folder'
complete -c vmpack-executor -n "__fish_vmpack_executor_using_subcommand help; and not __fish_seen_subcommand_from snapshot apply pause resume status abort ledger watch run doctor completions docs help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
