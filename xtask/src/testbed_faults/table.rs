//! The matrix as a table in Markdown.

use super::cell::{Cell, Guest};
use super::{Fault, Phase};

/// Faults down, phases across; what was not tried is left blank.
pub(super) fn matrix(cells: &[Cell]) -> String {
    let mut text = String::from("| fault |");
    for phase in Phase::ALL {
        text += &format!(" {} |", heading(phase));
    }
    text += "\n|---|---|---|---|---|---|\n";
    for fault in Fault::ALL {
        let row = Phase::ALL.map(|phase| {
            let cell = cells.iter().find(|c| c.phase == phase && c.fault == fault);
            match cell {
                Some(cell) => outcome(cell),
                None if fault.possible(phase) => String::new(),
                None => "–".to_owned(),
            }
        });
        if row.iter().any(|cell| !cell.is_empty() && cell != "–") {
            text += &format!("| {} | {} |\n", name(fault), row.join(" | "));
        }
    }
    text
}

fn heading(phase: Phase) -> &'static str {
    match phase {
        Phase::BeforeStart => "before the start",
        Phase::PreCopy => "pre-copy pass",
        Phase::Switch => "at the switch",
        Phase::SplitState => "split state",
        Phase::Done => "after completion",
    }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::LinkBlip => "link down for 5 s",
        Fault::LinkDown => "link down for 45 s",
        Fault::TargetLibvirtd => "target's libvirtd killed",
        Fault::SourceLibvirtd => "source's libvirtd killed",
        Fault::TargetQemu => "target's QEMU killed",
        Fault::SourceQemu => "source's QEMU killed",
        Fault::Executor => "executor killed (-9)",
    }
}

fn outcome(cell: &Cell) -> String {
    let guest = match cell.guest {
        Guest::AtSource => "at the source",
        Guest::AtTarget => "at the target",
        Guest::Lost => "**lost**",
        Guest::Twice => "**runs twice**",
    };
    let gap = cell
        .gap
        .map_or(String::new(), |gap| format!(", gap {gap:.1} s"));
    let resumed = if cell.resumed { ", resumed" } else { "" };
    format!("{guest}{gap}; told: {}{resumed}", cell.told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(phase: Phase, fault: Fault, guest: Guest, told: &str) -> Cell {
        Cell {
            phase,
            fault,
            guest,
            restarted: false,
            bad_pages: 0,
            gap: (guest != Guest::Lost).then_some(0.25),
            told: told.to_owned(),
            detail: None,
            resumed: false,
            states: [None, None],
        }
    }

    #[test]
    fn cells_stand_under_their_phase() {
        let lost = cell(Phase::SplitState, Fault::SourceQemu, Guest::Lost, "stuck");
        let text = matrix(&[lost]);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows.len(), 3, "{text}");
        let row = "| source's QEMU killed |  |  |  | **lost**; told: stuck | – |";
        assert_eq!(rows[2], row);
    }

    #[test]
    fn a_loss_is_wrong_where_the_memory_was_whole_and_so_is_what_is_not_true() {
        let fine =
            |phase, fault, guest, told| cell(phase, fault, guest, told).complaints().is_empty();
        use Guest::{AtSource, AtTarget, Lost, Twice};
        assert!(fine(Phase::SplitState, Fault::SourceQemu, Lost, "stuck"));
        assert!(!fine(Phase::SplitState, Fault::SourceQemu, Lost, "moved"));
        assert!(!fine(Phase::SplitState, Fault::LinkDown, Lost, "stuck"));
        assert!(fine(Phase::SplitState, Fault::LinkDown, AtTarget, "moved"));
        assert!(!fine(Phase::PreCopy, Fault::TargetQemu, AtTarget, "failed"));
        assert!(fine(Phase::PreCopy, Fault::TargetQemu, AtSource, "failed"));
        assert!(!fine(Phase::PreCopy, Fault::Executor, Twice, "moved"));
        assert!(fine(Phase::Done, Fault::TargetQemu, Lost, "moved"));
    }
}
