//! How concurrent streams share the hosts' links.

use std::collections::BTreeMap;

use vmpack_domain::HostName;

/// One stream's wish: it leaves `from`, enters `to` and takes at most `cap` (MiB/s).
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    pub(crate) from: &'a HostName,
    pub(crate) to: &'a HostName,
    pub(crate) cap: f64,
}

/// Each stream's rate in MiB/s, max-min fair: links are full duplex, each direction of a host's
/// link carries at most `bandwidth(host)`, and no stream can get more without a smaller one
/// getting less. Progressive filling (Bertsekas, Gallager: Data Networks, section 6.5.2): all rates
/// rise together; a stream stops at its cap or when a link it uses is full.
pub(crate) fn fair_shares(streams: &[Stream], bandwidth: impl Fn(&HostName) -> f64) -> Vec<f64> {
    let mut links: BTreeMap<(bool, &HostName), (f64, Vec<usize>)> = BTreeMap::new();
    for (i, s) in streams.iter().enumerate() {
        for end in [(false, s.from), (true, s.to)] {
            let link = links.entry(end).or_insert((bandwidth(end.1), Vec::new()));
            link.1.push(i);
        }
    }
    let mut rates = vec![0.0; streams.len()];
    let mut fixed = vec![false; streams.len()];
    while fixed.iter().any(|f| !f) {
        // The level at which the next link is full or the next stream is at its cap.
        let full = |(capacity, users): &(f64, Vec<usize>)| {
            let taken: f64 = users.iter().filter(|u| fixed[**u]).map(|u| rates[*u]).sum();
            let rising = users.iter().filter(|u| !fixed[**u]).count();
            #[expect(clippy::cast_precision_loss, reason = "a count of migrations")]
            let level = (capacity - taken).max(0.0) / rising as f64;
            (rising > 0).then_some(level)
        };
        let lowest_link = links
            .values()
            .filter_map(full)
            .fold(f64::INFINITY, f64::min);
        let lowest_cap = (0..streams.len())
            .filter(|i| !fixed[*i])
            .map(|i| streams[i].cap)
            .fold(f64::INFINITY, f64::min);
        let level = lowest_link.min(lowest_cap);
        let at_level: Vec<usize> = if lowest_cap <= lowest_link {
            (0..streams.len())
                .filter(|i| !fixed[*i] && streams[*i].cap <= level)
                .collect()
        } else {
            links
                .values()
                .filter(|l| full(l).is_some_and(|x| x <= level))
                .flat_map(|l| l.1.iter().copied())
                .filter(|i| !fixed[*i])
                .collect()
        };
        for i in at_level {
            (rates[i], fixed[i]) = (level, true);
        }
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(n: usize) -> HostName {
        format!("h{n}").parse().expect("a plain name")
    }

    /// Rates of streams (from, to, cap) over links of 100 MiB/s.
    fn check(streams: &[(usize, usize, f64)], rates: &[f64]) {
        let hosts: Vec<HostName> = (0..10).map(name).collect();
        let streams: Vec<Stream> = streams
            .iter()
            .map(|s| Stream {
                from: &hosts[s.0],
                to: &hosts[s.1],
                cap: s.2,
            })
            .collect();
        assert_eq!(fair_shares(&streams, |_| 100.0), rates);
    }

    #[test]
    fn streams_share_what_they_have_in_common() {
        const FREE: f64 = f64::INFINITY;
        check(&[], &[]);
        check(&[(0, 1, FREE)], &[100.0]);
        check(&[(0, 1, FREE), (0, 2, FREE)], &[50.0, 50.0]);
        check(&[(0, 1, FREE), (1, 0, FREE)], &[100.0, 100.0]);
        check(&[(0, 1, 10.0), (0, 2, FREE)], &[10.0, 90.0]);
        check(
            &[(0, 1, FREE), (0, 1, FREE), (2, 1, 20.0)],
            &[40.0, 40.0, 20.0],
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_link_is_overdriven_and_each_stream_has_a_reason_to_stop(
            streams in prop::collection::vec((0usize..5, 0usize..5, 0u32..200), 0..12),
            bandwidth in prop::collection::vec(0u32..100, 5),
        ) {
            let hosts: Vec<HostName> = (0..5).map(name).collect();
            let of = |h: &HostName| f64::from(bandwidth[hosts.iter().position(|x| x == h).unwrap_or(0)]);
            let streams: Vec<Stream> = streams.iter().map(|s| Stream {
                from: &hosts[s.0], to: &hosts[s.1], cap: f64::from(s.2),
            }).collect();
            let rates = fair_shares(&streams, of);
            let load = |h: &HostName, entering: bool| -> f64 {
                let uses = |s: &Stream| h == if entering { s.to } else { s.from };
                streams.iter().zip(&rates).filter(|(s, _)| uses(s)).map(|(_, r)| r).sum()
            };
            for h in &hosts {
                prop_assert!(load(h, false) <= of(h) + 1e-6 && load(h, true) <= of(h) + 1e-6);
            }
            for (s, r) in streams.iter().zip(&rates) {
                let capped = *r >= s.cap - 1e-6;
                let full = load(s.from, false) >= of(s.from) - 1e-6 || load(s.to, true) >= of(s.to) - 1e-6;
                prop_assert!(capped || full);
            }
        }
    }
}
