use super::{
    super::{
        nearest::{one_of, remedy},
        source::{Expected, Route, Test, TestCommand, TestRequest, TestStep},
        tree::join,
    },
    Checks,
};
use filters::{api::Reason, table::NAMES};
use std::{collections::HashMap, net::IpAddr};

const TESTS_MAX: usize = 1_000;
const STEPS_MAX: usize = 100;
/// Requests of all tests together: a minute's work at the most.
const REQUESTS_MAX: u64 = 100_000;

/// A step, in whichever of the two forms it is written.
struct Step<'a> {
    pointer: String,
    request: Option<&'a TestRequest>,
    command: Option<&'a TestCommand>,
    expect: Option<&'a Expected>,
}

impl<'a> Checks<'a> {
    /// Whether tests are such as can be run. What they come to is for `portcullis test`.
    pub(super) fn tests(&mut self) {
        let config = self.config;
        if config.tests.len() > TESTS_MAX {
            self.error("/tests", format!("there are more than {TESTS_MAX} tests"), "keep the ones that tell something");
            return;
        }
        let mut names = HashMap::new();
        let mut requests = 0;
        for (index, test) in config.tests.iter().enumerate() {
            let pointer = format!("/tests/{index}");
            if test.name.trim().is_empty() || test.name.len() > 200 || test.name.contains(char::is_control) {
                let remedy = "write what holds, in up to 200 characters of one line";
                self.error(format_args!("{pointer}/name"), "the test has no name that can be shown", remedy);
            }
            if let Some(first) = names.insert(test.name.as_str(), index) {
                let line = self.line(&format!("/tests/{first}/name"));
                let what = format!("the name «{}» is taken by the test on line {line}", test.name);
                self.error(format_args!("{pointer}/name"), what, "give each test a name of its own");
            }
            for upstream in test.upstreams.keys() {
                self.known(join(&format!("{pointer}/upstreams"), upstream), "upstream", upstream, &config.upstreams);
            }
            for step in self.steps(&pointer, test) {
                self.step(&step);
            }
            let times = |times: Option<std::num::NonZeroU32>| u64::from(times.map_or(1, std::num::NonZeroU32::get));
            requests += times(test.times) + test.steps.iter().map(|step| times(step.times)).sum::<u64>();
        }
        if requests > REQUESTS_MAX {
            let what = format!("the tests come to {requests} requests");
            self.error("/tests", what, format!("lower `times`: {REQUESTS_MAX} in all are run"));
        }
    }

