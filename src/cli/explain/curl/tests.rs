use super::{opening::OpeningFault, *};

const FORM: &str = "content-type=application/x-www-form-urlencoded";

/// What a line sends: of the headers that curl adds by itself, `host=h`, its name and `accept=*/*` are left out.
fn parsed(line: &str) -> String {
    parsed_bytes(line.as_bytes())
}

fn parsed_bytes(line: &[u8]) -> String {
    let read = |given: &[u8]| Ok(Bytes::from([b"<", given, b">\n"].concat()));
    match parse(line, &read) {
        Ok(Line { parts, .. }) => {
            let mut headers: Vec<_> = parts.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers.retain(|header| !["host=h", "accept=*/*", "user-agent=curl/8.5.0"].contains(&header.as_str()));
            headers.sort_unstable();
            let http2 = if parts.is_http2 { " h2" } else { "" };
            let body = String::from_utf8_lossy(&parts.body).into_owned();
            format!("{} {}{http2} [{}] {body}", parts.method, parts.target, headers.join(" ")).trim_end().to_owned()
        }
        Err(fault) => fault.to_string(),
    }
}

fn unfollowed(flag: &str) -> String {
    CurlFault::Unfollowed(flag.to_owned(), flags::why_not(flag).unwrap()).to_string()
}

fn posted(body: &str) -> String {
    format!("POST / [content-length={} {FORM}] {body}", body.len()).trim_end().to_owned()
}

