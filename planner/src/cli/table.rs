//! Tables without lines, as they stand in the terminal.

use std::ops::Range;

use comfy_table::{CellAlignment, Table, presets};

/// The table as text, each line ended; the columns in `right` are aligned to the right.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    right: Range<usize>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table.add_rows(rows);
    for column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines = table.lines();
    lines.map(|l| l.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_under_each_other() {
        let rows = [["a", "1"], ["bb", "22"]].map(|r| r.map(str::to_owned));
        let expected = " name   n\n a      1\n bb    22\n";
        assert_eq!(table(["name", "n"], rows, 1..2), expected);
    }
}
