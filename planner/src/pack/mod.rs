//! Stage 1: the fewest hosts, that is the least Σ cost of hosts in use.
//!
//! Constructive placements and the pattern LP of single resources first, then annealing towards the
//! bound; where a gap is left, the whole pattern LP with packings from its columns, then its cases by
//! branch and price and the assignment ILP if the instance is small enough for them. Where guests are of
//! few sizes the whole pattern LP is quick and comes before everything.

mod branch;
pub(crate) mod descend;
mod divide;
mod exchange;
pub(crate) mod fit;
mod patterns;
mod scarce;

use vmpack_domain::Policy;
use vmpack_ilp::bound::Bound;
use vmpack_ilp::pattern::Packing;
use vmpack_ilp::{Solved, assignment, in_use};

use crate::effort::Effort;
use crate::instance::{Instance, NOWHERE, State};
use crate::rng::Rng;
use crate::search::Step;

/// A feasible placement of bundles and what its hosts cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// The host of each bundle.
    pub(crate) at: Vec<usize>,
    /// Σ cost of the hosts in use, in thousandths.
    pub(crate) cost: i64,
    /// The hosts in use.
    pub(crate) awake: Vec<usize>,
}

impl Packed {
    /// The placement with its cheapest set of awake hosts, if it is feasible.
    pub(crate) fn of(inst: &Instance, at: &[usize]) -> Option<Self> {
        if !inst.feasible(at) {
            return None;
        }
        let awake = in_use(inst.problem, &inst.placement(at))?;
        let cost = awake.iter().map(|h| inst.problem.hosts[*h].cost).sum();
        Some(Self {
            at: at.to_vec(),
            cost,
            awake,
        })
    }
    /// Whether it is the better one: cheaper, or as cheap with less memory moved.
    fn beats(&self, inst: &Instance, other: &Self) -> bool {
        (self.cost, inst.moved(&self.at)) < (other.cost, inst.moved(&other.at))
    }
}

/// The best placement found so far.
struct Best<'i, 'p, 'r> {
    inst: &'i Instance<'p>,
    packed: Option<Packed>,
    report: &'r mut dyn FnMut(Step),
}

impl Best<'_, '_, '_> {
    /// Keeps the placement if it is feasible and better.
    fn offer(&mut self, at: &[usize]) {
        let Some(packed) = Packed::of(self.inst, at) else {
            return;
        };
        if self
            .packed
            .as_ref()
            .is_none_or(|p| packed.beats(self.inst, p))
        {
            (self.report)(Step::Best {
                cost: packed.cost,
                hosts: packed.awake.len(),
            });
            self.packed = Some(packed);
        }
    }
    fn reaches(&self, bound: &Bound) -> bool {
        self.packed.as_ref().is_some_and(|p| p.cost <= bound.cost)
    }
    /// Whether it is more than half a percent above the bound.
    fn wastes(&self, bound: &Bound) -> bool {
        let most = bound.cost.saturating_add(bound.cost / 200);
        self.packed.as_ref().is_some_and(|p| p.cost > most)
    }
}

/// How stage 1 ended.
pub(crate) enum Answer {
    /// With a placement.
    Found(Packed),
    /// With a proof that there is none.
    Impossible,
    /// With nothing, because of this limit.
    Nothing(String),
}

/// The largest instance given to HiGHS, in guest-host pairs.
const WHOLE: usize = 12_000;
/// Guests tried on hosts in all fits together, about, and in all of the emptying; some is made in any
/// case.
const LOOKS: usize = 60_000_000;
/// The part of the effort left that branching has, in thousandths, before HiGHS.
const BRANCHING: u64 = 250;
/// The same after HiGHS, for a certificate of what it proved.
const CERTIFYING: u64 = 100;
/// Rounds of annealing before the whole pattern LP, which has most of the time.
const ROUNDS: u64 = 2;

