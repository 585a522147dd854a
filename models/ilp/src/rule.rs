//! The policy's rules, one a file.

pub mod spare;
