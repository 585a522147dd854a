//! What migrations were predicted to take against what they took, from the journal; and the prediction
//! set right by it. Pure.

use serde::Serialize;
use vmpack_domain::journal::{Event, RunId};
use vmpack_domain::plan::{Mode, Move, MoveId};
use vmpack_domain::policy::Calibration;
use vmpack_domain::units::{MiB, Micros, Permille};
use vmpack_domain::{GuestName, HostName};

use crate::journal::Run;

/// A migration that ended well while it was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Of which run.
    pub run: RunId,
    /// Which move of it.
    #[serde(rename = "move")]
    pub id: MoveId,
    /// Who moved.
    pub guest: GuestName,
    /// From where.
    pub from: HostName,
    /// Where to.
    pub to: HostName,
    /// How.
    pub mode: Mode,
    /// What was predicted, where the plan says so.
    pub predicted: Option<Figures>,
    /// What it was.
    pub actual: Figures,
    /// What it was predicted by, and may take of its link in MiB/s.
    #[serde(skip)]
    pub mv: Box<Move>,
    /// The calibration that the prediction was made with.
    #[serde(skip)]
    pub calibration: Calibration,
}

/// Figures of one migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// From the decision to execution at the target.
    pub switch: Micros,
    /// How long the guest stood still, as the hypervisor states it, where it does.
    pub downtime: Option<Micros>,
    /// From the decision to a free source.
    pub total: Micros,
    /// What went over the link, where it is known.
    pub transfer: Option<MiB>,
}

/// The migrations of those runs, in the order of their ends.
#[must_use]
pub fn ledger(runs: &[Run]) -> Vec<Line> {
    runs.iter().flat_map(of_run).collect()
}

fn of_run(run: &Run) -> Vec<Line> {
    let plan = run.progress().plan;
    let line = |event: &Event| {
        let Event::Moved {
            id,
            total: Some(total),
            switch: Some(switch),
            downtime,
            transferred,
        } = event
        else {
            return None;
        };
        let plan = plan.as_ref()?;
        let mv = plan.moves.iter().find(|m| m.id == *id)?;
        Some(Line {
            run: run.id,
            id: id.clone(),
            guest: mv.guest.clone(),
            from: mv.from.clone(),
            to: mv.to.clone(),
            mode: mv.mode,
            predicted: mv.expected.map(|e| Figures {
                switch: e.switch,
                downtime: Some(e.downtime),
                total: mv.duration,
                transfer: Some(e.transfer),
            }),
            actual: Figures {
                switch: *switch,
                downtime: *downtime,
                total: *total,
                transfer: *transferred,
            },
            mv: Box::new(mv.clone()),
            calibration: plan.policy.migrations.calibration,
        })
    };
    run.entries.iter().filter_map(|e| line(&e.event)).collect()
}

/// The medians of actual over predicted, in thousandths, by what; nothing of what was never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Medians {
    /// Of how many migrations.
    pub of: usize,
    /// Of the switch.
    pub switch: Option<u64>,
    /// Of the downtime.
    pub downtime: Option<u64>,
    /// Of the total.
    pub total: Option<u64>,
    /// Of what went over the link.
    pub transfer: Option<u64>,
}

/// The medians over the migrations of that kind, or of all.
#[must_use]
pub fn medians(lines: &[Line], mode: Option<Mode>) -> Medians {
    let those: Vec<&Line> = lines
        .iter()
        .filter(|l| l.predicted.is_some() && mode.is_none_or(|m| m == l.mode))
        .collect();
    let of = |figure: &dyn Fn(&Figures) -> Option<u64>| {
        let ratios = those.iter().filter_map(|l| {
            let (actual, predicted) = (figure(&l.actual)?, figure(l.predicted.as_ref()?)?);
            (predicted > 0).then(|| actual.saturating_mul(1000) / predicted)
        });
        median(ratios.collect())
    };
    Medians {
        of: those.len(),
        switch: of(&|f| Some(f.switch.0)),
        downtime: of(&|f| f.downtime.map(|d| d.0)),
        total: of(&|f| Some(f.total.0)),
        transfer: of(&|f| f.transfer.map(|t| t.0)),
    }
}

/// The lower median.
fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let middle = values.len().checked_sub(1)? / 2;
    values.get(middle).copied()
}

