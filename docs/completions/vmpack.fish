# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_vmpack_global_optspecs
    string join \n v/verbose h/help V/version
end

function __fish_vmpack_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_vmpack_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_vmpack_using_subcommand
    set -l cmd (__fish_vmpack_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c vmpack -n "__fish_vmpack_needs_command" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vmpack -n "__fish_vmpack_needs_command" -s V -l version -d 'Print version'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "plan" -d 'Find the fewest hosts and the migrations that lead there'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "check" -d 'Judge a plan: replay its moves in order and name what is violated'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "validate" -d 'Read files and say what is wrong with them'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "whatif" -d 'Ask how the answer changes when hosts, guests, load or the policy change'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "capacity" -d 'Ask how many more guests fit, what runs out first, and how far load may grow'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "explain" -d 'Say why a guest or a host is as it is, and what would have to change'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "replay" -d 'Replay a trace of load under policies and compare energy, overload and migrations'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "regress" -d 'Plan every case file and compare with what it expects'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "bench" -d 'Measure the solver on published instances'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "model" -d 'Write the planner\'s mathematical models'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "import" -d 'Make cluster, load and policy from another program\'s files'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "schema" -d 'Print the JSON Schemas of the file formats'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "example" -d 'Make an example to try things on'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "docs" -d 'Write man pages and the command-line reference into a folder'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "snapshot" -d 'Read hosts and guests from libvirt into cluster.yaml [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "apply" -d 'Carry a plan out by live migrations [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "pause" -d 'Start no more migrations for now [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "resume" -d 'End a pause, and carry on what was interrupted [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "status" -d 'Show how far a plan has been carried out [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "ledger" -d 'Show what migrations were predicted to take, and what they took [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "abort" -d 'Stop what can be stopped of a plan under way [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "watch" -d 'Relieve sudden overloads: hear the probes, decide, switch guests at once [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "run" -d 'The whole loop as a service: relief, periodic plans, hosts that sleep [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "probe" -d 'Measure the guests of this host [vmpack-probe]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "load" -d 'Gather load.yaml from the hosts\' probes: `load fetch` [vmpack-probe]'
complete -c vmpack -n "__fish_vmpack_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l cluster -d 'Cluster file, a folder of them, or `-` for standard input; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l load -d 'Load file, a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l policy -d 'Policy file, a folder of them, or `-`; repeat it to merge several [without one: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s]' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l time-limit -d 'Wall time for the search, such as `10s` or `2m`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l nodes -d 'Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l seed -d 'Seed of the search' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l drain -d 'Empty this host for maintenance; the plan says so by a rule in its policy' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -s o -l output -d 'Write the plan to this file, whose folder is made if it is missing, or to standard output with `-`' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l certificate -d 'Write the proof of the bound on the hosts to this file, for `vmpack check --certificate`' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l report -d 'Write the plan as a page that holds all in itself, with pictures, into this file' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l curve -d 'Print, instead of a plan, hosts against memory moved: for the fewest hosts and up to so many more [without a number: 5]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l json -d 'Print the result as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -l detailed-exitcode -d 'Exit with 0 when there is nothing to do and 10 when moves are proposed'
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand plan" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -l cluster -d 'Cluster file, a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -l load -d 'Load file, a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -l policy -d 'Judge by this policy instead of the one in the plan' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -l later -d 'Also tell how often each host is above its room under this load, measured later; a folder of them or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -l certificate -d 'Prove the bound again from this certificate, or `-`' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -l steps -d 'Most steps for the proof; what is not proven within them is refused' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -l json -d 'Print the result as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand check" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand validate" -l json -d 'Print the result as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand validate" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand validate" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l cluster -d 'Cluster file, a folder of them, or `-` for standard input; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l load -d 'Load file, a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l policy -d 'Policy file, a folder of them, or `-`; repeat it to merge several [without one: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s]' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l time-limit -d 'Wall time for the search, such as `10s` or `2m`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l nodes -d 'Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l seed -d 'Seed of the search' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l losses -d 'Ask, instead of for a plan, whether the loss of any so many hosts, 1 or 2, is survived, after the edits if there are any: all guests restarted on the rest, and the same with others moving' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l scenario -d 'Make the edits of this scenario file, before all others' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l drain -d 'Empty these hosts for maintenance: a name, a pattern with `*`, or `label=value`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l fail -d 'These hosts are gone; their guests must be started elsewhere' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l add-hosts -d 'Add so many hosts of that size, such as `2,32cores,256GiB`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l change-hosts -d 'Give these hosts other cores and memory, such as `h1=64cores,512GiB` or `rack=r1=64cores,512GiB`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l add-guests -d 'Add the guests of this cluster file; a load file may be given in the same way' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l copy-guest -d 'Add so many guests like one that is there, such as `web-1,10`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l remove-guests -d 'Take these guests away: a name, or a pattern with `*`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l headroom -d 'Keep another share of every host\'s CPU free, such as `15%`, or a range such as `0%..30%/5%`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l memory-headroom -d 'Keep another share of every host\'s memory free; or a range' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l over-commit -d 'Promise so many vCPUs per core; or a range such as `1..8/1`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l statistic -d 'Pack another statistic: mean, p50, p90, p95, p99 or max' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l drop-rule -d 'Drop the rule of this name' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l add-rules -d 'Add the rules of this policy file' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l shift-load -d 'Let the load of guests come later, such as `batch-*=6h`, or of all: `6h`; where demand is counted window by window, by the policy or with --joint' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l scale-load -d 'Multiply measured CPU demand and dirty rate, such as `1.2`, of some guests `web-*=1.5`, or a range `1.0..2.0/0.1`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l curve -d 'Draw a range\'s answers as SVG into this file' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l report -d 'Write the answer as a page that holds all in itself, with pictures, into this file' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l joint -d 'Count demand window by window, all guests of a host together'
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -l json -d 'Print the result as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand whatif" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l cluster -d 'Cluster file, a folder of them, or `-` for standard input; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l load -d 'Load file, a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l policy -d 'Policy file, a folder of them, or `-`; repeat it to merge several [without one: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s]' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l time-limit -d 'Wall time for the search, such as `10s` or `2m`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l nodes -d 'Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l seed -d 'Seed of the search' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l like -d 'Guests like this one, with its load; rules name them where a pattern does' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l shape -d 'Guests of that many vCPUs, that memory and that demand [without a demand: all their vCPUs]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l growth -d 'All load grows by so much a month, in place of the trend in its windows' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l standing -d 'Count as it stands only, nobody moving: the quickest answer, for one who asks often'
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -l json -d 'Print the result as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand capacity" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -l cluster -d 'Cluster file, a folder of them, or `-` for standard input; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -l load -d 'Load file, a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -l policy -d 'Policy file, a folder of them, or `-`; repeat it to merge several [without one: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s]' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -l time-limit -d 'Wall time for the search, such as `10s` or `2m`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -l nodes -d 'Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -l seed -d 'Seed of the search' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -l json -d 'Print the result as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand explain" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l trace -d 'The trace\'s format (planetlab), and the folder or .tar.gz that holds it; replayed to the end of the longest of its files' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l cluster -d 'In place of a trace the hosts and guests of this cluster file, or a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l load -d 'Load with windows over time, such as the probe\'s history or an import' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l policy -d 'Policy file, a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l watts -d 'What each of its hosts draws idle and at full load, in a straight line between; asleep nothing [default: 100,300]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l policies -d 'Policies, each replayed by itself [default: lr-mmt,vmpack; with --cluster none,lr-mmt,plan]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l order -d 'The order of the guests, a name a line [default: DAY.order beside the trace DAY, if there is one; else by name]' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l hosts -d 'How many hosts, of the two kinds in turn [default: 800; of a scenario 200, all alike]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l scenario -d 'In place of a trace a scenario of 24 hours: packed guests, and surges in some of them, without packing and relieved by either kind of migration' -r -f -a "surge\t'Guests rise from little to all their vCPUs, for some minutes'"
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l guests -d 'How many guests the scenario has' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l surges -d 'How many surges it has' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l wake-time -d 'Let hosts take so long to wake, such as `60s`, and draw their idle power until they sleep [without it: hosts without load draw nothing and wake at once, as in CloudSim; with --cluster 60s]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l failing -d 'Let so many migrations fail, such as `1%`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l seed -d 'Which of them fail' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l kill -d 'Let this host die at that time, such as `h001@3600s`; its guests start anew elsewhere' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l events -d 'Write what happens to this file, a JSON object a line' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l curve -d 'Replay each policy with several settings, print energy against SLATAH, and draw that into this SVG file' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l report -d 'Write the policies side by side as a page that holds all in itself, with the picture, into this file' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l count-memory -d 'Let memory limit every migration, not only where guests start; with --cluster it does'
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l keep-resting -d 'Let guests stay that want nothing for a while, which CloudSim takes for finished'
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -l json -d 'Print a JSON object a line for each policy'
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vmpack -n "__fish_vmpack_using_subcommand regress" -l compare -d 'Compare two results of `regress --json`, `bench pack --json` or `bench moves --json` instead: what changed, and whether status, hosts, bound, gap, memory moved, its bound or time is worse' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand regress" -l time-budget -d 'How many times longer than before a case may take, from 0.1 s on' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand regress" -l move-budget -d 'How many times more memory than before a case may move, and how many times less its bound may be, where its hosts cost the same' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand regress" -l filter -d 'Only cases whose path contains this' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand regress" -l junit -d 'Also write the result as JUnit XML' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand regress" -l json -d 'Print the result as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand regress" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand regress" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and not __fish_seen_subcommand_from pack check moves relief help" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and not __fish_seen_subcommand_from pack check moves relief help" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and not __fish_seen_subcommand_from pack check moves relief help" -f -a "pack" -d 'Pack vector packing instances: the fewest hosts, and what is proven'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and not __fish_seen_subcommand_from pack check moves relief help" -f -a "check" -d 'Prove again what `bench pack --certificates` wrote: the packing and the bound'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and not __fish_seen_subcommand_from pack check moves relief help" -f -a "moves" -d 'Move the items of packing instances from where they run: the least memory, and what is proven'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and not __fish_seen_subcommand_from pack check moves relief help" -f -a "relief" -d 'Relieve sudden overloads of made-up clusters: the time to the first answer and to the proven one'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and not __fish_seen_subcommand_from pack check moves relief help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -l format -d 'vbp or bpplib, whatever the names of the files' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -l time-limit -d 'Wall time for the search, such as `10s` or `2m`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -l nodes -d 'Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -l seed -d 'Seed of the search' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -l record -d 'Add a JSON line for each file to this one, and skip instances that it holds' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -l certificates -d 'Write the packing and the proof of the bound of each instance into this folder, for `vmpack bench check`' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -l json -d 'Print one JSON line for each file'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -l cpu-time -d 'Count the limit and the seconds in processor time, which other work on the machine leaves as it is'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from pack" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from check" -l certificates -d 'The folder with their certificates' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from check" -l format -d 'vbp or bpplib, whatever the names of the files' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from check" -l steps -d 'Most steps for each proof; what is not proven within them is refused' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON line for each file'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from moves" -l more-hosts -d 'So many hosts more than the fewest may be used' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from moves" -l time-limit -d 'Wall time for the search, such as `10s` or `2m`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from moves" -l nodes -d 'Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from moves" -l seed -d 'Seed of the search' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from moves" -l json -d 'Print one JSON line for each file'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from moves" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from moves" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -l hosts -d 'Hosts of 32 cores' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -l guests -d 'Guests for each host' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -l overloaded -d 'Hosts on which guests rise to all their vCPUs until it is overloaded' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -l load -d 'How much of the other hosts is wanted, in percent of their room' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -l runs -d 'Clusters, by seeds from 1 on' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -l time-limit -d 'How long the proven answer may be sought' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -l ahead -d 'Also make what is decided ahead, and recall it'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -l json -d 'Print one JSON line for each cluster'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from relief" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "pack" -d 'Pack vector packing instances: the fewest hosts, and what is proven'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "check" -d 'Prove again what `bench pack --certificates` wrote: the packing and the bound'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "moves" -d 'Move the items of packing instances from where they run: the least memory, and what is proven'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "relief" -d 'Relieve sudden overloads of made-up clusters: the time to the first answer and to the proven one'
complete -c vmpack -n "__fish_vmpack_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and not __fish_seen_subcommand_from dump help" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and not __fish_seen_subcommand_from dump help" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and not __fish_seen_subcommand_from dump help" -f -a "dump" -d 'Write a formulation of the inputs for another solver'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and not __fish_seen_subcommand_from dump help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l cluster -d 'Cluster file, a folder of them, or `-` for standard input; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l load -d 'Load file, a folder of them, or `-`; repeat it to merge several' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l policy -d 'Policy file, a folder of them, or `-`; repeat it to merge several [without one: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s]' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l time-limit -d 'Wall time for the search, such as `10s` or `2m`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l nodes -d 'Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l seed -d 'Seed of the search' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l formulation -d 'assignment (stage 1), moves (stage 2, at the cost that stage 1 finds) or pattern (stage 1 over the patterns that column generation makes)' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -s o -l output -d 'Write to this file, whose folder is made if it is missing [default: standard output]' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l mps -d 'In MPS format, free form (the only one there is)'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -l relaxed -d 'Leave out that columns are integers'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "dump" -d 'Write a formulation of the inputs for another solver'
complete -c vmpack -n "__fish_vmpack_using_subcommand model; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -f -a "btrplace" -d 'From BtrPlace\'s JSON: a model, or an instance with its constraints'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -f -a "planetlab" -d 'From PlanetLab\'s CPU traces, in the set-up of CloudSim\'s power examples'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -f -a "ganeti" -d 'From Ganeti\'s text format, as `hscan` writes it and `hbal -t` reads it'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -f -a "bitbrains" -d 'From Bitbrains\' traces (GWA-T-12), a CSV file for each machine'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -f -a "azure" -d 'From Azure\'s trace for packing (2020), a SQLite file'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -f -a "vbp" -d 'From a vector packing instance: CPU, and memory where it has a second resource'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -f -a "csv" -d 'From plain tables: CSV with a header'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and not __fish_seen_subcommand_from btrplace planetlab ganeti bitbrains azure vbp csv help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from btrplace" -s o -l output -d 'Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from btrplace" -l without-rules -d 'Leave the constraints out: hosts, guests and resources only'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from btrplace" -l json -d 'Print what was imported and what was not as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from btrplace" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from btrplace" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from planetlab" -l order -d 'The order of the guests, a name a line [default: DAY.order beside the trace DAY, if there is one; else by name]' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from planetlab" -l hosts -d 'How many hosts, of the two kinds in turn' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from planetlab" -l day -d 'When the first window starts' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from planetlab" -s o -l output -d 'Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from planetlab" -l json -d 'Print what was imported and what was not as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from planetlab" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from planetlab" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from ganeti" -s o -l output -d 'Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from ganeti" -l anywhere -d 'Let guests go anywhere, wherever their disks are'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from ganeti" -l json -d 'Print what was imported and what was not as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from ganeti" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from ganeti" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from bitbrains" -l hosts -d 'So many hosts of that size, such as `40,32cores,256GiB`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from bitbrains" -s o -l output -d 'Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from bitbrains" -l json -d 'Print what was imported and what was not as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from bitbrains" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from bitbrains" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from azure" -l at -d 'The time, in days from the trace\'s beginning' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from azure" -l machine -d 'The machine\'s `machineId` [default: the one that offers the most types]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from azure" -l hosts -d 'So many of that machine, and its size, such as `200,64cores,512GiB`' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from azure" -s o -l output -d 'Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from azure" -l json -d 'Print what was imported and what was not as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from azure" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from azure" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from vbp" -l format -d 'vbp or bpplib, whatever the name of the file' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from vbp" -l current -d 'Where each item runs: a host\'s number from 0 on a line each' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from vbp" -l hosts -d 'How many hosts [default: as many as there are items]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from vbp" -s o -l output -d 'Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from vbp" -l json -d 'Print what was imported and what was not as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from vbp" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from vbp" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from csv" -l hosts -d 'Table of hosts, or `-`' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from csv" -l guests -d 'Table of guests, or `-`' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from csv" -l load -d 'Table of load over time, or `-`' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from csv" -s o -l output -d 'Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from csv" -l json -d 'Print what was imported and what was not as JSON'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from csv" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from csv" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "btrplace" -d 'From BtrPlace\'s JSON: a model, or an instance with its constraints'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "planetlab" -d 'From PlanetLab\'s CPU traces, in the set-up of CloudSim\'s power examples'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "ganeti" -d 'From Ganeti\'s text format, as `hscan` writes it and `hbal -t` reads it'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "bitbrains" -d 'From Bitbrains\' traces (GWA-T-12), a CSV file for each machine'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "azure" -d 'From Azure\'s trace for packing (2020), a SQLite file'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "vbp" -d 'From a vector packing instance: CPU, and memory where it has a second resource'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "csv" -d 'From plain tables: CSV with a header'
complete -c vmpack -n "__fish_vmpack_using_subcommand import; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand schema" -l out -d 'Write one file for each kind into this folder' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand schema" -l kind -d 'Print only this kind: Cluster, Load, Policy, Plan or Case' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand schema" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand schema" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and not __fish_seen_subcommand_from cluster help" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and not __fish_seen_subcommand_from cluster help" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and not __fish_seen_subcommand_from cluster help" -f -a "cluster" -d 'A cluster with a day of load and a policy, loosely spread, the same for the same seed'
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and not __fish_seen_subcommand_from cluster help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -l hosts -d 'How many hosts' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -l guests -d 'How many guests' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -l seed -d 'Seed of all that is drawn' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -l makes -d 'Makes of hosts, 1 to 3' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -l ruled -d 'Share of the guests that rules keep apart, such as `10%` [default: some databases and web servers]' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -l windows -d 'Windows of the day, a divisor of 288, in which the policy then counts demand jointly' -r
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -s o -l output -d 'Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing' -r -F
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from cluster" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from help" -f -a "cluster" -d 'A cluster with a day of load and a policy, loosely spread, the same for the same seed'
complete -c vmpack -n "__fish_vmpack_using_subcommand example; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand completions" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand completions" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand docs" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand docs" -s h -l help -d 'Print help'
complete -c vmpack -n "__fish_vmpack_using_subcommand snapshot" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand apply" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand pause" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand resume" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand status" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand ledger" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand abort" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand watch" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand run" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand probe" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand load" -s v -l verbose -d 'Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "plan" -d 'Find the fewest hosts and the migrations that lead there'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "check" -d 'Judge a plan: replay its moves in order and name what is violated'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "validate" -d 'Read files and say what is wrong with them'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "whatif" -d 'Ask how the answer changes when hosts, guests, load or the policy change'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "capacity" -d 'Ask how many more guests fit, what runs out first, and how far load may grow'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "explain" -d 'Say why a guest or a host is as it is, and what would have to change'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "replay" -d 'Replay a trace of load under policies and compare energy, overload and migrations'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "regress" -d 'Plan every case file and compare with what it expects'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "bench" -d 'Measure the solver on published instances'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "model" -d 'Write the planner\'s mathematical models'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "import" -d 'Make cluster, load and policy from another program\'s files'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "schema" -d 'Print the JSON Schemas of the file formats'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "example" -d 'Make an example to try things on'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "docs" -d 'Write man pages and the command-line reference into a folder'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "snapshot" -d 'Read hosts and guests from libvirt into cluster.yaml [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "apply" -d 'Carry a plan out by live migrations [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "pause" -d 'Start no more migrations for now [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "resume" -d 'End a pause, and carry on what was interrupted [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "status" -d 'Show how far a plan has been carried out [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "ledger" -d 'Show what migrations were predicted to take, and what they took [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "abort" -d 'Stop what can be stopped of a plan under way [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "watch" -d 'Relieve sudden overloads: hear the probes, decide, switch guests at once [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "run" -d 'The whole loop as a service: relief, periodic plans, hosts that sleep [vmpack-executor]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "probe" -d 'Measure the guests of this host [vmpack-probe]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "load" -d 'Gather load.yaml from the hosts\' probes: `load fetch` [vmpack-probe]'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and not __fish_seen_subcommand_from plan check validate whatif capacity explain replay regress bench model import schema example completions docs snapshot apply pause resume status ledger abort watch run probe load help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "pack" -d 'Pack vector packing instances: the fewest hosts, and what is proven'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "check" -d 'Prove again what `bench pack --certificates` wrote: the packing and the bound'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "moves" -d 'Move the items of packing instances from where they run: the least memory, and what is proven'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "relief" -d 'Relieve sudden overloads of made-up clusters: the time to the first answer and to the proven one'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from model" -f -a "dump" -d 'Write a formulation of the inputs for another solver'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "btrplace" -d 'From BtrPlace\'s JSON: a model, or an instance with its constraints'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "planetlab" -d 'From PlanetLab\'s CPU traces, in the set-up of CloudSim\'s power examples'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "ganeti" -d 'From Ganeti\'s text format, as `hscan` writes it and `hbal -t` reads it'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "bitbrains" -d 'From Bitbrains\' traces (GWA-T-12), a CSV file for each machine'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "azure" -d 'From Azure\'s trace for packing (2020), a SQLite file'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "vbp" -d 'From a vector packing instance: CPU, and memory where it has a second resource'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from import" -f -a "csv" -d 'From plain tables: CSV with a header'
complete -c vmpack -n "__fish_vmpack_using_subcommand help; and __fish_seen_subcommand_from example" -f -a "cluster" -d 'A cluster with a day of load and a policy, loosely spread, the same for the same seed'
