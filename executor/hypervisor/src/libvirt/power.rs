//! Sends a host to sleep that runs nothing.

use super::connection::Connection;
use super::door::suspend_host;
use crate::Error;

/// After which a host that nobody woke wakes by itself: 30 days.
const LONGEST: u64 = 30 * 86_400;

/// Suspends the host to its memory (suspend to RAM). It is woken from outside, by its network card.
///
/// # Errors
/// When it cannot be reached, or cannot suspend.
pub fn suspend(uri: &str) -> Result<(), Error> {
    let connection = Connection::open(uri, uri)?;
    suspend_host(&connection, LONGEST).map_err(|e| Error::Refused {
        host: uri.to_owned(),
        cause: e.message().to_owned(),
    })
}

/// How many guests run there, whoever started them.
///
/// # Errors
/// When it cannot be reached or does not answer.
pub fn running(uri: &str) -> Result<u32, Error> {
    let connection = Connection::open_read_only(uri, uri)?;
    connection.num_of_domains().map_err(|e| Error::Refused {
        host: uri.to_owned(),
        cause: e.message().to_owned(),
    })
}
