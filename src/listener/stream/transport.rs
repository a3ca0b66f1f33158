//! Everything else that Pingora asks of a stream. Only the end is not simply passed on.

use super::GuardedStream;
use async_trait::async_trait;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
};
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::AsyncWrite;

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.note_write();
        if let Some(taken) = ready!(self.poll_gather(cx, &[io::IoSlice::new(buf)]))? {
            return Poll::Ready(Ok(taken));
        }
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        let polled = self.stall.judge(cx, polled);
        if let Some(traffic) = &self.traffic {
            traffic.wrote(&polled);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gathered(cx))?;
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        let polled = self.stall.judge(cx, polled);
        if let Some(traffic) = &self.traffic {
            traffic.flushed(&polled);
        }
        polled
    }

    /// What HTTP/2 ends with. In a peaceful parting the client's window updates are read until it ends too, or is given
    /// up: closing would answer them with a reset.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_gathered(cx))?;
        ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        while self.traffic.as_ref().is_some_and(|traffic| traffic.is_parting()) && ready!(self.poll_fill(cx))? > 0 {
            self.ahead.clear();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note_write();
        if let Some(taken) = ready!(self.poll_gather(cx, bufs))? {
            return Poll::Ready(Ok(taken));
        }
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        let polled = self.stall.judge(cx, polled);
        if let Some(traffic) = &self.traffic {
            traffic.wrote(&polled);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for GuardedStream {
    async fn shutdown(&mut self) {
        // What cannot be written any more has nobody to read it.
        drop(poll_fn(|cx| self.poll_gathered(cx)).await);
        self.inner.shutdown().await;
        self.is_shut = true;
    }
}

impl UniqueID for GuardedStream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for GuardedStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for GuardedStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for GuardedStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for GuardedStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

/// Peeking is not offered: the guard has looked already.
impl Peek for GuardedStream {}
