use super::*;

fn parsed(line: &str) -> String {
    let read = |given: &str| Ok(Bytes::from(format!("<{given}>\n")));
    match parse(line, &read) {
        Ok(parts) => {
            let mut headers: Vec<_> = parts.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers.retain(|header| header != "accept=*/*");
            let http2 = if parts.is_http2 { " h2" } else { "" };
            let body = String::from_utf8_lossy(&parts.body).into_owned();
            format!("{} {}{http2} [{}] {body}", parts.method, parts.target, headers.join(" "))
        }
        Err(fault) => fault.to_string(),
    }
}

fn unfollowed(flag: &str) -> String {
    CurlFault::Unfollowed(flag.to_owned(), flags::why_not(flag).unwrap()).to_string()
}

#[test]
fn lines_are_read_as_curl_reads_them() {
    let form = "content-type=application/x-www-form-urlencoded";
    for (line, expected) in [
        ("curl http://h/a", "GET http://h/a [] ".to_owned()),
        ("http://h/a?b=c#d", "GET http://h/a?b=c [] ".to_owned()),
        ("curl h:80/a", "GET http://h:80/a [] ".to_owned()),
        ("curl -XPUT --url http://h/a -H 'X-A: b c'", "PUT http://h/a [X-A=b c] ".to_owned()),
        ("curl -d a=1 --data b=2 http://h/", format!("POST http://h/ [{form}] a=1&b=2")),
        ("curl -d @f http://h/", format!("POST http://h/ [{form}] <@f>")),
        ("curl --data-binary @f http://h/", format!("POST http://h/ [{form}] <@f>\n")),
        ("curl --data-raw @f http://h/", format!("POST http://h/ [{form}] @f")),
        ("curl -G -d a=1 http://h/?b=2", "GET http://h/?b=2&a=1 [] ".to_owned()),
        ("curl -I http://h/", "HEAD http://h/ [] ".to_owned()),
        (
            "curl --json '{\"a\":1}' http://h/",
            "POST http://h/ [accept=application/json content-type=application/json] {\"a\":1}".to_owned(),
        ),
        ("curl -u me:pass http://h/", "GET http://h/ [authorization=Basic bWU6cGFzcw==] ".to_owned()),
        (
            "curl -b a=b -A me -e http://r http://h/",
            "GET http://h/ [cookie=a=b user-agent=me referer=http://r] ".to_owned(),
        ),
        ("curl -sSkiL --max-time 5 -o /dev/null --http2 http://h/", "GET http://h/ h2 [] ".to_owned()),
        ("curl --compressed http://h/", "GET http://h/ [accept-encoding=deflate, gzip, br, zstd] ".to_owned()),
        ("curl 'http://h/' \\\n  -H 'a: b' \\\n  -X POST", "POST http://h/ [a=b] ".to_owned()),
        ("curl 'http://h/' -H 'X-Empty;' -H 'Accept:' -H 'a;b: c'", "GET http://h/ [X-Empty= a;b=c] ".to_owned()),
        (
            r#"curl 'http://h/' -X 'PATCH' -b 'a=b; c=d' --insecure --data-raw $'{"say":"it\'s \u0021"}'"#,
            format!(r#"PATCH http://h/ [cookie=a=b; c=d {form}] {{"say":"it's !"}}"#),
        ),
        ("curl --url-query 'a=b c' --url-query +d=%20 http://h/?e", "GET http://h/?e&a=b+c&d=%20 [] ".to_owned()),
        ("curl --data-urlencode 'a=b&c' --data-urlencode =d http://h/", format!("POST http://h/ [{form}] a=b%26c&d")),
        ("curl -G --data-urlencode a@f http://h/", "GET http://h/?a=%3C%40f%3E%0A [] ".to_owned()),
        (
            "curl --json '{' --json '}' -G http://h/",
            "GET http://h/?{} [accept=application/json content-type=application/json] ".to_owned(),
        ),
        ("curl --frobnicate http://h/", CurlFault::Flag("--frobnicate".to_owned()).to_string()),
        ("curl -F a=b http://h/", unfollowed("-F")),
        ("curl -sF a=b http://h/", unfollowed("-F")),
        ("curl --http3 http://h/", unfollowed("--http3")),
        ("curl -H @f http://h/", CurlFault::HeaderFile("@f".to_owned()).to_string()),
        ("curl -b jar http://h/", CurlFault::CookieFile("jar".to_owned()).to_string()),
        ("curl http://h/ | jq .", CurlFault::Words(WordFault::Operator('|')).to_string()),
        ("curl ^\"http://h/^\"", CurlFault::Words(WordFault::Cmd).to_string()),
        ("curl http://h/ -X", CurlFault::Value("-X".to_owned()).to_string()),
        ("curl http://h/ 'a", CurlFault::Words(WordFault::Quote).to_string()),
        ("curl http://h/ http://i/", CurlFault::Urls(2).to_string()),
        ("curl", CurlFault::Urls(0).to_string()),
        ("curl -H nonsense http://h/", CurlFault::Header("nonsense".to_owned()).to_string()),
    ] {
        assert_eq!(parsed(line), expected, "{line}");
    }
}
