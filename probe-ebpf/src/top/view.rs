//! What `top` shows, as lines of text with colours, which whoever prints them leaves out where there
//! are none. Pure.

use std::collections::{BTreeMap, VecDeque};

use anstyle::{AnsiColor, Style};
use uuid::Uuid;
use vmpack_domain::Tier;

use crate::client;
use crate::serve::wire::Event;
use crate::tick::{GuestTick, Tick, tier_name};

/// What is shown is over that long, in microseconds.
const SPAN: u64 = 10_000_000;
/// A guest of which nothing came for that long is gone.
const GONE: u64 = 3_000_000;

const WELL: Style = AnsiColor::Green.on_default();
const TIGHT: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const HEADS: Style = Style::new().bold();

/// What has come so far.
#[derive(Debug, Default)]
pub(crate) struct View {
    host: String,
    end_us: u64,
    host_mcores: u64,
    guests: BTreeMap<Uuid, VecDeque<(u64, GuestTick)>>,
    overloads: u64,
    /// Whether one lasts, and when the last began or ended.
    overload: Option<(bool, u64)>,
    /// What was wanted then, in thousandths of a core.
    wanted: u64,
}

/// A guest's last seconds.
struct Row {
    name: String,
    vcpus: u32,
    tier: Tier,
    /// In thousandths of a core.
    run: u64,
    delay: u64,
    want: u64,
    p99: u64,
    max: u64,
    dirty: String,
    memory: String,
}

impl View {
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Hello(greeting) => self.host = client::plain(&greeting.host),
            Event::Windows(tick) => self.tick(tick),
            Event::Overload {
                began,
                at_us,
                demand_mcores,
                ..
            } => {
                self.overloads += u64::from(began);
                self.overload = Some((began, at_us));
                self.wanted = demand_mcores;
            }
            Event::Dropped { .. } | Event::Other => {}
        }
    }

    /// Whether no window has come yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.end_us == 0
    }

    fn tick(&mut self, tick: Tick) {
        self.end_us = tick.end_us;
        self.host_mcores = tick.host_mcores;
        for guest in tick.guests {
            self.guests
                .entry(guest.uuid)
                .or_default()
                .push_back((tick.end_us, guest));
        }
        let end = tick.end_us;
        for ticks in self.guests.values_mut() {
            while ticks
                .front()
                .is_some_and(|(at, _)| end.abs_diff(*at) >= SPAN)
            {
                ticks.pop_front();
            }
        }
        self.guests
            .retain(|_, ticks| ticks.back().is_some_and(|(at, _)| end.abs_diff(*at) < GONE));
    }

    /// At most so many columns and lines.
    pub(crate) fn lines(&self, width: usize, height: usize) -> Vec<String> {
        let mut rows: Vec<Row> = self.guests.values().filter_map(row).collect();
        rows.sort_by(|a, b| (b.want, &a.name).cmp(&(a.want, &b.name)));
        let room = height.saturating_sub(4).max(1);
        let hidden = rows.len().saturating_sub(room);

        let want: u64 = rows.iter().map(|row| row.want).sum();
        let vcpus: u32 = rows.iter().map(|row| row.vcpus).sum();
        let percent = (want * 100).div_ceil(self.host_mcores.max(1));
        let bar = Cell {
            style: match percent {
                0..80 => WELL,
                80..=100 => TIGHT,
                _ => BAD,
            },
            text: format!("{}  {percent:3}%", bar(percent, 12)),
        };
        let wanted = format!(
            "  {} of {} cores wanted by {} guests, {vcpus} vCPUs",
            cores(want),
            cores(self.host_mcores),
            rows.len(),
        );
        let host = [plain(format!("{}  ", self.host)), bar, plain(wanted)];
        let name = width.saturating_sub(62).clamp(8, 40);
        let heads = Cell {
            style: HEADS,
            text: format!(
                "{:name$} VCPU   RUN DELAY  WANT   P99   MAX DIRTY/S  MEMORY TIER",
                "GUEST"
            ),
        };
        let mut lines = vec![
            line(&host, width),
            line(&[self.overload_line()], width),
            line(&[heads], width),
        ];
        let shown = rows.iter().take(room);
        lines.extend(shown.map(|row| line(&row.cells(name), width)));
        if rows.is_empty() {
            lines.push("no guest is measured".to_owned());
        }
        if hidden > 0 {
            lines.push(format!("and {hidden} that want less"));
        }
        lines
    }

    fn overload_line(&self) -> Cell {
        let seconds = |at: u64| self.end_us.saturating_sub(at) / 1_000_000;
        match self.overload {
            None => plain("no overload since top began".to_owned()),
            Some((true, at)) => Cell {
                style: BAD,
                text: format!(
                    "OVERLOAD for {} s: {} cores wanted ({} since top began)",
                    seconds(at),
                    cores(self.wanted),
                    self.overloads
                ),
            },
            Some((false, at)) => plain(format!(
                "no overload for {} s ({} since top began)",
                seconds(at),
                self.overloads
            )),
        }
    }
}

