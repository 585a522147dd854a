//! All that a watch knows at one moment, to be thought about beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vmpack_domain::relief::{Demand, Flight, Past, Situation};
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName, Load, Policy};

use crate::relieve::Contingency;

/// What a watch knows at one moment.
#[derive(Debug, Clone)]
pub struct Picture {
    pub(super) cluster: Cluster,
    pub(super) load: Arc<Load>,
    pub(super) policy: Arc<Policy>,
    pub(super) demand: BTreeMap<GuestName, Demand>,
    pub(super) overloaded: BTreeMap<HostName, Micros>,
    pub(super) silent: BTreeSet<HostName>,
    pub(super) shunned: BTreeSet<HostName>,
    pub(super) flights: Vec<Flight>,
    pub(super) recent: Vec<Past>,
    pub(super) now: Micros,
}

impl Picture {
    /// As relief is decided on it.
    #[must_use]
    pub fn situation(&self) -> Situation<'_> {
        Situation {
            cluster: &self.cluster,
            load: &self.load,
            policy: &self.policy,
            demand: &self.demand,
            overloaded: &self.overloaded,
            silent: &self.silent,
            shunned: &self.shunned,
            flights: &self.flights,
            recent: &self.recent,
            now: self.now,
        }
    }

    /// What is to be done in the surges that may come; takes longer than a decision.
    #[must_use]
    pub fn look_ahead(&self) -> Contingency {
        let none = BTreeMap::new();
        Contingency::new(&Situation {
            overloaded: &none,
            ..self.situation()
        })
    }
}
