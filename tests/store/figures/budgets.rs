//! A strict budget grants what it says and no more.

use super::*;

const KEYS: usize = 100;
const HOUR: Duration = Duration::from_secs(3600);

/// The least of these refuses, and it is another one for every second caller.
fn limits(key: usize) -> [u64; 3] {
    let limit = u64::try_from(sized(1000)).unwrap();
    [limit, if key.is_multiple_of(2) { 2 * limit } else { limit / 2 }, 3 * limit]
}

fn charges(key: usize) -> Vec<Charge> {
    let rules = ["hour", "day", "week"].into_iter().zip([HOUR, 24 * HOUR, 168 * HOUR]).zip(limits(key));
    rules
        .map(|((rule, window), limit)| Charge { key: format!("{rule}|{key}"), ..charge(rule, limit, window) })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes of load: ops/bench/stores runs it"]
async fn contended_claims_are_granted_exactly_to_the_limit() {
    let (redis, claims) = (Redis::start(), sized(1_000_000));
    let both = Arc::new([connected(at(&redis)).await, connected(at(&redis)).await]);
    let granted: Arc<Vec<AtomicUsize>> = Arc::new((0..KEYS).map(|_| AtomicUsize::default()).collect());
    let (instances, counts, begun) = (Arc::clone(&both), Arc::clone(&granted), Instant::now());
    each(claims, move |number| {
        let (instances, counts) = (Arc::clone(&instances), Arc::clone(&counts));
        async move {
            // Neighbours in time are claims of the same caller, on one instance and the other.
            let key = number / TASKS % KEYS;
            match instances[number % 2].spends(&charges(key)).await {
                Claimed::Granted(_) => drop(counts[key].fetch_add(1, Relaxed)),
                claimed => assert!(matches!(claimed, Claimed::Exhausted(_)), "{claimed:?}"),
            }
        }
    })
    .await;
    let rate = claims as f64 / begun.elapsed().as_secs_f64();
    let granted: Vec<u64> = granted.iter().map(|granted| granted.load(Relaxed) as u64).collect();
    let exact: Vec<u64> = (0..KEYS).map(|key| limits(key).into_iter().min().unwrap()).collect();
    let over: u64 = granted.iter().zip(&exact).map(|(granted, limit)| granted.saturating_sub(*limit)).sum();
    let what = format!("over-grants in {claims} contended claims of {KEYS} callers, three rules each, two instances");
    report(&what, &over.to_string(), "0", over == 0);
    note("of them granted: the sum of the callers' limits", &granted.iter().sum::<u64>().to_string());
    note("claims a second", &format!("{rate:.0}"));
    assert_eq!(granted, exact);
}
