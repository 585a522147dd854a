//! Digests of what a plan was made from, so that a plan can be told from its inputs.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// `sha256:` and the hexadecimal SHA-256 of the value's canonical JSON (fields in declaration
/// order, maps sorted, no white space).
#[must_use]
pub fn digest<T: Serialize>(value: &T) -> String {
    of_bytes(&serde_json::to_vec(value).unwrap_or_default())
}

/// `sha256:` and the hexadecimal SHA-256 of the bytes, as `sha256sum` prints it for a file.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}
