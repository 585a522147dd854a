//! Integer rows over binary columns, exact until good_lp takes them.

use good_lp::{Constraint, Expression, ProblemVariables, Variable, variable};

/// A binary column of the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    variable: Variable,
    /// Its place in the solver's vectors: columns keep the order in which they were made.
    pub(crate) at: usize,
}

/// The columns made so far and where each starts.
pub(crate) struct Columns {
    variables: ProblemVariables,
    start: Vec<f64>,
}

impl Columns {
    pub(crate) fn new() -> Self {
        Self {
            variables: ProblemVariables::new(),
            start: Vec::new(),
        }
    }
    /// A binary column; `start` is its value in the warm start.
    pub(crate) fn binary(&mut self, start: bool) -> Column {
        let at = self.start.len();
        self.start.push(f64::from(u8::from(start)));
        Column {
            variable: self.variables.add(variable().binary()),
            at,
        }
    }
    /// The variables for good_lp and the starting values in their order.
    pub(crate) fn finish(self) -> (ProblemVariables, Vec<f64>) {
        (self.variables, self.start)
    }
}

/// A column, or what is already settled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Term {
    /// To be decided.
    Open(Column),
    /// Settled at 0 or 1.
    Known(bool),
}

/// Σ of integer multiples of columns, plus a constant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sum {
    terms: Vec<(Column, i64)>,
    constant: i64,
}

impl Sum {
    pub(crate) fn new() -> Self {
        Self::default()
    }
    /// Adds `factor` × `term`. A column is added at most once to a sum.
    pub(crate) fn add(&mut self, factor: i64, term: Term) {
        match term {
            Term::Open(column) if factor != 0 => self.terms.push((column, factor)),
            Term::Known(true) => self.constant = self.constant.saturating_add(factor),
            Term::Open(_) | Term::Known(false) => {}
        }
    }
    /// The greatest divisor of all factors, at least 1.
    fn divisor(&self) -> i64 {
        self.terms.iter().fold(0, |g, (_, a)| gcd(g, *a)).max(1)
    }
    fn expression(&self, divisor: i64) -> Expression {
        let mut e = Expression::with_capacity(self.terms.len());
        for (column, factor) in &self.terms {
            e.add_mul(float(factor / divisor), column.variable);
        }
        e
    }
    /// Σ ≤ `most`, divided by the greatest common divisor of the factors and rounded down, which
    /// no integer point notices.
    pub(crate) fn at_most(&self, most: i64) -> Constraint {
        let d = self.divisor();
        let rest = most.saturating_sub(self.constant);
        self.expression(d).leq(float(rest.div_euclid(d)))
    }
    /// Σ ≥ `least`, divided and rounded up in the same way.
    pub(crate) fn at_least(&self, least: i64) -> Constraint {
        let d = self.divisor();
        let rest = least.saturating_sub(self.constant);
        self.expression(d).geq(float(ceil_div(rest, d)))
    }
    /// Σ = 1 over terms of factor 1.
    pub(crate) fn is_one(&self) -> Constraint {
        self.expression(1)
            .eq(float(1i64.saturating_sub(self.constant)))
    }
    /// Whether nothing is left to decide in it.
    pub(crate) fn is_settled(&self) -> bool {
        self.terms.is_empty()
    }
    /// As an objective, divided by `unit`, which divides every factor; the constant is left out.
    pub(crate) fn objective(&self, unit: i64) -> Expression {
        self.expression(unit)
    }
}

/// An integer as HiGHS takes it. Amounts stay below 2^53 by their types' limits, so this is exact;
/// only a right-hand side that nothing can meet or miss may be rounded.
#[expect(
    clippy::cast_precision_loss,
    reason = "amounts are at most 2^43, sums of them below 2^53 wherever they can bind"
)]
pub(crate) fn float(v: i64) -> f64 {
    v as f64
}

/// The greatest common divisor, of 0 and 0 being 0.
pub(crate) fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).unwrap_or(1)
}

/// ⌈a ÷ b⌉ for b > 0.
pub(crate) fn ceil_div(a: i64, b: i64) -> i64 {
    a.div_euclid(b) + i64::from(a.rem_euclid(b) != 0)
}
