//! How many file descriptors there are, and how many of them connections may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Descriptors that connections leave alone: the journal's and the lake's files, connections to a store, standard
/// streams, timers, health and metrics.
const OWN: u64 = 96;
/// However few there are, each listener lets that many connections in: what is short then is refused when it is opened.
const LEAST: u64 = 16;

/// Asks for as many descriptors as the configured connections need, and lowers the connections of both receivers to
/// what there is: beyond it a listener closes its idlest connection, instead of taking what the journal needs.
pub fn fit(config: &mut Config) {
    let wanted = config.grpc.limits.connections + config.http.limits.connections;
    let limit = raise(OWN + wanted as u64);
    let each = share(limit);
    let bounds = [&mut config.grpc.limits.connections, &mut config.http.limits.connections];
    let lowered = bounds.into_iter().filter(|bound| **bound > each).map(|bound| *bound = each).count();
    if lowered > 0 {
        tracing::warn!(
            descriptors = limit,
            connections = each,
            "the process may open few files (RLIMIT_NOFILE): so many connections are let in at each receiver; raise \
             the limit (LimitNOFILE, ulimit -n) for more"
        );
    }
}

/// The limit on open files, after it was raised to `wanted` as far as the system lets it.
fn raise(wanted: u64) -> u64 {
    let limits = getrlimit(Resource::Nofile);
    let Some(now) = limits.current.filter(|now| *now < wanted) else { return limits.current.unwrap_or(u64::MAX) };
    let target = limits.maximum.map_or(wanted, |most| most.min(wanted));
    match setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum: limits.maximum }) {
        Ok(()) => target,
        Err(_) => now,
    }
}

/// What one of two listeners may take of `limit` descriptors.
fn share(limit: u64) -> usize {
    usize::try_from((limit.saturating_sub(OWN) / 2).max(LEAST)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_journal_and_the_lake() {
        assert_eq!(share(256), 80);
        assert_eq!(share(1024), 464);
        assert_eq!(share(64), LEAST as usize);
        assert!(share(u64::MAX) > 1 << 40);
    }

    #[test]
    fn the_limit_is_never_lowered() {
        let before = getrlimit(Resource::Nofile).current;
        assert_eq!(Some(raise(1)), before.or(Some(u64::MAX)));
        assert_eq!(getrlimit(Resource::Nofile).current, before);
    }
}
