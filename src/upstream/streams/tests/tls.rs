//! TLS to endpoints.

use super::{
    peer::{Peer, echo},
    *,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

/// A private authority: who trusts it, and a server that it vouches for under these names, offering `alpn`.
async fn vouched_for(names: &[&str], alpn: &[&str]) -> (Trust, Peer) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, authority.pem()).unwrap();
    let trust = Trust::in_file(file.path()).unwrap();

    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    (trust, Peer::with(h2::server::Builder::new(), Some(acceptor), echo).await)
}

fn upstream(endpoints: &[String], trust: &Trust, server_name: Option<&str>) -> Upstream {
    Upstream::with_tls("backend", endpoints, options(), &UpstreamTls::new(trust, server_name).unwrap()).unwrap()
}

#[tokio::test]
async fn those_whom_the_authority_vouches_for_are_spoken_to() {
    for (names, server_name) in [(&["127.0.0.1"][..], None), (&["backend.internal"], Some("backend.internal"))] {
        let (trust, peer) = vouched_for(names, &["h2"]).await;
        let upstream = upstream(&[format!("https://{}", peer.address)], &trust, server_name);
        for _ in 0..10 {
            assert_eq!(answer(&upstream, call("/")).await, "ping");
        }
        assert_eq!(peer.opened(), 1);
    }
}

#[tokio::test]
async fn others_are_refused_with_the_reason() {
    for (names, alpn, server_name, trusts, expected) in [
        (&["127.0.0.1"][..], &["h2"][..], Some("backend.internal"), true, "not valid for name"),
        (&["backend.internal"], &["h2"], None, true, "not valid for"),
        (&["127.0.0.1"], &["h2"], None, false, "UnknownIssuer"),
        (&["127.0.0.1"], &["http/1.1"], None, true, "it does not offer HTTP/2"),
        (&["127.0.0.1"], &[], None, true, "it does not offer HTTP/2"),
    ] {
        let (trust, peer) = vouched_for(names, alpn).await;
        let trust = if trusts { trust } else { Trust::nobody() };
        let upstream = upstream(&[format!("https://{}", peer.address)], &trust, server_name);
        let fault = fault(&upstream, call("/")).await;
        assert!(matches!(&fault, CallFault::Unreachable { cause, .. } if cause.contains(expected)), "{fault}");
    }
}

#[tokio::test]
async fn endpoints_with_and_without_tls_stand_side_by_side() {
    let (trust, secure) = vouched_for(&["127.0.0.1"], &["h2"]).await;
    let plain = Peer::start(echo).await;
    let endpoints = [format!("https://{}", secure.address), format!("http://{}", plain.address)];
    let upstream = upstream(&endpoints, &trust, None);
    for _ in 0..10 {
        assert_eq!(answer(&upstream, call("/")).await, "ping");
    }
    assert_eq!((secure.opened(), plain.opened()), (1, 1));
}
