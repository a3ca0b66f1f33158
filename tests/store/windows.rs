//! The windows of Redis are those of the memory store.

use super::*;
use filters::api::{Exhausted, Grant, RateState};
use std::collections::VecDeque;

/// A window as `filters::memory` counts, in microseconds.
#[derive(Default)]
struct Model {
    slots: VecDeque<(u64, u64, u64)>,
    spends: Vec<(u64, u64)>,
}

impl Model {
    fn release(&mut self, length: u64, now: u64) {
        while self.slots.front().is_some_and(|(_, last, _)| last + length <= now) {
            self.slots.pop_front();
        }
    }

    fn spent(&self) -> u64 {
        self.slots.iter().map(|(_, _, count)| count).sum()
    }

    fn spend(&mut self, length: u64, cost: u64, now: u64) {
        match self.slots.back_mut() {
            Some((first, last, count)) if now - *first < length.div_ceil(31) => (*last, *count) = (now, *count + cost),
            _ => self.slots.push_back((now, now, cost)),
        }
        self.spends.push((now, cost));
        assert!(self.slots.len() <= 32);
    }

    fn rate(&self, limit: u64, length: u64, now: u64) -> RateState {
        let whole_at = self.slots.back().map_or(now, |(_, last, _)| last + length);
        let reset_seconds = (whole_at - now).div_ceil(1_000_000);
        RateState { limit, remaining: limit.saturating_sub(self.spent()), reset_seconds }
    }

    fn wait(&self, limit: u64, length: u64, cost: u64, now: u64) -> u64 {
        let (mut spent, mut free_at) = (self.spent(), now);
        for (_, last, count) in &self.slots {
            if spent + cost <= limit {
                break;
            }
            (spent, free_at) = (spent - count, last + length);
        }
        free_at - now
    }