impl Row {
    /// Its columns, the name in so many characters.
    fn cells(&self, name: usize) -> [Cell; 3] {
        // Who waits for a tenth of what it wants is short of CPU.
        let style = match (self.delay * 10 >= self.want, self.delay * 4 >= self.want) {
            (_, true) if self.delay > 0 => BAD,
            (true, _) if self.delay > 0 => TIGHT,
            _ => Style::new(),
        };
        let front = format!(
            "{:name$} {:>4} {:>5} ",
            cut(&self.name, name),
            self.vcpus,
            cores(self.run)
        );
        let rest = format!(
            " {:>5} {:>5} {:>5} {:>7} {:>7} {}",
            cores(self.want),
            cores(self.p99),
            cores(self.max),
            self.dirty,
            self.memory,
            tier_name(self.tier),
        );
        let delay = Cell {
            style,
            text: format!("{:>5}", cores(self.delay)),
        };
        [plain(front), delay, plain(rest)]
    }
}

/// A part of a line.
struct Cell {
    style: Style,
    text: String,
}

fn plain(text: String) -> Cell {
    let style = Style::new();
    Cell { style, text }
}

/// Parts as a line of at most so many characters.
fn line(cells: &[Cell], width: usize) -> String {
    let mut room = width;
    let mut line = String::new();
    for Cell { style, text } in cells.iter().filter(|cell| !cell.text.is_empty()) {
        let text = cut(text, room);
        room -= text.chars().count();
        line += &format!("{style}{text}{style:#}");
    }
    line
}

fn row(ticks: &VecDeque<(u64, GuestTick)>) -> Option<Row> {
    let (_, last) = ticks.back()?;
    let sum = |part: fn(&GuestTick) -> u64| ticks.iter().map(|(_, tick)| part(tick)).sum::<u64>();
    let length = sum(|tick| tick.length_us).max(1);
    let mut demands: Vec<u64> = ticks
        .iter()
        .flat_map(|(_, tick)| tick.demand_mcores.iter().copied())
        .collect();
    demands.sort_unstable();
    let n = demands.len();
    let rank = (n * 99).div_ceil(100).max(1) - 1;
    let dirty = last.dirty.map_or_else(
        || "-".to_owned(),
        |dirty| match dirty.tier {
            Tier::PageSampling => format!(">{}", dirty.pages_per_second),
            _ => dirty.pages_per_second.to_string(),
        },
    );
    Some(Row {
        name: last.guest.to_string(),
        vcpus: last.vcpus,
        tier: last.tier,
        // Nanoseconds a microsecond are thousandths.
        run: sum(|tick| tick.run_ns).div_ceil(length),
        delay: sum(|tick| tick.run_delay_ns).div_ceil(length),
        want: demands.iter().sum::<u64>().div_ceil((n as u64).max(1)),
        p99: *demands.get(rank)?,
        max: *demands.last()?,
        dirty,
        memory: last
            .resident()
            .map_or_else(|| "-".to_owned(), |m| m.to_string()),
    })
}

