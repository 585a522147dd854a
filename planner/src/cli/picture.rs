//! A small picture of the hosts: how full each is before and after, as a share of what guests may
//! use of it. Up to [`ROWS`] hosts have a row of bars each; more hosts have a column each.

use std::fmt::Write;

use vmpack_planner::{HostRow, Use};

use super::screen::{Look, Screen, count};

/// The most hosts that have a row of their own.
const ROWS: usize = 24;
/// The most hosts that have a column of their own.
const COLUMNS: usize = 500;
/// Characters in a bar.
const BAR: usize = 12;

/// What is drawn of a host, in percent of its room; `None` where it is not in use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Drawn {
    name: String,
    cpu: [Option<u64>; 2],
    memory: [Option<u64>; 2],
}

/// The picture, with a line end; empty when there is no host.
pub(crate) fn picture(hosts: &[HostRow], screen: Screen) -> String {
    let drawn: Vec<Drawn> = hosts.iter().map(draw).collect();
    match drawn.len() {
        0 => String::new(),
        1..=ROWS => bars(&drawn, screen),
        _ => strips(&drawn, screen),
    }
}

fn draw(host: &HostRow) -> Drawn {
    let uses = [&host.before, &host.after];
    let of = |share: &dyn Fn(&Use) -> f64| uses.map(|u| u.in_use.then(|| percent(share(u))));
    Drawn {
        name: host.name.to_string(),
        cpu: of(&|u| u.cpu / host.cpu_room),
        #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
        memory: of(&|u| u.mib as f64 / host.mib_room as f64),
    }
}

/// A share in percent, upwards; what cannot be told (nothing of nothing) is nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=999"
)]
fn percent(share: f64) -> u64 {
    if share.is_nan() {
        0
    } else {
        // 1e-9: 0.07 × 100 must not become 8.
        (share * 100.0 - 1e-9).ceil().clamp(0.0, 999.0) as u64
    }
}

fn bars(hosts: &[Drawn], screen: Screen) -> String {
    let longest = hosts.iter().map(|h| h.name.chars().count()).max();
    let name_width = longest.unwrap_or(0).clamp(4, 24);
    let cell = BAR + 5;
    let mut text = String::new();
    let head = format!(
        "{:name_width$}  {:cell$}  {:cell$}  {:cell$}  after",
        "host", "cpu before", "after", "memory before",
    );
    line(&mut text, &screen.paint(Look::Faint, &head));
    for host in hosts {
        let name: String = host.name.chars().take(name_width).collect();
        let cells: Vec<String> = host
            .cpu
            .iter()
            .chain(&host.memory)
            .map(|share| bar(*share, screen))
            .collect();
        let row = format!("{name:name_width$}  {}", cells.join("  "));
        line(&mut text, row.trim_end());
    }
    text
}

/// A bar with its percentage, `BAR` + 5 characters wide.
fn bar(percent: Option<u64>, screen: Screen) -> String {
    let Some(percent) = percent else {
        return format!("{:width$}", "empty", width = BAR + 5);
    };
    let (full, rest) = if screen.unicode {
        ('█', '░')
    } else {
        ('#', '.')
    };
    let filled = (usize::try_from(percent.min(100)).unwrap_or(100) * BAR).div_ceil(100);
    let mut text = String::new();
    text.extend(std::iter::repeat_n(full, filled));
    text.extend(std::iter::repeat_n(rest, BAR - filled));
    let look = match percent {
        101.. => Look::Bad,
        _ => Look::Good,
    };
    format!("{} {:>4}", screen.paint(look, &text), format!("{percent}%"))
}

