//! The one door to HiGHS: options in, what it found and proved out. Its own numbers are floating
//! point; callers check answers in integers and read its bound through [`Answer::proves`].
#![expect(
    unsafe_code,
    reason = "HiGHS's callback and scheduler are reached through its C interface"
)]

pub(crate) mod lp;
pub(crate) mod mps;

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::thread::ThreadId;

use good_lp::solvers::highs::HighsProblem;
use highs::{HighsModelStatus, Model, TrySetOptionError};
use highs_sys::{HighsCallbackDataIn, HighsCallbackDataOut};
use vmpack_domain::units::Micros;

use crate::Limits;

/// How a run of HiGHS ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It closed its search.
    Closed,
    /// It proved that no answer exists.
    Infeasible,
    /// A limit, by name, or a failure of the solver, in words.
    Limit(String),
}

/// What HiGHS found and proved about a minimisation.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// How it ended.
    pub(crate) end: End,
    /// The values of the columns in the best answer, if there is one.
    pub(crate) values: Option<Vec<f64>>,
    /// `mip_dual_bound`.
    pub(crate) bound: f64,
    /// How many columns the model had.
    pub(crate) columns: usize,
    /// How long it took, by HiGHS's own clock.
    pub(crate) took: Micros,
}

impl Answer {
    /// The bound on an objective that is an integer at every integer point: the dual bound less
    /// 10⁻⁷ per column less 10⁻⁹ of itself, rounded up.
    ///
    /// The dual bound is the value of an LP dual that HiGHS accepts with reduced costs wrong by at
    /// most its dual feasibility tolerance, 10⁻⁷ each. Every column is binary, so such an error
    /// shifts the bound by at most 10⁻⁷ per column; 10⁻⁹ of the value covers the rounding of
    /// sums of doubles (10⁻¹⁶ per operation, at most 10⁷ of them). It is an argument about how
    /// LP bounds err, not a certificate: bounds in integers stand in [`crate::bound`].
    pub(crate) fn proves(&self) -> Option<i64> {
        if !self.bound.is_finite() {
            return None;
        }
        let columns = u32::try_from(self.columns).map_or(f64::INFINITY, f64::from);
        let safe = self.bound - 1e-7 * columns - 1e-9 * self.bound.abs();
        // Integers beyond 2^53 have no exact double; no objective here comes near.
        (safe.abs() < 9e15).then(|| {
            #[expect(clippy::cast_possible_truncation, reason = "checked: below 2^53")]
            let rounded = safe.ceil() as i64;
            rounded
        })
    }
}

