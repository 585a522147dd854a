//! A linear program that grows: columns are added and removed, bounds change, and each run starts
//! from the basis of the last one.
//!
//! min Σ cost·x subject to lower ≤ A·x ≤ upper per row and 0 ≤ x ≤ upper per column. Values and
//! duals are floating point and serve as advice only: what is proven from them is computed in
//! integers elsewhere.

use std::ffi::{CStr, c_void};

use highs_sys::{HighsInt, STATUS_ERROR};

use super::{Ear, listen, resize_pool};

/// Why a run gave no solution, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

/// A column to be added: its cost, the most of it, its entries as (row, factor).
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) cost: f64,
    pub(crate) upper: f64,
    pub(crate) entries: Vec<(usize, f64)>,
}

/// An optimal solution.
#[derive(Debug, Clone, Default)]
pub(crate) struct Solution {
    pub(crate) objective: f64,
    /// Per column.
    pub(crate) values: Vec<f64>,
    /// Per column.
    pub(crate) reduced: Vec<f64>,
    /// Per row.
    pub(crate) duals: Vec<f64>,
}

/// The growing linear program.
pub(crate) struct Lp {
    highs: *mut c_void,
    rows: usize,
    columns: usize,
}

impl Lp {
    /// Rows by their bounds, no columns.
    pub(crate) fn new(rows: &[(f64, f64)]) -> Result<Self, Failure> {
        // SAFETY: takes nothing; the instance is destroyed once, in `drop`.
        let highs = unsafe { highs_sys::Highs_create() };
        if highs.is_null() {
            return Err(Failure("no memory for an instance of HiGHS".into()));
        }
        let lp = Self {
            highs,
            rows: rows.len(),
            columns: 0,
        };
        lp.int(c"threads", 1)?;
        lp.text(c"solver", c"simplex")?;
        lp.text(c"presolve", c"off")?;
        // Primal: added columns leave the last basis feasible.
        lp.int(c"simplex_strategy", 4)?;
        let (lower, upper): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
        let starts = vec![0; rows.len()];
        // SAFETY: the instance is live; the arrays have a value for each row, no entry is read, and
        // HiGHS copies what it takes.
        done("adding rows", unsafe {
            highs_sys::Highs_addRows(
                highs,
                int(rows.len())?,
                lower.as_ptr(),
                upper.as_ptr(),
                0,
                starts.as_ptr(),
                std::ptr::null(),
                std::ptr::null(),
            )
        })?;
        Ok(lp)
    }

    /// Adds columns after those that are there.
    pub(crate) fn add(&mut self, columns: &[Column]) -> Result<(), Failure> {
        let (mut starts, mut index, mut value) = (Vec::new(), Vec::new(), Vec::new());
        for column in columns {
            starts.push(int(index.len())?);
            for (row, factor) in &column.entries {
                if *row >= self.rows {
                    return Err(Failure(format!("there is no row {row}")));
                }
                index.push(int(*row)?);
                value.push(*factor);
            }
        }
        let cost: Vec<f64> = columns.iter().map(|c| c.cost).collect();
        let upper: Vec<f64> = columns.iter().map(|c| c.upper).collect();
        let lower = vec![0.0; columns.len()];
        // SAFETY: the instance is live; the arrays have a value per column and per entry, rows are
        // in range, and HiGHS copies what it takes.
        done("adding columns", unsafe {
            highs_sys::Highs_addCols(
                self.highs,
                int(columns.len())?,
                cost.as_ptr(),
                lower.as_ptr(),
                upper.as_ptr(),
                int(index.len())?,
                starts.as_ptr(),
                index.as_ptr(),
                value.as_ptr(),
            )
        })?;
        self.columns += columns.len();
        Ok(())
    }

