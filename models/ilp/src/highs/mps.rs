//! A model as a text in MPS format, free form, for other solvers. Rows are `r0`, `r1`, … in the order of the
//! formulation, columns the same with `c` where it gives them no name, the objective is `cost`; its
//! constant stands among the right-hand sides, negative, as is usual.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt::Write;
use std::ops::Range;

use good_lp::solvers::highs::HighsProblem;
use highs_sys::HighsInt;

use crate::model::float;

/// The model as HiGHS got it: min `cost`·x, rows of A·x and columns x within their bounds.
#[derive(Default)]
struct Program {
    cost: Vec<f64>,
    columns: Vec<(f64, f64)>,
    rows: Vec<(f64, f64)>,
    /// Where each column's entries begin, and the end of the last.
    starts: Vec<usize>,
    entries: Vec<(usize, f64)>,
    integer: Vec<bool>,
}

/// What the text says beside the model.
pub(crate) struct Wording {
    /// Whether it is left out that columns are integers.
    pub(crate) relaxed: bool,
    /// What an objective of 1 is in the unit of the text, and what is to be added then.
    pub(crate) unit: i64,
    pub(crate) constant: i64,
    /// Names of columns, without spaces.
    pub(crate) names: BTreeMap<usize, String>,
    /// Comments at the head, a line each.
    pub(crate) notes: Vec<String>,
}

/// The model in MPS format.
///
/// # Errors
/// That the solver refused the model, in words.
pub(crate) fn mps(name: &str, model: HighsProblem, wording: &Wording) -> Result<String, String> {
    let mut model = model.try_into_inner().map_err(|e| e.to_string())?;
    // SAFETY: the instance of `model` is live until the end of this function.
    let program = unsafe { read(model.as_mut_ptr()) }?;
    Ok(program.text(name, wording))
}

/// # Safety
/// `highs` is a live instance.
unsafe fn read(highs: *mut c_void) -> Result<Program, String> {
    let size = |n: HighsInt| usize::try_from(n).unwrap_or(0);
    // SAFETY: the instance is live.
    let (columns, rows, entries) = unsafe {
        (
            size(highs_sys::Highs_getNumCol(highs)),
            size(highs_sys::Highs_getNumRow(highs)),
            size(highs_sys::Highs_getNumNz(highs)),
        )
    };
    let (mut columns_n, mut rows_n, mut entries_n, mut sense) = (0, 0, 0, 0);
    let mut offset = 0.0;
    let floats = |n: usize| vec![0.0f64; n];
    let (mut cost, mut low, mut high) = (floats(columns), floats(columns), floats(columns));
    let (mut least, mut most) = (floats(rows), floats(rows));
    let mut starts: Vec<HighsInt> = vec![0; columns + 1];
    let mut index: Vec<HighsInt> = vec![0; entries];
    let mut value = floats(entries);
    let mut integer: Vec<HighsInt> = vec![0; columns];
    // SAFETY: the instance is live; each array has as many places as HiGHS has columns, rows or
    // entries.
    let status = unsafe {
        highs_sys::Highs_getLp(
            highs,
            highs_sys::MATRIX_FORMAT_COLUMN_WISE,
            &raw mut columns_n,
            &raw mut rows_n,
            &raw mut entries_n,
            &raw mut sense,
            &raw mut offset,
            cost.as_mut_ptr(),
            low.as_mut_ptr(),
            high.as_mut_ptr(),
            least.as_mut_ptr(),
            most.as_mut_ptr(),
            starts.as_mut_ptr(),
            index.as_mut_ptr(),
            value.as_mut_ptr(),
            integer.as_mut_ptr(),
        )
    };
    if status == highs_sys::STATUS_ERROR {
        return Err("HiGHS failed at giving back the model".into());
    }
    let mut starts: Vec<usize> = starts.into_iter().map(size).collect();
    starts[columns] = entries;
    Ok(Program {
        cost,
        columns: low.into_iter().zip(high).collect(),
        rows: least.into_iter().zip(most).collect(),
        starts,
        entries: index.into_iter().map(size).zip(value).collect(),
        integer: integer.into_iter().map(|i| i != 0).collect(),
    })
}

