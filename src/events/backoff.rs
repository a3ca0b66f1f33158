//! How long to wait before a stream is opened again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

/// Doubles with each failure, with full jitter: after a restart those who lost a stream come back spread out.
pub struct Backoff {
    ceiling: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    /// The shortest waits first.
    #[must_use]
    pub fn new(random: fastrand::Rng) -> Self {
        Self { ceiling: FIRST, random }
    }

    /// The next wait: anything up to the ceiling, which doubles.
    pub fn wait(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = (ceiling * 2).min(MOST);
        ceiling.mul_f64(self.random.f64())
    }

    /// All is well again.
    pub fn reset(&mut self) {
        self.ceiling = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_ten_seconds_with_full_jitter() {
        let waits = |seed| {
            let mut backoff = Backoff::new(fastrand::Rng::with_seed(seed));
            std::iter::repeat_with(move || backoff.wait()).take(12).collect::<Vec<_>>()
        };
        let ceilings = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000, 10_000];
        let all: Vec<_> = (0..500).map(waits).collect();
        for (step, ceiling) in ceilings.map(Duration::from_millis).into_iter().enumerate() {
            let longest = all.iter().map(|waits| waits[step]).max().unwrap();
            let shortest = all.iter().map(|waits| waits[step]).min().unwrap();
            assert!(longest <= ceiling && longest > ceiling.mul_f64(0.95), "{step}: {longest:?}");
            assert!(shortest < ceiling.mul_f64(0.05), "{step}: {shortest:?}");
        }
        let mut backoff = Backoff::new(fastrand::Rng::with_seed(1));
        assert!((0..20).any(|_| backoff.wait() > MOST / 2));
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
