use super::{decode::is_pchar, *};
use proptest::prelude::*;

fn parse(raw: &str) -> Option<CanonicalPath> {
    CanonicalPath::parse(raw.as_bytes()).ok()
}

#[test]
fn a_path_has_one_decoded_and_one_forwarded_form() {
    for (raw, decoded, encoded) in [
        ("/", "/", "/"),
        ("/a/b", "/a/b", "/a/b"),
        ("/a/b/", "/a/b/", "/a/b/"),
        ("/%61/b", "/a/b", "/a/b"),
        ("/a%20b", "/a b", "/a%20b"),
        ("/a|b", "/a|b", "/a%7Cb"),
        ("/%c3%a4", "/ä", "/%C3%A4"),
        ("/a%3fb%23c", "/a?b#c", "/a%3Fb%23c"),
        ("/a;v=1/b", "/a;v=1/b", "/a;v=1/b"),
        ("/a%3Bv=1/b", "/a;v=1/b", "/a%3Bv=1/b"),
        ("/c%2B%2B.rpm", "/c++.rpm", "/c%2B%2B.rpm"),
        ("/c++.rpm", "/c++.rpm", "/c++.rpm"),
        ("/a%40b%3Dc%26d%2Ce%24f", "/a@b=c&d,e$f", "/a%40b%3Dc%26d%2Ce%24f"),
        ("/%21%27%28%29%2a%3a", "/!'()*:", "/%21%27%28%29%2A%3A"),
        ("/%7Ea%2Db%5fc%2e", "/~a-b_c.", "/~a-b_c."),
        ("/100%25", "/100%", "/100%25"),
        ("/a/.hidden/..x/...", "/a/.hidden/..x/...", "/a/.hidden/..x/..."),
        ("/edge.v1.Gateway/ExecuteCommand", "/edge.v1.Gateway/ExecuteCommand", "/edge.v1.Gateway/ExecuteCommand"),
    ] {
        let path = parse(raw).unwrap_or_else(|| panic!("{raw} was refused"));
        assert_eq!((path.as_str(), path.encoded()), (decoded, encoded), "{raw}");
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for raw in [
        "",
        "a",
        "*",
        "http://a/b",
        "/a/../b",
        "/a/..",
        "/.",
        "/./a",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/a/%2e",
        "/a/..;/b",
        "/a/..;x=y/b",
        "/a/.;/b",
        "/a/%2e%2e%3b/b",
        "/a/..%20/b",
        "/a%2f..",
        "/a%2F../b",
        "/a/..%2fb",
        "/a%2f.;x",
        "/a%252f..",
        "/a%2525252541",
        "/a%2Fb;c",
        "/a%2Fb%3Bc",
        "/a//b;c",
        "/a%2541;c",
        "/a%2Fb%255cc",
        "/a%2500",
        "/a%25ff",
        "/a\\b",
        "/a%5cb",
        "/a%5Cb",
        "/a%00",
        "/a%0d%0aX:1",
        "/a%7f",
        "/a%c2%85",
        "/;x/a",
        "/a/;x/b",
        "/a/;x",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u002e",
        "/a/%252e%252e/b",
        "/%c0%ae%c0%ae/b",
        "/%ff",
        "/\u{e4}",
        "/a#b",
        "/a\tb",
        "/a\u{7f}",
    ] {
        let refusal = CanonicalPath::parse(raw.as_bytes()).expect_err(raw);
        assert_eq!(refusal.reason, Reason::RequestMalformed, "{raw}");
    }
    let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
    assert!(parse(&long).is_none());
    assert!(parse(long.strip_suffix('a').unwrap()).is_some());
}

#[test]
fn what_is_ambiguous_is_named_and_forwarded_as_it_came() {
    for (raw, kinds, decoded, encoded) in [
        ("/a%2fb", "slash", "/a%2Fb", "/a%2Fb"),
        ("/@scope%2Fname", "slash", "/@scope%2Fname", "/@scope%2Fname"),
        ("/q/%2F/c", "slash", "/q/%2F/c", "/q/%2F/c"),
        ("//", "double", "//", "//"),
        ("//a", "double", "//a", "//a"),
        ("/a//", "double", "/a//", "/a//"),
        ("/a///b", "double", "/a///b", "/a///b"),
        ("/a%2520b", "percent", "/a%20b", "/a%2520b"),
        ("/a%25%32%30b", "percent", "/a%20b", "/a%2520b"),
        ("/a%252Fb%2Fc//d", "slash double percent", "/a%2Fb%2Fc//d", "/a%252Fb%2Fc//d"),
        ("/%3Clogstash-%7Bnow%2Fd%7D%3E", "slash", "/<logstash-{now%2Fd}>", "/%3Clogstash-%7Bnow%2Fd%7D%3E"),
    ] {
        let path = parse(raw).unwrap_or_else(|| panic!("{raw} was refused"));
        let found = path.ambiguities().unwrap_or_default();
        let of = |is: bool, name: &'static str| is.then_some(name);
        let named =
            [of(found.encoded_slash, "slash"), of(found.double_slash, "double"), of(found.encoded_percent, "percent")];
        let named: Vec<&str> = named.into_iter().flatten().collect();
        assert_eq!((named.join(" ").as_str(), path.as_str(), path.encoded()), (kinds, decoded, encoded), "{raw}");
    }
}

#[test]
fn shut_prefixes_hold_for_every_spelling_that_a_backend_could_take_for_them() {
    let shut = Shut::new(["/api/v1/internal/", "/debug"]);
    for (raw, is_shut) in [
        ("/api/v1/internal/", true),
        ("/api/v1/internal", true),
        ("/api/v1/internal/sessions/1", true),
        ("/API/v1/Internal/x", true),
        ("/api/v1/%69nternal/x", true),
        ("/api/v1/internal;jsessionid=1/x", true),
        ("/api;a/v1;b/internal;c", true),
        ("/api/v1/internal./x", true),
        ("/api/v1/internal%20/x", true),
        ("/api/v1/%C4%B1nternal/x", true),
        ("/api%2Fv1%2Finternal%2Fx", true),
        ("//api/v1//internal/x", true),
        ("/api/v1/%2569nternal/x", true),
        ("/api/v1%252Finternal", true),
        ("/%2Fapi/v1/internal", true),
        ("/api/v1/group%2Finternal", false),
        ("/api/v1/internals", false),
        ("/api/v1/public/internal/", false),
        ("/api/v1", false),
        ("/", false),
        ("/debug", true),
        ("/debug/pprof", true),
        ("/debugger", true),
        ("/de", false),
    ] {
        let path = parse(raw).unwrap_or_else(|| panic!("{raw} was refused"));
        assert_eq!(shut.covers(&path), is_shut, "{raw}");
    }
    let everything = Shut::new(["/"]);
    assert!(everything.covers(&parse("/x").unwrap()) && everything.covers(&parse("/").unwrap()));
    assert!(!Shut::new([]).covers(&parse("/x").unwrap()));
}

/// `/api/v1/internal/x` with every character raw or escaped, in either case, and parts put in between.
fn spellings() -> impl Strategy<Value = String> {
    let noise = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        "/",
        "/.",
        ";a",
        "%3b",
        ".",
        "%20",
        "/../internal",
        "%2e",
        "%2f",
        "%252F",
    ]);
    let character = |letter: char| {
        prop_oneof![
            Just(letter.to_string()),
            Just(letter.to_ascii_uppercase().to_string()),
            Just(format!("%{:02x}", u32::from(letter))),
            Just(format!("%{:02X}", u32::from(letter.to_ascii_uppercase()))),
            Just(format!("%25{:02x}", u32::from(letter))),
        ]
    };
    let segment = |name: &str| name.chars().map(character).collect::<Vec<_>>().prop_map(|letters| letters.concat());
    (
        [segment("api").boxed(), segment("v1").boxed(), segment("internal").boxed()],
        [noise.clone(), noise.clone(), noise],
        prop::sample::select(vec!["", "/", "/x", "/x/y"]),
    )
        .prop_map(|([api, v1, internal], [a, b, c], end)| format!("/{api}{a}/{v1}{b}/{internal}{c}{end}"))
}

