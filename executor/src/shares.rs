//! CPU shares by which guests have the CPU that they have reserved, however much the others want.
//!
//! The kernel divides a host's CPU among guests that want more than there is in proportion to their
//! shares: of a room of C cores, guest i has C · sᵢ / Σ s. Guests without a reserve keep the shares that they
//! have, U together, and f is the least of theirs (where there are none, of all). Those with a reserve rᵢ get sᵢ = max(f, k · rᵢ): so none is worse
//! off for having one. That rᵢ ≤ C · sᵢ / Σ s holds for all where Σ s ≤ k · C, and the least such k is
//! (U + f · |those that k · rᵢ ≤ f|) / (C − Σ of the others' rᵢ). Rounding up adds less than 1 for each, which the
//! sum takes in beforehand. It is a matter of proportions only, so it is the same by either version of cgroups; where
//! some of them are beyond what the kernel takes, all are scaled into it.
//!
//! A guest that comes to a host takes of the shares of those that are there, so all of them are looked at after
//! each move, and set anew where they are not right. They are set on what runs, not in
//! guests' definitions.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::units::MilliCores;
use vmpack_domain::{GuestName, Host, HostName};
use vmpack_hypervisor::{Error, Hypervisor, Weight, Weights};

/// What was set on a host, to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Its guests then.
    guests: BTreeSet<GuestName>,
    /// Whose shares were set: what they were, and what they are.
    set: BTreeMap<GuestName, (u64, u64)>,
}

/// Sees to it that every guest on the host has what it has reserved, and whether that is so as they are
/// read back; nothing where none has any. Blocks.
///
/// # Errors
/// Why it is not so, where the host says why.
pub fn hold(hypervisor: &dyn Hypervisor, host: &HostName) -> Result<Option<bool>, Error> {
    hold_noting(hypervisor, host, &mut Held::default())
}

/// As [`hold`], and notes what it sets, also where it fails.
///
/// # Errors
/// As it.
pub fn hold_noting(
    hypervisor: &dyn Hypervisor,
    host: &HostName,
    held: &mut Held,
) -> Result<Option<bool>, Error> {
    let Some(found) = hypervisor.weights(host)? else {
        return Ok(None);
    };
    let wanted = wanted(room(&found.host), &found.guests).ok_or_else(|| Error::Refused {
        host: host.to_string(),
        cause: "its guests have reserved as much CPU as it has, or more".to_owned(),
    })?;
    held.guests = found.guests.iter().map(|g| g.guest.clone()).collect();
    let mut set = |weight: &Weight, shares: u64| {
        let guest = &weight.guest;
        tracing::info!(
            "guest {guest} on {host}: CPU shares {shares}, not {}; it has {} reserved",
            weight.shares,
            weight.reserved
        );
        hypervisor.set_shares(guest, host, shares)?;
        let set = held
            .set
            .entry(guest.clone())
            .or_insert((weight.shares, shares));
        set.1 = shares;
        Ok(())
    };
    let mut now: Vec<u64> = found.guests.iter().map(|g| g.shares).collect();
    let mut done = Ok(());
    for range in RANGES {
        let shares = within(&found.guests, &wanted, range);
        done = set_all(&found.guests, &mut now, &shares, &mut set);
        let refused = matches!(done, Err(Error::Refused { .. }));
        if !refused || shares == within(&found.guests, &wanted, RANGES[1]) {
            break;
        }
    }
    done.map_err(|e| match e {
        Error::Refused { host, cause } => Error::Refused {
            host,
            cause: format!(
                "{cause}; CPU shares are from 2 to 262144 by version 1 of cgroups, from 1 to 10000 by version 2"
            ),
        },
        other => other,
    })?;
    let after = hypervisor.weights(host)?;
    Ok(after.map(|Weights { host, guests }| holds(room(&host), &guests)))
}

/// The shares that the kernel takes: by version 1 of cgroups, and by version 2. Which one a host has is seen
/// by what it refuses.
const RANGES: [(u64, u64); 2] = [(2, 262_144), (1, 10_000)];

