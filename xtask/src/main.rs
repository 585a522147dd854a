//! Everything that a developer or newcomer runs: `cargo xtask --help`.
fn main() {}
