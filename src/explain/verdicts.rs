//! What each filter of a chain said, by the entries of the configuration.

use super::considered::place;
use super::explanation::{Judged, Place, Standing};
use crate::{
    edge::offline::carried,
    plan::{Plan, Target},
    printable::escaped,
};
use filters::{
    api::{Halt, HeaderEdit, Refusal},
    chain::{Verdict, runs},
    table::FilterConfig,
};

/// What was said at which place of the built chain.
pub(super) type Said = (usize, Verdict);

/// What of a filter's change goes out to the target's backend.
type Carried = fn(&HeaderEdit) -> Option<HeaderEdit>;

/// The verdicts of a route's chain. `lacks` says what a lookup would have needed that is not here.
pub(super) fn verdicts(plan: &Plan, route: usize, said: &[Said], lacks: Option<&str>) -> Vec<Judged> {
    let placed = plan.loaded.filters(route);
    let configs: Vec<&FilterConfig> = placed.iter().map(|placed| placed.filter).collect();
    let carried: Carried = match plan.routes.get(route).map(|route| &route.target) {
        Some(Target::Commands(_)) => carried,
        _ => |edit| Some(edit.clone()),
    };
    let mut judged = Vec::new();
    let mut entries = placed.iter();
    for (built, run) in runs(&configs).enumerate() {
        let verdict = said.iter().find(|(place, _)| *place == built).map(|(_, verdict)| verdict);
        let mut is_over = false;
        for entry in entries.by_ref().take(run.len()) {
            let filter = entry.filter.name();
            let at = place(plan, &entry.pointer(route));
            judged.push(match verdict {
                None => Judged { filter, at, verdict: Standing::NotReached, notes: Vec::new() },
                Some(verdict) => of_entry((filter, at), run, (verdict, carried), &mut is_over, lacks),
            });
        }
    }
    judged
}

/// Says of the filter that lets the least of a body pass that it was too large: it was found by whoever read it.
pub(super) fn blame_body(plan: &Plan, route: usize, judged: &mut [Judged], why: String) {
    let placed = plan.loaded.filters(route);
    let limits = placed.iter().enumerate().filter_map(|(index, placed)| match placed.filter {
        FilterConfig::body(config) => Some((config.max.bytes(), index)),
        _ => None,
    });
    if let Some(body) = limits.min().and_then(|(_, index)| judged.get_mut(index)) {
        body.verdict = Standing::Refused;
        body.notes = vec![why];
    }
}

/// Filters that decide together give one verdict; it is told of the one that stopped the request.
fn of_entry(
    (filter, at): (&'static str, Place),
    run: &[&FilterConfig],
    (verdict, carried): (&Verdict, Carried),
    is_over: &mut bool,
    lacks: Option<&str>,
) -> Judged {
    let halt = match &verdict.outcome {
        Err(halt) if verdict.filter == filter => halt,
        Err(_) if *is_over => return Judged { filter, at, verdict: Standing::NotReached, notes: Vec::new() },
        Ok(()) | Err(_) => return Judged { filter, at, verdict: Standing::Passed, notes: changes(verdict, carried) },
    };
    *is_over = true;
    let (standing, mut notes) = match halt {
        Halt::Faulted(_) if verdict.is_waived => {
            (Standing::Waived, vec!["it could not decide, and `on_fault: pass` lets the request pass".to_owned()])
        }
        Halt::Faulted(refusal) => match lacks {
            Some(lacks) => (Standing::Undecided, vec![lacks.to_owned()]),
            None => (Standing::Refused, vec![refused(refusal)]),
        },
        Halt::Refused(refusal) => (Standing::Refused, vec![refused(refusal)]),
        Halt::Answered(status) => (Standing::Answered, vec![format!("with {status}")]),
    };
    if run.iter().filter(|config| config.name() == filter).count() > 1 {
        notes.push("the budgets next to each other are asked together: it is one of these".to_owned());
    }
    notes.extend(changes(verdict, carried));
    Judged { filter, at, verdict: standing, notes }
}

/// What was wrong, and what of it only the operator is told.
pub(super) fn detail(refusal: &Refusal) -> String {
    match &refusal.fault {
        Some(fault) => escaped(&format!("{}: {fault}", refusal.detail)).into_owned(),
        None => refusal.detail.clone().into_owned(),
    }
}

fn refused(refusal: &Refusal) -> String {
    let retry = refusal.retry_after_seconds.map(|seconds| format!("; it may pass in {seconds} s"));
    format!("{}: {}{}", refusal.reason.as_str(), detail(refusal), retry.unwrap_or_default())
}

fn changes(verdict: &Verdict, carried: Carried) -> Vec<String> {
    let told = |edit: &HeaderEdit, whom: &str| match edit {
        HeaderEdit::Set(name, value) => format!("sets {name}: {} {whom}", shown(value)),
        HeaderEdit::Append(name, value) => format!("adds {name}: {} {whom}", shown(value)),
        HeaderEdit::Remove(name) => format!("removes {name} {whom}"),
    };
    let to_backend = verdict.to_backend.iter().filter_map(carried).map(|edit| told(&edit, "to the backend"));
    to_backend.chain(verdict.to_client.iter().map(|edit| told(edit, "to the client"))).collect()
}

fn shown(value: &http::HeaderValue) -> String {
    escaped(&String::from_utf8_lossy(value.as_bytes())).into_owned()
}
