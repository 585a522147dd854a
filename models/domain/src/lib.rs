//! What is true of a cluster of KVM hosts, as types and judgements: units, hosts, guests, their
//! load, the policy and its rules, a plan, and the checker that judges it. No IO, no clock, no
//! randomness; every number that has a unit has a type.

pub mod calendar;
pub mod certificate;
pub mod check;
pub mod cluster;
pub mod demand;
pub mod digest;
pub mod exit;
pub mod file;
pub mod journal;
pub mod load;
pub mod migration;
pub mod name;
pub mod objective;
pub mod plan;
pub mod policy;
pub mod relief;
pub mod rule;
pub mod split;
pub mod units;

pub use certificate::Certificate;
pub use cluster::{Cluster, Guest, Host, HostState, PostCopy};
pub use load::{CpuLoad, GuestLoad, Load, Statistic, Tier};
pub use name::{GuestName, HostName};
pub use plan::{Mode, Move, MoveId, Plan};
pub use policy::Policy;
pub use rule::Rule;
