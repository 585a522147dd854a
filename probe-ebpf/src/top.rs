//! `vmpack-probe top`: the guests' load in the terminal, from a probe's stream or, where there is no
//! daemon, measured here.

mod view;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use vmpack_hypervisor::libvirt::Observer;

use crate::client::{Address, Client, ClientError, plain};
use crate::measure::{Measurement, Settings};
use crate::sample::online_cores;
use crate::serve::command::PORT;
use crate::serve::feed::{overload_event, tick, wait, wall};
use crate::serve::wire::{API, Event, Greeting};
use crate::tick::unix_us;
use crate::tls::Files;
use view::View;

/// How often the screen is drawn.
const REDRAW: Duration = Duration::from_secs(1);
/// How long `--once` looks.
const ONCE: Duration = Duration::from_secs(2);
/// The longest that `--once` waits for the first window, as on a busy host.
const PATIENCE: Duration = Duration::from_secs(10);

/// The flags of `top`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The probe to ask; by default this host's
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    tls: Files,
    /// The libvirt of this host, where top measures by itself
    #[arg(long, default_value = "qemu:///system")]
    uri: String,
    /// Look for two seconds, print once, and end
    #[arg(long)]
    once: bool,
}

/// Shows until Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let (send, events) = mpsc::channel(64);
        let ended = async {
            match feed(arguments, send).await {
                Ok(()) => anyhow::bail!("the probe ended"),
                Err(error) => Err(error),
            }
        };
        tokio::select! {
            ended = ended => ended,
            shown = show(arguments, events) => shown,
        }
    })
}

/// Sends events until there are no more.
async fn feed(arguments: &Arguments, send: mpsc::Sender<Event>) -> anyhow::Result<()> {
    let url = arguments.url.clone();
    let address: Address = url
        .unwrap_or_else(|| format!("http://127.0.0.1:{PORT}"))
        .parse()?;
    let client = Client {
        tls: arguments.tls.client()?,
        patience: Duration::from_secs(10),
    };
    let mut events = match client.stream(&address).await {
        Ok(events) => events,
        // There is no daemon here.
        Err(ClientError::Connect(_)) if arguments.url.is_none() => {
            return measure(arguments, send).await;
        }
        Err(error) => return Err(error).with_context(|| address.to_string()),
    };
    while let Some(event) = events.next().await? {
        if let Event::Dropped { why, .. } = event {
            anyhow::bail!("{address} ended the stream: {}", plain(&why));
        }
        if send.send(event).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Measures this host on a thread of its own.
async fn measure(arguments: &Arguments, send: mpsc::Sender<Event>) -> anyhow::Result<()> {
    let mut libvirt = Observer::new(&arguments.uri);
    let measured = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let mut measurement = Measurement::start(Settings::default(), move || libvirt.guests())?;
        let hello = Event::Hello(Greeting {
            api: API,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: nix::unistd::gethostname()?.to_string_lossy().into_owned(),
            now_us: unix_us(),
        });
        let mut open = send.blocking_send(hello).is_ok();
        while open {
            let batch = measurement.step();
            for overload in &batch.overloads {
                open &= send
                    .blocking_send(overload_event(overload, wall(overload.at)))
                    .is_ok();
            }
            if batch.seen > 0 || !batch.windows.is_empty() {
                let cores = online_cores().0;
                let tick = tick(&batch, &measurement, &BTreeMap::new(), cores);
                open = send.blocking_send(Event::Windows(tick)).is_ok();
            }
            wait(&measurement);
        }
        Ok(())
    });
    measured.await?
}

async fn show(arguments: &Arguments, mut events: mpsc::Receiver<Event>) -> anyhow::Result<()> {
    let mut view = View::default();
    let begin = Instant::now();
    let first = begin + if arguments.once { ONCE } else { REDRAW };
    let mut redraw = interval_at(first, REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let screen = (!arguments.once && io::stdout().is_terminal()).then(Screen::open);
    loop {
        tokio::select! {
            Some(event) = events.recv() => view.take(event),
            _ = redraw.tick() => {
                if arguments.once && view.is_empty() && begin.elapsed() < PATIENCE {
                    continue;
                }
                let size = terminal_size::terminal_size();
                let (width, height) = match (&screen, size) {
                    (Some(_), Some((width, height))) => (width.0, height.0),
                    // Whatever reads this has room.
                    _ => (80, u16::MAX),
                };
                let lines = view.lines(usize::from(width), usize::from(height));
                match &screen {
                    Some(_) => Screen::draw(&lines)?,
                    None => writeln!(anstream::stdout(), "{}", lines.join("\n"))?,
                }
                if arguments.once {
                    return Ok(());
                }
            }
            ended = tokio::signal::ctrl_c() => return Ok(ended?),
        }
    }
}

/// The terminal's other screen; what was on the terminal comes back at the end.
struct Screen;

impl Screen {
    fn open() -> Self {
        let _ = write!(io::stdout(), "\u{1b}[?1049h\u{1b}[?25l");
        Self
    }

    /// Line by line over what was there, so that nothing flickers.
    fn draw(lines: &[String]) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        write!(
            out,
            "\u{1b}[H{}\u{1b}[K\u{1b}[J",
            lines.join("\u{1b}[K\r\n")
        )?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write!(io::stdout(), "\u{1b}[?25h\u{1b}[?1049l");
        let _ = io::stdout().flush();
    }
}
