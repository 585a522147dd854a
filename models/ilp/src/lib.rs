//! The formulations of vmpack, one a file, and the one door to HiGHS. A formulation takes a
//! [`problem::Problem`]: integers only, rules resolved to indices.

pub mod problem;
