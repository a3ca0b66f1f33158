//! The hub beside a reference that keeps everything and copies it: on random schedules both give the same.

use super::*;

const DEVICES: [&str; 3] = ["ann/phone", "ann/tablet", "bob/phone"];
const AUDIENCES: [&str; 6] = ["", "ann", "bob", "ann/phone", "/ann/tablet", "eve"];
const HISTORY: usize = 4;
const QUEUE: usize = 3;

/// What was published: whom it was for, and its id. A gap is for everybody.
#[derive(Default)]
struct Reference {
    log: Vec<(&'static str, String)>,
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
    fn publish(&mut self, to: &'static str, id: String, streams: &mut [(usize, Subscriber, Expected)]) {
        self.log.push((to, id));
        self.whole_from = self.whole_from.max(self.log.len().saturating_sub(HISTORY));
        for (device, _, expected) in streams {
            let from = expected.at.max(expected.queued_from);
            let queued = self.log[from..].iter().filter(|(to, _)| is_for(to, DEVICES[*device])).count();
            expected.is_ended |= queued > QUEUE;
        }
    }

    /// The place after a position, where everything since is held.
    fn after(&self, position: &str) -> Option<usize> {
        let place = self.log.iter().position(|(_, id)| id == position)? + 1;
        Some(place).filter(|place| *place >= self.whole_from)
    }
}

fn take_one(device: usize, stream: &mut Subscriber, expected: &mut Expected, log: &[(&str, String)]) {
    let found = match stream.try_next() {
        Some(Delivery::Event(encoded)) => Some(encoded.event.position.clone()),
        Some(Delivery::End(reason)) => Some(format!("{reason:?}")),
        Some(Delivery::Heartbeat) => panic!("there is no timer"),
        None => None,
    };
    let next = log[expected.at..].iter().position(|(to, _)| is_for(to, DEVICES[device]));
    let wanted = match next {
        _ if expected.is_ended => Some("ConsumerTooSlow".to_owned()),
        Some(skipped) => {
            expected.at += skipped + 1;
            Some(log[expected.at - 1].1.clone())
        }
        None => None,
    };
    assert_eq!(found, wanted);
}

fn run(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (hub, mut publisher) = hub(HubLimits { history_events_max: HISTORY, queue_events_max: QUEUE, ..limits() });
    let mut reference = Reference::default();
    let mut streams: Vec<(usize, Subscriber, Expected)> = Vec::new();
    for step in 0..40 {
        let id = format!("{step}");
        match random.u8(0..10) {
            0..4 => {
                let to = AUDIENCES[random.usize(..AUDIENCES.len())];
                publish(&mut publisher, to, &id);
                reference.publish(to, id, &mut streams);
            }
            4 if random.bool() => {
                publisher.lost(Some(&id));
                reference.publish("", id, &mut streams);
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
