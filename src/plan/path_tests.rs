use super::*;
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
        ("/a%3Bv=1/b", "/a;v=1/b", "/a;v=1/b"),
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
        "/a%2fb",
        "/a%2Fb",
        "/a\\b",
        "/a%5cb",
        "/a%5Cb",
        "/a%00",
        "/a%0d%0aX:1",
        "/a%7f",
        "/a%c2%85",
        "//",
        "//a",
        "/a//b",
        "/a//",
        "/;x/a",
        "/a/;x/b",
        "/a/;x",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%u002e",
        "/a%252e%252e/b",
        "/a%25%32%65",
        "/%2541",
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
    let noise = prop::sample::select(vec!["", "", "", "", "/", "/.", ";a", "%3b", ".", "%20", "/../internal", "%2e"]);
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
            prop_assert!(path.encoded().bytes().all(|byte| byte == b'%' || is_plain(byte)));
            prop_assert!(!path.as_str().contains("//") && !path.as_str().contains('\\'));
            prop_assert!(!path.as_str().split('/').any(|segment| matches!(segment, "." | "..")));
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
}
