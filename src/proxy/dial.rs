//! The connection to a backend that may answer with a tunnel.
//!
//! Pingora 0.9.1 tells its upstream half that a request without a body has ended, by a message to itself, after the
//! head was sent. Where the 101 is there before that message is looked at, the end of the request is taken for the
//! end of the tunnel, which then closes at once (proxy_h1.rs, `proxy_handle_upstream`). One upgrade in fifty met it
//! with a backend on the same machine.

use async_trait::async_trait;
use pingora_core::{
    Error, ErrorType, Result,
    connectors::L4Connect,
    protocols::l4::{
        ext::set_tcp_keepalive,
        socket::SocketAddr,
        stream::Stream,
        virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream},
    },
};
use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Connects over TCP, to a stream that is read one turn after it was written to.
#[derive(Debug)]
pub struct Dial;

#[async_trait]
impl L4Connect for Dial {
    // Pingora's total connection time-out holds for this too.
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let address = address.as_inet().ok_or_else(|| Error::new_up(ErrorType::ConnectNoRoute))?;
        let tcp = TcpStream::connect(address).await.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                _ => ErrorType::ConnectError,
            };
            Error::because(kind, "connecting for a tunnel", error).into_up()
        })?;
        Ok(VirtualSocketStream::new(Box::new(Polite { tcp, has_written: false })).into())
    }
}

/// Lets others in its task go ahead of what is to be read.
#[derive(Debug)]
struct Polite {
    tcp: TcpStream,
    has_written: bool,
}

impl VirtualSocket for Polite {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.tcp.set_nodelay(true),
            VirtualSockOpt::KeepAlive(times) => set_tcp_keepalive(&self.tcp, &times).map_err(io::Error::other),
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Polite {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if mem::take(&mut self.has_written) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Polite {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.has_written = true;
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
