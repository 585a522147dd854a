//! How a host's CPU is shared out at one moment.

/// What a host is asked for and gives, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// What is in use.
    pub used: f64,
    /// What its guests want, those that arrive included.
    pub wanted: f64,
    /// What the guests that run here want.
    pub home: f64,
    /// What they do not get.
    pub unserved: f64,
    /// Of it, what those do not get that are migrated away.
    pub unserved_moving: f64,
    /// How many guests are short because the host is too full.
    pub short_guests: u32,
    /// Whether the guests that run here want more than the host has.
    pub too_full: bool,
}

/// A guest on a host, for this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// What it wants.
    pub(super) want: f64,
    /// Most that it can get here: its vCPUs' worth of cores.
    pub(super) cap: f64,
    /// How it stands to this host.
    pub(super) role: Role,
}

/// How a guest stands to a host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Role {
    /// It runs here.
    Home,
    /// It runs here while its memory is copied from or to here.
    Moving {
        /// What it keeps, from 0 to 1.
        keeps: f64,
        /// Whether copying takes what the guest loses.
        copying: bool,
    },
    /// It comes here, and takes that part of its demand already.
    Arriving {
        /// From 0 to 1.
        takes: f64,
    },
}

/// Shares a capacity out: all get what they want, or where that is too much, each in proportion to it;
/// `whole` gives whole units only where there is too little.
pub(super) fn share(parts: impl Iterator<Item = Part> + Clone, all: f64, whole: bool) -> Reading {
    let mut needed = 0.0;
    let mut home = 0.0;
    for part in parts.clone() {
        let capped = part.want.min(part.cap);
        match part.role {
            Role::Arriving { takes } => needed += capped * takes,
            _ => {
                needed += capped;
                home += capped;
            }
        }
    }
    let scale = (needed > all).then(|| all / needed);
    let mut reading = Reading {
        too_full: home > all,
        ..Reading::default()
    };
    for part in parts {
        let mut got = part.want.min(part.cap);
        if let Some(scale) = scale {
            got *= scale;
        }
        match part.role {
            Role::Home => {}
            Role::Moving { keeps, .. } => got *= keeps,
            Role::Arriving { takes } => got *= takes,
        }
        if whole && scale.is_some() {
            got = got.floor();
        }
        reading.wanted += part.want;
        let used = match part.role {
            Role::Moving {
                keeps,
                copying: true,
            } => got / keeps,
            _ => got,
        };
        reading.used += used;
        if matches!(part.role, Role::Arriving { .. }) {
            continue;
        }
        reading.home += part.want;
        if got < part.want {
            reading.unserved += part.want - got;
            if matches!(part.role, Role::Moving { .. }) {
                reading.unserved_moving += part.want - got;
            }
            if scale.is_some() {
                reading.short_guests += 1;
            }
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(want: f64) -> Part {
        Part {
            want,
            cap: 1000.0,
            role: Role::Home,
        }
    }

    #[test]
    fn enough_is_shared_as_wanted_and_too_little_in_proportion() {
        let enough = share([home(300.0), home(500.0)].into_iter(), 1000.0, false);
        assert!((enough.used - 800.0).abs() < 1e-9);
        assert!(!enough.too_full && enough.short_guests == 0);
        let short = share([home(900.0), home(600.0)].into_iter(), 1000.0, false);
        assert!((short.used - 1000.0).abs() < 1e-9 && short.too_full);
        assert!((short.unserved - 500.0).abs() < 1e-9);
        assert_eq!(short.short_guests, 2);
        let whole = share([home(900.0), home(650.0)].into_iter(), 1000.0, true);
        assert!(whole.used < 1000.0 && whole.used > 997.0);
    }

    #[test]
    fn a_guest_cannot_have_more_than_its_cores() {
        let reading = share([home(1500.0)].into_iter(), 4000.0, false);
        assert!((reading.used - 1000.0).abs() < 1e-9 && !reading.too_full);
        assert!((reading.unserved - 500.0).abs() < 1e-9);
    }

    #[test]
    fn a_migration_costs_the_guest_at_its_source_and_takes_room_at_its_target() {
        let moving = Part {
            role: Role::Moving {
                keeps: 0.9,
                copying: true,
            },
            ..home(500.0)
        };
        let source = share([moving].into_iter(), 1000.0, false);
        assert!((source.used - 500.0).abs() < 1e-9);
        assert!((source.unserved_moving - 50.0).abs() < 1e-9);
        let arriving = Part {
            role: Role::Arriving { takes: 0.1 },
            ..home(500.0)
        };
        let target = share([arriving].into_iter(), 1000.0, false);
        assert!((target.used - 50.0).abs() < 1e-9 && target.home.abs() < 1e-9);
        assert!((target.wanted - 500.0).abs() < 1e-9);
    }
}
