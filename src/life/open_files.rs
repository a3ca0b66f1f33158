//! How many sockets and files the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Beside connections that clients have opened and those that serve them: listeners, connections to backends that are
/// kept, stores, feeds, logs.
const SPARE: u64 = 1_024;

/// Raises the limit where it is too low for so many connections, as far as the system lets this process, and says so
/// where that is not far enough: what is over it waits to be accepted, and backends are out of reach. It is a warning where
/// somebody has asked for so many (`is_written`), and a note where that is the default.
pub(super) fn raise(connections_max: usize, is_written: bool) {
    let needed = needed(connections_max);
    let limit = getrlimit(Resource::Nofile);
    if reaches(limit, needed) {
        return;
    }
    // Whether it was raised is seen in the limit itself.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit { current: Some(limit.maximum.map_or(needed, |most| most.min(needed))), ..limit },
    );
    let limit = getrlimit(Resource::Nofile);
    if reaches(limit, needed) {
        return;
    }
    let limit = limit.current;
    if is_written {
        tracing::warn!(
            limit,
            needed,
            "too few files may be open for `connections.max`, each with one more to a backend: raise the hard limit \
             (`LimitNOFILE` of systemd, `ulimit -Hn`), or lower `connections.max`"
        );
    } else {
        tracing::info!(
            limit,
            needed,
            "fewer files may be open than the default of `connections.max` could need: write how many are expected, or \
             raise the hard limit (`LimitNOFILE` of systemd, `ulimit -Hn`)"
        );
    }
}

fn needed(connections_max: usize) -> u64 {
    u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(SPARE)
}

/// No limit is enough for everything.
fn reaches(limit: Rlimit, needed: u64) -> bool {
    limit.current.is_none_or(|current| current >= needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_may_need_another_to_a_backend() {
        for (connections, current, expected) in [
            (20_000, Some(41_024), true),
            (20_000, Some(41_023), false),
            (0, Some(1_024), true),
            (usize::MAX, Some(1 << 30), false),
            (usize::MAX, None, true),
        ] {
            let limit = Rlimit { current, maximum: None };
            assert_eq!(reaches(limit, needed(connections)), expected, "{connections} {current:?}");
        }
    }
}
