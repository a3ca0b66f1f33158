use super::*;
use proptest::prelude::*;

const VECTORS: &str = include_str!("../../../tests/wire/head.txt");
const LIMITS: HeadLimits = HeadLimits { bytes_max: 512, headers_max: 8 };

/// Reads a head that comes in pieces of `piece` bytes.
fn read(bytes: &[u8], piece: usize) -> Result<Option<Head>, HeadRefusal> {
    let mut reader = HeadReader::new(LIMITS);
    let mut end = 0;
    while end < bytes.len() {
        end = (end + piece).min(bytes.len());
        if let Some(head) = reader.read(&bytes[..end])? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn unescape(written: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = written.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (plain, false) => plain,
            (_, true) => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                b'\\' => b'\\',
                other => panic!("\\{} is no escape", char::from(other)),
            },
        });
    }
    bytes
}

#[test]
fn every_vector_ends_as_it_says_in_whatever_pieces_it_comes() {
    let entries = VECTORS.split("\n\n").skip(1);
    let mut seen = 0;
    for entry in entries {
        let lines: Vec<_> = entry.trim_end().lines().collect();
        let [name, why, expected, bytes] = lines[..] else { panic!("an entry has four lines: {entry}") };
        for piece in [1, 2, 5, 4096] {
            let got = match read(&unescape(bytes), piece) {
                Ok(Some(_)) => "accept".to_owned(),
                Ok(None) => "incomplete".to_owned(),
                Err(HeadRefusal { status, refusal }) => format!("{status} {}", refusal.reason.as_str()),
            };
            assert_eq!(got, expected, "{name} ({why}) in pieces of {piece}");
        }
        seen += 1;
    }
    assert!(seen > 80, "{seen} vectors");
}

#[test]
fn the_head_ends_where_the_body_begins() {
    let bytes = b"\r\nPOST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let head = read(bytes, 4096).unwrap().unwrap();
    assert_eq!(head.bytes, 2..bytes.len() - 5);
    assert_eq!((&bytes[head.method], &bytes[head.target]), (&b"POST"[..], &b"/x?y"[..]));
    assert_eq!((head.body, head.upgrade), (Body::Length(5), false));
}

#[test]
fn an_upgrade_needs_both_headers_and_http_1_1() {
    for (expected, version, headers) in [
        (true, "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        (false, "1.1", "Upgrade: websocket\r\n"),
        (false, "1.1", "Connection: upgrade\r\n"),
        (false, "1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
    ] {
        let head = read(format!("GET / HTTP/{version}\r\nHost: a\r\n{headers}\r\n").as_bytes(), 4096).unwrap();
        assert_eq!(head.unwrap().upgrade, expected, "{version} {headers}");
    }
}

#[test]
fn a_head_may_have_as_many_bytes_as_the_limit_and_none_more() {
    let with = |bytes: usize| {
        let empty = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n";
        empty.replace("X: ", &format!("X: {}", "x".repeat(bytes - empty.len())))
    };
    for piece in [1, 4096] {
        assert!(matches!(read(with(LIMITS.bytes_max).as_bytes(), piece), Ok(Some(_))));
        assert_eq!(read(with(LIMITS.bytes_max + 1).as_bytes(), piece).unwrap_err().status, 431);
    }
}

#[test]
fn a_status_says_what_is_too_long() {
    let long = "x".repeat(LIMITS.bytes_max + 1);
    for (head, status) in [
        (format!("GET /{long}"), 414),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("\r\nGET /?{long} HTTP/1.1\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{long}"), 431),
        (long, 501),
        (format!("GET({}", "x".repeat(LIMITS.bytes_max)), 400),
        ("A".repeat(40) + " / HTTP/1.1\r\n", 501),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(LIMITS.headers_max + 1)), 431),
    ] {
        for piece in [1, 4096] {
            assert_eq!(read(head.as_bytes(), piece).unwrap_err().status, status, "{head}");
        }
    }
    let most = format!("GET /{} HTTP/1.1\r\n", "x".repeat(line::TARGET_BYTES_MAX));
    let mut reader = HeadReader::new(HeadLimits { bytes_max: 1 << 20, headers_max: 8 });
    assert_eq!(reader.read(most.as_bytes()).unwrap_err().status, 414);
}

