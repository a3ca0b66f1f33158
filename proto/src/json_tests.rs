//! The JSON form of messages is what the contract says of it, section 6.

use crate::edge::v1::{ExecuteCommandRequest, ExecuteCommandResponse};

fn read(json: &str) -> Result<ExecuteCommandRequest, serde_json::Error> {
    crate::json::read(json.as_bytes())
}

#[test]
fn both_spellings_of_a_name_are_read() {
    for json in [r#"{"protocolVersion":"v1","timestampMs":"5"}"#, r#"{"protocol_version":"v1","timestamp_ms":"5"}"#] {
        let command = read(json).unwrap();
        assert_eq!((command.protocol_version.as_str(), command.timestamp_ms), ("v1", 5), "{json}");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    let command = read(r#"{"requestId":"r","x":{"y":[1,null]},"z":null}"#).unwrap();
    assert_eq!(command, ExecuteCommandRequest { request_id: "r".to_owned(), ..ExecuteCommandRequest::default() });
}

#[test]
fn a_field_that_is_left_out_is_empty() {
    assert_eq!(read("{}").unwrap(), ExecuteCommandRequest::default());
}

#[test]
fn null_is_the_default_value() {
    let names = [
        "protocolVersion",
        "deviceSessionId",
        "messageType",
        "timestampMs",
        "requestId",
        "payloadBytes",
        "payloadHash",
        "signature",
        "traceId",
        "trace_id",
    ];
    for name in names {
        assert_eq!(read(&format!(r#"{{"{name}":null}}"#)).unwrap(), ExecuteCommandRequest::default(), "{name}");
    }
    assert!(read(r#"{"requestId":null,"requestId":"b"}"#).is_err());
}

#[test]
fn what_does_not_fit_is_said_without_our_types_and_their_strings() {
    for (json, expected) in [
        ("5", "a message is a JSON object"),
        ("\u{feff}{}", "a message is a JSON object"),
        (r#"{"requestId":5}"#, "invalid type: integer `5`, expected a string at line 1 column 14"),
        (r#"{"signature":5}"#, "invalid type: integer `5`, expected a string of base64 at line 1 column 14"),
        (r#"{"signature":"secret!"}"#, "a string is no base64 at line 1 column 22"),
        (r#"{"timestampMs":"secret"}"#, "a string holds no 64-bit integer at line 1 column 23"),
        (
            r#"{"timestampMs":[]}"#,
            "invalid type: sequence, expected a 64-bit integer, as a number or a string at line 1 column 17",
        ),
        (r#"{"requestId":"a","request_id":"b"}"#, "duplicate field `requestId` at line 1 column 29"),
    ] {
        assert_eq!(read(json).unwrap_err().to_string(), expected, "{json}");
    }
}

#[test]
fn base64_is_taken_in_every_form() {
    for (text, bytes) in [
        ("", &b""[..]),
        ("+/+/", b"\xfb\xff\xbf"),
        ("-_-_", b"\xfb\xff\xbf"),
        ("+/8=", b"\xfb\xff"),
        ("+/8", b"\xfb\xff"),
        ("-_8=", b"\xfb\xff"),
        ("-_8", b"\xfb\xff"),
        ("-w==", b"\xfb"),
        ("-w", b"\xfb"),
        ("+w", b"\xfb"),
        ("AAA_", b"\x00\x00\x3f"),
    ] {
        let command = read(&format!(r#"{{"payloadBytes":"{text}"}}"#)).unwrap();
        assert_eq!(command.payload_bytes, bytes, "{text}");
    }
    for text in ["=", "A", "A===", "a b=", "\\u00e9", "+w==+w=="] {
        assert!(read(&format!(r#"{{"payloadBytes":"{text}"}}"#)).is_err(), "{text}");
    }
}

#[test]
fn an_int64_is_a_string_or_a_number() {
    for (json, value) in [
        ("1700000000000", 1_700_000_000_000),
        ("\"1700000000000\"", 1_700_000_000_000),
        ("\"-5\"", -5),
        ("-5", -5),
        ("\"9223372036854775807\"", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("null", 0),
        ("1.7e12", 1_700_000_000_000),
        ("1700000000000.0", 1_700_000_000_000),
        ("-1.5e1", -15),
        ("\"1.7E+12\"", 1_700_000_000_000),
        ("\"1700000000000.000\"", 1_700_000_000_000),
        ("9007199254740992.0", 1 << 53),
    ] {
        assert_eq!(read(&format!(r#"{{"timestampMs":{json}}}"#)).unwrap().timestamp_ms, value, "{json}");
    }
    for json in [
        "9223372036854775808",
        "\"9223372036854775808\"",
        "9223372036854775807.0",
        "-1e19",
        "1e999",
        "1.5",
        "\"1.5\"",
        "\"\"",
        "\"5x\"",
        "\"inf\"",
        "\"NaN\"",
        "\" 5\"",
        "true",
        "[5]",
        "{}",
    ] {
        assert!(read(&format!(r#"{{"timestampMs":{json}}}"#)).is_err(), "{json}");
    }
}

#[test]
fn a_message_is_unambiguous() {
    for json in [
        "",
        "null",
        "[]",
        "\"a\"",
        r#"{"requestId":"a","requestId":"b"}"#,
        r#"{"requestId":"a","request_id":"b"}"#,
        "{} {}",
    ] {
        assert!(read(json).is_err(), "{json}");
    }
}

#[test]
fn messages_are_written_as_protobuf_json() {
    let response = ExecuteCommandResponse {
        protocol_version: "v1".to_owned(),
        timestamp_ms: 1_700_000_000_000,
        payload_bytes: b"\xfb\xff"[..].into(),
        ..ExecuteCommandResponse::default()
    };
    let json = r#"{"protocolVersion":"v1","timestampMs":"1700000000000","payloadBytes":"+/8="}"#;
    assert_eq!(serde_json::to_string(&response).unwrap(), json);
}
