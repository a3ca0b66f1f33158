//! The suspicion that another instance uses the same `gateway_client_id`.

use super::end::End;
use std::time::Duration;
use tonic::Code;

/// A stream that a backend ends for another's does not live longer than the other's wait to come back.
const SHORT: Duration = Duration::from_secs(5);
/// After so long nobody else is there.
const CALM: Duration = Duration::from_secs(60);
/// Once or twice may be a deployment.
const SIGNS: u32 = 3;

/// Counts the signs of a second instance.
#[derive(Default)]
pub(super) struct Rival {
    signs: u32,
}

impl Rival {
    /// A stream has ended. True where the suspicion begins with it.
    pub(super) fn begins(&mut self, end: &End, stood: Duration, has_brought: bool) -> bool {
        if stood >= CALM {
            self.signs = 0;
        }
        let is_sign = is_conflict(end) || (end.is_by_backend && has_brought && stood < SHORT);
        self.signs += u32::from(is_sign);
        is_sign && self.signs == SIGNS
    }

    pub(super) fn is_suspected(&self) -> bool {
        self.signs >= SIGNS
    }
}

/// The backend says so itself.
pub(super) fn is_conflict(end: &End) -> bool {
    end.is_by_backend && matches!(end.code, Code::AlreadyExists | Code::Aborted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_the_third_sign() {
        let second = Duration::from_secs(1);
        let end = |is_by_backend, code| End { is_by_backend, code, why: String::new() };
        let check = |is_by_backend, code, stood, has_brought, expected: bool| {
            let mut rival = Rival::default();
            let mut begins = || rival.begins(&end(is_by_backend, code), stood, has_brought);
            assert_eq!([begins(), begins(), begins(), begins()], [false, false, expected, false], "{code:?} {stood:?}");
            assert_eq!(rival.is_suspected(), expected);
        };
        check(true, Code::Ok, second, true, true);
        check(true, Code::Unavailable, second, true, true);
        check(true, Code::AlreadyExists, Duration::ZERO, false, true);
        check(true, Code::Aborted, second * 30, false, true);
        check(true, Code::Ok, second, false, false);
        check(true, Code::Ok, second * 5, true, false);
        check(false, Code::Unavailable, second, true, false);
        check(false, Code::Aborted, second, false, false);
        check(true, Code::Aborted, second * 60, true, false);
    }
}