#[test]
fn a_head_is_settled_for_who_reads_no_more_of_http() {
    for (line, host, settled) in [
        ("GET /x HTTP/1.0", "Host: a\r\n", "GET /x HTTP/1.0"),
        ("GET /x HTTP/1.1", "Host: a\r\n", "GET /x HTTP/1.1"),
        ("GET /x HTTP/1.2", "Host: a\r\n", "GET /x HTTP/1.1"),
        ("\r\nGET http://a:80/x?y HTTP/1.9", "Host: A\r\n", "GET /x?y HTTP/1.1"),
        ("GET http://a?y HTTP/1.1", "Host: a.\r\n", "GET /?y HTTP/1.1"),
        ("GET HTTPS://a HTTP/1.1", "Host: a:443\r\n", "GET / HTTP/1.1"),
        // Its host is known from the target alone.
        ("GET http://a/x HTTP/1.0", "", "GET http://a/x HTTP/1.0"),
        ("OPTIONS * HTTP/1.1", "Host: a\r\n", "OPTIONS * HTTP/1.1"),
    ] {
        let mut bytes = format!("{line}\r\n{host}\r\nbody").into_bytes();
        let head = read(&bytes, 4096).unwrap().unwrap();
        let start = head.settle(&mut bytes);
        assert_eq!(String::from_utf8_lossy(&bytes[start..]), format!("{settled}\r\n{host}\r\nbody"), "{line}");
        assert_eq!(&bytes[head.bytes.end..], b"body");
    }
}

/// Bytes that are heads more often than not, and broken in one place more often than in many.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /x?y HTTP/1.1\r\n",
        "GET http://a/ HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "Host: a\r\n",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "X: y\r\n",
        "X:\ty \r\n",
        "X: a\n",
        "\r",
        "\n",
        "\r\n",
        "\r\n\r\n",
        " ",
        ":",
        "\0",
        "x",
        "\u{e4}",
        "Expect: 100-continue\r\n",
    ]);
    prop::collection::vec(piece, 0..8).prop_flat_map(|pieces| {
        let head = pieces.concat().into_bytes();
        let usual = [b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec(), head.clone(), b"\r\n\r\n".to_vec()].concat();
        prop::sample::select(vec![head, usual])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_accepted_head_has_no_lone_line_end_and_is_read_alike_by_httparse(bytes in heads(), piece in 1usize..9) {
        let whole = read(&bytes, 4096);
        let in_pieces = read(&bytes, piece);
        if let Ok(Some(head)) = whole {
            prop_assert_eq!(in_pieces.unwrap(), Some(head.clone()));
            let text = &bytes[head.bytes.clone()];
            for (at, byte) in text.iter().enumerate() {
                prop_assert!(*byte != b'\n' || (at > 0 && text[at - 1] == b'\r'));
                prop_assert!(*byte != b'\r' || text.get(at + 1) == Some(&b'\n'));
            }
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut headers);
            prop_assert_eq!(request.parse(text), Ok(httparse::Status::Complete(text.len())));
            prop_assert_eq!(request.method.unwrap().as_bytes(), &bytes[head.method]);
            prop_assert_eq!(request.path.unwrap().as_bytes(), &bytes[head.target]);
            let lines = text.split(|byte| *byte == b'\n').filter(|line| line.len() > 1).skip(1);
            let ours: Vec<_> = lines.map(|line| line::header(&line[..line.len() - 1]).unwrap()).collect();
            let theirs: Vec<_> = request.headers.iter().map(|header| (header.name.as_bytes(), header.value)).collect();
            prop_assert_eq!(ours, theirs);
        } else {
            prop_assert!(!matches!(in_pieces, Ok(Some(_))));
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1usize..64) {
        let _ = read(&bytes, piece);
    }
}
