//! The one door to HiGHS.
