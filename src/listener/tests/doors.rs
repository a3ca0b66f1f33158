use super::*;
use pingora_rustls::{CertificateDer, ClientConfig, RootCertStore, ServerName, TlsConnector};
use std::{fs, path::PathBuf};

#[tokio::test]
async fn a_connection_over_a_cap_is_closed_and_one_that_ends_makes_room() {
    let door = open(listener_rules(), connection_rules(), Caps::new(9, 2));
    let first = door.connect().await;
    let second = door.connect().await;
    door.until(|door| door.caps.open() == 2).await;
    let mut third = door.connect().await;
    assert_eq!(rest(&mut third).await, "");
    assert_eq!((door.caps.shed(Shed::PerIp), door.caps.shed(Shed::Total)), (1, 0));
    drop(first);
    door.until(|door| door.caps.open() == 1).await;
    assert!(door.send(b"GET / HTTP/1.0\r\n\r\n").await.ends_with("GET / 0"));
    drop(second);
    door.until(|door| door.caps.open() == 0).await;
}

#[tokio::test]
async fn an_uncounted_listener_is_open_when_the_caps_are_reached() {
    let door = open(ListenerRules { counted: false, ..listener_rules() }, connection_rules(), Caps::new(0, 0));
    assert!(door.send(b"GET / HTTP/1.0\r\n\r\n").await.ends_with("GET / 0"));
}

/// Certificate and key in a folder of their own, and a client that trusts them.
struct Certificate {
    folder: PathBuf,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("portcullis-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.join("certificate"), made.cert.pem()).unwrap();
        fs::write(folder.join("key"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, der: made.cert.der().clone() }
    }

    fn load(&self, http1: bool, http2: bool) -> Result<Tls, TlsProblem> {
        Tls::load(&self.folder.join("certificate"), &self.folder.join("key"), http1, http2)
    }

    fn connector(&self, alpn: &[&str]) -> TlsConnector {
        pingora_rustls::install_default_crypto_provider();
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn alpn_chooses_the_protocol_under_tls() {
    let certificate = Certificate::new("alpn");
    let tls = certificate.load(true, true).unwrap();
    let door = open(ListenerRules { tls: Some(tls), ..listener_rules() }, connection_rules(), Caps::new(9, 9));
    let name = || ServerName::try_from("localhost").unwrap();

    for alpn in [&["http/1.1"][..], &[]] {
        let mut client = certificate.connector(alpn).connect(name(), door.connect().await).await.unwrap();
        client.write_all(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab").await.unwrap();
        assert_eq!(one_answer(&mut client).await, "POST /1 2");
    }

    let client = certificate.connector(&["h2", "http/1.1"]).connect(name(), door.connect().await).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(client).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/2").body(()).unwrap();
    let (answer, _) = sender.send_request(request, true).unwrap();
    assert_eq!(timeout(HANG, answer).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_handshake_is_counted_and_ends_with_the_head_deadline() {
    let certificate = Certificate::new("handshake");
    let rules = ListenerRules { tls: Some(certificate.load(true, true).unwrap()), ..listener_rules() };
    let connections = ConnectionRules { head_deadline: Duration::from_secs(1), ..connection_rules() };
    let door = open(rules, connections, Caps::new(9, 1));
    let mut silent = door.connect().await;
    door.until(|door| door.caps.open() == 1).await;
    assert_eq!(door.send(b"").await, "");
    assert_eq!(door.caps.shed(Shed::PerIp), 1);
    assert_eq!(rest(&mut silent).await, "");
    door.until(|door| door.caps.open() == 0).await;
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let certificate = Certificate::new("wrong");
    let other = Certificate::new("other");
    let wrong = |certificate: &std::path::Path, key: &std::path::Path| {
        Tls::load(certificate, key, true, true).unwrap_err().to_string()
    };
    let (chain, key) = (certificate.folder.join("certificate"), certificate.folder.join("key"));
    assert!(wrong(&chain, &certificate.folder.join("nothing")).contains("No such file"));
    assert!(wrong(&key, &key).contains("must hold a certificate"));
    assert!(wrong(&chain, &other.folder.join("key")).contains("cannot be used together"));
    assert!(certificate.load(true, true).is_ok());
}