thread_local! {
    /// HiGHS keeps a pool of workers for each calling thread and refuses to change its size.
    static POOL: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Minimises a model whose columns are all binary and whose objective is an integer at every
/// integer point. `start` gives every column's value in a known answer. Nothing is printed.
pub(crate) fn solve(model: HighsProblem, start: Option<&[f64]>, limits: &Limits) -> Answer {
    run(model, start, limits, false)
}

/// The same without most of HiGHS's own searches for answers and without beginning anew, where `start` is near the best
/// already, so that most of the time goes into the proof.
pub(crate) fn prove(model: HighsProblem, start: Option<&[f64]>, limits: &Limits) -> Answer {
    run(model, start, limits, true)
}

fn run(model: HighsProblem, start: Option<&[f64]>, limits: &Limits, proves: bool) -> Answer {
    let failed = |why: &str, columns| Answer {
        end: End::Limit(format!("the solver failed: {why}")),
        values: None,
        bound: f64::NEG_INFINITY,
        columns,
        took: Micros::ZERO,
    };
    let mut model = match model.try_into_inner() {
        Ok(model) => model,
        Err(e) => return failed(&e.to_string(), 0),
    };
    let columns = model.num_cols();
    let threads = limits.threads.clamp(1, 1024);
    resize_pool(threads);
    let set = set_options(&mut model, limits, threads).and_then(|()| match proves {
        true => search_less(&mut model),
        false => Ok(()),
    });
    if set.is_err() {
        return failed("an option was refused", columns);
    }
    if let Some(start) = start
        && model
            .try_set_solution(Some(start), None, None, None)
            .is_err()
    {
        tracing::debug!("the warm start was refused");
    }
    let ear = Ear::new(limits.stop);
    // SAFETY: the instance of `model` is live, and `ear` is until the solve has ended.
    unsafe { listen(model.as_mut_ptr(), &ear) };
    let solved = match model.try_solve() {
        Ok(solved) => solved,
        Err(e) => return failed(&format!("{e:?}"), columns),
    };
    // Read as a number: where HiGHS has no such status the typed reading of the binding panics.
    let feasible = i64::from(highs_sys::kHighsSolutionStatusFeasible);
    let values = (solved.int_info_value(c"primal_solution_status") == Ok(feasible))
        .then(|| solved.get_solution().columns().to_vec());
    let bound = solved.double_info_value(c"mip_dual_bound");
    // SAFETY: the instance of `solved` is live; the call only reads its clock.
    let took = unsafe { highs_sys::Highs_getRunTime(solved.as_ptr()) };
    let end = match solved.status() {
        HighsModelStatus::Optimal => End::Closed,
        HighsModelStatus::Infeasible => End::Infeasible,
        HighsModelStatus::ReachedTimeLimit => End::Limit("time".into()),
        HighsModelStatus::ReachedSolutionLimit => End::Limit("nodes".into()),
        HighsModelStatus::ReachedInterrupt => End::Limit("interrupted".into()),
        other => End::Limit(format!("the solver ended with {other:?}")),
    };
    tracing::debug!(
        columns,
        ?end,
        ?bound,
        found = values.is_some(),
        "HiGHS ended"
    );
    Answer {
        end,
        values,
        bound: bound.unwrap_or(f64::NEG_INFINITY),
        columns,
        took: std::time::Duration::try_from_secs_f64(took).map_or(Micros::ZERO, |t| {
            Micros(u64::try_from(t.as_micros()).unwrap_or(u64::MAX))
        }),
    }
}

/// Makes the pool of this thread's workers fit `threads`. No solve may run on this thread.
fn resize_pool(threads: u32) {
    POOL.with(|pool| {
        if pool
            .replace(Some(threads))
            .is_some_and(|was| was != threads)
        {
            // SAFETY: takes no pointer; it ends the idle workers of this thread's pool, and no
            // solve runs on this thread now.
            unsafe { highs_sys::Highs_resetGlobalScheduler(1) };
        }
    });
}

fn set_options(model: &mut Model, limits: &Limits, threads: u32) -> Result<(), TrySetOptionError> {
    let int = |v: u64| i32::try_from(v).unwrap_or(i32::MAX);
    model.make_quiet();
    model.try_set_option("threads", int(threads.into()))?;
    model.try_set_option("parallel", if threads == 1 { "off" } else { "choose" })?;
    model.try_set_option("time_limit", seconds(limits.time))?;
    model.try_set_option("random_seed", int(limits.seed % (1 << 31)))?;
    if let Some(nodes) = limits.nodes {
        model.try_set_option("mip_max_nodes", int(nodes))?;
    }
    // The objective is an integer: less than one apart is closed.
    model.try_set_option("mip_rel_gap", 0.0)?;
    model.try_set_option("mip_abs_gap", 0.9)
}

/// Leaves out what [`prove`] does without.
fn search_less(model: &mut Model) -> Result<(), TrySetOptionError> {
    model.try_set_option("mip_heuristic_effort", 0.0)?;
    for kind in ["rins", "rens", "root_reduced_cost"] {
        model.try_set_option(format!("mip_heuristic_run_{kind}"), false)?;
    }
    model.try_set_option("mip_allow_restart", false)
}

/// In seconds, as HiGHS takes it.
fn seconds(time: Micros) -> f64 {
    time.to_std().as_secs_f64()
}

/// What the callback needs during one solve.
struct Ear<'a> {
    stop: &'a dyn Fn() -> bool,
    thread: ThreadId,
    stopped: Cell<bool>,
}

impl<'a> Ear<'a> {
    fn new(stop: &'a dyn Fn() -> bool) -> Self {
        Self {
            stop,
            thread: std::thread::current().id(),
            stopped: Cell::new(false),
        }
    }
}