/// The cheapest placement that the effort affords. `bound` rises when more is proven.
pub(crate) fn pack(
    inst: &Instance,
    bound: &mut Bound,
    policy: &Policy,
    effort: &mut Effort,
    report: &mut dyn FnMut(Step),
) -> Answer {
    let seed = policy.limits.seed;
    let mut best = Best {
        inst,
        packed: None,
        report,
    };
    let now = settled(inst);
    best.offer(&now.at);
    // Where windows are exempt the patterns do not speak of this instance.
    let packing = inst.is_plain().then(|| Packing::of(inst.problem));
    let coarse = packing.as_ref().filter(|p| patterns::is_coarse(p));
    // Guests that rules keep apart are each of a class of its own, though of few sizes.
    let together = packing
        .as_ref()
        .filter(|p| coarse.is_none() && !p.apart.is_empty());
    let together = together.map(Packing::together);
    if let Some(packing) = coarse.or(together.as_ref().filter(|p| patterns::is_coarse(p)))
        && !best.reaches(bound)
        && patterns::whole(&mut best, packing, bound, effort, policy)
    {
        return Answer::Impossible;
    }
    if let Some(packing) = &packing
        && patterns::single(&mut best, packing, patterns::FEW, bound, effort, policy)
    {
        return Answer::Impossible;
    }
    construct(&mut best, &now, bound, effort, seed);
    descend::descend(&mut best, bound, effort, seed, 0..1);
    if let Some(packing) = &packing
        && patterns::single(&mut best, packing, patterns::MORE, bound, effort, policy)
    {
        return Answer::Impossible;
    }
    // Where much is wasted, packing parts anew gains more than annealing on.
    if !best.wastes(bound) || !packing.as_ref().is_some_and(Packing::is_large) {
        descend::descend(&mut best, bound, effort, seed, 1..ROUNDS);
    }
    if let Some(packing) = &packing
        && coarse.is_none()
        && !best.reaches(bound)
        && patterns::whole(&mut best, packing, bound, effort, policy)
    {
        return Answer::Impossible;
    }
    let mut tree = match &packing {
        Some(packing) if !best.reaches(bound) => branch::begin(&best, packing, bound),
        _ => None,
    };
    if let Some(tree) = &mut tree
        && branch::grow(&mut best, tree, BRANCHING, bound, effort, policy)
    {
        return Answer::Impossible;
    }
    let proven = bound.cost;
    if inst.pairs() <= WHOLE && !best.reaches(bound) && exact(&mut best, bound, effort, policy) {
        return Answer::Impossible;
    }
    // What HiGHS proves has no certificate; with its placement, branching may prove as much.
    if let Some(tree) = &mut tree
        && bound.cost > proven
        && branch::grow(&mut best, tree, CERTIFYING, bound, effort, policy)
    {
        return Answer::Impossible;
    }
    descend::descend(&mut best, bound, effort, seed, ROUNDS..u64::MAX);
    match best.packed {
        Some(packed) => Answer::Found(packed),
        None => Answer::Nothing(match policy.limits.nodes {
            Some(nodes) => format!("no placement was found within {nodes} nodes"),
            None => format!("no placement was found within {}", policy.limits.time),
        }),
    }
}

/// Any placement at all, not a cheap one.
pub(crate) fn any(inst: &Instance, policy: &Policy, effort: &Effort) -> Answer {
    let mut best = Best {
        inst,
        packed: None,
        report: &mut |_| {},
    };
    let any = Bound {
        cost: i64::MAX,
        hosts: 0,
        origin: String::new(),
        certified: None,
        counted: None,
        branched: None,
    };
    let now = settled(inst);
    best.offer(&now.at);
    construct(&mut best, &now, &any, effort, policy.limits.seed);
    if best.packed.is_none() && inst.pairs() <= WHOLE {
        let mut bound = vmpack_ilp::bound::hosts(&inst.problem.plain());
        if exact(&mut best, &mut bound, effort, policy) {
            return Answer::Impossible;
        }
    }
    match best.packed {
        Some(packed) => Answer::Found(packed),
        None => Answer::Nothing("no placement was found".into()),
    }
}

