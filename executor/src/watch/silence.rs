//! Hosts that are not heard, and how often that is told: each line of the audit log is on the disk before
//! anything else is done, so a probe that comes and goes all the time may not fill it.

use std::collections::BTreeMap;

use vmpack_domain::HostName;
use vmpack_domain::units::Micros;

use super::audit::Entry;
use super::{Lines, Shell};

/// So many changes of a host are told at once in each [`SPAN`]; of more, how it is then and how many they were,
/// when that is over.
const MOST: u32 = 6;
const SPAN: Micros = Micros::secs(60);

/// Which hosts were silent at any time, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct Silences(BTreeMap<HostName, Silence>);

#[derive(Debug)]
struct Silence {
    /// Why nothing is heard of it, if so.
    why: Option<String>,
    /// Since when changes are counted, and how many were told and were not.
    since: Micros,
    told: u32,
    untold: u32,
}

/// How a host is, and after how many changes that were not told.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    why: Option<String>,
    times: u32,
}

impl Silences {
    /// A host is heard, or not, and why: what is to be told of it at once.
    fn hear(&mut self, host: &HostName, why: Option<String>, now: Micros) -> Option<Change> {
        let silence = match self.0.get_mut(host) {
            Some(silence) => silence,
            // It was heard all the time.
            None if why.is_none() => return None,
            None => self.0.entry(host.clone()).or_insert(Silence {
                why: None,
                since: now,
                told: 0,
                untold: 0,
            }),
        };
        if silence.why == why {
            return None;
        }
        silence.why.clone_from(&why);
        if silence.untold == 0 && silence.since + SPAN <= now {
            (silence.since, silence.told) = (now, 0);
        }
        if silence.told >= MOST {
            silence.untold += 1;
            return None;
        }
        silence.told += 1;
        Some(Change { why, times: 0 })
    }

    /// What was not told and is to be now.
    fn late(&mut self, now: Micros) -> Vec<(HostName, Change)> {
        let due = |s: &Silence| s.untold > 0 && s.since + SPAN <= now;
        let late = self.0.iter_mut().filter(|(_, silence)| due(silence));
        let late = late.map(|(host, silence)| {
            let times = std::mem::take(&mut silence.untold);
            (silence.since, silence.told) = (now, 1);
            let why = silence.why.clone();
            (host.clone(), Change { why, times })
        });
        late.collect()
    }
}

impl Shell<'_> {
    /// A host is heard, or not, and why.
    pub(super) fn hears(
        &mut self,
        lines: &mut Lines,
        host: &HostName,
        why: Option<String>,
    ) -> std::io::Result<()> {
        let now = self.now();
        match self.silences.hear(host, why, now) {
            Some(change) => self.changed(lines, host, &change),
            None => Ok(()),
        }
    }

    /// Tells of changes that were too many to be told at once.
    pub(super) fn told_late(&mut self, lines: &mut Lines) -> std::io::Result<()> {
        let now = self.now();
        for (host, change) in self.silences.late(now) {
            self.changed(lines, &host, &change)?;
        }
        Ok(())
    }

    fn changed(
        &mut self,
        lines: &mut Lines,
        host: &HostName,
        change: &Change,
    ) -> std::io::Result<()> {
        let (host, changes) = (host.as_str(), change.times);
        let entry = match &change.why {
            Some(why) => Entry::Silent { host, why, changes },
            None => Entry::Heard { host, changes },
        };
        self.write(lines, &entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_probe_that_comes_and_goes_some_changes_are_told_and_then_how_many_more_they_were() {
        let mut own = Silences::default();
        let host: HostName = "h1".parse().unwrap();
        let gone = || Some("the stream ended".to_owned());
        assert_eq!(
            own.hear(&host, None, Micros::ZERO),
            None,
            "it was never silent"
        );
        let mut told = 0;
        // Ten times a second for a minute and a half.
        for n in 0..900 {
            let now = Micros::millis(100 * n);
            let why = gone().filter(|_| n % 2 == 0);
            told += usize::from(own.hear(&host, why, now).is_some());
            for (_, change) in own.late(now) {
                assert_eq!((n, change.times), (600, 595), "{change:?}");
                told += 1;
            }
        }
        assert_eq!(told, 6 + 1 + 5);
        let late = own.late(Micros::secs(120));
        let still = Change {
            why: None,
            times: 294,
        };
        assert_eq!(late, [(host.clone(), still)], "as it is then");
        assert_eq!(own.late(Micros::secs(600)), []);
        // Later all is told again.
        assert!(own.hear(&host, gone(), Micros::secs(700)).is_some());
        assert_eq!(own.hear(&host, gone(), Micros::secs(701)), None);
    }
}
