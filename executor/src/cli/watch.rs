//! `watch`: relieve sudden overloads.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{Source, read_inputs, write_plan};
use vmpack_domain::journal::Priority;
use vmpack_domain::plan::Plan;
use vmpack_domain::units::Micros;
use vmpack_domain::{HostName, HostState};
use vmpack_planner::power;
use vmpack_probe_client::client::{Address, Client};
use vmpack_probe_client::place::{place, probes};
use vmpack_probe_client::tls::Files;

use super::aloud::tell_a_person;
use super::conduct::{Pace, scene, take_lock};
use super::failure::Failure;
use super::files::{Place, read_all};
use super::say::{note, out};
use crate::attempt::Scene;
use crate::carry::{Heard, hold};
use crate::holder::{Handle, Order, Terms as HolderTerms, channel};
use crate::journal::Journal;
use crate::socket::Server;
use crate::watch::audit::Audit;
use crate::watch::ears::listen;
use crate::watch::{Done, Lines, Mode, Terms, greeting, hands, held, watch};
use crate::world::{World, write_atomically};

pub(crate) const EXAMPLES: &str = "\
Examples:
  vmpack-executor watch --cluster cluster.yaml --policy policy.yaml
  vmpack-executor watch --cluster cluster.yaml --policy policy.yaml --mode auto
  vmpack-executor watch --cluster cluster.yaml --probe h1=http://127.0.0.1:9742 --json

Hears the probes of all hosts that are awake, decides relief within milliseconds of an overload, and in
mode auto switches guests at once by post-copy, before anything else that is carried out. Every
decision stands in the audit log with its reasons before it is made: audit.jsonl beside the journal. In
mode recommend each is also written as a plan that `vmpack apply` takes, recommended.yaml beside it.
Guests that come and go are taken from the cluster's files, which are read anew when they change.
Probes that measure windows of 34 ms (`vmpack-probe serve --window 34ms`) tell of surges soonest.";

#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The cluster's files or folders
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(super) cluster: Vec<PathBuf>,
    /// The policy's files or folders
    #[arg(long, value_name = "FILE", num_args = 1..)]
    policy: Vec<PathBuf>,
    /// The load's files or folders: dirty rates, and what guests wanted at most
    #[arg(long, value_name = "FILE", num_args = 1..)]
    load: Vec<PathBuf>,
    /// What may be done
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Where a host's probe is, such as h1=https://10.0.0.1:9742, whatever the cluster says
    #[arg(long = "probe", value_name = "HOST=URL", value_parser = place)]
    pub(super) probes: Vec<(HostName, Address)>,
    #[command(flatten)]
    pub(super) tls: Files,
    /// How long a better answer may be sought beside the one that is being carried out
    #[arg(long, value_name = "TIME", default_value = "50ms")]
    think: Micros,
    /// The audit log, instead of audit.jsonl beside the journal
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    #[command(flatten)]
    pace: Pace,
    /// Act on simulated hosts instead of real ones, with the probes' word for their load
    #[arg(long)]
    simulated: bool,
    /// Simulated seconds per second
    #[arg(long, value_name = "TIMES", requires = "simulated", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    speed_up: u32,
}

/// Relief alone.
pub(crate) fn run(arguments: &Watch, place: &Place, json: bool) -> Result<Exit, Failure> {
    listen_and_act(arguments, None, place, json)
}