fn strips(hosts: &[Drawn], screen: Screen) -> String {
    let mut text = String::new();
    let (shown, more) = hosts.split_at(hosts.len().min(COLUMNS));
    let (low, high) = if screen.unicode {
        ('▁', '█')
    } else {
        ('0', '9')
    };
    let name = |host: Option<&Drawn>| host.map(|h| h.name.clone()).unwrap_or_default();
    let head = format!(
        "each column a host, {} to {}: {low} little used, {high} full, . empty",
        name(shown.first()),
        name(shown.last()),
    );
    line(&mut text, &screen.paint(Look::Faint, &head));
    let label = "memory  before  ".len();
    let room = screen.width.saturating_sub(label).max(20);
    for (n, chunk) in shown.chunks(room).enumerate() {
        if n > 0 {
            line(&mut text, "");
        }
        let of = |share: &dyn Fn(&Drawn) -> Option<u64>| {
            let columns = chunk.iter().map(|host| column(share(host), screen));
            columns.collect::<String>()
        };
        line(&mut text, &format!("cpu     before  {}", of(&|h| h.cpu[0])));
        line(&mut text, &format!("        after   {}", of(&|h| h.cpu[1])));
        line(
            &mut text,
            &format!("memory  before  {}", of(&|h| h.memory[0])),
        );
        line(
            &mut text,
            &format!("        after   {}", of(&|h| h.memory[1])),
        );
    }
    if !more.is_empty() {
        let more = count(more.len(), "more host");
        line(&mut text, &format!("{} {more}", screen.ellipsis()));
    }
    text
}

/// A host as one character; `!` when it is overloaded.
fn column(percent: Option<u64>, screen: Screen) -> char {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let Some(percent) = percent else { return '.' };
    let level = |levels: u64| (percent.min(100) * levels).div_ceil(100).max(1) - 1;
    if percent > 100 {
        '!'
    } else if screen.unicode {
        let at = usize::try_from(level(8)).unwrap_or(7);
        BLOCKS.get(at).copied().unwrap_or('█')
    } else {
        char::from_digit(u32::try_from(level(10)).unwrap_or(9), 10).unwrap_or('9')
    }
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::HostState;

    const PLAIN: Screen = Screen {
        colour: false,
        unicode: false,
        width: 60,
    };

    /// A host of 10 cores and 1000 MiB that guests may use.
    fn host(n: usize, before: (f64, u64), after: (f64, u64)) -> HostRow {
        let used = |(cpu, mib)| Use {
            in_use: mib > 0,
            guests: 1,
            cpu,
            mib,
        };
        HostRow {
            name: format!("h{n}").parse().unwrap(),
            state: HostState::On,
            cpu_room: 10.0,
            mib_room: 1000,
            before: used(before),
            after: used(after),
        }
    }

    #[test]
    fn few_hosts_have_a_row_each() {
        let hosts = [
            host(0, (2.0, 500), (0.0, 0)),
            host(1, (0.7, 500), (2.7, 1000)),
        ];
        let expected = "\
host  cpu before         after              memory before      after
h0    ###.........  20%  empty              ######......  50%  empty
h1    #...........   7%  ####........  27%  ######......  50%  ############ 100%
";
        assert_eq!(picture(&hosts, PLAIN), expected);
        let unicode = Screen {
            unicode: true,
            ..PLAIN
        };
        assert!(picture(&hosts, unicode).contains("███░░░░░░░░░  20%"));
    }

    #[test]
    fn many_hosts_have_a_column_each_in_lines_that_fit() {
        let hosts: Vec<HostRow> = (0..50).map(|n| host(n, (2.0, 500), (9.9, 1))).collect();
        let drawn = picture(&hosts, PLAIN);
        assert!(drawn.contains(&format!("cpu     before  {}\n", "1".repeat(44))));
        assert!(drawn.contains("        after   999999\n"));
        assert!(drawn.lines().skip(1).all(|l| l.len() <= 60));
        let many: Vec<HostRow> = (0..600).map(|n| host(n, (2.0, 500), (0.0, 0))).collect();
        assert!(picture(&many, PLAIN).ends_with("... 100 more hosts\n"));
    }

    #[test]
    fn an_overloaded_host_is_marked() {
        let hosts: Vec<HostRow> = (0..30).map(|n| host(n, (10.1, 1), (0.0, 0))).collect();
        assert!(picture(&hosts, PLAIN).contains("cpu     before  !!!!"));
        assert!(picture(&hosts[..1], PLAIN).contains("101%"));
    }
}