/// HiGHS on the assignment, for half of the time left; `true` when it proves that there is none.
fn exact(best: &mut Best, bound: &mut Bound, effort: &Effort, policy: &Policy) -> bool {
    let inst = best.inst;
    let warm = best.packed.as_ref().map(|p| inst.placement(&p.at));
    let limits = effort.limits(policy, 500);
    let solved = assignment::solve(inst.problem, warm.as_deref(), bound.cost, &limits);
    let (answer, proven) = match solved {
        Solved::Optimal { answer, bound } | Solved::Feasible { answer, bound } => {
            (Some(answer), bound)
        }
        Solved::NoAnswer { bound, .. } => (None, bound),
        Solved::Infeasible => return true,
    };
    if let Some(answer) = answer {
        let at = inst.bundles_at(&answer);
        if !at.contains(&NOWHERE) {
            best.offer(&at);
        }
    }
    if proven > bound.cost {
        let dearest = inst
            .problem
            .hosts
            .iter()
            .map(|h| h.cost)
            .max()
            .unwrap_or(0)
            .max(1);
        let hosts = usize::try_from((proven + dearest - 1) / dearest).unwrap_or(0);
        bound.cost = proven;
        bound.hosts = bound.hosts.max(hosts);
        bound.origin = "assignment ILP".into();
        (best.report)(Step::Bound {
            cost: bound.cost,
            origin: bound.origin.clone(),
        });
    }
    false
}

/// Hosts emptied from where guests are, and fits from nothing, the first by the scarce resource alone.
fn construct(best: &mut Best, now: &State, bound: &Bound, effort: &Effort, seed: u64) {
    let inst = best.inst;
    let order = by_worth(inst);
    let tries = LOOKS / inst.bundles.len().saturating_mul(order.len()).max(1);
    let ways = [
        fit::Empty::LeastMemory,
        fit::Empty::FewestGuests,
        fit::Empty::LeastLoad,
    ];
    for by in ways.into_iter().take(tries.max(1)) {
        if best.reaches(bound) || effort.cut_off() {
            return;
        }
        let mut state = now.clone();
        fit::shrink(&mut state, by);
        best.offer(&state.at);
    }
    if best.reaches(bound) || effort.cut_off() {
        return;
    }
    if let Some(state) = scarce::scarce(inst, &order, &effort.part(100), &mut Rng::new(seed, 901)) {
        best.offer(&state.at);
    }
    for recipe in fit::Recipe::all().take(tries.max(2)) {
        if best.reaches(bound) || effort.cut_off() {
            return;
        }
        best.offer(&fit::fit(inst, &order, recipe).at);
    }
}

/// Where guests are now; those without a place that they may have are put where they break least.
fn settled<'i, 'p>(inst: &'i Instance<'p>) -> State<'i, 'p> {
    let mut state = State::new(inst, &inst.current());
    let open: Vec<usize> = (0..inst.problem.hosts.len()).collect();
    for b in 0..inst.bundles.len() {
        if state.at[b] == NOWHERE {
            fit::put_least(&mut state, b, &open);
        }
    }
    state
}

/// Hosts that may be used, the best to open first: those in use anyway, then cheap room, then much
/// memory of guests that are there already.
fn by_worth(inst: &Instance) -> Vec<usize> {
    let weights = fit::need_weights(inst);
    let held = inst.held();
    let worth = |h: usize| -> f64 {
        let host = &inst.problem.hosts[h];
        let room: f64 = host
            .room
            .iter()
            .zip(&weights)
            .zip(&inst.scale)
            .map(|((r, w), s)| *r as f64 * w * s)
            .sum();
        room / host.cost.max(1) as f64
    };
    let mut order: Vec<usize> = (0..inst.problem.hosts.len())
        .filter(|h| inst.problem.hosts[*h].open)
        .collect();
    order.sort_by(|a, b| {
        let (x, y) = (&inst.problem.hosts[*a], &inst.problem.hosts[*b]);
        y.always
            .cmp(&x.always)
            .then(worth(*b).total_cmp(&worth(*a)))
            .then(x.asleep.cmp(&y.asleep))
            .then(held[*b].cmp(&held[*a]))
            .then(a.cmp(b))
    });
    order
}
