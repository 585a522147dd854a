//! A plan as a person reads it in the terminal.

use std::fmt::Write;

use vmpack_domain::Plan;
use vmpack_domain::units::MiB;
use vmpack_planner::{Status, Summary};

use super::picture::picture;
use super::screen::{Look, Screen, count, memory, time};
use super::table::table;

/// The most moves that are listed; a longer list is cut to [`MOVES_CUT`].
const MOVES: usize = 25;
/// How many moves of a longer list are shown.
const MOVES_CUT: usize = 20;
/// The most names or notes that are listed.
const NAMES: usize = 8;

/// The whole report, each line ended.
pub(crate) fn plan(summary: &Summary, plan: Option<&Plan>, screen: Screen) -> String {
    let mut text = String::new();
    match plan {
        Some(plan) => {
            headline(&mut text, summary, plan, screen);
            moves(&mut text, summary, plan, screen);
            if !summary.hosts.is_empty() {
                say(&mut text, "");
                text += &picture(&summary.hosts, screen);
            }
            notes(&mut text, &summary.reasons, screen);
        }
        None => no_plan(&mut text, summary, screen),
    }
    text
}

fn headline(text: &mut String, summary: &Summary, plan: &Plan, screen: Screen) {
    let after = summary.hosts_after.unwrap_or(0);
    let hosts = format!(
        "{} {} {}",
        summary.hosts_before,
        screen.arrow(),
        count(after, "host"),
    );
    let costs = summary.cost.zip(summary.cost_bound);
    // Said only where some host costs something else than 1.
    #[expect(clippy::cast_precision_loss, reason = "a count of hosts")]
    let costs = costs.filter(|(cost, _)| (cost - after as f64).abs() >= 0.0005);
    let origin = summary.bound_origin.as_deref().unwrap_or("no bound");
    let best = match costs {
        Some(_) => "cheapest",
        None => "fewest",
    };
    let trade = plan.trade_claim.as_ref().zip(plan.policy.objective);
    let proof = match (trade, summary.status) {
        (Some((trade, objective)), status) => {
            let (cost, least) = (trade.objective, trade.bound);
            let hours = time(objective.horizon);
            match status {
                Status::Optimal => screen.paint(
                    Look::Good,
                    &format!("proven the best trade: {cost} over {hours} with the moves"),
                ),
                _ => format!("{cost} over {hours} with the moves, at least {least}"),
            }
        }
        (None, Status::Optimal) => {
            screen.paint(Look::Good, &format!("proven the {best} ({origin})"))
        }
        (None, _) => {
            let bound = summary.hosts_bound.unwrap_or(0);
            format!("at least {bound} are needed ({origin})")
        }
    };
    let hosts = screen.paint(Look::Strong, &hosts);
    say(
        text,
        &format!("{hosts}, {proof}, in {:.1} s", summary.seconds),
    );
    if let Some((cost, bound)) = costs {
        say(text, &format!("cost {cost}, at least {bound}"));
    }
}

/// How far a set of moves can be from the least.
fn nearness(moved: MiB, bound: MiB) -> String {
    if moved == bound {
        return "proven the least at this cost".into();
    }
    match (moved.saturating_sub(bound).0 * 1000).checked_div(bound.0) {
        None => "which may be more than is needed".into(),
        Some(1000..) => "with no useful bound on the least at this cost".into(),
        Some(gap) => {
            let gap = gap + 1;
            let (percent, tenths) = (gap / 10, gap % 10);
            format!("proven within {percent}.{tenths}% of the least at this cost")
        }
    }
}