proptest! {
    #[test]
    fn an_accepted_path_is_a_fixpoint_and_free_of_what_readers_disagree_about(
        raw in prop_oneof![
            "/[a-z/.%;2eEfF5cC\\\\ ]{0,24}",
            prop::collection::vec(any::<u8>(), 0..32).prop_map(|bytes| {
                bytes.iter().fold("/".to_owned(), |path, byte| format!("{path}%{byte:02x}"))
            }),
        ],
    ) {
        if let Some(path) = parse(&raw) {
            prop_assert_eq!(&parse(path.encoded()).unwrap(), &path);
            prop_assert!(path.encoded().bytes().all(|byte| byte == b'%' || is_pchar(byte)));
            let readings = if path.ambiguities().is_some() { path.readings() } else { vec![path.as_str().to_owned()] };
            prop_assert!(readings.iter().any(|reading| reading == path.as_str()));
            for reading in readings {
                prop_assert!(path.ambiguities().is_some() || !reading.contains("//"));
                prop_assert!(!reading.contains('\\'));
                prop_assert!(!reading.split('/').any(|segment| matches!(segment, "." | "..")));
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(raw in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = CanonicalPath::parse(&raw);
    }

    #[test]
    fn every_spelling_of_an_internal_path_is_refused_or_shut(raw in spellings()) {
        let shut = Shut::new(["/api/v1/internal/"]);
        prop_assert!(parse(&raw).is_none_or(|path| shut.covers(&path)), "{}", raw);
    }

    #[test]
    fn what_is_shut_in_any_reading_is_shut(raw in "(/|%2[fF]|%252[fF]|a|%61|%2561|b|\\.|%20){1,8}") {
        let raw = format!("/{raw}");
        let shut = Shut::new(["/a/b/"]);
        if let Some(path) = parse(&raw).filter(|path| path.ambiguities().is_some()) {
            let is_there = |reading: &String| parse(reading).is_some_and(|reading| shut.covers(&reading));
            prop_assert!(!path.readings().iter().any(is_there) || shut.covers(&path), "{}", raw);
        }
    }
}