    /// Removes columns, by index, ascending; later ones move up.
    pub(crate) fn remove(&mut self, columns: &[usize]) -> Result<(), Failure> {
        let set = columns
            .iter()
            .map(|c| int(*c))
            .collect::<Result<Vec<_>, _>>()?;
        if !columns.windows(2).all(|w| w[0] < w[1]) || columns.last() >= Some(&self.columns) {
            return Err(Failure("columns to remove are not in order".into()));
        }
        // SAFETY: the instance is live; the set is ascending and in range.
        done("removing columns", unsafe {
            highs_sys::Highs_deleteColsBySet(self.highs, int(set.len())?, set.as_ptr())
        })?;
        self.columns -= columns.len();
        Ok(())
    }

    /// Changes the bounds of a row.
    pub(crate) fn range(&mut self, row: usize, lower: f64, upper: f64) -> Result<(), Failure> {
        if row >= self.rows {
            return Err(Failure(format!("there is no row {row}")));
        }
        // SAFETY: the instance is live and the row exists.
        done("changing a row", unsafe {
            highs_sys::Highs_changeRowBounds(self.highs, int(row)?, lower, upper)
        })
    }

    /// Changes what the first columns cost.
    pub(crate) fn charge(&mut self, costs: &[f64]) -> Result<(), Failure> {
        if costs.len() > self.columns || costs.is_empty() {
            return Err(Failure(format!("there are no {} columns", costs.len())));
        }
        // SAFETY: the instance is live; the columns exist and the array has a value for each.
        done("changing costs", unsafe {
            highs_sys::Highs_changeColsCostByRange(
                self.highs,
                0,
                int(costs.len() - 1)?,
                costs.as_ptr(),
            )
        })
    }

    /// Changes the most of columns.
    pub(crate) fn cap(&mut self, columns: &[usize], upper: f64) -> Result<(), Failure> {
        for column in columns {
            if *column >= self.columns {
                return Err(Failure(format!("there is no column {column}")));
            }
            // SAFETY: the instance is live and the column exists.
            done("changing a column", unsafe {
                highs_sys::Highs_changeColBounds(self.highs, int(*column)?, 0.0, upper)
            })?;
        }
        Ok(())
    }

    /// Which simplex the next runs take: the dual one after changes of bounds, the primal one, as at
    /// first, after added columns.
    pub(crate) fn prefer_dual(&self, dual: bool) -> Result<(), Failure> {
        self.int(c"simplex_strategy", if dual { 1 } else { 4 })
    }

    /// Solves it; `stop` is asked often and ends the run.
    pub(crate) fn run(&mut self, stop: &dyn Fn() -> bool) -> Result<Solution, Failure> {
        resize_pool(1);
        let ear = Ear::new(stop);
        // SAFETY: the instance is live; `ear` lives until the callback is taken back below.
        let ran = unsafe {
            listen(self.highs, &ear);
            let ran = highs_sys::Highs_run(self.highs);
            highs_sys::Highs_setCallback(self.highs, None, std::ptr::null_mut());
            ran
        };
        done("running", ran)?;
        // SAFETY: the instance is live.
        let status = unsafe { highs_sys::Highs_getModelStatus(self.highs) };
        if status != highs_sys::MODEL_STATUS_OPTIMAL {
            return Err(Failure(format!("the run ended with model status {status}")));
        }
        let mut solution = Solution {
            objective: 0.0,
            values: vec![0.0; self.columns],
            reduced: vec![0.0; self.columns],
            duals: vec![0.0; self.rows],
        };
        let mut activity = vec![0.0; self.rows];
        // SAFETY: the instance is live; each array has as many places as HiGHS has columns or rows.
        unsafe {
            solution.objective = highs_sys::Highs_getObjectiveValue(self.highs);
            done(
                "reading the solution",
                highs_sys::Highs_getSolution(
                    self.highs,
                    solution.values.as_mut_ptr(),
                    solution.reduced.as_mut_ptr(),
                    activity.as_mut_ptr(),
                    solution.duals.as_mut_ptr(),
                ),
            )?;
        }
        Ok(solution)
    }

