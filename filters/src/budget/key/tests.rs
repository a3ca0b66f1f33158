use super::*;
use crate::{
    api::{CommandState, SessionStatus},
    fakes::{Request, command, session},
};
use proptest::prelude::*;
use serde_json::json;

fn parse(expressions: &[&str]) -> Result<Key, Vec<ConfigProblem>> {
    Key::parse(&expressions.iter().map(|&expression| expression.to_owned()).collect::<Vec<_>>())
}

fn key_of(expressions: &[&str], request: &mut Request) -> String {
    parse(expressions).unwrap().of("r", &request.exchange())
}

fn key_of_body(expression: &str, document: Value) -> String {
    let mut request = Request::get("/");
    request.facts.json = Some(document);
    key_of(&[expression], &mut request)
}

#[test]
fn each_source_is_read() {
    let mut request = Request::with_command(CommandState::Decoded(command().into()));
    request.facts.session = Some(session(SessionStatus::Active).into());
    request.facts.json = Some(json!({ "email": "a@b", "user": { "id": 7 } }));
    request.headers.insert("x-api-key", "k".parse().unwrap());
    for (expressions, key) in [
        (&["client.ip"][..], "r|192.0.2.1"),
        (&["session.id"], "r|9=session-1"),
        (&["session.user_id", "message.type"], "r|6=user-1|16=user.account.get"),
        (&["route"], "r|7=route-1"),
        (&["header.X-Api-Key"], "r|1=k"),
        (&["body.email", "body.user.id"], "r|3=a@b|1=7"),
        (&["body.user"], "r-"),
        (&["body.email.domain"], "r-"),
        (&["client.ip", "body.phone"], "r-"),
        (&["header.x-other"], "r-"),
    ] {
        assert_eq!(key_of(expressions, &mut request), key, "{expressions:?}");
    }
    let mut bare = Request::get("/");
    for expression in ["session.id", "session.user_id", "message.type", "body.email"] {
        assert_eq!(key_of(&[expression], &mut bare), "r-", "{expression}");
    }
}

