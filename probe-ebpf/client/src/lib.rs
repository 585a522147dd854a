//! Speaks with probes: what they say over the wire, where they are, and TLS on both sides. Those who
//! read probes use it, and the probe itself; what measures is not in it.

pub mod client;
pub mod place;
pub mod tick;
pub mod tls;
pub mod wire;