    fn steps(&mut self, pointer: &str, test: &'a Test) -> Vec<Step<'a>> {
        let Test { steps, request, command, times, expect, .. } = test;
        let is_short = request.is_some() || command.is_some() || times.is_some() || expect.is_some();
        if !steps.is_empty() && is_short {
            let remedy = "write them as one of the steps";
            self.error(format_args!("{pointer}/steps"), "`steps` stand beside the keys of a single one", remedy);
        }
        if steps.len() > STEPS_MAX {
            let what = format!("the test has more than {STEPS_MAX} steps");
            self.error(format_args!("{pointer}/steps"), what, "make several tests of it");
            return Vec::new();
        }
        if steps.is_empty() {
            let (request, command, expect) = (request.as_ref(), command.as_ref(), expect.as_ref());
            return vec![Step { pointer: pointer.to_owned(), request, command, expect }];
        }
        let step = |(index, step): (usize, &'a TestStep)| Step {
            pointer: format!("{pointer}/steps/{index}"),
            request: step.request.as_ref(),
            command: step.command.as_ref(),
            expect: Some(&step.expect),
        };
        steps.iter().enumerate().map(step).collect()
    }

    fn step(&mut self, step: &Step<'_>) {
        let Step { pointer, request, command, expect } = step;
        match (request, command) {
            (None, None) => {
                let remedy = "add `request: { get: /path }` or `command: { type: …, session: … }`";
                self.error(pointer, "nothing is sent here", remedy);
            }
            (Some(_), Some(_)) => {
                let what = "a step sends one request, and both `request` and `command` are given";
                self.error(format_args!("{pointer}/command"), what, "make two steps of it");
            }
            (Some(request), None) => self.request(&format!("{pointer}/request"), request),
            (None, Some(command)) => self.command(&format!("{pointer}/command"), command),
        }
        match expect {
            None => {
                let what = "nothing is expected here, so nothing could fail";
                self.error(pointer, what, "add `expect: { status: … }`");
            }
            Some(expected) => self.expected(&format!("{pointer}/expect"), expected),
        }
    }

    fn request(&mut self, pointer: &str, request: &TestRequest) {
        match request.asked().as_slice() {
            [] => self.error(pointer, "the request has no method", "add one with its path, such as `get: /path`"),
            [(method, path)] if !path.starts_with('/') && !path.contains("://") => {
                let remedy = format!("begin it with a slash: «/{path}»");
                self.error(format_args!("{pointer}/{method}"), format!("«{path}» is no path"), remedy);
            }
            [_] => {}
            [.., (last, _)] => {
                let given: Vec<&str> = request.asked().into_iter().map(|(method, _)| method).collect();
                let what = "the request has more than one method";
                self.error(format_args!("{pointer}/{last}"), what, format!("keep {}", one_of(&given)));
            }
        }
        if request.json.is_some() && request.body.is_some() {
            self.error(format_args!("{pointer}/body"), "the request has two bodies", "keep `json` or `body`");
        }
        self.sender(pointer, request.listener.as_deref(), self.config.only_listener(), request.from.as_deref());
        self.header_names(pointer, request.headers.keys());
    }

    fn command(&mut self, pointer: &str, command: &TestCommand) {
        let is_id = |id: &str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_id(&command.session) {
            let what = format!("«{}» is no id of a device session", command.session);
            self.error(format_args!("{pointer}/session"), what, "write 1 to 128 visible ASCII characters");
        }
        self.sender(pointer, command.listener.as_deref(), self.config.command_listener(), command.from.as_deref());
        self.header_names(pointer, command.headers.keys());
    }

    /// Whom a request comes from, and to which listener.
    fn sender(&mut self, pointer: &str, listener: Option<&str>, default: Option<&str>, from: Option<&str>) {
        let config = self.config;
        match listener.or(default) {
            Some(name) => self.known(format_args!("{pointer}/listener"), "listener", name, &config.listeners),
            None => {
                let serving = config.listeners.iter().filter(|(_, listener)| !listener.admin);
                let names: Vec<&str> = serving.map(|(name, _)| name.as_str()).collect();
                let remedy = format!("add `listener`: {}", one_of(&names));
                self.error(pointer, "it is not said to which listener this comes", remedy);
            }
        }
        if let Some(from) = from.filter(|from| from.parse::<IpAddr>().is_err()) {
            let what = format!("«{from}» is no address");
            self.error(format_args!("{pointer}/from"), what, "write an IP address, such as `192.0.2.1`");
        }
    }

    fn header_names<'n>(&mut self, pointer: &str, names: impl Iterator<Item = &'n String>) {
        for name in names {
            self.header_name(&join(&format!("{pointer}/headers"), name), name);
        }
    }

    fn expected(&mut self, pointer: &str, expected: &Expected) {
        let config = self.config;
        let Expected { status, reason, route, stopped_by, forward, headers, json, result_code } = expected;
        let is_empty = status.is_none() && reason.is_none() && route.is_none() && stopped_by.is_none();
        if is_empty && forward.is_none() && headers.is_empty() && json.is_none() && result_code.is_none() {
            self.error(pointer, "nothing is expected here, so nothing could fail", "add `status`, `reason` or another");
        }
        if let Some(reason) = reason.as_ref().filter(|word| Reason::ALL.iter().all(|known| known.as_str() != *word)) {
            let remedy = remedy(reason, "reasons", Reason::ALL.iter().map(|reason| reason.as_str()));
            self.error(format_args!("{pointer}/reason"), format!("there is no reason «{reason}»"), remedy);
        }
        if let Some(route) = route.as_ref().filter(|name| config.routes.iter().all(|route| route.name != **name)) {
            let names = config.routes.iter().enumerate();
            let written =
                |(index, route): (usize, &'a Route)| self.written(&format!("/routes/{index}/name"), &route.name);
            let names: Vec<&str> = names.map(written).collect();
            let remedy = remedy(route, "routes", names);
            self.error(format_args!("{pointer}/route"), format!("there is no route «{route}»"), remedy);
        }
        if let Some(filter) = stopped_by {
            self.filter_name(&format!("{pointer}/stopped_by"), filter);
        }
        self.header_names(pointer, headers.keys());
        if let Some(forward) = forward {
            let pointer = format!("{pointer}/forward");
            if let Some(upstream) = &forward.upstream {
                self.known(format_args!("{pointer}/upstream"), "upstream", upstream, &config.upstreams);
            }
            self.header_names(&pointer, forward.headers.keys());
        }
    }

    pub(super) fn filter_name(&mut self, pointer: &str, name: &str) {
        if !NAMES.contains(&name) {
            let remedy = remedy(name, "filters", NAMES.iter().copied());
            self.error(pointer, format!("there is no filter «{name}»"), remedy);
        }
    }
}
