//! The hub beside a reference that keeps everything and copies it: on random schedules both give the same.

use super::*;

const DEVICES: [&str; 3] = ["ann/phone", "ann/tablet", "bob/phone"];
const AUDIENCES: [&str; 6] = ["", "ann", "bob", "ann/phone", "/ann/tablet", "eve"];
const HISTORY: usize = 4;
const QUEUE: usize = 3;

/// What was published. A gap is for everybody.
#[derive(Clone)]
struct Logged {
    to: &'static str,
    id: String,
    /// Of those with the same value only the latest is wanted.
    value: Option<u8>,
}

#[derive(Default)]
struct Reference {
    log: Vec<Logged>,
    /// Nothing is resumed from a position ahead of this place in the log.
    whole_from: usize,
}

/// A stream of the reference: where it is in the log, and whether it was ended.
struct Expected {
    at: usize,
    /// From here on what comes has to wait in the queue.
    queued_from: usize,
    is_ended: bool,
}

fn is_for(to: &str, device: &str) -> bool {
    let to = to.trim_start_matches('/');
    to.is_empty() || to == device || device.split('/').next() == Some(to)
}

impl Reference {
    fn publish(&mut self, logged: Logged, streams: &mut [(usize, Subscriber, Expected)]) {
        self.log.push(logged);
        self.whole_from = self.whole_from.max(self.log.len().saturating_sub(HISTORY));
        for (device, _, expected) in streams {
            let from = expected.at.max(expected.queued_from);
            expected.is_ended |= wanted(&self.log[from..], DEVICES[*device]).count() > QUEUE;
        }
    }

    /// The place after a position, where everything since is held.
    fn after(&self, position: &str) -> Option<usize> {
        let place = self.log.iter().position(|logged| logged.id == position)? + 1;
        Some(place).filter(|place| *place >= self.whole_from)
    }
}

/// The places of what a device is to be given of a part of the log.
fn wanted<'a>(log: &'a [Logged], device: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_meant = move |logged: &Logged| is_for(logged.to, device);
    let gives_way = move |place: usize, value: Option<u8>| {
        value.is_some() && log[place + 1..].iter().any(|later| is_meant(later) && later.value == value)
    };
    let places = log.iter().enumerate();
    places.filter(move |(place, logged)| is_meant(logged) && !gives_way(*place, logged.value)).map(|(place, _)| place)
}

fn take_one(device: usize, stream: &mut Subscriber, expected: &mut Expected, log: &[Logged]) {
    let found = match stream.try_next() {
        Some(Delivery::Event(encoded)) => Some(encoded.event.position.clone()),
        Some(Delivery::End(reason)) => Some(format!("{reason:?}")),
        Some(Delivery::Heartbeat) => panic!("there is no timer"),
        None => None,
    };
    // What was missed and what is queued are two: neither takes a place in the other.
    let missed = log.get(expected.at..expected.queued_from).unwrap_or_default();
    let queued_from = expected.at.max(expected.queued_from);
    let mut next = wanted(missed, DEVICES[device]).map(|place| place + expected.at);
    let mut queued = wanted(&log[queued_from..], DEVICES[device]).map(|place| place + queued_from);
    let wanted = match next.next().or_else(|| queued.next()) {
        _ if expected.is_ended => Some("ConsumerTooSlow".to_owned()),
        Some(place) => {
            expected.at = place + 1;
            Some(log[place].id.clone())
        }
        None => None,
    };
    assert_eq!(found, wanted);
}

fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let limits = HubLimits { history_events_max: HISTORY, queue_events_max: QUEUE, ..limits() };
    let values = KindOptions { coalesce: Some(vec![vec!["value".to_owned()]]), min_interval: None };
    let (hub, mut publisher) = with_kinds(limits, &[("values".to_owned(), values)].into(), Arc::new(()));
    let mut reference = Reference::default();
    let mut streams: Vec<(usize, Subscriber, Expected)> = Vec::new();
    for step in 0..40 {
        let id = format!("{step}");
        match random.u8(0..10) {
            0..4 => {
                let to = AUDIENCES[random.usize(..AUDIENCES.len())];
                let value = random.bool().then(|| random.u8(0..2));
                match value {
                    Some(value) => {
                        let payload = format!(r#"{{"value":{value}}}"#).into();
                        let event = ClientEvent { kind: "values".to_owned(), payload, ..pushed(to, &id) };
                        publisher.event(event, &id).unwrap();
                    }
                    None => publish(&mut publisher, to, &id),
                }
                reference.publish(Logged { to, id, value }, &mut streams);
            }
            4 if random.bool() => {
                publisher.lost(Some(&id));
                reference.publish(Logged { to: "", id, value: None }, &mut streams);
                reference.whole_from = reference.log.len();
            }
            4..6 => {
                let device = random.usize(..DEVICES.len());
                let position = random.usize(..step + 1).to_string();
                let (stream, is_resumed) = resumed(&hub, DEVICES[device], &position);
                let after = reference.after(&position);
                assert_eq!(is_resumed, after.is_some(), "seed {seed}, step {step}, position {position}");
                let end = reference.log.len();
                streams.push((
                    device,
                    stream,
                    Expected { at: after.unwrap_or(end), queued_from: end, is_ended: false },
                ));
            }
            6 if !streams.is_empty() => drop(streams.swap_remove(random.usize(..streams.len()))),
            _ if !streams.is_empty() => {
                let at = random.usize(..streams.len());
                let (device, stream, expected) = &mut streams[at];
                take_one(*device, stream, expected, &reference.log);
            }
            _ => {}
        }
    }
    for (device, stream, expected) in &mut streams {
        for _ in 0..=HISTORY + QUEUE {
            take_one(*device, stream, expected, &reference.log);
        }
    }
}

#[test]
fn random_schedules_give_what_the_reference_gives() {
    for seed in 0..1_000 {
        run(seed);
    }
}

/// As many as the quality bar asks for: minutes.
#[test]
#[ignore = "minutes"]
fn a_million_random_schedules_give_what_the_reference_gives() {
    for seed in 0..1_000_000 {
        run(seed);
    }
}