/// Relief, and what `run` does by the clock beside it.
pub(super) fn listen_and_act(
    arguments: &Watch,
    run: Option<&super::run::Beside>,
    place: &Place,
    json: bool,
) -> Result<Exit, Failure> {
    let cluster = read_all(&arguments.cluster)?;
    let load = read_all(&arguments.load)?;
    let policy = read_all(&arguments.policy)?;
    let inputs = read_inputs(&cluster, &load, &policy)?;
    for warning in &inputs.warnings {
        note(format_args!("warning: {warning}"));
    }
    let tls = arguments.tls.cert.is_some();
    // Hosts that sleep are heard once they are awake.
    let mut awake = inputs.cluster.clone();
    for host in awake
        .hosts
        .iter_mut()
        .filter(|h| run.is_some() && h.state == HostState::Asleep)
    {
        host.state = HostState::On;
    }
    let probes = probes(&awake, &arguments.probes, tls)
        .map_err(|e| Failure::new(Exit::BadInput, e.to_string()))?;
    let client = Client {
        tls: arguments
            .tls
            .client()
            .map_err(|e| Failure::new(Exit::BadInput, e.to_string()))?,
        patience: Duration::from_secs(5),
    };
    let folder = place.journal.parent().unwrap_or(std::path::Path::new("."));
    let failed = |e: std::io::Error| Failure::new(Exit::Environment, e.to_string());
    crate::journal::make_folder(folder).map_err(failed)?;
    let audit = arguments.audit.clone();
    let audit = audit.unwrap_or_else(|| folder.join("audit.jsonl"));
    let log = Audit::open(&audit).map_err(|e| {
        Failure::new(
            Exit::Environment,
            format!("cannot open {}: {e}", audit.display()),
        )
    })?;
    let recommended = folder.join("recommended.yaml");

    let (finish, done) = mpsc::unbounded_channel();
    let (order, orders) = mpsc::unbounded_channel();
    let holder = match arguments.mode {
        Mode::Auto => Some(Holder::begin(
            arguments,
            &inputs.cluster,
            &inputs.load,
            place,
            orders,
            finish.clone(),
        )?),
        Mode::Observe | Mode::Recommend => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    note(greeting(&inputs.cluster, arguments.mode));
    let cycle = run.map(|r| r.periodic(&inputs.policy));
    let policy_of_plans = match cycle.and_then(|c| c.power) {
        Some(terms) => terms.weighed(inputs.policy.clone()),
        None => inputs.policy.clone(),
    };
    let beside = finish.clone();
    let refusals = finish.clone();
    follow(
        arguments.cluster.clone(),
        [cluster, load, policy],
        finish.clone(),
    );
    let mut stops = runtime.block_on(async { Stops::new() }).map_err(failed)?;
    let ended = runtime.block_on(async {
        let (tell, ears) = mpsc::unbounded_channel();
        let _tasks = listen(probes, &client, &tell);
        let lines = Lines {
            ears,
            done,
            order: &mut |plan: Plan| {
                // A holder that is gone says so itself.
                let _ = order.send(plan);
            },
            told: &mut |line| {
                if json {
                    out(line);
                } else {
                    tell_a_person(line);
                }
            },
            recommend: &mut |plan| {
                if let Err(e) = write_atomically(&recommended, &write_plan(plan)) {
                    note(format_args!("cannot write {}: {e}", recommended.display()));
                }
            },
            plan: &mut |cluster| {
                if let Some(run) = run {
                    run.plan(arguments, cluster, &policy_of_plans, place, &beside);
                }
            },
            consolidate: &mut |plan| {
                if let Some(Holder { handle, .. }) = &holder {
                    let guests = plan.moves.iter().map(|m| m.guest.clone()).collect();
                    let answer = handle.order(Order {
                        plan,
                        file: None,
                        priority: Priority::Consolidation,
                        world: None,
                        reverses: false,
                    });
                    let told = refusals.clone();
                    // That it is taken is heard as it begins.
                    tokio::spawn(async move {
                        // Where every guest is where it is to be, nothing is refused.
                        if let Ok(Err(refusal)) = answer.await
                            && refusal.exit != Exit::Done as u8
                        {
                            let (why, relief) = (refusal.to_string(), false);
                            let _ = told.send(Done::Refused {
                                guests,
                                why,
                                relief,
                            });
                        }
                    });
                }
            },
            power: &mut |order, host| {
                let Some(run) = run else { return };
                match (&holder, &order) {
                    (Some(Holder { handle, .. }), power::Order::Sleep(..)) => {
                        // Asked of the holder: a plan may be on its way to it.
                        let answer = handle.sleep(host.name.clone());
                        let (run, beside) = (run.clone(), beside.clone());
                        tokio::spawn(async move {
                            let why = match answer.await {
                                Ok(Ok(())) => return run.switch(order, host, &beside),
                                Ok(Err(refusal)) => refusal.to_string(),
                                Err(_) => "the holder has ended".to_owned(),
                            };
                            let _ = beside.send(Done::Powered(order, Some(why)));
                        });
                    }
                    _ => run.switch(order, host, &beside),
                }
            },
            awake: &mut |host| {
                if let Some(Holder { handle, .. }) = &holder {
                    handle.awake(host.clone());
                }
            },
            hold: &mut |host, holds| {
                if let Some(Holder {
                    shares: Some((keep, _)),
                    ..
                }) = &holder
                {
                    // It hears until this is dropped.
                    let _ = keep.send((host.clone(), holds));
                }
            },
        };
        let terms = Terms {
            mode: arguments.mode,
            time: arguments.think,
            cycle,
        };
        let inputs = (inputs.cluster, inputs.load, inputs.policy);
        watch(inputs, &terms, log, lines, stops.next()).await
    });
    drop(order);
    drop(finish);
    drop(beside);
    let exit = match holder {
        Some(holder) => runtime.block_on(holder.end(&mut stops)),
        None => Ok(Exit::Done),
    };
    ended.map_err(|e| {
        Failure::new(
            Exit::Environment,
            format!("the audit log {}: {e}", audit.display()),
        )
    })?;
    exit
}

/// Reads the cluster's files anew every second, and tells when they say something else. A file that is just
/// being written is left until it stays the same for a second.
fn follow(
    paths: Vec<PathBuf>,
    [cluster, load, policy]: [Vec<Source>; 3],
    told: mpsc::UnboundedSender<Done>,
) {
    if paths.iter().any(|p| p.as_os_str() == "-") {
        return;
    }
    std::thread::spawn(move || {
        let (mut last, mut taken) = (Ok(cluster.clone()), Ok(cluster));
        while !told.is_closed() {
            std::thread::sleep(Duration::from_secs(1));
            let read = read_all(&paths).map_err(|failure| failure.to_string());
            let settled = read == last;
            last = read;
            if !settled || last == taken {
                continue;
            }
            taken = last.clone();
            let described = last.clone().and_then(|cluster| {
                let inputs = read_inputs(&cluster, &load, &policy).map_err(|e| e.to_string())?;
                Ok(inputs.cluster)
            });
            // Nobody hears it where the watch has ended.
            let _ = told.send(Done::Described(Box::new(described)));
        }
    });
}

/// Requests to stop. A terminal that hangs up counts once: a shell and the kernel may both tell of it.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    hung_up: bool,
}