    fn refund(&mut self, cost: u64, at: u64) {
        let Some(place) = self.slots.iter().position(|(first, last, _)| (*first..=*last).contains(&at)) else { return };
        self.slots[place].2 = self.slots[place].2.saturating_sub(cost);
        if self.slots[place].2 == 0 {
            self.slots.remove(place);
        }
        if let Some(spend) = self.spends.iter().position(|spend| *spend == (at, cost)) {
            self.spends.remove(spend);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

/// What the models make of the same claim.
fn claimed(models: &mut [Model], charges: &[Charge], now: u64) -> Claimed {
    let mut longest: Option<(u64, Exhausted)> = None;
    let mut over = Vec::new();
    for (place, (model, charge)) in models.iter_mut().zip(charges).enumerate() {
        let length = micros(charge.window);
        model.release(length, now);
        if model.spent() + charge.cost <= charge.limit {
            continue;
        }
        let wait = model.wait(charge.limit, length, charge.cost, now);
        if charge.is_observed {
            over.push(place);
        } else if longest.as_ref().is_none_or(|(known, _)| wait > *known) {
            let rate = model.rate(charge.limit, length, now);
            let retry_after_seconds = wait.div_ceil(1_000_000).max(1);
            longest = Some((wait, Exhausted { charge: place, rate, retry_after_seconds }));
        }
    }
    if let Some((_, exhausted)) = longest {
        return Claimed::Exhausted(exhausted);
    }
    let mut rates = Vec::new();
    for (place, (model, charge)) in models.iter_mut().zip(charges).enumerate() {
        let length = micros(charge.window);
        if !over.contains(&place) {
            model.spend(length, charge.cost, now);
        }
        rates.push(model.rate(charge.limit, length, now));
    }
    Claimed::Granted(Grant { rates, over, receipt: filters::api::Receipt(Duration::from_micros(now)) })
}

fn random_charges(case: u64) -> Vec<Charge> {
    let one = |rule: u64| {
        let window = Duration::from_micros(fastrand::u64(1_000..20_000_000));
        let is_observed = fastrand::u8(..) < 64;
        Charge { is_observed, ..charge(&format!("{case}-{rule}"), fastrand::u64(1..30), window) }
    };
    (0..fastrand::u64(1..4)).map(one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_count_as_the_memory_store_does() {
    let redis = Redis::start();
    let time = ServerTime(&redis);
    let mut now = 1_800_000_000_000_000;
    time.set_us(now);
    let instance = begin(at(&redis), ServerTime::scripts());
    instance.is_up().await;
    let mut outcomes = [0; 3];
    for case in 0..12 {
        let seed = fastrand::u64(..);
        fastrand::seed(seed);
        let mut charges = random_charges(case);
        let mut models: Vec<Model> = charges.iter().map(|_| Model::default()).collect();
        let scale = micros(charges[0].window) / 10;
        for step in 0..120 {
            now += if fastrand::bool() { fastrand::u64(0..=scale) } else { fastrand::u64(0..=scale / 50) };
            time.set_us(now);
            for charge in &mut charges {
                charge.cost = fastrand::u64(1..=charge.limit.min(4) + u64::from(fastrand::u8(..) == 0));
            }
            let (got, expected) = (instance.spends(&charges).await, claimed(&mut models, &charges, now));
            assert_eq!(got, expected, "seed {seed}, case {case}, step {step}: {charges:?}");
            match got {
                Claimed::Granted(grant) if grant.over.is_empty() && fastrand::u8(..) < 40 => {
                    instance.refund(&charges, grant.receipt);
                    models.iter_mut().zip(&charges).for_each(|(model, charge)| model.refund(charge.cost, now));
                    outcomes[2] += 1;
                    until("the refund", async || (instance.metrics.calls("refund") == outcomes[2]).then_some(())).await;
                }
                Claimed::Granted(_) => outcomes[0] += 1,
                Claimed::Exhausted(_) => outcomes[1] += 1,
                Claimed::Replayed => panic!("nothing was to be reserved"),
            }
        }
        for (model, charge) in models.iter().zip(&charges) {
            for (from, _) in &model.spends {
                let until = from + micros(charge.window);
                let within: u64 =
                    model.spends.iter().filter(|(at, _)| (*from..until).contains(at)).map(|(_, cost)| cost).sum();
                assert!(within <= charge.limit, "seed {seed}: {within} of {charge:?}");
            }
        }
    }
    assert!(outcomes.iter().all(|times| *times > 10), "{outcomes:?}: not everything was tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_frees_nothing_and_holds_nobody_for_long() {
    let redis = Redis::start();
    let time = ServerTime(&redis);
    let (start, second) = (1_800_000_000_000_000, 1_000_000);
    time.set_us(start);
    let instance = begin(at(&redis), ServerTime::scripts());
    instance.is_up().await;
    let charges = [charge("r", 2, Duration::from_secs(10))];
    let is_granted = async || matches!(instance.spends(&charges).await, Claimed::Granted(_));
    assert!(is_granted().await && is_granted().await && !is_granted().await);
    let set_back = start - 3600 * second;
    for (after_s, expected) in [(0, false), (9, false), (10, true), (10, true), (10, false)] {
        time.set_us(set_back + after_s * second);
        assert_eq!(is_granted().await, expected, "after {after_s} s");
    }
}

/// Granted claims among `claims` of `instances` in parallel, on one budget.
async fn granted(instances: [&Instance; 2], charge: &Charge, claims: usize, in_parallel: usize) -> usize {
    let mut tasks = Vec::new();
    for task in 0..in_parallel {
        let (store, charge) = (Arc::clone(&instances[task % 2].store), charge.clone());
        tasks.push(tokio::spawn(async move {
            let claim = Claim { replay: None, charges: vec![charge] };
            let mut granted = 0;
            for _ in 0..claims / in_parallel {
                granted += usize::from(matches!(store.claim(&claim).get().await, Ok(Claimed::Granted(_))));
            }
            granted
        }));
    }
    let mut granted = 0;
    for task in tasks {
        granted += task.await.unwrap();
    }
    granted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_never_grant_more_than_the_limit() {
    let redis = Redis::start();
    let (one, other) = (connected(at(&redis)).await, connected(at(&redis)).await);
    let strict = charge("strict", 1_000, Duration::from_secs(3600));
    assert_eq!(granted([&one, &other], &strict, 20_000, 40).await, 1_000);
    assert_eq!(one.metrics.calls("granted") + other.metrics.calls("granted"), 1_000);
    assert_eq!(one.metrics.calls("exhausted") + other.metrics.calls("exhausted"), 19_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_one_call_and_all_or_nothing() {
    let redis = Redis::start();
    let instance = connected(at(&redis)).await;
    let hour = Duration::from_secs(3600);
    let charges = vec![charge("a", 5, hour), charge("b", 3, hour), charge("c", 9, hour)];
    let claim = |id: &str| Claim { replay: Some(replay(id, now_ms())), charges: charges.clone() };
    let remaining = |claimed: Claimed| match claimed {
        Claimed::Granted(grant) => grant.rates.iter().map(|rate| rate.remaining).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    until("the millisecond after the fence", async || {
        matches!(instance.claim(&claim("hold")).get().await, Ok(Claimed::Granted(_))).then_some(())
    })
    .await;
    let (before, beats) = (redis.calls("evalsha"), instance.metrics.calls("heartbeat"));
    assert_eq!(remaining(instance.claim(&claim("1")).get().await.unwrap()), [3, 1, 7]);
    assert_eq!(instance.claim(&claim("1")).get().await, Ok(Claimed::Replayed), "told ahead of the budget, and free");
    assert_eq!(remaining(instance.claim(&claim("2")).get().await.unwrap()), [2, 0, 6]);
    assert_eq!(instance.claim(&claim("1")).get().await, Ok(Claimed::Replayed), "also where the budget is exhausted");
    let Ok(Claimed::Exhausted(exhausted)) = instance.claim(&claim("3")).get().await else { panic!("over its limit") };
    assert_eq!((exhausted.charge, exhausted.rate.remaining, exhausted.retry_after_seconds), (1, 0, 3600));
    let Claimed::Granted(grant) = instance.spends(&charges[..1]).await else { panic!("nothing was spent of it") };
    assert_eq!(grant.rates[0].remaining, 1);
    let beats = instance.metrics.calls("heartbeat") - beats;
    let calls = redis.calls("evalsha") - before;
    assert!((6..=7).contains(&(calls - beats)), "{calls} calls for 6 claims, {beats} heartbeats among them");
    assert!(instance.reserves("3", now_ms()).await, "an exhausted claim burns no id");
}