    fn int(&self, option: &CStr, value: HighsInt) -> Result<(), Failure> {
        // SAFETY: the instance is live and the name is terminated.
        done("setting an option", unsafe {
            highs_sys::Highs_setBoolOptionValue(self.highs, c"output_flag".as_ptr(), 0);
            highs_sys::Highs_setIntOptionValue(self.highs, option.as_ptr(), value)
        })
    }

    fn text(&self, option: &CStr, value: &CStr) -> Result<(), Failure> {
        // SAFETY: the instance is live; name and value are terminated.
        done("setting an option", unsafe {
            highs_sys::Highs_setStringOptionValue(self.highs, option.as_ptr(), value.as_ptr())
        })
    }
}

impl Drop for Lp {
    fn drop(&mut self) {
        // SAFETY: made by `Highs_create` in `new`, destroyed only here.
        unsafe { highs_sys::Highs_destroy(self.highs) };
    }
}

fn done(what: &str, status: HighsInt) -> Result<(), Failure> {
    if status == STATUS_ERROR {
        Err(Failure(format!("HiGHS failed at {what}")))
    } else {
        Ok(())
    }
}

fn int(n: usize) -> Result<HighsInt, Failure> {
    HighsInt::try_from(n).map_err(|_| Failure(format!("{n} is more than HiGHS can count")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cost: f64, entries: &[(usize, f64)]) -> Column {
        Column {
            cost,
            upper: f64::INFINITY,
            entries: entries.to_vec(),
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn it_grows_shrinks_and_answers_with_duals() {
        let on = || false;
        let inf = f64::INFINITY;
        let mut lp = Lp::new(&[(1.0, inf), (1.0, inf), (1.0, inf)]).unwrap();
        lp.add(&[
            column(1.0, &[(0, 1.0)]),
            column(1.0, &[(1, 1.0)]),
            column(1.0, &[(2, 1.0)]),
        ])
        .unwrap();
        let alone = lp.run(&on).unwrap();
        assert!(near(alone.objective, 3.0));
        assert!(alone.duals.iter().all(|d| near(*d, 1.0)));
        // Every pair: half of each.
        lp.add(&[
            column(1.0, &[(0, 1.0), (1, 1.0)]),
            column(1.0, &[(1, 1.0), (2, 1.0)]),
            column(1.0, &[(0, 1.0), (2, 1.0)]),
        ])
        .unwrap();
        let pairs = lp.run(&on).unwrap();
        assert!(near(pairs.objective, 1.5));
        assert!(pairs.duals.iter().all(|d| near(*d, 0.5)));
        assert!(near(pairs.values[3], 0.5) && near(pairs.reduced[0], 0.5));
        // Without the last pair, and the second row for nothing.
        lp.remove(&[5]).unwrap();
        lp.range(1, 0.0, inf).unwrap();
        assert!(near(lp.run(&on).unwrap().objective, 2.0));
        // The first row is kept by its own column alone once pairs are dear.
        lp.charge(&[1.0, 1.0, 1.0, 9.0, 9.0]).unwrap();
        assert!(near(lp.run(&on).unwrap().objective, 2.0));
        lp.charge(&[0.5]).unwrap();
        assert!(near(lp.run(&on).unwrap().objective, 1.5));
        lp.range(1, 5.0, 4.0).ok();
        assert!(
            lp.run(&on).is_err(),
            "no activity is at least 5 and at most 4"
        );
    }

    #[test]
    fn mistakes_are_errors() {
        let mut lp = Lp::new(&[(1.0, 2.0)]).unwrap();
        assert!(lp.add(&[column(1.0, &[(1, 1.0)])]).is_err());
        lp.add(&[column(1.0, &[(0, 1.0)])]).unwrap();
        assert!(lp.remove(&[1]).is_err());
        assert!(lp.charge(&[1.0, 1.0]).is_err() && lp.charge(&[]).is_err());
        assert!(lp.range(1, 0.0, 1.0).is_err());
        assert!(lp.run(&|| false).is_ok());
    }
}