#[test]
fn addresses_spend_as_their_owners_do() {
    for (address, key) in [
        ("192.0.2.1", "r|192.0.2.1"),
        ("::ffff:192.0.2.1", "r|192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "r|2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "r|2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "r|2001:db8:1:3::/64"),
    ] {
        let mut request = Request { client_ip: address.parse().unwrap(), ..Request::get("/") };
        assert_eq!(key_of(&["client.ip"], &mut request), key);
    }
    for (part, key) in [
        ("client.ip/32", "r|2001:db8::/32"),
        ("client.ip/56", "r|2001:db8:1:200::/56"),
        ("client.ip/128", "r|2001:db8:1:2ff::1/128"),
    ] {
        let mut request = Request { client_ip: "2001:db8:1:2ff::1".parse().unwrap(), ..Request::get("/") };
        assert_eq!(key_of(&[part], &mut request), key);
    }
}

#[test]
fn spellings_of_one_value_are_one_key() {
    let email = |text: &str| key_of_body("body.v|trim|lower", json!({ "v": text }));
    for spellings in [
        &["a@b.c", " A@B.C\t", "\u{a0}a@b.c\u{2003}\n"][..],
        &["jos\u{e9}@b", "JOS\u{c9}@B", "jose\u{301}@b", "JOSE\u{301}@B"],
        &["\u{130}@b", "I\u{307}@b"],
        &["\u{212b}@b", "\u{c5}@b", "a\u{30a}@b"],
    ] {
        for spelling in spellings {
            assert_eq!(email(spelling), email(spellings[0]), "{spelling:?}");
        }
    }
    assert_ne!(key_of_body("body.v", json!({ "v": "A" })), key_of_body("body.v", json!({ "v": "a" })));
    assert_ne!(key_of_body("body.v|lower", json!({ "v": " a" })), key_of_body("body.v|lower", json!({ "v": "a" })));

    let number = |text: &str| key_of_body("body.v", serde_json::from_str(&format!("{{\"v\":{text}}}")).unwrap());
    for spelling in ["1.0", "1e0", "10e-1", "\"1\""] {
        assert_eq!(number(spelling), number("1"), "{spelling}");
    }
    assert_eq!(number("-0.0"), number("0"));
    assert_ne!(number("1.5"), number("1"));
    for no_key in ["null", "true", "[1]", "{}"] {
        assert_eq!(number(no_key), "r-", "{no_key}");
    }
}

#[test]
fn a_header_counts_only_where_it_is_one() {
    let mut request = Request::get("/");
    request.headers.append("x-api-key", "a".parse().unwrap());
    request.headers.append("x-api-key", "b".parse().unwrap());
    assert_eq!(key_of(&["header.x-api-key"], &mut request), "r-");
    request.headers.insert("x-api-key", http::HeaderValue::from_bytes(b"\xff").unwrap());
    assert_eq!(key_of(&["header.x-api-key"], &mut request), "r-");
}

#[test]
fn long_text_is_counted_by_its_hash() {
    let key = |text: String| key_of_body("body.v", json!({ "v": text }));
    assert_eq!(key("x".repeat(64)).len(), 69);
    let long = key("x".repeat(100_000));
    assert_eq!(long.len(), 67);
    assert_ne!(long, key("x".repeat(100_001)));
    assert_ne!(key(long.clone()), long, "a hash that is sent as text is not the text that it is of");
}

#[test]
fn problems_say_what_to_write() {
    for (expression, remedy) in [
        ("client.ipp", "did you mean client.ip?"),
        ("client.ip/31", "write client.ip/56"),
        ("client.ip/129", "write client.ip/56"),
        ("client.ip/x", "write client.ip/56"),
        ("session.userid", "did you mean session.user_id?"),
        ("email", "write one of client.ip"),
        ("", "write one of"),
        ("header.", "write it as in header.x-api-key"),
        ("header.a b", "write it as in header.x-api-key"),
        ("body.", "write it as in body.user.email"),
        ("body.a..b", "write it as in body.user.email"),
        ("body.email|upper", "write |trim, |lower or |trim|lower"),
        ("body.email|", "write |trim"),
        ("client.ip|lower", "leave it out"),
    ] {
        let problems = parse(&["route", expression]).unwrap_err();
        assert_eq!(problems[0].pointer, "/key/1");
        assert!(problems[0].remedy.contains(remedy), "{expression}: {problems:?}");
    }
    assert_eq!(parse(&[]).unwrap_err()[0].pointer, "/key");
    assert_eq!(parse(&["route"; 9]).unwrap_err()[0].pointer, "/key");
}

#[test]
fn a_key_knows_what_it_needs() {
    let needs = |body, session, envelope| Needs { body, session, envelope };
    for (expressions, expected) in [
        (&["client.ip", "route", "header.a"][..], needs(false, false, false)),
        (&["body.email"], needs(true, false, false)),
        (&["session.id"], needs(false, true, false)),
        (&["session.user_id", "message.type"], needs(false, true, true)),
    ] {
        assert_eq!(parse(expressions).unwrap().needs(), expected, "{expressions:?}");
    }
}

proptest! {
    /// Two callers are counted together only if every part of them is the same.
    #[test]
    fn keys_are_injective(
        a in proptest::array::uniform2("[a|=#0-9-]{0,6}|.{0,80}"),
        b in proptest::array::uniform2("[a|=#0-9-]{0,6}|.{0,80}"),
    ) {
        let key = |[v, w]: &[String; 2]| {
            let mut request = Request::get("/");
            request.facts.json = Some(json!({ "v": v, "w": w }));
            key_of(&["body.v", "body.w"], &mut request)
        };
        prop_assert_eq!(key(&a) == key(&b), a == b);
        prop_assert!(key(&a) != "r-");
    }
}
