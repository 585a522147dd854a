//! models/sim
