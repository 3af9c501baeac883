//! Slows down who guesses: wrong tokens counted by address.
//!
//! A token that is right passes always: behind one address may stand a whole office, and one stale laptop must not shut
//! out the others. Guessing 200 bits is hopeless at any rate; what the limit protects is the processor and the log.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

/// Wrong tokens that an address may show within [`WINDOW`].
const MOST: u32 = 40;
/// Microseconds.
const WINDOW: i64 = 60_000_000;
/// Addresses that are remembered: 10,000 are less than 1 MiB. The one counted longest makes room for another.
const MOST_ADDRESSES: usize = 10_000;

/// Wrong tokens by address, for one window each.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<IpAddr, Window>>);

struct Window {
    /// UTC microseconds.
    since: i64,
    count: u32,
}

impl Failures {
    /// Counts a wrong token. `Some`: too many; seconds until the address starts afresh.
    pub fn count(&self, peer: IpAddr, now: i64) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if !windows.contains_key(&peer) && windows.len() >= MOST_ADDRESSES {
            make_room(&mut windows, now);
        }
        let window = windows.entry(peer).or_insert(Window { since: now, count: 0 });
        // A clock that was set back starts a window as well.
        if !(window.since..window.since + WINDOW).contains(&now) {
            *window = Window { since: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        let left = window.since + WINDOW - now;
        (window.count > MOST).then(|| left.unsigned_abs().div_ceil(1_000_000).max(1))
    }
}

/// Who has an IPv6 address has a /64 of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

fn make_room(windows: &mut HashMap<IpAddr, Window>, now: i64) {
    windows.retain(|_, window| (window.since..window.since + WINDOW).contains(&now));
    if windows.len() >= MOST_ADDRESSES
        && let Some(oldest) = windows.iter().min_by_key(|(_, window)| window.since).map(|(peer, _)| *peer)
    {
        windows.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn an_address_is_slowed_down_and_starts_afresh_when_the_window_is_over() {
        let failures = Failures::default();
        for i in 0..i64::from(MOST) {
            assert_eq!(failures.count(address(1), i), None);
        }
        assert_eq!(failures.count(address(1), 1_000_000), Some(59));
        assert_eq!(failures.count(address(2), 1_000_000), None, "another address");
        assert_eq!(failures.count(address(1), MINUTE - 1), Some(1));
        assert_eq!(failures.count(address(1), MINUTE), None);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_lock_anyone_out() {
        let failures = Failures::default();
        for _ in 0..=MOST {
            failures.count(address(1), 1_000 * MINUTE);
        }
        assert_eq!(failures.count(address(1), 0), None);
    }

    #[test]
    fn a_network_is_one_address() {
        let failures = Failures::default();
        let one_of = |n: u32| -> IpAddr { format!("2001:db8::{n:x}").parse().unwrap() };
        for n in 0..MOST {
            failures.count(one_of(n), 0);
        }
        assert!(failures.count(one_of(MOST), 0).is_some());
        assert!(failures.count("::ffff:10.0.0.1".parse().unwrap(), 0).is_none());
    }

    #[test]
    fn the_map_is_bounded_and_forgets_the_oldest_first() {
        let failures = Failures::default();
        for n in 0..2 * MOST_ADDRESSES as u32 {
            failures.count(address(n), i64::from(n));
        }
        let windows = failures.0.lock().unwrap();
        assert_eq!(windows.len(), MOST_ADDRESSES);
        assert!(windows.contains_key(&address(2 * MOST_ADDRESSES as u32 - 1)) && !windows.contains_key(&address(0)));
    }
}