/// The right side is what curl 7.88.1 sent to a server that wrote down each request.
#[test]
fn lines_send_what_curl_sends() {
    let json = "accept=application/json";
    for (line, expected) in [
        ("curl http://h/a", "GET /a []".to_owned()),
        ("curl http://h/api/../api/x?y=/../z", "GET /api/x?y=/../z []".to_owned()),
        ("curl --path-as-is http://h/a/../b", "GET /a/../b []".to_owned()),
        ("curl http://user:pw@h/", "GET / [authorization=Basic dXNlcjpwdw==]".to_owned()),
        ("curl http://us%20er:p%40w@h/", "GET / [authorization=Basic dXMgZXI6cEB3]".to_owned()),
        ("curl http://user@h/", "GET / [authorization=Basic dXNlcjo=]".to_owned()),
        ("curl -u a:b http://user:pw@h/", "GET / [authorization=Basic YTpi]".to_owned()),
        ("curl -u a:b -u c:d http://h/", "GET / [authorization=Basic Yzpk]".to_owned()),
        ("curl -u a:b -H 'Authorization: X' http://h/", "GET / [Authorization=X]".to_owned()),
        ("curl -u a:b -H 'Authorization:' http://h/", "GET / []".to_owned()),
        ("curl --oauth2-bearer tok -u a:b http://h/", "GET / [authorization=Bearer tok]".to_owned()),
        ("curl 'http://h/api/é?q=ü#ö'", "GET /api/%c3%a9?q=ü []".to_owned()),
        (r#"curl 'http://h/a"<>|^`\b'"#, r#"GET /a"<>|^`\b []"#.to_owned()),
        ("curl -H 'Host: x' http://h/", "GET / [Host=x]".to_owned()),
        ("curl -H 'Host: y' -H 'Host: z' http://h/", "GET / [Host=y]".to_owned()),
        ("curl -H 'Host;' http://h/", "GET / [Host=]".to_owned()),
        ("curl -b a=b -b c=d http://h/", "GET / [cookie=a=b;c=d]".to_owned()),
        ("curl -b a=b -H 'Cookie: x=y' http://h/", "GET / [Cookie=x=y]".to_owned()),
        ("curl -b a=b -H 'Cookie:' http://h/", "GET / []".to_owned()),
        ("curl -b '' http://h/", "GET / []".to_owned()),
        ("curl -d '' http://h/", posted("")),
        ("curl -d '' -d b http://h/", posted("&b")),
        ("curl -X POST http://h/", "POST / []".to_owned()),
        ("curl -d a -X GET http://h/", posted("a").replace("POST", "GET")),
        ("curl -I -d a http://h/", CurlFault::TwoMethods.to_string()),
        ("curl -I -G -d a=1 http://h/", "HEAD /?a=1 []".to_owned()),
        ("curl -G -d a=1 -d b=2 http://h/", "GET /?a=1&b=2 []".to_owned()),
        ("curl -G -d a=1 'http://h/?'", "GET /?a=1 []".to_owned()),
        ("curl -G -d a=1 'http://h/?x=y#f'", "GET /?x=y&a=1 []".to_owned()),
        ("curl -G -d '' 'http://h/?'", "GET /? []".to_owned()),
        ("curl -G -X POST -d a=1 http://h/", "POST /?a=1 []".to_owned()),
        ("curl -G --data-urlencode 'a=b c&d' http://h/", "GET /?a=b+c%26d []".to_owned()),
        ("curl --data-urlencode 'a=b c&d~é/' http://h/", posted("a=b+c%26d~%C3%A9%2F")),
        ("curl --url-query 'a=b c' --url-query +d=%20 http://h/?e", "GET /?e&a=b+c&d=%20 []".to_owned()),
        (
            "curl --json x --json y http://h/",
            format!("POST / [{json} content-length=2 content-type=application/json] xy"),
        ),
        (
            "curl --json x -d y -H 'Content-Type: a' http://h/",
            format!("POST / [Content-Type=a {json} content-length=3] x&y"),
        ),
        ("curl --json x -G http://h/", format!("GET /?x [{json} content-type=application/json]")),
        ("curl -A '' http://h/", "GET / []".to_owned()),
        ("curl -A a -A b http://h/", "GET / [user-agent=b]".to_owned()),
        ("curl -A me -H 'User-Agent: you' http://h/", "GET / [User-Agent=you]".to_owned()),
        ("curl -e '' http://h/", "GET / []".to_owned()),
        ("curl -e 'x;auto' http://h/", "GET / [referer=x]".to_owned()),
        ("curl --compressed http://h/", "GET / [accept-encoding=deflate, gzip, br, zstd]".to_owned()),
        ("curl --compressed --no-compressed http://h/", "GET / []".to_owned()),
        ("curl -g 'http://h/[1-3]{a,b}'", "GET /[1-3]{a,b} []".to_owned()),
        (r"curl 'http://h/\[1\]'", "GET /[1] []".to_owned()),
        ("curl -- http://h/", "GET / []".to_owned()),
        ("curl --request-target /x/../y http://h/a", "GET /x/../y []".to_owned()),
        ("curl -H 'X-A:   b  ' -H 'X-B;' -H 'X-C:' http://h/", "GET / [X-A=b X-B=]".to_owned()),
        ("curl -d a -H 'Content-Type:' http://h/", "POST / [content-length=1] a".to_owned()),
        ("curl -d a -H 'Transfer-Encoding: chunked' http://h/", format!("POST / [Transfer-Encoding=chunked {FORM}] a")),
        ("curl -d a=1 -d @f -d b=2 http://h/", posted("a=1&<f>&b=2")),
        ("curl --data-binary @f http://h/", posted("<f>\n")),
        ("curl --data-raw @f http://h/", posted("@f")),
        ("curl -G --data-urlencode a@f http://h/", "GET /?a=%3Cf%3E%0A []".to_owned()),
        ("curl -XPUT --url http://h/a", "PUT /a []".to_owned()),
        ("curl -sSXPOST http://h/", "POST / []".to_owned()),
        ("curl -sSkiL --max-time 5 -o /dev/null --http2-prior-knowledge http://h/", "GET / h2 []".to_owned()),
        ("curl --http2 http://h/", "GET / []".to_owned()),
        ("curl --http2 https://h/", "GET / h2 []".to_owned()),
    ] {
        assert_eq!(parsed(line), expected.trim_end(), "{line}");
    }
}

#[test]
fn curl_names_itself_its_host_and_what_it_takes() {
    let line = parse(b"curl http://h:8080/a", &|_| Ok(Bytes::new())).unwrap();
    let headers: Vec<_> = line.parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("host", "h:8080"), ("user-agent", USER_AGENT), ("accept", "*/*")]);
    assert_eq!((line.port, line.parts.target.as_str()), (8080, "/a"));
    let without = parse(b"curl -H Host: http://h/", &|_| Ok(Bytes::new())).unwrap();
    assert_eq!(without.parts.host.as_deref(), Some(""));
}

