//! How a guest and its host are after a move.

use std::collections::BTreeMap;
use std::time::Duration;

use virt::domain::Domain;
use vmpack_domain::units::Permille;

use super::connection::Connection;
use super::door::cpu_times;

/// How long a guest agent may take, in seconds.
const PATIENCE: i32 = 2;
/// Over which a host's CPU time is taken.
const SPAN: Duration = Duration::from_millis(250);

/// Whether the guest's agent answers; nothing where it has none.
pub(super) fn answers(domain: &Domain) -> Result<Option<bool>, virt::error::Error> {
    if !domain.get_xml_desc(0)?.contains("org.qemu.guest_agent.0") {
        return Ok(None);
    }
    let ping = domain.qemu_agent_command(r#"{"execute":"guest-ping"}"#, PATIENCE, 0);
    Ok(Some(ping.is_ok()))
}

/// The share of the host's CPU that is busy now; nothing where it does not say.
pub(super) fn busy(connection: &Connection) -> Option<Permille> {
    let before = cpu_times(connection).ok()?;
    std::thread::sleep(SPAN);
    share(&before, &cpu_times(connection).ok()?)
}

fn share(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Option<Permille> {
    let spent = |kind: &str| {
        let at = |times: &BTreeMap<String, u64>| times.get(kind).copied();
        Some(at(after)?.saturating_sub(at(before)?))
    };
    let busy = spent("kernel")? + spent("user")?;
    let idle = spent("idle")? + spent("iowait").unwrap_or(0);
    let busy_share = (busy * 1000).checked_div(busy + idle)?;
    Some(Permille(busy_share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_what_was_not_idle() {
        let times = |kernel, user, idle, iowait| {
            let times = [
                ("kernel", kernel),
                ("user", user),
                ("idle", idle),
                ("iowait", iowait),
            ];
            times.map(|(k, v): (&str, u64)| (k.to_owned(), v)).into()
        };
        let share = |after| share(&times(10, 20, 30, 40), &after);
        assert_eq!(share(times(20, 40, 60, 80)), Some(Permille(300)));
        assert_eq!(share(times(10, 20, 30, 40)), None);
        assert_eq!(share(BTreeMap::new()), None);
    }
}
