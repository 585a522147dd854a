//! Plans the placement of guests on the fewest hosts without overload, and the cheapest way there.
//! Pure: the clock, the stop signal and the seed come from the caller.

pub mod search;
