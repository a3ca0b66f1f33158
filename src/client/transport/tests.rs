use super::*;
use crate::client::{Codec, Command, Device, Protocol};
use hyper::service::service_fn;
use hyper_util::{rt::TokioIo, server::conn::auto};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{convert::Infallible, future::ready, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

#[test]
fn endpoints_are_a_scheme_a_host_and_a_port() {
    for good in ["https://127.0.0.1:9090", "http://[::1]:9090/", "http://edge.example"] {
        assert_eq!(good.parse::<Endpoint>().unwrap().to_string(), good.trim_end_matches('/'));
    }
    for bad in ["", "127.0.0.1:9090", "ftp://a", "http://", "http://a/b", "http://a/?b"] {
        assert_eq!(bad.parse::<Endpoint>(), Err(EndpointFault(bad.to_owned())));
    }
}

/// A listener that takes one connection and says `answer`, or nothing more where there is none.
async fn server(answer: Option<Vec<u8>>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut peer, _) = listener.accept().await.unwrap();
        if let Some(answer) = answer {
            // The client must have sent before it is answered, or hyper takes the answer for stray bytes.
            peer.read_u8().await.unwrap();
            // It may hang up in the middle of an oversized answer.
            let _ = peer.write_all(&answer).await;
        }
        let _ = tokio::io::copy(&mut peer, &mut tokio::io::sink()).await;
    });
    endpoint
}

async fn call(endpoint: &Endpoint, deadline: Duration) -> CallError {
    let device = Device::new("session-1", ed25519_dalek::SigningKey::from_bytes(&[1; 32]));
    let request = device.sign(&Command::new("a", "").unwrap());
    let dialect = Dialect::new(Protocol::Connect, Codec::Json);
    Client::new(deadline, &Trust::nobody()).call(endpoint, dialect, &request).await.unwrap_err()
}

#[tokio::test]
async fn a_silent_gateway_is_given_up_on() {
    let endpoint = server(None).await;
    let fault = call(&endpoint, Duration::from_millis(20)).await;
    assert!(matches!(fault, CallError::Deadline(_)), "{fault}");
}

#[tokio::test]
async fn an_endless_answer_is_cut_at_the_limit() {
    let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", ANSWER_BYTES_MAX + 1).into_bytes();
    answer.resize(answer.len() + ANSWER_BYTES_MAX + 1, b' ');
    let fault = call(&server(Some(answer)).await, DEADLINE).await;
    assert!(matches!(&fault, CallError::Malformed(what) if what.contains("limit")), "{fault}");
}

#[tokio::test]
async fn a_closed_port_says_so() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let fault = call(&format!("http://{port}").parse().unwrap(), DEADLINE).await;
    assert!(matches!(&fault, CallError::Unreachable(what) if what.contains("refused")), "{fault}");
}

/// A TLS listener that names itself by `certificate` and answers one connection with the protocol that ALPN
/// chose: none for HTTP/1.1, which needs no choosing.
async fn tls_server(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Endpoint {
    let chain = vec![certificate.cert.der().clone()];
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
        let chosen = Bytes::copy_from_slice(stream.get_ref().1.alpn_protocol().unwrap_or_default());
        let answer = move |_| ready(Ok::<_, Infallible>(http::Response::new(Full::new(chosen.clone()))));
        let _ =
            auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(answer)).await;
    });
    endpoint
}

async fn get(endpoint: &Endpoint, version: HttpVersion, trust: &Trust) -> Result<Bytes, CallError> {
    let client = Client::new(DEADLINE, trust);
    let (headers, body) = (HeaderMap::new(), Bytes::new());
    client.exchange(endpoint, version, Method::GET, "/", headers, body).await.map(|reply| reply.body)
}

#[tokio::test]
async fn https_is_spoken_with_those_in_the_file_and_nobody_else() {
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, certificate.cert.pem()).unwrap();
    let trust = Trust::in_file(file.path()).unwrap();
    for (version, expected) in [(HttpVersion::Http1, ""), (HttpVersion::Http2, "h2")] {
        let endpoint = tls_server(&certificate).await;
        assert_eq!(get(&endpoint, version, &trust).await.unwrap(), expected);
    }
    let endpoint = tls_server(&certificate).await;
    let fault = get(&endpoint, HttpVersion::Http1, &Trust::nobody()).await.unwrap_err();
    assert!(matches!(&fault, CallError::Unreachable(what) if what.contains("UnknownIssuer")), "{fault}");
}
