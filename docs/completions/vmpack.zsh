#compdef vmpack

autoload -U is-at-least

_vmpack() {
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
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_vmpack_commands" \
"*::: :->vmpack" \
&& ret=0
    case $state in
    (vmpack)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-command-$line[1]:"
        case $line[1] in
            (plan)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[Cluster file, a folder of them, or \`-\` for standard input; repeat it to merge several]:PATH:_files' \
'*--load=[Load file, a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'*--policy=[Policy file, a folder of them, or \`-\`; repeat it to merge several \[without one\: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s\]]:PATH:_files' \
'--time-limit=[Wall time for the search, such as \`10s\` or \`2m\`]:TIME:_default' \
'--nodes=[Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly]:N:_default' \
'--seed=[Seed of the search]:N:_default' \
'*--drain=[Empty this host for maintenance; the plan says so by a rule in its policy]:HOST:_default' \
'-o+[Write the plan to this file, whose folder is made if it is missing, or to standard output with \`-\`]:FILE:_files' \
'--output=[Write the plan to this file, whose folder is made if it is missing, or to standard output with \`-\`]:FILE:_files' \
'--certificate=[Write the proof of the bound on the hosts to this file, for \`vmpack check --certificate\`]:FILE:_files' \
'--report=[Write the plan as a page that holds all in itself, with pictures, into this file]:FILE:_files' \
'(-o --output --certificate --report --detailed-exitcode)--curve=[Print, instead of a plan, hosts against memory moved\: for the fewest hosts and up to so many more \[without a number\: 5\]]::N:_default' \
'--json[Print the result as JSON]' \
'--detailed-exitcode[Exit with 0 when there is nothing to do and 10 when moves are proposed]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[Cluster file, a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'*--load=[Load file, a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'*--policy=[Judge by this policy instead of the one in the plan]:PATH:_files' \
'*--later=[Also tell how often each host is above its room under this load, measured later; a folder of them or \`-\`; repeat it to merge several]:PATH:_files' \
'--certificate=[Prove the bound again from this certificate, or \`-\`]:FILE:_files' \
'--steps=[Most steps for the proof; what is not proven within them is refused]:N:_default' \
'--json[Print the result as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'::plan -- The plan, or `-`; it may be left out when a certificate is given:_files' \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
'--json[Print the result as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'*::files -- Files of any kind, folders of them, or `-`:_files' \
&& ret=0
;;
(whatif)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[Cluster file, a folder of them, or \`-\` for standard input; repeat it to merge several]:PATH:_files' \
'*--load=[Load file, a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'*--policy=[Policy file, a folder of them, or \`-\`; repeat it to merge several \[without one\: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s\]]:PATH:_files' \
'--time-limit=[Wall time for the search, such as \`10s\` or \`2m\`]:TIME:_default' \
'--nodes=[Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly]:N:_default' \
'--seed=[Seed of the search]:N:_default' \
'--losses=[Ask, instead of for a plan, whether the loss of any so many hosts, 1 or 2, is survived, after the edits if there are any\: all guests restarted on the rest, and the same with others moving]:K:_default' \
'*--scenario=[Make the edits of this scenario file, before all others]:FILE:_files' \
'*--drain=[Empty these hosts for maintenance\: a name, a pattern with \`*\`, or \`label=value\`]:HOST:_default' \
'*--fail=[These hosts are gone; their guests must be started elsewhere]:HOST:_default' \
'*--add-hosts=[Add so many hosts of that size, such as \`2,32cores,256GiB\`]:N,CPU,MEMORY:_default' \
'*--change-hosts=[Give these hosts other cores and memory, such as \`h1=64cores,512GiB\` or \`rack=r1=64cores,512GiB\`]:HOST=CPU,MEMORY:_default' \
'*--add-guests=[Add the guests of this cluster file; a load file may be given in the same way]:FILE:_files' \
'*--copy-guest=[Add so many guests like one that is there, such as \`web-1,10\`]:GUEST,N:_default' \
'*--remove-guests=[Take these guests away\: a name, or a pattern with \`*\`]:GUEST:_default' \
'--headroom=[Keep another share of every host'\''s CPU free, such as \`15%\`, or a range such as \`0%..30%/5%\`]:SHARE:_default' \
'--memory-headroom=[Keep another share of every host'\''s memory free; or a range]:SHARE:_default' \
'--over-commit=[Promise so many vCPUs per core; or a range such as \`1..8/1\`]:N:_default' \
'--statistic=[Pack another statistic\: mean, p50, p90, p95, p99 or max]:NAME:_default' \
'*--drop-rule=[Drop the rule of this name]:RULE:_default' \
'*--add-rules=[Add the rules of this policy file]:FILE:_files' \
'*--shift-load=[Let the load of guests come later, such as \`batch-*=6h\`, or of all\: \`6h\`; where demand is counted window by window, by the policy or with --joint]:[GUEST=]TIME:_default' \
'*--scale-load=[Multiply measured CPU demand and dirty rate, such as \`1.2\`, of some guests \`web-*=1.5\`, or a range \`1.0..2.0/0.1\`]:[GUEST=]FACTOR:_default' \
'--curve=[Draw a range'\''s answers as SVG into this file]:FILE:_files' \
'(--curve --losses)--report=[Write the answer as a page that holds all in itself, with pictures, into this file]:FILE:_files' \
'--joint[Count demand window by window, all guests of a host together]' \
'--json[Print the result as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(capacity)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[Cluster file, a folder of them, or \`-\` for standard input; repeat it to merge several]:PATH:_files' \
'*--load=[Load file, a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'*--policy=[Policy file, a folder of them, or \`-\`; repeat it to merge several \[without one\: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s\]]:PATH:_files' \
'--time-limit=[Wall time for the search, such as \`10s\` or \`2m\`]:TIME:_default' \
'--nodes=[Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly]:N:_default' \
'--seed=[Seed of the search]:N:_default' \
'*--like=[Guests like this one, with its load; rules name them where a pattern does]:GUEST:_default' \
'*--shape=[Guests of that many vCPUs, that memory and that demand \[without a demand\: all their vCPUs\]]:VCPUS,MEMORY[,CPU]:_default' \
'--growth=[All load grows by so much a month, in place of the trend in its windows]:SHARE:_default' \
'(--growth)--standing[Count as it stands only, nobody moving\: the quickest answer, for one who asks often]' \
'--json[Print the result as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[Cluster file, a folder of them, or \`-\` for standard input; repeat it to merge several]:PATH:_files' \
'*--load=[Load file, a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'*--policy=[Policy file, a folder of them, or \`-\`; repeat it to merge several \[without one\: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s\]]:PATH:_files' \
'--time-limit=[Wall time for the search, such as \`10s\` or \`2m\`]:TIME:_default' \
'--nodes=[Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly]:N:_default' \
'--seed=[Seed of the search]:N:_default' \
'--json[Print the result as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':name -- A guest or a host, by name:_default' \
&& ret=0
;;
(replay)
_arguments "${_arguments_options[@]}" : \
'*--trace=[The trace'\''s format (planetlab), and the folder or .tar.gz that holds it; replayed to the end of the longest of its files]:FORMAT:_files:FORMAT:_files' \
'(--trace --order --hosts --count-memory --keep-resting)*--cluster=[In place of a trace the hosts and guests of this cluster file, or a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'*--load=[Load with windows over time, such as the probe'\''s history or an import]:PATH:_files' \
'*--policy=[Policy file, a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'--watts=[What each of its hosts draws idle and at full load, in a straight line between; asleep nothing \[default\: 100,300\]]:IDLE,FULL:_default' \
'*--policies=[Policies, each replayed by itself \[default\: lr-mmt,vmpack; with --cluster none,lr-mmt,plan\]]:NAME:_default' \
'--order=[The order of the guests, a name a line \[default\: DAY.order beside the trace DAY, if there is one; else by name\]]:FILE:_files' \
'--hosts=[How many hosts, of the two kinds in turn \[default\: 800; of a scenario 200, all alike\]]:N:_default' \
'(--trace --cluster --policies --order --count-memory --keep-resting --wake-time --failing --kill --events --curve --report)--scenario=[In place of a trace a scenario of 24 hours\: packed guests, and surges in some of them, without packing and relieved by either kind of migration]:NAME:((surge\:"Guests rise from little to all their vCPUs, for some minutes"))' \
'--guests=[How many guests the scenario has]:N:_default' \
'--surges=[How many surges it has]:N:_default' \
'--wake-time=[Let hosts take so long to wake, such as \`60s\`, and draw their idle power until they sleep \[without it\: hosts without load draw nothing and wake at once, as in CloudSim; with --cluster 60s\]]:TIME:_default' \
'--failing=[Let so many migrations fail, such as \`1%\`]:SHARE:_default' \
'--seed=[Which of them fail]:N:_default' \
'*--kill=[Let this host die at that time, such as \`h001@3600s\`; its guests start anew elsewhere]:HOST@TIME:_default' \
'--events=[Write what happens to this file, a JSON object a line]:FILE:_files' \
'(--events)--curve=[Replay each policy with several settings, print energy against SLATAH, and draw that into this SVG file]:FILE:_files' \
'--report=[Write the policies side by side as a page that holds all in itself, with the picture, into this file]:FILE:_files' \
'--count-memory[Let memory limit every migration, not only where guests start; with --cluster it does]' \
'--keep-resting[Let guests stay that want nothing for a while, which CloudSim takes for finished]' \
'--json[Print a JSON object a line for each policy]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(regress)
_arguments "${_arguments_options[@]}" : \
'(--junit)*--compare=[Compare two results of \`regress --json\`, \`bench pack --json\` or \`bench moves --json\` instead\: what changed, and whether status, hosts, bound, gap, memory moved, its bound or time is worse]:OLD:_files:OLD:_files' \
'--time-budget=[How many times longer than before a case may take, from 0.1 s on]:FACTOR:_default' \
'--move-budget=[How many times more memory than before a case may move, and how many times less its bound may be, where its hosts cost the same]:FACTOR:_default' \
'--filter=[Only cases whose path contains this]:TEXT:_default' \
'--junit=[Also write the result as JUnit XML]:FILE:_files' \
'--json[Print the result as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'*::paths -- Case files, or folders that are searched for them:_files' \
&& ret=0
;;
(bench)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_vmpack__subcmd__bench_commands" \
"*::: :->bench" \
&& ret=0

    case $state in
    (bench)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-bench-command-$line[1]:"
        case $line[1] in
            (pack)
_arguments "${_arguments_options[@]}" : \
'--format=[vbp or bpplib, whatever the names of the files]:FORMAT:_default' \
'--time-limit=[Wall time for the search, such as \`10s\` or \`2m\`]:TIME:_default' \
'--nodes=[Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly]:N:_default' \
'--seed=[Seed of the search]:N:_default' \
'--record=[Add a JSON line for each file to this one, and skip instances that it holds]:FILE:_files' \
'--certificates=[Write the packing and the proof of the bound of each instance into this folder, for \`vmpack bench check\`]:FOLDER:_files' \
'--json[Print one JSON line for each file]' \
'--cpu-time[Count the limit and the seconds in processor time, which other work on the machine leaves as it is]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'*::files -- Instances\: `.vbp` (VPSolver), or `.txt` and `.bpp` (BPPLIB, one resource):_files' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'--certificates=[The folder with their certificates]:FOLDER:_files' \
'--format=[vbp or bpplib, whatever the names of the files]:FORMAT:_default' \
'--steps=[Most steps for each proof; what is not proven within them is refused]:N:_default' \
'--json[Print one JSON line for each file]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'*::files -- Instances, as for `bench pack`:_files' \
&& ret=0
;;
(moves)
_arguments "${_arguments_options[@]}" : \
'--more-hosts=[So many hosts more than the fewest may be used]:N:_default' \
'--time-limit=[Wall time for the search, such as \`10s\` or \`2m\`]:TIME:_default' \
'--nodes=[Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly]:N:_default' \
'--seed=[Seed of the search]:N:_default' \
'--json[Print one JSON line for each file]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'*::files -- Instances `.vbp`, each with a file `.cur` beside it:_files' \
&& ret=0
;;
(relief)
_arguments "${_arguments_options[@]}" : \
'--hosts=[Hosts of 32 cores]:N:_default' \
'--guests=[Guests for each host]:N:_default' \
'--overloaded=[Hosts on which guests rise to all their vCPUs until it is overloaded]:N:_default' \
'--load=[How much of the other hosts is wanted, in percent of their room]:PERCENT:_default' \
'--runs=[Clusters, by seeds from 1 on]:N:_default' \
'--time-limit=[How long the proven answer may be sought]:TIME:_default' \
'--ahead[Also make what is decided ahead, and recall it]' \
'--json[Print one JSON line for each cluster]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__bench__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-bench-help-command-$line[1]:"
        case $line[1] in
            (pack)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(moves)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(relief)
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
(model)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_vmpack__subcmd__model_commands" \
"*::: :->model" \
&& ret=0

    case $state in
    (model)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-model-command-$line[1]:"
        case $line[1] in
            (dump)
_arguments "${_arguments_options[@]}" : \
'*--cluster=[Cluster file, a folder of them, or \`-\` for standard input; repeat it to merge several]:PATH:_files' \
'*--load=[Load file, a folder of them, or \`-\`; repeat it to merge several]:PATH:_files' \
'*--policy=[Policy file, a folder of them, or \`-\`; repeat it to merge several \[without one\: the 95th percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB overhead a guest, 10s\]]:PATH:_files' \
'--time-limit=[Wall time for the search, such as \`10s\` or \`2m\`]:TIME:_default' \
'--nodes=[Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly]:N:_default' \
'--seed=[Seed of the search]:N:_default' \
'--formulation=[assignment (stage 1), moves (stage 2, at the cost that stage 1 finds) or pattern (stage 1 over the patterns that column generation makes)]:NAME:_default' \
'-o+[Write to this file, whose folder is made if it is missing \[default\: standard output\]]:FILE:_files' \
'--output=[Write to this file, whose folder is made if it is missing \[default\: standard output\]]:FILE:_files' \
'--mps[In MPS format, free form (the only one there is)]' \
'--relaxed[Leave out that columns are integers]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__model__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-model-help-command-$line[1]:"
        case $line[1] in
            (dump)
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
(import)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_vmpack__subcmd__import_commands" \
"*::: :->import" \
&& ret=0

    case $state in
    (import)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-import-command-$line[1]:"
        case $line[1] in
            (btrplace)
_arguments "${_arguments_options[@]}" : \
'-o+[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--output=[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--without-rules[Leave the constraints out\: hosts, guests and resources only]' \
'--json[Print what was imported and what was not as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':source -- The instance, or `-` for standard input:_files' \
&& ret=0
;;
(planetlab)
_arguments "${_arguments_options[@]}" : \
'--order=[The order of the guests, a name a line \[default\: DAY.order beside the trace DAY, if there is one; else by name\]]:FILE:_files' \
'--hosts=[How many hosts, of the two kinds in turn]:N:_default' \
'--day=[When the first window starts]:TIME:_default' \
'-o+[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--output=[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--json[Print what was imported and what was not as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':source -- The folder with the traces, or a .tar.gz of it:_files' \
&& ret=0
;;
(ganeti)
_arguments "${_arguments_options[@]}" : \
'-o+[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--output=[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--anywhere[Let guests go anywhere, wherever their disks are]' \
'--json[Print what was imported and what was not as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':source -- The file, or `-` for standard input:_files' \
&& ret=0
;;
(bitbrains)
_arguments "${_arguments_options[@]}" : \
'--hosts=[So many hosts of that size, such as \`40,32cores,256GiB\`]:N,CPU,MEMORY:_default' \
'-o+[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--output=[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--json[Print what was imported and what was not as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
'*::sources -- A folder with the files, or single ones:_files' \
&& ret=0
;;
(azure)
_arguments "${_arguments_options[@]}" : \
'--at=[The time, in days from the trace'\''s beginning]:DAYS:_default' \
'--machine=[The machine'\''s \`machineId\` \[default\: the one that offers the most types\]]:ID:_default' \
'--hosts=[So many of that machine, and its size, such as \`200,64cores,512GiB\`]:N,CPU,MEMORY:_default' \
'-o+[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--output=[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--json[Print what was imported and what was not as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':source -- The file:_files' \
&& ret=0
;;
(vbp)
_arguments "${_arguments_options[@]}" : \
'--format=[vbp or bpplib, whatever the name of the file]:FORMAT:_default' \
'--current=[Where each item runs\: a host'\''s number from 0 on a line each]:FILE:_files' \
'--hosts=[How many hosts \[default\: as many as there are items\]]:N:_default' \
'-o+[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--output=[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--json[Print what was imported and what was not as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':source -- The instance, or `-` for standard input:_files' \
&& ret=0
;;
(csv)
_arguments "${_arguments_options[@]}" : \
'--hosts=[Table of hosts, or \`-\`]:FILE:_files' \
'--guests=[Table of guests, or \`-\`]:FILE:_files' \
'--load=[Table of load over time, or \`-\`]:FILE:_files' \
'-o+[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--output=[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--json[Print what was imported and what was not as JSON]' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__import__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-import-help-command-$line[1]:"
        case $line[1] in
            (btrplace)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(planetlab)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(ganeti)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(bitbrains)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(azure)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(vbp)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(csv)
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
(schema)
_arguments "${_arguments_options[@]}" : \
'(--kind)--out=[Write one file for each kind into this folder]:DIR:_files' \
'--kind=[Print only this kind\: Cluster, Load, Policy, Plan or Case]:KIND:_default' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(example)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_vmpack__subcmd__example_commands" \
"*::: :->example" \
&& ret=0

    case $state in
    (example)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-example-command-$line[1]:"
        case $line[1] in
            (cluster)
_arguments "${_arguments_options[@]}" : \
'--hosts=[How many hosts]:HOSTS:_default' \
'--guests=[How many guests]:GUESTS:_default' \
'--seed=[Seed of all that is drawn]:SEED:_default' \
'--makes=[Makes of hosts, 1 to 3]:MAKES:_default' \
'--ruled=[Share of the guests that rules keep apart, such as \`10%\` \[default\: some databases and web servers\]]:SHARE:_default' \
'--windows=[Windows of the day, a divisor of 288, in which the policy then counts demand jointly]:N:_default' \
'-o+[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'--output=[Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing]:DIR:_files' \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__example__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-example-help-command-$line[1]:"
        case $line[1] in
            (cluster)
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
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':shell -- Which shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(docs)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'-h[Print help]' \
'--help[Print help]' \
':folder -- Where to:_files' \
&& ret=0
;;
(snapshot)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(apply)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(pause)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(resume)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(ledger)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(abort)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(watch)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(run)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-executor --help`:_default' \
&& ret=0
;;
(probe)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-probe --help`:_default' \
&& ret=0
;;
(load)
_arguments "${_arguments_options[@]}" : \
'*-v[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*--verbose[Say more on standard error\: -v for steps, -vv for details (RUST_LOG is honoured too)]' \
'*::arguments -- See `vmpack-probe --help`:_default' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-help-command-$line[1]:"
        case $line[1] in
            (plan)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(validate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(whatif)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(capacity)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(explain)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(replay)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(regress)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(bench)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__help__subcmd__bench_commands" \
"*::: :->bench" \
&& ret=0

    case $state in
    (bench)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-help-bench-command-$line[1]:"
        case $line[1] in
            (pack)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(moves)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(relief)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(model)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__help__subcmd__model_commands" \
"*::: :->model" \
&& ret=0

    case $state in
    (model)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-help-model-command-$line[1]:"
        case $line[1] in
            (dump)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(import)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__help__subcmd__import_commands" \
"*::: :->import" \
&& ret=0

    case $state in
    (import)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-help-import-command-$line[1]:"
        case $line[1] in
            (btrplace)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(planetlab)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(ganeti)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(bitbrains)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(azure)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(vbp)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(csv)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(schema)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(example)
_arguments "${_arguments_options[@]}" : \
":: :_vmpack__subcmd__help__subcmd__example_commands" \
"*::: :->example" \
&& ret=0

    case $state in
    (example)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:vmpack-help-example-command-$line[1]:"
        case $line[1] in
            (cluster)
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
(ledger)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(abort)
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
(probe)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(load)
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

(( $+functions[_vmpack_commands] )) ||
_vmpack_commands() {
    local commands; commands=(
'plan:Find the fewest hosts and the migrations that lead there' \
'check:Judge a plan\: replay its moves in order and name what is violated' \
'validate:Read files and say what is wrong with them' \
'whatif:Ask how the answer changes when hosts, guests, load or the policy change' \
'capacity:Ask how many more guests fit, what runs out first, and how far load may grow' \
'explain:Say why a guest or a host is as it is, and what would have to change' \
'replay:Replay a trace of load under policies and compare energy, overload and migrations' \
'regress:Plan every case file and compare with what it expects' \
'bench:Measure the solver on published instances' \
'model:Write the planner'\''s mathematical models' \
'import:Make cluster, load and policy from another program'\''s files' \
'schema:Print the JSON Schemas of the file formats' \
'example:Make an example to try things on' \
'completions:Print a shell'\''s completion script' \
'docs:Write man pages and the command-line reference into a folder' \
'snapshot:Read hosts and guests from libvirt into cluster.yaml \[vmpack-executor\]' \
'apply:Carry a plan out by live migrations \[vmpack-executor\]' \
'pause:Start no more migrations for now \[vmpack-executor\]' \
'resume:End a pause, and carry on what was interrupted \[vmpack-executor\]' \
'status:Show how far a plan has been carried out \[vmpack-executor\]' \
'ledger:Show what migrations were predicted to take, and what they took \[vmpack-executor\]' \
'abort:Stop what can be stopped of a plan under way \[vmpack-executor\]' \
'watch:Relieve sudden overloads\: hear the probes, decide, switch guests at once \[vmpack-executor\]' \
'run:The whole loop as a service\: relief, periodic plans, hosts that sleep \[vmpack-executor\]' \
'probe:Measure the guests of this host \[vmpack-probe\]' \
'load:Gather load.yaml from the hosts'\'' probes\: \`load fetch\` \[vmpack-probe\]' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__abort_commands] )) ||
_vmpack__subcmd__abort_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack abort commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__apply_commands] )) ||
_vmpack__subcmd__apply_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack apply commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench_commands] )) ||
_vmpack__subcmd__bench_commands() {
    local commands; commands=(
'pack:Pack vector packing instances\: the fewest hosts, and what is proven' \
'check:Prove again what \`bench pack --certificates\` wrote\: the packing and the bound' \
'moves:Move the items of packing instances from where they run\: the least memory, and what is proven' \
'relief:Relieve sudden overloads of made-up clusters\: the time to the first answer and to the proven one' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack bench commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__check_commands] )) ||
_vmpack__subcmd__bench__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench check commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__help_commands] )) ||
_vmpack__subcmd__bench__subcmd__help_commands() {
    local commands; commands=(
'pack:Pack vector packing instances\: the fewest hosts, and what is proven' \
'check:Prove again what \`bench pack --certificates\` wrote\: the packing and the bound' \
'moves:Move the items of packing instances from where they run\: the least memory, and what is proven' \
'relief:Relieve sudden overloads of made-up clusters\: the time to the first answer and to the proven one' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack bench help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__help__subcmd__check_commands] )) ||
_vmpack__subcmd__bench__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench help check commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__help__subcmd__help_commands] )) ||
_vmpack__subcmd__bench__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench help help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__help__subcmd__moves_commands] )) ||
_vmpack__subcmd__bench__subcmd__help__subcmd__moves_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench help moves commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__help__subcmd__pack_commands] )) ||
_vmpack__subcmd__bench__subcmd__help__subcmd__pack_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench help pack commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__help__subcmd__relief_commands] )) ||
_vmpack__subcmd__bench__subcmd__help__subcmd__relief_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench help relief commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__moves_commands] )) ||
_vmpack__subcmd__bench__subcmd__moves_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench moves commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__pack_commands] )) ||
_vmpack__subcmd__bench__subcmd__pack_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench pack commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__bench__subcmd__relief_commands] )) ||
_vmpack__subcmd__bench__subcmd__relief_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack bench relief commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__capacity_commands] )) ||
_vmpack__subcmd__capacity_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack capacity commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__check_commands] )) ||
_vmpack__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack check commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__completions_commands] )) ||
_vmpack__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack completions commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__docs_commands] )) ||
_vmpack__subcmd__docs_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack docs commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__example_commands] )) ||
_vmpack__subcmd__example_commands() {
    local commands; commands=(
'cluster:A cluster with a day of load and a policy, loosely spread, the same for the same seed' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack example commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__example__subcmd__cluster_commands] )) ||
_vmpack__subcmd__example__subcmd__cluster_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack example cluster commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__example__subcmd__help_commands] )) ||
_vmpack__subcmd__example__subcmd__help_commands() {
    local commands; commands=(
'cluster:A cluster with a day of load and a policy, loosely spread, the same for the same seed' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack example help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__example__subcmd__help__subcmd__cluster_commands] )) ||
_vmpack__subcmd__example__subcmd__help__subcmd__cluster_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack example help cluster commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__example__subcmd__help__subcmd__help_commands] )) ||
_vmpack__subcmd__example__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack example help help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__explain_commands] )) ||
_vmpack__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack explain commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help_commands] )) ||
_vmpack__subcmd__help_commands() {
    local commands; commands=(
'plan:Find the fewest hosts and the migrations that lead there' \
'check:Judge a plan\: replay its moves in order and name what is violated' \
'validate:Read files and say what is wrong with them' \
'whatif:Ask how the answer changes when hosts, guests, load or the policy change' \
'capacity:Ask how many more guests fit, what runs out first, and how far load may grow' \
'explain:Say why a guest or a host is as it is, and what would have to change' \
'replay:Replay a trace of load under policies and compare energy, overload and migrations' \
'regress:Plan every case file and compare with what it expects' \
'bench:Measure the solver on published instances' \
'model:Write the planner'\''s mathematical models' \
'import:Make cluster, load and policy from another program'\''s files' \
'schema:Print the JSON Schemas of the file formats' \
'example:Make an example to try things on' \
'completions:Print a shell'\''s completion script' \
'docs:Write man pages and the command-line reference into a folder' \
'snapshot:Read hosts and guests from libvirt into cluster.yaml \[vmpack-executor\]' \
'apply:Carry a plan out by live migrations \[vmpack-executor\]' \
'pause:Start no more migrations for now \[vmpack-executor\]' \
'resume:End a pause, and carry on what was interrupted \[vmpack-executor\]' \
'status:Show how far a plan has been carried out \[vmpack-executor\]' \
'ledger:Show what migrations were predicted to take, and what they took \[vmpack-executor\]' \
'abort:Stop what can be stopped of a plan under way \[vmpack-executor\]' \
'watch:Relieve sudden overloads\: hear the probes, decide, switch guests at once \[vmpack-executor\]' \
'run:The whole loop as a service\: relief, periodic plans, hosts that sleep \[vmpack-executor\]' \
'probe:Measure the guests of this host \[vmpack-probe\]' \
'load:Gather load.yaml from the hosts'\'' probes\: \`load fetch\` \[vmpack-probe\]' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__abort_commands] )) ||
_vmpack__subcmd__help__subcmd__abort_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help abort commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__apply_commands] )) ||
_vmpack__subcmd__help__subcmd__apply_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help apply commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__bench_commands] )) ||
_vmpack__subcmd__help__subcmd__bench_commands() {
    local commands; commands=(
'pack:Pack vector packing instances\: the fewest hosts, and what is proven' \
'check:Prove again what \`bench pack --certificates\` wrote\: the packing and the bound' \
'moves:Move the items of packing instances from where they run\: the least memory, and what is proven' \
'relief:Relieve sudden overloads of made-up clusters\: the time to the first answer and to the proven one' \
    )
    _describe -t commands 'vmpack help bench commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__bench__subcmd__check_commands] )) ||
_vmpack__subcmd__help__subcmd__bench__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help bench check commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__bench__subcmd__moves_commands] )) ||
_vmpack__subcmd__help__subcmd__bench__subcmd__moves_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help bench moves commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__bench__subcmd__pack_commands] )) ||
_vmpack__subcmd__help__subcmd__bench__subcmd__pack_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help bench pack commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__bench__subcmd__relief_commands] )) ||
_vmpack__subcmd__help__subcmd__bench__subcmd__relief_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help bench relief commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__capacity_commands] )) ||
_vmpack__subcmd__help__subcmd__capacity_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help capacity commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__check_commands] )) ||
_vmpack__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help check commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__completions_commands] )) ||
_vmpack__subcmd__help__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help completions commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__docs_commands] )) ||
_vmpack__subcmd__help__subcmd__docs_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help docs commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__example_commands] )) ||
_vmpack__subcmd__help__subcmd__example_commands() {
    local commands; commands=(
'cluster:A cluster with a day of load and a policy, loosely spread, the same for the same seed' \
    )
    _describe -t commands 'vmpack help example commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__example__subcmd__cluster_commands] )) ||
_vmpack__subcmd__help__subcmd__example__subcmd__cluster_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help example cluster commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__explain_commands] )) ||
_vmpack__subcmd__help__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help explain commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__help_commands] )) ||
_vmpack__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__import_commands] )) ||
_vmpack__subcmd__help__subcmd__import_commands() {
    local commands; commands=(
'btrplace:From BtrPlace'\''s JSON\: a model, or an instance with its constraints' \
'planetlab:From PlanetLab'\''s CPU traces, in the set-up of CloudSim'\''s power examples' \
'ganeti:From Ganeti'\''s text format, as \`hscan\` writes it and \`hbal -t\` reads it' \
'bitbrains:From Bitbrains'\'' traces (GWA-T-12), a CSV file for each machine' \
'azure:From Azure'\''s trace for packing (2020), a SQLite file' \
'vbp:From a vector packing instance\: CPU, and memory where it has a second resource' \
'csv:From plain tables\: CSV with a header' \
    )
    _describe -t commands 'vmpack help import commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__import__subcmd__azure_commands] )) ||
_vmpack__subcmd__help__subcmd__import__subcmd__azure_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help import azure commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__import__subcmd__bitbrains_commands] )) ||
_vmpack__subcmd__help__subcmd__import__subcmd__bitbrains_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help import bitbrains commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__import__subcmd__btrplace_commands] )) ||
_vmpack__subcmd__help__subcmd__import__subcmd__btrplace_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help import btrplace commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__import__subcmd__csv_commands] )) ||
_vmpack__subcmd__help__subcmd__import__subcmd__csv_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help import csv commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__import__subcmd__ganeti_commands] )) ||
_vmpack__subcmd__help__subcmd__import__subcmd__ganeti_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help import ganeti commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__import__subcmd__planetlab_commands] )) ||
_vmpack__subcmd__help__subcmd__import__subcmd__planetlab_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help import planetlab commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__import__subcmd__vbp_commands] )) ||
_vmpack__subcmd__help__subcmd__import__subcmd__vbp_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help import vbp commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__ledger_commands] )) ||
_vmpack__subcmd__help__subcmd__ledger_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help ledger commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__load_commands] )) ||
_vmpack__subcmd__help__subcmd__load_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help load commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__model_commands] )) ||
_vmpack__subcmd__help__subcmd__model_commands() {
    local commands; commands=(
'dump:Write a formulation of the inputs for another solver' \
    )
    _describe -t commands 'vmpack help model commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__model__subcmd__dump_commands] )) ||
_vmpack__subcmd__help__subcmd__model__subcmd__dump_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help model dump commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__pause_commands] )) ||
_vmpack__subcmd__help__subcmd__pause_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help pause commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__plan_commands] )) ||
_vmpack__subcmd__help__subcmd__plan_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help plan commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__probe_commands] )) ||
_vmpack__subcmd__help__subcmd__probe_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help probe commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__regress_commands] )) ||
_vmpack__subcmd__help__subcmd__regress_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help regress commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__replay_commands] )) ||
_vmpack__subcmd__help__subcmd__replay_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help replay commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__resume_commands] )) ||
_vmpack__subcmd__help__subcmd__resume_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help resume commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__run_commands] )) ||
_vmpack__subcmd__help__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help run commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__schema_commands] )) ||
_vmpack__subcmd__help__subcmd__schema_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help schema commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__snapshot_commands] )) ||
_vmpack__subcmd__help__subcmd__snapshot_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help snapshot commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__status_commands] )) ||
_vmpack__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help status commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__validate_commands] )) ||
_vmpack__subcmd__help__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help validate commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__watch_commands] )) ||
_vmpack__subcmd__help__subcmd__watch_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help watch commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__help__subcmd__whatif_commands] )) ||
_vmpack__subcmd__help__subcmd__whatif_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack help whatif commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import_commands] )) ||
_vmpack__subcmd__import_commands() {
    local commands; commands=(
'btrplace:From BtrPlace'\''s JSON\: a model, or an instance with its constraints' \
'planetlab:From PlanetLab'\''s CPU traces, in the set-up of CloudSim'\''s power examples' \
'ganeti:From Ganeti'\''s text format, as \`hscan\` writes it and \`hbal -t\` reads it' \
'bitbrains:From Bitbrains'\'' traces (GWA-T-12), a CSV file for each machine' \
'azure:From Azure'\''s trace for packing (2020), a SQLite file' \
'vbp:From a vector packing instance\: CPU, and memory where it has a second resource' \
'csv:From plain tables\: CSV with a header' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack import commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__azure_commands] )) ||
_vmpack__subcmd__import__subcmd__azure_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import azure commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__bitbrains_commands] )) ||
_vmpack__subcmd__import__subcmd__bitbrains_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import bitbrains commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__btrplace_commands] )) ||
_vmpack__subcmd__import__subcmd__btrplace_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import btrplace commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__csv_commands] )) ||
_vmpack__subcmd__import__subcmd__csv_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import csv commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__ganeti_commands] )) ||
_vmpack__subcmd__import__subcmd__ganeti_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import ganeti commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help_commands] )) ||
_vmpack__subcmd__import__subcmd__help_commands() {
    local commands; commands=(
'btrplace:From BtrPlace'\''s JSON\: a model, or an instance with its constraints' \
'planetlab:From PlanetLab'\''s CPU traces, in the set-up of CloudSim'\''s power examples' \
'ganeti:From Ganeti'\''s text format, as \`hscan\` writes it and \`hbal -t\` reads it' \
'bitbrains:From Bitbrains'\'' traces (GWA-T-12), a CSV file for each machine' \
'azure:From Azure'\''s trace for packing (2020), a SQLite file' \
'vbp:From a vector packing instance\: CPU, and memory where it has a second resource' \
'csv:From plain tables\: CSV with a header' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack import help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help__subcmd__azure_commands] )) ||
_vmpack__subcmd__import__subcmd__help__subcmd__azure_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import help azure commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help__subcmd__bitbrains_commands] )) ||
_vmpack__subcmd__import__subcmd__help__subcmd__bitbrains_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import help bitbrains commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help__subcmd__btrplace_commands] )) ||
_vmpack__subcmd__import__subcmd__help__subcmd__btrplace_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import help btrplace commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help__subcmd__csv_commands] )) ||
_vmpack__subcmd__import__subcmd__help__subcmd__csv_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import help csv commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help__subcmd__ganeti_commands] )) ||
_vmpack__subcmd__import__subcmd__help__subcmd__ganeti_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import help ganeti commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help__subcmd__help_commands] )) ||
_vmpack__subcmd__import__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import help help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help__subcmd__planetlab_commands] )) ||
_vmpack__subcmd__import__subcmd__help__subcmd__planetlab_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import help planetlab commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__help__subcmd__vbp_commands] )) ||
_vmpack__subcmd__import__subcmd__help__subcmd__vbp_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import help vbp commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__planetlab_commands] )) ||
_vmpack__subcmd__import__subcmd__planetlab_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import planetlab commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__import__subcmd__vbp_commands] )) ||
_vmpack__subcmd__import__subcmd__vbp_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack import vbp commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__ledger_commands] )) ||
_vmpack__subcmd__ledger_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack ledger commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__load_commands] )) ||
_vmpack__subcmd__load_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack load commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__model_commands] )) ||
_vmpack__subcmd__model_commands() {
    local commands; commands=(
'dump:Write a formulation of the inputs for another solver' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack model commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__model__subcmd__dump_commands] )) ||
_vmpack__subcmd__model__subcmd__dump_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack model dump commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__model__subcmd__help_commands] )) ||
_vmpack__subcmd__model__subcmd__help_commands() {
    local commands; commands=(
'dump:Write a formulation of the inputs for another solver' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'vmpack model help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__model__subcmd__help__subcmd__dump_commands] )) ||
_vmpack__subcmd__model__subcmd__help__subcmd__dump_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack model help dump commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__model__subcmd__help__subcmd__help_commands] )) ||
_vmpack__subcmd__model__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack model help help commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__pause_commands] )) ||
_vmpack__subcmd__pause_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack pause commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__plan_commands] )) ||
_vmpack__subcmd__plan_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack plan commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__probe_commands] )) ||
_vmpack__subcmd__probe_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack probe commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__regress_commands] )) ||
_vmpack__subcmd__regress_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack regress commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__replay_commands] )) ||
_vmpack__subcmd__replay_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack replay commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__resume_commands] )) ||
_vmpack__subcmd__resume_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack resume commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__run_commands] )) ||
_vmpack__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack run commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__schema_commands] )) ||
_vmpack__subcmd__schema_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack schema commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__snapshot_commands] )) ||
_vmpack__subcmd__snapshot_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack snapshot commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__status_commands] )) ||
_vmpack__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack status commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__validate_commands] )) ||
_vmpack__subcmd__validate_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack validate commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__watch_commands] )) ||
_vmpack__subcmd__watch_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack watch commands' commands "$@"
}
(( $+functions[_vmpack__subcmd__whatif_commands] )) ||
_vmpack__subcmd__whatif_commands() {
    local commands; commands=()
    _describe -t commands 'vmpack whatif commands' commands "$@"
}

if [ "$funcstack[1]" = "_vmpack" ]; then
    _vmpack "$@"
else
    compdef _vmpack vmpack
fi