/// Sets the shares of all, whoever refuses, where they are not so; `now` is what they are. The first refusal
/// is the answer.
fn set_all(
    guests: &[Weight],
    now: &mut [u64],
    wanted: &[u64],
    set: &mut dyn FnMut(&Weight, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut done = Ok(());
    for ((weight, now), shares) in guests.iter().zip(now).zip(wanted) {
        if now == shares {
            continue;
        }
        match set(weight, *shares) {
            Ok(()) => *now = *shares,
            // It left, or ended, meanwhile.
            Err(Error::NotThere { .. }) => {}
            Err(e) => done = done.and(Err(e)),
        }
    }
    done
}

/// The shares in that range: where one of them is not, all are made less or more in proportion, those of
/// guests with a reserve rounded up, the others' down.
fn within(guests: &[Weight], shares: &[u64], (least, most): (u64, u64)) -> Vec<u64> {
    let own = guests.iter().zip(shares).filter(|(g, _)| g.reserved.0 > 0);
    let low = own.map(|(_, s)| *s).min().unwrap_or(least).max(1);
    let up = u128::from(least.div_ceil(low).max(1));
    let high = u128::from(shares.iter().copied().max().unwrap_or(1)) * up;
    let over = high.max(u128::from(most));
    let one = |(guest, shares): (&Weight, &u64)| {
        let part = u128::from(*shares) * up * u128::from(most);
        let part = if guest.reserved.0 > 0 {
            part.div_ceil(over)
        } else {
            part / over
        };
        u64::try_from(part).unwrap_or(most).clamp(least, most)
    };
    guests.iter().zip(shares).map(one).collect()
}

/// Sets CPU shares back to what they were before [`hold_noting`]. Those that somebody else has set since stay as
/// they are; so do all where a guest has come meanwhile, beside which each is to have what it has reserved,
/// as after each move. Blocks.
///
/// # Errors
/// Why they are not, where the host says why.
pub fn give_back(hypervisor: &dyn Hypervisor, host: &HostName, held: &Held) -> Result<(), Error> {
    if held.set.is_empty() {
        return Ok(());
    }
    let Some(now) = hypervisor.weights(host)? else {
        return Ok(());
    };
    if now.guests.iter().any(|g| !held.guests.contains(&g.guest)) {
        return Ok(());
    }
    for weight in &now.guests {
        match held.set.get(&weight.guest) {
            Some((before, set)) if *set == weight.shares => {
                match hypervisor.set_shares(&weight.guest, host, *before) {
                    Ok(()) | Err(Error::NotThere { .. }) => {}
                    Err(e) => return Err(e),
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the guests of the host may have of its CPU together, in cores of speed 1.
#[must_use]
pub fn room(host: &Host) -> MilliCores {
    let all = u128::from(host.cpu.0) * u128::from(host.speed.0) / 1000;
    let own = u128::from(host.reserve.cpu.0);
    MilliCores(u64::try_from(all.saturating_sub(own)).unwrap_or(u64::MAX))
}

/// Whether each guest's part of the room is what it has reserved.
#[must_use]
pub fn holds(room: MilliCores, guests: &[Weight]) -> bool {
    let sum: u128 = guests.iter().map(|g| u128::from(g.shares)).sum();
    let part = |g: &Weight| u128::from(room.0) * u128::from(g.shares);
    guests
        .iter()
        .all(|g| u128::from(g.reserved.0) * sum <= part(g))
}

/// The shares of the guests, in their order; nothing where they have more reserved than the room has, or
/// all of it and there are others.
#[must_use]
pub fn wanted(room: MilliCores, guests: &[Weight]) -> Option<Vec<u64>> {
    let others = guests.iter().filter(|g| g.reserved.0 == 0);
    let kept: u128 = others.clone().map(|g| u128::from(g.shares)).sum();
    let among = |g: &Weight| g.shares.max(1);
    let least = others
        .map(among)
        .min()
        .or_else(|| guests.iter().map(among).min());
    let least = u128::from(least?);
    let reserved = guests.iter().filter(|g| g.reserved.0 > 0);
    let amounts: Vec<u128> = reserved.map(|g| u128::from(g.reserved.0)).collect();
    if amounts.iter().sum::<u128>() > u128::from(room.0) {
        return None;
    }
    // By index, whose shares the proportion sets; the others have the least.
    let mut raised: BTreeSet<usize> = BTreeSet::new();
    loop {
        let low = (amounts.len() - raised.len()) as u128;
        let sum = kept + least * low + raised.len() as u128;
        let taken: u128 = raised.iter().map(|i| amounts[*i]).sum();
        let left = u128::from(room.0) - taken;
        if left == 0 {
            // Nothing is left for anybody else, and nobody else is there.
            return (sum == raised.len() as u128).then(|| all(guests, &amounts, 1, 1, 1));
        }
        let more: Vec<usize> = (0..amounts.len())
            .filter(|i| !raised.contains(i) && sum * amounts[*i] > least * left)
            .collect();
        if more.is_empty() {
            return Some(all(guests, &amounts, sum, left, least));
        }
        raised.extend(more);
    }
}

/// Everybody's shares, by the proportion `sum / left`.
fn all(guests: &[Weight], amounts: &[u128], sum: u128, left: u128, least: u128) -> Vec<u64> {
    let mut amounts = amounts.iter();
    let mut one = |g: &Weight| {
        if g.reserved.0 == 0 {
            return g.shares;
        }
        let amount = amounts.next().copied().unwrap_or_default();
        let shares = (sum * amount).div_ceil(left).max(least);
        u64::try_from(shares).unwrap_or(u64::MAX)
    };
    guests.iter().map(&mut one).collect()
}

#[cfg(test)]
mod tests;