impl Stops {
    /// Hears them from now on.
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            hung_up: false,
        })
    }

    /// The next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv(), if !self.hung_up => self.hung_up = true,
        }
    }
}

/// The holder, on a thread of its own.
struct Holder {
    handle: Handle,
    thread: std::thread::JoinHandle<Result<(), Failure>>,
    /// Who holds guests to what they have reserved, and is asked to.
    shares: Option<Keeper>,
}

type Keeper = (
    std::sync::mpsc::Sender<(HostName, bool)>,
    std::thread::JoinHandle<()>,
);

/// Says that the holder is gone, however it ended: nobody carries anything out from then on.
struct Farewell(mpsc::UnboundedSender<Done>);

impl Drop for Farewell {
    fn drop(&mut self) {
        // Nobody hears it where the watch has ended.
        let _ = self.0.send(Done::Gone("the holder has ended".into()));
    }
}

impl Holder {
    fn begin(
        arguments: &Watch,
        cluster: &vmpack_domain::Cluster,
        load: &vmpack_domain::Load,
        place: &Place,
        orders: mpsc::UnboundedReceiver<Plan>,
        finish: mpsc::UnboundedSender<Done>,
    ) -> Result<Self, Failure> {
        let lock = take_lock(place, "watch")?;
        let world = if arguments.simulated {
            World::Simulated {
                cluster: cluster.clone(),
                load: load.clone(),
                seed: 1,
                speed_up: Some(arguments.speed_up),
            }
        } else {
            World::Libvirt {
                cluster: cluster.clone(),
            }
        };
        let mut journal = Journal::open(&place.journal)?;
        let runs = journal.unfinished()?;
        if let Some((run, differs)) = runs
            .iter()
            .find_map(|run| Some((run.id, run.world.is_elsewhere(&world)?)))
        {
            let error = format!("run {run} in the journal is not at its end, and {differs}");
            let hint = "carry it on by `vmpack-executor resume`, or end it by `abort`";
            return Err(Failure::new(Exit::Environment, error).hint(hint));
        }
        let hypervisor = if runs.is_empty() {
            world.open(&place.world)?
        } else {
            note("what another executor left is carried on");
            world.reopen(&place.world)?
        };
        let scene = scene(hypervisor, &world, place, Some(&journal))?;
        let shares = keeper(&scene, finish.clone())?;
        let (handle, mut asks) = channel();
        let (mine, place, pace) = (handle.clone(), place.clone(), arguments.pace.clone());
        let thread = std::thread::Builder::new()
            .name("holder".into())
            .spawn(move || {
                let _lock = lock;
                let _farewell = Farewell(finish.clone());
                let failed = |e: std::io::Error| Failure::new(Exit::Environment, e.to_string());
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(failed)?;
                let limits = |plan: &Plan| pace.limits(plan, &world);
                let terms = HolderTerms {
                    world: world.clone(),
                    limits: &limits,
                    stays: true,
                    inhibit: place.inhibit.clone(),
                };
                runtime.block_on(async {
                    let _server = Server::open(&place.socket, &place.inhibit, mine.clone())
                        .map_err(failed)?;
                    let hands = hands::serve(mine.clone(), orders, &runs, finish);
                    let mut deaf = |_: Heard<'_>| {};
                    let held = hold(&scene, &runs, &terms, &mut journal, &mut asks, &mut deaf);
                    tokio::pin!(hands, held);
                    let mut served = false;
                    loop {
                        tokio::select! {
                            ended = &mut held => return ended.map(drop).map_err(Failure::from),
                            () = &mut hands, if !served => served = true,
                        }
                    }
                })
            });
        let failed = |e: std::io::Error| Failure::new(Exit::Environment, e.to_string());
        Ok(Self {
            handle,
            thread: thread.map_err(failed)?,
            shares: Some(shares),
        })
    }

