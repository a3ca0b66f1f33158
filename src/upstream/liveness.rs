//! How long-lived connections to backends are watched.

use pingora_core::protocols::{TcpKeepalive, l4::ext::set_tcp_keepalive};
use std::{io, time::Duration};
use tokio::net::{TcpStream, ToSocketAddrs};

/// A machine that is gone without a word is noticed by TCP: after 15 s without a segment the kernel asks, three times
/// at 5 s, and what was sent is given up after 30 s without an acknowledgement.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(15),
    interval: Duration::from_secs(5),
    count: 3,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::from_secs(30),
};

/// A process that hangs while its kernel answers, or one behind a balancer that does, is noticed by an HTTP/2 PING,
/// which is sent while streams are open and nothing came for so long. Less than 5 minutes, and gRPC servers with
/// their default settings (grpc-go, C++, Java) take the third for an attack and end the connection with
/// `ENHANCE_YOUR_CALM` (gRFC A8); the rest is for clocks that differ.
pub const PING_EVERY: Duration = Duration::from_secs(310);

/// How long the answer to a PING may take: as long as gRPC's own clients wait for it.
pub const PING_ANSWER: Duration = Duration::from_secs(20);

/// Connects, and has the kernel watch the peer.
///
/// # Errors
/// Where nobody answers, or the socket takes no such options.
pub async fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    set_tcp_keepalive(&stream, &KEEPALIVE).map_err(io::Error::other)?;
    Ok(stream)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::net::sockopt::{
        socket_keepalive, tcp_keepcnt, tcp_keepidle, tcp_keepintvl, tcp_nodelay, tcp_user_timeout,
    };
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_peer_that_vanishes_is_noticed_within_30_seconds() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(socket_keepalive(&stream).unwrap() && tcp_nodelay(&stream).unwrap());
        let silent = tcp_keepidle(&stream).unwrap() + tcp_keepintvl(&stream).unwrap() * tcp_keepcnt(&stream).unwrap();
        assert_eq!((silent, tcp_user_timeout(&stream).unwrap()), (Duration::from_secs(30), 30_000));
    }
}
