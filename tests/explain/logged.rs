//! A request that was is found in the access log by its id.

use super::{Scene, YAML, line_of};

fn log_line(id: &str, more: &str) -> String {
    format!(
        "{{\"event\":\"access\",\"time\":\"2026-12-01T09:30:00.125Z\",\"node\":\"gw-7\",\"request_id\":\"{id}\",\"listener\":\"public\",\"route\":\"mail\",\
         \"client_ip\":\"192.0.2.1\",\"method\":\"POST\",\"path\":\"/mail\\u001b[2J\",\"protocol\":\"HTTP/1.1\",{more},\
         \"bytes_in\":0,\"bytes_out\":0,\"chain_us\":10,\"backend_us\":20,\"total_us\":40}}\n"
    )
}

#[test]
fn a_request_id_is_found_in_the_access_log() {
    let refused = log_line(
        "id-1",
        r#""client_request_id":"own-1","status":429,"reason":"BUDGET_EXHAUSTED","stopped_by":"budget""#,
    );
    let passed = log_line("id-2", r#""status":200"#);
    let yaml = format!("{YAML}observe: {{ access_log: {{ to: {{ file: access.log }} }} }}\n");
    let scene = Scene::new(&yaml);
    scene.file("access.log", &passed);
    scene.file("access.log.1", &refused);
    let told = scene.explain(&["--id", "id-1"]);
    assert_eq!(told.code, Some(1), "{}", told.error);
    for said in [
        &format!("gateway.yaml:{}", line_of("name: mail")),
        &format!("gateway.yaml:{}", line_of("budget: once")),
        "BUDGET_EXHAUSTED: Too many requests",
        "wait for as long as `Retry-After` says",
        "took      40 µs: filters 10 µs, backend 20 µs",
        "/mail\\u{1b}[2J",
        "at 2026-12-01T09:30:00.125Z",
        "client id own-1",
        "node      gw-7",
    ] {
        assert!(told.text.contains(said), "{said} is not in\n{}", told.text);
    }
    assert!(!told.text.contains('\x1b'));
    assert_eq!(scene.explain(&["--id", "own-1"]).text, told.text, "by the id that the client knows");
    assert_eq!(scene.explain(&["--id", "id-2"]).code, Some(0));
    let told = scene.explain(&["--id", "id-3"]);
    assert!(told.code == Some(2) && told.error.contains("has the request id `id-3`"), "{}", told.error);
    let told = Scene::new(YAML).explain(&["--id", "id-1"]);
    assert!(told.code == Some(2) && told.error.contains("--log"), "{}", told.error);
}