    /// Finishes what runs, and starts no more; asked to stop again, it calls off what has not switched.
    async fn end(mut self, stops: &mut Stops) -> Result<Exit, Failure> {
        self.handle.interrupt();
        if let Some((asks, keeper)) = self.shares.take() {
            // Nobody asks any more: it lets go what it holds.
            drop(asks);
            let _ = tokio::task::spawn_blocking(|| keeper.join()).await;
        }
        let mut ended = tokio::task::spawn_blocking(move || self.thread.join());
        let joined = loop {
            tokio::select! {
                joined = &mut ended => break joined,
                () = stops.next() => self.handle.interrupt(),
            }
        };
        match joined {
            Ok(Ok(ended)) => ended.map(|()| Exit::Done),
            _ => Err(Failure::new(Exit::Bug, "the holder's thread panicked")),
        }
    }
}

/// Holds guests to what they have reserved, on a thread of its own.
fn keeper(scene: &Scene, finish: mpsc::UnboundedSender<Done>) -> Result<Keeper, Failure> {
    let (asks, asked) = std::sync::mpsc::channel();
    let hypervisor = scene.hypervisor.clone();
    let thread = std::thread::Builder::new().name("shares".into());
    let thread = thread.spawn(move || {
        held::keep(&*hypervisor, &asked, |host, why| {
            // Nobody hears it where the watch has ended.
            let _ = finish.send(Done::NotHeld { host, why });
        });
    });
    let thread = thread.map_err(|e| Failure::new(Exit::Environment, e.to_string()))?;
    Ok((asks, thread))
}