#[test]
fn lines_that_browsers_copy_are_read() {
    let chrome = "curl 'http://h/api/x' \\\n  -H 'accept: */*' \\\n  -H 'content-type: application/json' \\\n  \
                  -b 'a=b; c=d' \\\n  -H 'sec-ch-ua: \"Chromium\";v=\"130\"' \\\n  \
                  --data-raw $'{\"say\":\"it\\'s caf\\u00e9 \\u0021\"}' \\\n  --insecure";
    let expected = "POST /api/x [accept=*/* content-length=22 content-type=application/json cookie=a=b; c=d \
                    sec-ch-ua=\"Chromium\";v=\"130\"] {\"say\":\"it's café !\"}";
    let expected = expected.replace("accept=*/* ", "");
    assert_eq!(parsed(chrome), expected);
    assert_eq!(parsed(&chrome.replace('\n', "\r\n")), expected);
    let firefox = "curl 'http://h/api/x' --compressed -X POST -H 'User-Agent: Mozilla/5.0' -H 'Accept-Encoding: gzip, \
                   deflate, br, zstd' -H 'Connection: keep-alive' --data-raw $'{\"name\":\"caf\\xc3\\xa9\"}'";
    assert_eq!(
        parsed(firefox),
        format!(
            "POST /api/x [Accept-Encoding=gzip, deflate, br, zstd Connection=keep-alive User-Agent=Mozilla/5.0 \
             content-length=16 {FORM}] {{\"name\":\"café\"}}"
        )
    );
    let safari = "curl 'http://h/api/x?q=%C3%A9' \\\n-X 'PUT' \\\n-H 'Content-Type: text/plain;charset=UTF-8' \\\n-H \
                  'Content-Length: 2' \\\n--data-binary '{}'";
    let headers = "Content-Length=2 Content-Type=text/plain;charset=UTF-8";
    assert_eq!(parsed(safari), format!("PUT /api/x?q=%C3%A9 [{headers}] {{}}"));
    assert_eq!(parsed("\u{feff}curl 'http://h/a[1]' \\\n  --globoff"), "GET /a[1] []");
    assert_eq!(parsed("/usr/bin/curl http://h/\n"), "GET / []");
    assert_eq!(parsed_bytes(b"curl http://h/ --data-raw 'a\xff'"), posted("a\u{fffd}").replace("=4", "=2"));
}

#[test]
fn what_curl_or_a_shell_does_otherwise_is_named() {
    for (line, expected) in [
        ("curl --frobnicate http://h/", CurlFault::Flag("--frobnicate".to_owned()).to_string()),
        ("curl --data=x http://h/", CurlFault::Flag("--data=x".to_owned()).to_string()),
        ("curl --compress http://h/", CurlFault::Flag("--compress".to_owned()).to_string()),
        ("curl -F a=b http://h/", unfollowed("-F")),
        ("curl -sF a=b http://h/", unfollowed("-F")),
        ("curl --http3 http://h/", unfollowed("--http3")),
        ("curl -0 http://h/", unfollowed("-0")),
        ("curl 'http://h/{a,b}'", CurlFault::Url(UrlFault::Glob('{')).to_string()),
        ("curl 'http://h/[1-3]'", CurlFault::Url(UrlFault::Glob('[')).to_string()),
        ("curl 'http://h/a b'", CurlFault::Url(UrlFault::Character("a space")).to_string()),
        ("curl -u me http://h/", CurlFault::NoPassword("-u".to_owned()).to_string()),
        ("curl -H @f http://h/", CurlFault::HeaderFile("@f".to_owned()).to_string()),
        ("curl -b jar http://h/", CurlFault::CookieFile("jar".to_owned()).to_string()),
        (r"curl -H $'X-A: \xff' http://h/", CurlFault::NotText("-H".to_owned()).to_string()),
        (r"curl $'http://h/\xff'", CurlFault::NotText("URL".to_owned()).to_string()),
        ("curl http://h/ | jq .", CurlFault::Words(WordFault::Operator('|')).to_string()),
        ("curl http://h/ 2>/dev/null", CurlFault::Words(WordFault::Redirection('>')).to_string()),
        ("curl ^\"http://h/^\"", CurlFault::Words(WordFault::Cmd).to_string()),
        ("curl \"http://h/\" ^\n  -H \"a: b\"", CurlFault::Words(WordFault::Cmd).to_string()),
        ("curl http://h/ -X", CurlFault::Value("-X".to_owned()).to_string()),
        ("curl http://h/ 'a", CurlFault::Words(WordFault::Quote).to_string()),
        ("curl http://h/ http://i/", CurlFault::Urls(2).to_string()),
        ("curl", CurlFault::Urls(0).to_string()),
        ("curl -H nonsense http://h/", CurlFault::Header("nonsense".to_owned()).to_string()),
        ("", OpeningFault::Empty.to_string()),
        ("$ curl http://h/", OpeningFault::Prompt("$".to_owned()).to_string()),
        ("me@box:~$ curl http://h/", OpeningFault::Prompt("me@box:~$".to_owned()).to_string()),
        ("PS C:\\> curl http://h/", OpeningFault::Prompt("PS".to_owned()).to_string()),
        ("fetch(\"http://h/\", {\n})", OpeningFault::JavaScript.to_string()),
        ("await fetch(\"http://h/\")", OpeningFault::JavaScript.to_string()),
        ("$session = New-Object X\nInvoke-WebRequest", OpeningFault::PowerShell.to_string()),
        ("Invoke-WebRequest -Uri \"http://h/\" `\n", OpeningFault::PowerShell.to_string()),
        ("http://h/a", OpeningFault::Other("http://h/a".to_owned()).to_string()),
        ("wget http://h/", OpeningFault::Other("wget".to_owned()).to_string()),
    ] {
        assert_eq!(parsed(line), expected, "{line}");
    }
}