impl Program {
    fn text(&self, name: &str, wording: &Wording) -> String {
        let mut text = String::new();
        for note in &wording.notes {
            line(&mut text, &format!("* {note}"));
        }
        line(&mut text, &format!("NAME {name}\nROWS\n N cost"));
        let unit = float(wording.unit);
        let called = |c: usize| wording.names.get(&c).cloned().unwrap_or(format!("c{c}"));
        let mut right = String::new();
        if wording.constant != 0 {
            line(&mut right, &format!(" rhs cost {}", -wording.constant));
        }
        let mut ranges = String::new();
        for (r, (least, most)) in self.rows.iter().enumerate() {
            let (kind, side) = match (least.is_finite(), most.is_finite()) {
                (true, true) if least >= most => ("E", *least),
                (true, false) => ("G", *least),
                (false, false) => ("N", 0.0),
                _ => ("L", *most),
            };
            line(&mut text, &format!(" {kind} r{r}"));
            if side != 0.0 {
                line(&mut right, &format!(" rhs r{r} {side}"));
            }
            if kind == "L" && least.is_finite() {
                line(&mut ranges, &format!(" range r{r} {}", most - least));
            }
        }
        line(&mut text, "COLUMNS");
        let mut bounds = String::new();
        let mut marked = false;
        for (c, (low, high)) in self.columns.iter().enumerate() {
            let name = called(c);
            let integer = self.integer[c] && !wording.relaxed;
            if integer != marked {
                let marker = if integer { "INTORG" } else { "INTEND" };
                line(&mut text, &format!(" marker{c} 'MARKER' '{marker}'"));
                marked = integer;
            }
            // A column without entries is there by its cost, were it 0.
            let entries: Range<usize> = self.starts[c]..self.starts[c + 1];
            if self.cost[c] != 0.0 || entries.is_empty() {
                line(&mut text, &format!(" {name} cost {}", self.cost[c] * unit));
            }
            for (row, value) in &self.entries[entries] {
                line(&mut text, &format!(" {name} r{row} {value}"));
            }
            if *low == f64::NEG_INFINITY {
                line(&mut bounds, &format!(" MI bound {name}"));
            } else if *low != 0.0 {
                line(&mut bounds, &format!(" LO bound {name} {low}"));
            }
            if high.is_finite() {
                line(&mut bounds, &format!(" UP bound {name} {high}"));
            } else {
                line(&mut bounds, &format!(" PL bound {name}"));
            }
        }
        if marked {
            line(&mut text, " marker 'MARKER' 'INTEND'");
        }
        for (section, lines) in [("RHS", right), ("RANGES", ranges), ("BOUNDS", bounds)] {
            if !lines.is_empty() || section == "RHS" {
                line(&mut text, section);
                text += &lines;
            }
        }
        line(&mut text, "ENDATA");
        text
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// The optimum of a text in MPS format, as HiGHS reads and solves it; `None` when there is none.
#[cfg(test)]
pub(crate) fn optimum(text: &str) -> Option<f64> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("vmpack-{}-{n}.mps", std::process::id()));
    #[expect(
        clippy::disallowed_methods,
        reason = "HiGHS reads models from files alone"
    )]
    std::fs::write(&path, text).expect("written");
    let file = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no zero");
    super::resize_pool(1);
    // SAFETY: the instance is made, used and destroyed here; the names are terminated.
    let optimum = unsafe {
        let highs = highs_sys::Highs_create();
        highs_sys::Highs_setBoolOptionValue(highs, c"output_flag".as_ptr(), 0);
        highs_sys::Highs_setIntOptionValue(highs, c"threads".as_ptr(), 1);
        let read = highs_sys::Highs_readModel(highs, file.as_ptr());
        assert_ne!(read, highs_sys::STATUS_ERROR, "{text}");
        highs_sys::Highs_run(highs);
        let closed = highs_sys::Highs_getModelStatus(highs) == highs_sys::MODEL_STATUS_OPTIMAL;
        let value = highs_sys::Highs_getObjectiveValue(highs);
        highs_sys::Highs_destroy(highs);
        closed.then_some(value)
    };
    std::fs::remove_file(&path).expect("removed");
    optimum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_row_and_column_reads_back() {
        let inf = f64::INFINITY;
        // min −x − 2y + z: x + y ≤ 4.5 with 1 ≤ x + y, y − z = 0.5, x ≥ −3, y integer at most 3.
        let program = Program {
            cost: vec![-1.0, -2.0, 1.0, 0.0],
            columns: vec![
                (-3.0, inf),
                (0.0, 3.0),
                (f64::NEG_INFINITY, 2.25),
                (0.0, 1.0),
            ],
            rows: vec![(1.0, 4.5), (0.5, 0.5), (-9.0, inf), (-inf, inf)],
            starts: vec![0, 3, 5, 6, 6],
            entries: vec![(0, 1.0), (2, 1.0), (3, 1.0), (0, 1.0), (1, 1.0), (1, -1.0)],
            integer: vec![false, true, false, true],
        };
        // z = y − 0.5 ≤ 2.25 leaves y ≤ 2.75: relaxed y = 2.75, x = 1.75; in integers y = 2, x = 2.5.
        let wording = |relaxed: bool, unit: i64, constant: i64| Wording {
            relaxed,
            unit,
            constant,
            names: BTreeMap::from([(0, "x".to_owned()), (1, "y".to_owned())]),
            notes: vec!["x is half of it".to_owned()],
        };
        let relaxed = optimum(&program.text("small", &wording(true, 1, 0))).unwrap();
        assert!((relaxed - (-1.75 - 5.5 + 2.25)).abs() < 1e-9, "{relaxed}");
        let whole = optimum(&program.text("small", &wording(false, 1, 0))).unwrap();
        assert!((whole - (-2.5 - 4.0 + 1.5)).abs() < 1e-9, "{whole}");
        let in_units = optimum(&program.text("small", &wording(false, 10, 7))).unwrap();
        assert!((in_units - (-50.0 + 7.0)).abs() < 1e-9, "{in_units}");
    }
}
