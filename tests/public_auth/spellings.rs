//! The ways to write one e-mail address in a request.

use super::SEND;
use serde_json::json;

/// What must become of a request when the plain spelling of its identity has spent its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comes {
    /// It counts as the plain spelling.
    Counted,
    /// It is refused.
    Refused(u16, &'static str),
    /// It names nobody, and counts with all that do so.
    Hidden,
    /// It is somebody else, to the gateway and to a backend that compares in NFC.
    Apart,
}

/// A request that names an identity, one way or another.
#[derive(Debug, Clone)]
pub struct Spelling {
    pub name: &'static str,
    pub path: &'static str,
    pub headers: String,
    pub body: Vec<u8>,
    pub comes: Comes,
}

const JSON: &str = "Content-Type: application/json\r\n";
const INVALID: Comes = Comes::Refused(400, "BODY_INVALID");
const UNSUPPORTED: Comes = Comes::Refused(415, "MEDIA_TYPE_UNSUPPORTED");

impl Spelling {
    /// A plain JSON request.
    pub fn json(body: impl Into<String>) -> Self {
        let (name, comes) = ("plain", Comes::Counted);
        Self { name, path: SEND, headers: JSON.to_owned(), body: body.into().into_bytes(), comes }
    }
}

/// The plain spelling and another, for each case with an identity of its own.
pub fn cases() -> impl Iterator<Item = (Spelling, Spelling)> {
    let count = of("jos\u{e9}.k").count();
    assert!(count >= 80, "only {count} spellings");
    (0..count).filter_map(|case| of(&format!("jos\u{e9}.k{case}")).nth(case))
}

/// The plain spelling of `user@example.com`, with each of the others. The user is lower-case, in NFC, and has an
/// `é` and a `k`.
pub fn of(user: &str) -> impl Iterator<Item = (Spelling, Spelling)> {
    let plain = Spelling::json(json!({ "email": format!("{user}@example.com") }).to_string());
    let all = [addresses(user), documents(user), texts(user), framings(user)].concat();
    all.into_iter().map(move |spelling| (plain.clone(), spelling))
}

/// Strings that are the same address.
fn addresses(user: &str) -> Vec<Spelling> {
    let plain = format!("{user}@example.com");
    let upper = plain.to_uppercase();
    let decomposed = |address: &str| address.replace('\u{e9}', "e\u{301}").replace('\u{c9}', "E\u{301}");
    let written = [
        ("upper case", upper.clone(), Comes::Counted),
        ("mixed case", plain.replace("example", "eXaMpLe"), Comes::Counted),
        ("decomposed", decomposed(&plain), Comes::Counted),
        ("decomposed upper case", decomposed(&upper), Comes::Counted),
        ("Kelvin sign", plain.replace('k', "\u{212a}"), Comes::Counted),
        ("space ahead", format!(" {plain}"), Comes::Counted),
        ("space behind", format!("{plain} "), Comes::Counted),
        ("tab and line ends", format!("\t\r\n{plain}\n\u{b}\u{c}"), Comes::Counted),
        ("no-break space", format!("\u{a0}{plain}\u{202f}"), Comes::Counted),
        ("next line", format!("{plain}\u{85}"), Comes::Counted),
        ("line and paragraph separator", format!("\u{2028}{plain}\u{2029}"), Comes::Counted),
        ("wide spaces", format!("\u{2003}\u{3000}{plain}\u{1680}"), Comes::Counted),
        ("null bytes, as PHP trims", format!("\0{plain}\0"), Comes::Counted),
        ("separators, as Python trims", format!("\u{1c}{plain}\u{1f}"), Comes::Counted),
        ("byte order mark, as JavaScript trims", format!("\u{feff}{plain}"), Comes::Counted),
        ("zero width", format!("\u{200b}{plain}\u{200d}"), Comes::Counted),
        ("all at once", format!("\u{2003}{}\u{a0}\t", decomposed(&upper)), Comes::Counted),
        // NFKC is not asked for: to a backend that compares in NFC these are other addresses.
        ("full width", plain.replace("example", "\u{ff45}xample"), Comes::Apart),
        ("ligature", format!("\u{fb01}{plain}"), Comes::Apart),
        ("plus tag", plain.replace('@', "+tag@"), Comes::Apart),
        ("space within", plain.replace('@', " @"), Comes::Apart),
    ];
    written.map(|(name, address, comes)| Spelling { name, comes, ..document(&json!({ "email": address })) }).into()
}

fn document(document: &serde_json::Value) -> Spelling {
    Spelling::json(document.to_string())
}

