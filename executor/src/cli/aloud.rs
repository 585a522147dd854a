//! The audit log as a person hears it.

use vmpack_probe_client::client::plain;

use super::say::out;

/// A line of the audit log in a person's words.
pub(super) fn tell_a_person(line: &str) {
    let Ok(said) = serde_json::from_str::<serde_json::Value>(line) else {
        return;
    };
    // What a probe said may stand in it.
    let text = |key: &str| plain(said[key].as_str().unwrap_or_default());
    let time = text("at");
    let time = time
        .split('T')
        .nth(1)
        .unwrap_or(&time)
        .get(..12)
        .unwrap_or_default();
    match said["event"].as_str().unwrap_or_default() {
        "decided" => {
            let relief = &said["relief"];
            out(format_args!(
                "{time} decided {} ms after the onset, in {} us{}",
                said["onset_ms"],
                said["took_us"],
                only_told(&said)
            ));
            for reason in relief["reasons"].as_array().into_iter().flatten() {
                out(format_args!("  {}", reason.as_str().unwrap_or_default()));
            }
            for mv in relief["moves"].as_array().into_iter().flatten() {
                let of = |key: &str| mv[key].as_str().unwrap_or_default();
                out(format_args!(
                    "  move {} {} -> {} by {}: {}",
                    of("guest"),
                    of("from"),
                    of("to"),
                    of("mode"),
                    of("reason")
                ));
            }
            for left in relief["left"].as_array().into_iter().flatten() {
                let of = |key: &str| left[key].as_str().unwrap_or_default();
                out(format_args!(
                    "  stays: {}: {}; {}",
                    of("host"),
                    of("why"),
                    of("would")
                ));
            }
        }
        "switched" => out(format_args!(
            "{time} {} switched {} ms after the onset",
            text("guest"),
            said["onset_ms"]
        )),
        "ended" => out(format_args!(
            "{time} {} {}",
            text("guest"),
            if said["moved"] == true {
                "is whole at its target"
            } else {
                "stays where it was"
            }
        )),
        "trouble" => out(format_args!(
            "{time} {} is {}: {}",
            text("guest"),
            match said["kind"].as_str() {
                Some("lost") => "lost",
                Some("stuck") => "stuck in split state",
                _ => "in split state, its connection broke",
            },
            text("why")
        )),
        "relieved" => out(format_args!(
            "{time} {} is relieved, {} ms after the onset",
            text("host"),
            said["after_ms"]
        )),
        "silent" => out(format_args!(
            "{time} {} is not heard, its load is unknown: {}{}",
            text("host"),
            text("why"),
            changes(&said)
        )),
        "heard" => out(format_args!(
            "{time} {} is heard{}",
            text("host"),
            changes(&said)
        )),
        "held" | "let-go" | "not-held" => out(format_args!("{time} {}", told_of_shares(&said))),
        "cluster" => {
            let count = |key: &str| said[key].as_array().map_or(0, Vec::len);
            out(format_args!(
                "{time} the cluster's files changed: {} guests, {} new, {} no more",
                said["guests"],
                count("came"),
                count("gone")
            ));
        }
        "power" => out(format_args!(
            "{time} {} is to {}{}: {}{}",
            text("host"),
            text("to"),
            only_told(&said),
            text("why"),
            said["failed"]
                .as_str()
                .map_or(String::new(), |failed| format!(
                    "; it failed: {}",
                    plain(failed)
                ))
        )),
        "planned" => {
            out(format_args!(
                "{time} planned: {} moves{}",
                said["moves"],
                if said["carried_out"] == true {
                    ""
                } else {
                    ", not carried out"
                }
            ));
            for reason in said["reasons"].as_array().into_iter().flatten() {
                out(format_args!(
                    "  {}",
                    plain(reason.as_str().unwrap_or_default())
                ));
            }
        }
        "oscillates" => out(format_args!(
            "{time} {} is back on {} within its cooldown",
            text("guest"),
            text("host")
        )),
        "unchanged" => out(format_args!(
            "{time} the cluster's files changed, it is watched as before: {}",
            text("why")
        )),
        "refused" => out(format_args!("{time} refused: {}", text("why"))),
        event => out(format_args!("{time} {event} {}", text("why"))),
    }
}

/// What is added where nothing was done.
fn only_told(said: &serde_json::Value) -> &'static str {
    match said["carried_out"] == true {
        true => "",
        false => " (only told)",
    }
}

/// How often a host was heard and not heard without its being told.
fn changes(said: &serde_json::Value) -> String {
    let changes = said["changes"].as_u64();
    changes.map_or(String::new(), |n| format!(" (after {n} changes)"))
}

/// Whether hosts' guests are held to what they have reserved.
fn told_of_shares(said: &serde_json::Value) -> String {
    let text = |key: &str| plain(said[key].as_str().unwrap_or_default());
    let hosts = said["hosts"].as_array().into_iter().flatten();
    let hosts: Vec<String> = hosts.filter_map(|h| h.as_str()).map(plain).collect();
    let hosts = hosts.join(", ");
    let only = only_told(said);
    match said["event"].as_str() {
        Some("held") => format!("the guests of {hosts} are held to what they have reserved{only}"),
        Some("let-go") => format!("the guests of {hosts} are held no more{only}"),
        _ => format!(
            "the guests of {} are not held to what they have reserved: {}",
            text("host"),
            text("why")
        ),
    }
}