fn moves(text: &mut String, summary: &Summary, plan: &Plan, screen: Screen) {
    if plan.moves.is_empty() {
        say(text, "no guest has to move");
    } else {
        let bound = MiB(summary.move_mib_bound.unwrap_or(0));
        let moved = MiB(summary.move_mib.unwrap_or(0));
        let proof = nearness(moved, bound);
        let takes = &plan.time_claim;
        let at_least = if time(takes.bound) == time(takes.objective) {
            String::new()
        } else {
            format!(", {} at least", time(takes.bound))
        };
        let line = format!(
            "{} of {}, {proof} ({}); about {}{at_least}",
            count(plan.moves.len(), "move"),
            memory(moved),
            plan.move_claim.origin,
            time(takes.objective),
        );
        say(text, &line);
    }
    if !plan.hosts.wake.is_empty() {
        let names = plan.hosts.wake.iter().map(ToString::to_string);
        say(text, &format!("to be woken: {}", listed(names, screen)));
    }
    if !plan.starts.is_empty() {
        let starts = plan
            .starts
            .iter()
            .map(|s| format!("{} on {}", s.guest, s.on));
        say(text, &format!("to be started: {}", listed(starts, screen)));
    }
    if !plan.moves.is_empty() {
        say(text, "");
        move_table(text, plan, screen);
    }
}

fn move_table(text: &mut String, plan: &Plan, screen: Screen) {
    let shown = if plan.moves.len() > MOVES {
        MOVES_CUT
    } else {
        plan.moves.len()
    };
    let rows = plan.moves.iter().take(shown).map(|m| {
        [
            m.id.to_string(),
            m.guest.to_string(),
            m.from.to_string(),
            m.to.to_string(),
            m.mode.to_string(),
            memory(m.memory),
            time(m.start),
            time(m.duration),
        ]
    });
    *text += &table(
        [
            "", "guest", "from", "to", "mode", "memory", "start", "takes",
        ],
        rows,
        5..8,
    );
    if shown < plan.moves.len() {
        let more = count(plan.moves.len() - shown, "more move");
        say(text, &format!(" {} {more}", screen.ellipsis()));
    }
}

fn notes(text: &mut String, reasons: &[String], screen: Screen) {
    if reasons.is_empty() {
        return;
    }
    say(text, "");
    for reason in reasons.iter().take(NAMES) {
        say(text, &format!("note: {reason}"));
    }
    if reasons.len() > NAMES {
        let more = count(reasons.len() - NAMES, "more note");
        say(text, &format!("{} {more}", screen.ellipsis()));
    }
}

fn no_plan(text: &mut String, summary: &Summary, screen: Screen) {
    let line = match summary.status {
        Status::Infeasible => "infeasible: no placement keeps all that is asked",
        _ => "no answer within the limits",
    };
    say(text, &screen.paint(Look::Bad, line));
    for reason in &summary.reasons {
        say(text, &format!("  {reason}"));
    }
    *text += &ways_out(summary, screen);
}

/// The changes under which there is a placement, each line ended.
pub(crate) fn ways_out(summary: &Summary, screen: Screen) -> String {
    let mut text = String::new();
    if !summary.ways_out.is_empty() {
        say(
            &mut text,
            "any one of these makes room, the least change first:",
        );
    }
    for way in summary.ways_out.iter().take(NAMES) {
        let way = way.text.replace('→', screen.arrow());
        say(&mut text, &format!("  {way}"));
    }
    text
}

/// Names in a row, cut with a count.
fn listed(names: impl ExactSizeIterator<Item = String>, screen: Screen) -> String {
    let all = names.len();
    let shown: Vec<String> = names.take(NAMES).collect();
    let list = shown.join(", ");
    if all > shown.len() {
        format!("{list} {} {} more", screen.ellipsis(), all - shown.len())
    } else {
        list
    }
}

fn say(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_never_understated() {
        let says = |moved, bound| nearness(MiB(moved), MiB(bound));
        assert_eq!(says(8, 8), "proven the least at this cost");
        assert!(says(1001, 1000).contains("within 0.2%"));
        assert!(says(10_001, 10_000).contains("within 0.1%"));
        assert!(says(1500, 1000).contains("within 50.1%"));
        assert!(says(1999, 1000).contains("within 100.0%"));
        assert!(says(2000, 1000).contains("no useful bound"));
        assert!(says(1, 0).contains("more than is needed"));
    }

    #[test]
    fn a_long_list_is_cut_with_a_count() {
        let screen = Screen {
            colour: false,
            unicode: false,
            width: 80,
        };
        let names = |n: usize| (1..=n).map(|i| format!("h{i}")).collect::<Vec<_>>();
        assert_eq!(listed(names(2).into_iter(), screen), "h1, h2");
        assert!(listed(names(11).into_iter(), screen).ends_with("h8 ... 3 more"));
    }
}
