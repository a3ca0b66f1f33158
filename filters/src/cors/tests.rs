use super::*;
use crate::{
    api::HeaderEdit,
    fakes::{Request, parts},
};
use std::collections::BTreeMap;

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap()
}

/// The outcome of a request with these headers, and the headers that its answer gets, over a backend that
/// opens itself to everybody.
fn check(config: &Config, method: &str, headers: &[(&'static str, &str)]) -> (Outcome, BTreeMap<String, String>) {
    let mut request = Request { method: method.parse().unwrap(), ..Request::get("/") };
    for (name, value) in headers {
        request.headers.append(*name, value.parse().unwrap());
    }
    let outcome = request.check_now(&*config.build(&parts()).unwrap());
    let mut answer = BTreeMap::from([("access-control-allow-origin".to_owned(), "*".to_owned())]);
    for edit in request.facts.downstream_headers.iter() {
        match edit {
            HeaderEdit::Set(name, value) | HeaderEdit::Append(name, value) => {
                answer.insert(name.to_string(), value.to_str().unwrap().to_owned())
            }
            HeaderEdit::Remove(name) => answer.remove(name.as_str()),
        };
    }
    (outcome, answer)
}

const APP: &str = "https://app.example.com";
const OTHER: &str = "https://app.example.com.evil.test";

#[test]
fn a_preflight_is_answered_without_the_backend() {
    let config = config("{ origins: ['https://app.example.com'], credentials: true, max_age: 1h }");
    let (outcome, answer) = check(&config, "OPTIONS", &[("origin", APP), ("access-control-request-method", "POST")]);
    assert_eq!(outcome, Err(Halt::Answered(StatusCode::NO_CONTENT)));
    assert_eq!(answer["access-control-allow-origin"], APP);
    assert_eq!(answer["access-control-allow-credentials"], "true");
    assert_eq!(answer["access-control-max-age"], "3600");
    assert!(answer["access-control-allow-methods"].contains("PATCH"));
    for needed in ["Connect-Protocol-Version", "X-Grpc-Web", "Content-Type"] {
        assert!(answer["access-control-allow-headers"].contains(needed), "{needed}");
    }
    assert!(answer["vary"].starts_with("Origin"));
}

#[test]
fn a_preflight_of_another_origin_is_refused() {
    let config = config("{ origins: ['https://app.example.com'] }");
    for origins in [&[("origin", OTHER)][..], &[("origin", "null")], &[("origin", APP), ("origin", OTHER)]] {
        let headers = [origins, &[("access-control-request-method", "POST")]].concat();
        let (outcome, answer) = check(&config, "OPTIONS", &headers);
        assert_eq!(outcome, Err(Refusal::new(Reason::OriginForbidden).into()), "{origins:?}");
        assert!(!answer.contains_key("access-control-allow-methods"));
    }
}

#[test]
fn a_call_passes_and_is_marked_for_its_origin_only() {
    let lax = config("{ origins: ['https://app.example.com'] }");
    let strict = Config { strict: true, ..lax.clone() };
    let forbidden = || Err(Refusal::new(Reason::OriginForbidden).into());
    for (config, origin, outcome, allowed) in [
        (&lax, Some(APP), Ok(()), Some(APP)),
        (&lax, Some(OTHER), Ok(()), None),
        (&lax, None, Ok(()), None),
        (&strict, Some(APP), Ok(()), Some(APP)),
        (&strict, Some(OTHER), forbidden(), None),
        (&strict, None, Ok(()), None),
    ] {
        let headers: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        let (got, answer) = check(config, "GET", &headers);
        assert_eq!(got, outcome, "{origin:?}");
        assert_eq!(answer.get("access-control-allow-origin").map(String::as_str), allowed, "{origin:?}");
        assert_eq!(answer.contains_key("access-control-expose-headers"), allowed.is_some());
        assert_eq!(answer["vary"], "Origin");
    }
}

#[test]
fn every_origin_may_where_that_is_said() {
    let config = config("{ origins: ['*'], expose: [Grpc-Status] }");
    let (outcome, answer) = check(&config, "GET", &[("origin", OTHER)]);
    assert_eq!(outcome, Ok(()));
    assert_eq!(answer["access-control-allow-origin"], "*");
    assert_eq!(answer["access-control-expose-headers"], "Grpc-Status");
    assert!(!answer.contains_key("vary"));
}

#[test]
fn options_that_is_no_preflight_is_a_call() {
    let config = config("{ origins: ['*'] }");
    assert_eq!(check(&config, "OPTIONS", &[("origin", APP)]).0, Ok(()));
    assert_eq!(check(&config, "OPTIONS", &[("access-control-request-method", "POST")]).0, Ok(()));
}

#[test]
fn problems_point_to_their_place() {
    for (yaml, pointers) in [
        ("{ origins: ['*'] }", &[][..]),
        ("{ origins: ['http://localhost:8080', 'https://[::1]:1'] }", &[]),
        ("{ origins: [] }", &["/origins"]),
        ("{ origins: ['*'], credentials: true }", &["/origins"]),
        ("{ origins: ['*', 'https://a.test'] }", &["/origins"]),
        (
            "{ origins: ['https://a.test/', 'a.test', 'null', 'https://A.test', 'https://*.a.test'] }",
            &["/origins/0", "/origins/1", "/origins/2", "/origins/3", "/origins/4"],
        ),
        (
            "{ origins: ['https://a.test'], methods: ['G ET'], headers: [a, 'b c'], expose: [''] }",
            &["/methods/0", "/headers/1", "/expose/0"],
        ),
        ("{ origins: ['https://a.test'], credentials: true, headers: ['*'] }", &["/headers/0"]),
    ] {
        let problems = config(yaml).problems();
        assert_eq!(problems.iter().map(|p| p.pointer.as_str()).collect::<Vec<_>>(), pointers, "{yaml}");
        assert_eq!(config(yaml).build(&parts()).is_err(), !pointers.is_empty(), "{yaml}");
    }
}