/// Documents with the address in another shape or place, or twice.
fn documents(user: &str) -> Vec<Spelling> {
    let address = format!("{user}@example.com");
    let hidden = [
        ("array", json!({ "email": [address] })),
        ("object", json!({ "email": { "value": address } })),
        ("null", json!({ "email": null })),
        ("true", json!({ "email": true })),
        ("missing", json!({})),
        ("another name", json!({ "mail": address })),
        ("another case of the name", json!({ "Email": address })),
        ("beside its name in another case", json!({ "email": "other@example.com", "EMAIL": address })),
        ("beside its name in half another case", json!({ "EmAiL": address, "email": address })),
        ("a name with a space", json!({ "email ": address })),
        ("nested", json!({ "user": { "email": address } })),
        ("array of documents", json!([{ "email": address }])),
        ("a string alone", json!(address)),
        ("null alone", json!(null)),
        ("a name with dots", json!({ "body.email": address })),
        ("a name as PHP takes it", json!({ "email[]": address })),
    ];
    let hidden = hidden.map(|(name, shape)| Spelling { name, comes: Comes::Hidden, ..document(&shape) });
    let counted = [
        ("beside others", json!({ "a": [1], "email": address, "z": null })),
        ("beside a nested one", json!({ "user": { "email": "other@example.com" }, "email": address })),
    ];
    let counted = counted.map(|(name, shape)| Spelling { name, ..document(&shape) });
    hidden.into_iter().chain(counted).collect()
}

/// Texts that some reader takes for a document with the address.
fn texts(user: &str) -> Vec<Spelling> {
    let (quoted, plain) = (format!("\"{user}@example.com\""), format!("{{\"email\":\"{user}@example.com\"}}"));
    let other = "\"other@example.com\"";
    let escaped: String = user.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
    let written = [
        ("escaped value", format!("{{\"email\":\"{escaped}\\u0040example.com\"}}"), Comes::Counted),
        ("escaped name", format!("{{\"\\u0065m\\u0061il\":{quoted}}}"), Comes::Counted),
        ("white space", format!("\r\n {{\t\"email\" :\n{quoted} }} \n"), Comes::Counted),
        ("twice, the last is it", format!("{{\"email\":{other},\"email\":{quoted}}}"), INVALID),
        ("twice, the first is it", format!("{{\"email\":{quoted},\"email\":{other}}}"), INVALID),
        ("twice the same", format!("{{\"email\":{quoted},\"email\":{quoted}}}"), INVALID),
        ("twice, once escaped", format!("{{\"email\":{other},\"\\u0065mail\":{quoted}}}"), INVALID),
        ("a name twice deep down", format!("{{\"a\":[{{\"b\":1,\"b\":2}}],\"email\":{quoted}}}"), INVALID),
        ("two documents", format!("{plain}{plain}"), INVALID),
        ("two lines", format!("{plain}\n{plain}\n"), INVALID),
        ("garbage behind", format!("{plain}x"), INVALID),
        ("a null byte behind", format!("{plain}\0"), INVALID),
        ("a comment", format!("/* {other} */{plain}"), INVALID),
        ("a line comment", format!("{{\"email\":{quoted} // x\n}}"), INVALID),
        ("single quotes", format!("{{'email':{quoted}}}"), INVALID),
        ("no quotes", format!("{{email:{quoted}}}"), INVALID),
        ("a comma at the end", format!("{{\"email\":{quoted},}}"), INVALID),
        ("NaN", format!("{{\"a\":NaN,\"email\":{quoted}}}"), INVALID),
        ("a number out of range", format!("{{\"a\":1e999,\"email\":{quoted}}}"), INVALID),
        ("half a surrogate pair", format!("{{\"email\":\"\\ud800{user}@example.com\"}}"), INVALID),
        ("a line end in a string", format!("{{\"email\":\"\n{user}@example.com\"}}"), INVALID),
        ("cut off", format!("{{\"email\":{quoted}"), INVALID),
        ("empty", String::new(), INVALID),
        ("a byte order mark", format!("\u{feff}{plain}"), INVALID),
        ("too deep", format!("{{\"a\":{}{},\"email\":{quoted}}}", "[".repeat(200), "]".repeat(200)), INVALID),
        (
            "too long",
            format!("{{\"email\":\"{}{user}@example.com\"}}", " ".repeat(10_000)),
            Comes::Refused(413, "BODY_TOO_LARGE"),
        ),
    ];
    written.map(|(name, text, comes)| Spelling { name, comes, ..Spelling::json(text) }).into()
}