fn cores(milli: u64) -> String {
    match milli {
        0..100_000 => format!("{}.{:02}", milli / 1000, milli % 1000 / 10),
        _ => format!("{}", milli / 1000),
    }
}

fn bar(percent: u64, width: usize) -> String {
    let filled = usize::try_from(percent).unwrap_or(100).min(100) * width / 100;
    (0..width)
        .map(|n| if n < filled { '█' } else { '░' })
        .collect()
}

/// At most so many characters; `…` stands for what is left out.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    if width == 0 {
        return String::new();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::wire::{API, Greeting};
    use crate::tick::Dirty;
    use crate::tick::samples::guest_tick;

    /// The lines without their colours.
    fn lines(view: &View, width: usize, height: usize) -> Vec<String> {
        let lines = view.lines(width, height).into_iter();
        lines
            .map(|line| anstream::adapter::strip_str(&line).to_string())
            .collect()
    }

    fn view() -> View {
        let mut view = View::default();
        view.take(Event::Hello(Greeting {
            api: API,
            version: "1".to_owned(),
            host: "h1".to_owned(),
            now_us: 0,
        }));
        for k in 1..=150u64 {
            let mut busy = guest_tick("a-guest-with-a-very-long-name", &[1000 + k]);
            busy.dirty = Some(Dirty {
                pages_per_second: 5_123,
                tier: Tier::PageSampling,
                at: 1,
            });
            view.take(Event::Windows(Tick {
                end_us: k * 100_000,
                host_mcores: 2000,
                guests: vec![guest_tick("quiet", &[20]), busy],
            }));
        }
        view
    }

    #[test]
    fn eighty_columns_are_enough() {
        let mut view = view();
        let shown = lines(&view, 80, 24);
        assert_eq!(
            shown[0],
            "h1  ██████░░░░░░   57%  1.12 of 2.00 cores wanted by 2 guests, 4 vCPUs"
        );
        assert_eq!(shown[1], "no overload since top began");
        let table = "\
GUEST              VCPU   RUN DELAY  WANT   P99   MAX DIRTY/S  MEMORY TIER
a-guest-with-a-ve…    2  0.50  0.05  1.10  1.14  1.15   >5123   64MiB schedstat
quiet                 2  0.50  0.05  0.02  0.02  0.02       -   64MiB schedstat";
        assert_eq!(shown[2..].join("\n"), table);
        assert!(shown.iter().all(|line| line.chars().count() <= 80));
        for (began, said) in [
            (
                true,
                "OVERLOAD for 2 s: 2.50 cores wanted (1 since top began)",
            ),
            (false, "no overload for 2 s (1 since top began)"),
        ] {
            view.take(Event::Overload {
                began,
                at_us: 13_000_000,
                demand_mcores: 2500,
                cores_mcores: 2000,
            });
            assert_eq!(lines(&view, 80, 24)[1], said);
        }
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let few = lines(&view(), 80, 5);
        assert_eq!(few.len(), 5);
        assert_eq!(few[4], "and 1 that want less");
        assert_eq!(lines(&View::default(), 20, 24)[3], "no guest is measured");
        assert!(
            lines(&view(), 30, 24)
                .iter()
                .all(|line| line.chars().count() <= 30)
        );
    }

    #[test]
    fn a_guest_that_left_is_no_longer_shown() {
        let mut view = view();
        for k in 151..=190u64 {
            view.take(Event::Windows(Tick {
                end_us: k * 100_000,
                host_mcores: 2000,
                guests: vec![guest_tick("quiet", &[20])],
            }));
        }
        assert_eq!(lines(&view, 80, 24).len(), 4);
    }
}