/// Lets HiGHS ask `ear` whether to stop.
///
/// # Safety
/// `highs` is a live instance, and `ear` is not moved or dropped until the next solve has ended.
unsafe fn listen(highs: *mut c_void, ear: &Ear) {
    let data = std::ptr::from_ref(ear).cast_mut().cast();
    // SAFETY: `highs` is live. `data` points to `ear`, which the caller keeps until the solve has
    // ended; HiGHS calls `hear` only during a solve, and nothing writes through the pointer.
    unsafe {
        highs_sys::Highs_setCallback(highs, Some(hear), data);
        for kind in [
            highs_sys::kHighsCallbackMipInterrupt,
            highs_sys::kHighsCallbackSimplexInterrupt,
        ] {
            highs_sys::Highs_startCallback(highs, kind);
        }
    }
}

/// HiGHS's callback. A panic of `stop` ends the process, as it does in any `extern "C"` function.
unsafe extern "C" fn hear(
    _kind: c_int,
    _message: *const c_char,
    _out: *const HighsCallbackDataOut,
    answer: *mut HighsCallbackDataIn,
    data: *mut c_void,
) {
    // SAFETY: `data` is the `Ear` given in `listen`, alive during the solve. On whichever thread this
    // is, only the field `thread` is read, which never changes.
    let thread = unsafe { (*data.cast::<Ear>()).thread };
    if std::thread::current().id() != thread {
        return; // `stop` belongs to the caller's thread, which asks too.
    }
    // SAFETY: as above, and on the thread that made the ear, so its cell and `stop` may be used.
    let ear = unsafe { &*data.cast::<Ear>() };
    let stopped = ear.stopped.get() || (ear.stop)();
    ear.stopped.set(stopped);
    // SAFETY: HiGHS passes its own input structure, or null where a callback takes no answer.
    if let Some(answer) = unsafe { answer.as_mut() } {
        answer.user_interrupt = c_int::from(stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Columns, Sum, Term};
    use good_lp::{SolverModel, solvers::highs::highs};

    /// Covers the edges of a circle of `n` points, an odd number, at the cost of a point each.
    fn circle(n: usize) -> (HighsProblem, Vec<f64>) {
        let mut columns = Columns::new();
        let points: Vec<Term> = (0..n).map(|_| Term::Open(columns.binary(true))).collect();
        let mut cost = Sum::new();
        for point in &points {
            cost.add(1, *point);
        }
        let objective = cost.objective(1);
        let (variables, start) = columns.finish();
        let mut model = variables.minimise(objective).using(highs);
        for i in 0..n {
            let mut edge = Sum::new();
            edge.add(1, points[i]);
            edge.add(1, points[(i + 1) % n]);
            model.add_constraint(edge.at_least(1));
        }
        (model, start)
    }

    fn limits(stop: &dyn Fn() -> bool) -> Limits<'_> {
        Limits {
            time: Micros::secs(60),
            nodes: None,
            seed: 1,
            threads: 1,
            stop,
        }
    }

    type Solve = fn(HighsProblem, Option<&[f64]>, &Limits) -> Answer;

    #[test]
    fn a_closed_search_proves_its_answer() {
        for (threads, solve) in [(1, solve as Solve), (2, solve), (1, solve), (1, prove)] {
            let (model, start) = circle(11);
            let answer = solve(
                model,
                Some(&start),
                &Limits {
                    threads,
                    ..limits(&|| false)
                },
            );
            assert_eq!(answer.end, End::Closed);
            assert_eq!(answer.proves(), Some(6));
            let sum: f64 = answer.values.unwrap().iter().sum();
            assert!((sum - 6.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_stop_ends_the_search_with_the_warm_start() {
        let (model, start) = circle(301);
        let answer = solve(model, Some(&start), &limits(&|| true));
        assert_eq!(answer.end, End::Limit("interrupted".into()));
        assert!(answer.proves().is_none_or(|b| b <= 151));
    }

    #[test]
    fn a_bound_is_rounded_up_only_beyond_the_tolerance() {
        let bound = |bound: f64| {
            Answer {
                end: End::Closed,
                values: None,
                bound,
                columns: 1000,
                took: Micros::ZERO,
            }
            .proves()
        };
        assert_eq!(bound(14.0), Some(14));
        assert_eq!(
            bound(14.000_05),
            Some(14),
            "1000 columns may be wrong by 1e-4"
        );
        assert_eq!(bound(14.01), Some(15));
        assert_eq!(bound(-0.5), Some(0));
        assert_eq!(bound(f64::NEG_INFINITY), None);
    }
}