/// The same document in another type, charset, coding or framing, or on another spelling of the path.
fn framings(user: &str) -> Vec<Spelling> {
    let text = format!("{{\"email\":\"{user}@example.com\"}}");
    let plain = Spelling::json(text.as_str());
    let utf_16 = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect::<Vec<_>>();
    let latin_1: Vec<u8> = text.chars().filter_map(|c| u8::try_from(c).ok()).collect();
    let typed = |name, media_type: &str, comes, body: Vec<u8>| Spelling {
        name,
        comes,
        headers: format!("Content-Type: {media_type}\r\n"),
        body,
        ..plain.clone()
    };
    let body = || text.clone().into_bytes();
    let form = format!("email={user}%40example.com").into_bytes();
    let parts = format!("--b\r\nContent-Disposition: form-data; name=email\r\n\r\n{user}@example.com\r\n--b--\r\n");
    // UTF-7, in which `+AGU-` is an `e`.
    let utf_7 = || text.replace("\"email\"", "\"+AGU-mail\"").into_bytes();
    let headed =
        |name, header: &str, comes| Spelling { name, comes, headers: format!("{JSON}{header}"), ..plain.clone() };
    vec![
        typed("a charset that is said", "application/json; charset=\"UTF-8\"", Comes::Counted, body()),
        typed("another JSON type", "application/vnd.x+json", Comes::Counted, body()),
        typed("plain text", "text/plain", UNSUPPORTED, body()),
        typed("no type", "", UNSUPPORTED, body()),
        typed("two types in one", "application/json, text/plain", UNSUPPORTED, body()),
        typed("an old type", "text/json", UNSUPPORTED, body()),
        typed("a form", "application/x-www-form-urlencoded", UNSUPPORTED, form.clone()),
        typed("a form that says it is JSON", "application/json", INVALID, form),
        typed("parts", "multipart/form-data; boundary=b", UNSUPPORTED, parts.into_bytes()),
        typed("UTF-16, said", "application/json; charset=utf-16", UNSUPPORTED, utf_16(u16::to_be_bytes)),
        typed("UTF-16, not said", "application/json", INVALID, utf_16(u16::to_le_bytes)),
        typed("UTF-7, said", "application/json; charset=utf-7", UNSUPPORTED, utf_7()),
        typed("UTF-7, said with a space", "application/json; charset =utf-7", UNSUPPORTED, utf_7()),
        typed("UTF-7, said as extended", "application/json; charset*=us-ascii''utf-7", UNSUPPORTED, utf_7()),
        typed("UTF-7, not said", "application/json", Comes::Hidden, utf_7()),
        typed("Latin-1, said", "application/json; charset=iso-8859-1", UNSUPPORTED, latin_1.clone()),
        typed("Latin-1, not said", "application/json", INVALID, latin_1),
        headed("gzip", "Content-Encoding: gzip\r\n", UNSUPPORTED),
        headed("two codings", "Content-Encoding: identity\r\nContent-Encoding: br\r\n", UNSUPPORTED),
        headed("identity", "Content-Encoding: identity\r\n", Comes::Counted),
        headed("a second type", "Content-Type: application/json; charset=utf-7\r\n", UNSUPPORTED),
        headed("asking first", "Expect: 100-continue\r\n", Comes::Counted),
        headed("saying another method", "X-HTTP-Method-Override: PUT\r\n", Comes::Counted),
        Spelling {
            body: chunked(text.as_bytes()),
            ..headed("chunked", "Transfer-Encoding: chunked\r\n", Comes::Counted)
        },
        Spelling { name: "another query", path: "/api/v1/public/auth/send-email-code?email=x", ..plain.clone() },
        Spelling { name: "an encoded path", path: "/api/v1/public/auth/%73end-email-code", ..plain.clone() },
        Spelling {
            name: "another case of the path",
            path: "/api/v1/public/auth/Send-Email-Code",
            comes: Comes::Refused(404, "ROUTE_UNKNOWN"),
            ..plain.clone()
        },
        Spelling {
            name: "a slash behind the path",
            path: "/api/v1/public/auth/send-email-code/",
            comes: Comes::Refused(404, "ROUTE_UNKNOWN"),
            ..plain.clone()
        },
    ]
}

/// In chunks of three bytes, with an extension that says nothing.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.chunks(3) {
        chunks.extend(format!("{:x};a=b\r\n", chunk.len()).into_bytes());
        chunks.extend(chunk);
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"0\r\n\r\n");
    chunks
}