/// The prediction set right: the set-up is the median time to the switch by post-copy, the share of the
/// bandwidth the median of what went over in the time left, over what the plan let a stream take. What
/// was not measured stays as it was.
#[must_use]
pub fn calibrate(lines: &[Line]) -> Calibration {
    let was = lines.last().map(|l| l.calibration).unwrap_or_default();
    let switches = lines.iter().filter(|l| l.mode == Mode::PostCopy);
    let setup = median(switches.map(|l| l.actual.switch.0).collect());
    let setup = setup.map_or(was.setup, Micros);
    let rates = lines.iter().filter_map(|l| {
        let begun = match l.mode {
            Mode::PostCopy => l.actual.switch,
            Mode::PreCopy | Mode::Hybrid => setup,
        };
        let span = l.actual.total.0.checked_sub(begun.0).filter(|s| *s > 0)?;
        let may = u128::from(l.mv.bandwidth.0) * u128::from(span);
        let sent = u128::from(l.actual.transfer?.0) * 1_000_000;
        let share = (sent * 1000).checked_div(may)?;
        // What ends in the blink of an eye says nothing of the link.
        (span >= 100_000).then(|| u64::try_from(share).unwrap_or(u64::MAX).clamp(1, 1000))
    });
    Calibration {
        setup,
        rate: median(rates.collect()).map_or(was.rate, Permille),
    }
}

#[cfg(test)]
mod tests {
    use vmpack_domain::load::jiff_serde::Timestamp;
    use vmpack_domain::plan::Expected;

    use super::*;
    use crate::fixture::{a_move, cluster, plan};
    use crate::journal::Entry;
    use crate::world::World;

    /// Three guests of 2 GiB over 1000 MiB/s, predicted to switch after 0.6 s and take 3 s; actual
    /// switches and totals in milliseconds.
    fn run(actual: [(Mode, u64, u64); 3]) -> Run {
        let hosts = cluster(&["h1", "h2"], &[("a", "h1"), ("b", "h1"), ("c", "h1")]);
        let moves = actual
            .iter()
            .zip(["a", "b", "c"])
            .map(|((mode, ..), guest)| {
                let mut mv = a_move(&format!("m-{guest}"), guest, "h1", "h2");
                mv.mode = *mode;
                mv.expected = Some(Expected {
                    switch: Micros::millis(600),
                    downtime: Micros::millis(10),
                    split: Micros::millis(2400),
                    transfer: MiB(2048),
                });
                mv
            });
        let plan = plan(&hosts, moves.collect());
        let moved = plan
            .moves
            .iter()
            .zip(actual)
            .map(|(mv, (_, switch, total))| Event::Moved {
                id: mv.id.clone(),
                total: Some(Micros::millis(total)),
                switch: Some(Micros::millis(switch)),
                downtime: None,
                transferred: Some(MiB(2048)),
            });
        let moved: Vec<Event> = moved.collect();
        let accepted = Event::Accepted {
            plan: Box::new(plan),
            file: None,
            priority: Default::default(),
            follows: None,
            reverses: false,
        };
        let events = [accepted].into_iter().chain(moved).zip(1..);
        Run {
            id: RunId(1),
            world: World::Libvirt { cluster: hosts },
            entries: events
                .map(|(event, seq)| Entry {
                    seq,
                    run: RunId(1),
                    time: Timestamp(jiff::Timestamp::UNIX_EPOCH),
                    event,
                })
                .collect(),
        }
    }

    #[test]
    fn what_was_measured_sets_the_prediction_right() {
        use Mode::{PostCopy, PreCopy};
        // 2048 MiB in 4.096 s are 500 MiB/s.
        let run = run([
            (PostCopy, 900, 900 + 4096),
            (PostCopy, 1200, 1200 + 4096),
            (PreCopy, 4996, 4996),
        ]);
        let lines = ledger(&[run]);
        let all = medians(&lines, None);
        assert_eq!((all.of, all.switch, all.total), (3, Some(2000), Some(1665)));
        assert_eq!((all.transfer, all.downtime), (Some(1000), None));
        assert_eq!(medians(&lines, Some(PreCopy)).switch, Some(8326));
        let found = calibrate(&lines);
        assert_eq!(found.setup, Micros::millis(900));
        assert_eq!(found.rate, Permille(500));
        assert_eq!(calibrate(&[]), Calibration::default());
    }
}
