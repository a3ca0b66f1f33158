//! An HTTP/2 server that does as a test says.

use super::*;
use h2::{
    RecvStream, SendStream,
    server::{self, SendResponse},
};
use std::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

/// What a server does with a request.
pub(super) trait Answering: Fn(Asked) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static {}
impl<F: Fn(Asked) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static> Answering for F {}

/// One request at the server.
pub(super) struct Asked {
    pub(super) head: http::request::Parts,
    pub(super) body: RecvStream,
    pub(super) respond: SendResponse<Bytes>,
}

impl Asked {
    /// Sends the head of the answer.
    pub(super) fn begin(&mut self) -> SendStream<Bytes> {
        self.respond.send_response(Response::new(()), false).unwrap()
    }

    /// Reads the whole request.
    pub(super) async fn read(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Some(Ok(data)) = self.body.data().await {
            whole.extend_from_slice(&data);
            self.body.flow_control().release_capacity(data.len()).unwrap();
        }
        whole
    }
}

/// Answers with what was sent.
pub(super) fn echo(mut asked: Asked) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let body = asked.read().await;
        write(&mut asked.begin(), body.into(), true).await;
    })
}

/// Answers to `/hold` with a head only, to the rest with what was sent.
pub(super) fn hold(mut asked: Asked) -> BoxFuture<'static, ()> {
    if asked.head.uri.path() != "/hold" {
        return echo(asked);
    }
    Box::pin(async move {
        let mut answer = asked.begin();
        drop(poll_fn(|cx| answer.poll_reset(cx)).await);
    })
}

/// Writes as the client reads.
pub(super) async fn write(answer: &mut SendStream<Bytes>, mut data: Bytes, is_end: bool) -> bool {
    while !data.is_empty() {
        answer.reserve_capacity(data.len());
        let Some(Ok(capacity)) = poll_fn(|cx| answer.poll_capacity(cx)).await else { return false };
        let part = data.split_to(capacity.min(data.len()));
        if answer.send_data(part, is_end && data.is_empty()).is_err() {
            return false;
        }
    }
    true
}

/// A server that is gone when this is.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
    order: watch::Sender<Order>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Serve,
    /// GOAWAY on those connections that are there.
    GoAway,
    /// Those connections that are there are closed without a word.
    HangUp,
}

impl Peer {
    pub(super) async fn start(answer: impl Answering) -> Self {
        Self::with(server::Builder::new(), None, answer).await
    }

    /// One that allows so many streams at once on a connection.
    pub(super) async fn allowing(streams: u32, answer: impl Answering) -> Self {
        Self::with(server::Builder::new().max_concurrent_streams(streams).clone(), None, answer).await
    }

    pub(super) async fn with(builder: server::Builder, tls: Option<TlsAcceptor>, answer: impl Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (order, orders) = watch::channel(Order::Serve);
        let peer = Self { address, opened: Arc::default(), closed: Arc::default(), order };
        let (opened, closed) = (Arc::clone(&peer.opened), Arc::clone(&peer.closed));
        tokio::spawn(async move {
            let mut ending = orders.clone();
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    _ = ending.wait_for(|_| false) => return,
                };
                stream.set_nodelay(true).unwrap();
                opened.fetch_add(1, SeqCst);
                let (builder, tls, mut orders) = (builder.clone(), tls.clone(), orders.clone());
                let (closed, answer) = (Arc::clone(&closed), answer.clone());
                orders.mark_unchanged();
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &builder, orders, answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &builder, orders, answer).await;
                            }
                        }
                    }
                    closed.fetch_add(1, SeqCst);
                });
            }
        });
        peer
    }

    /// How many connections there have been.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(SeqCst)
    }

    /// How many of them have ended.
    pub(super) fn closed(&self) -> usize {
        self.closed.load(SeqCst)
    }

    pub(super) fn go_away(&self) {
        self.order.send_replace(Order::GoAway);
    }

    pub(super) fn hang_up(&self) {
        self.order.send_replace(Order::HangUp);
    }
}

async fn serve<T: AsyncRead + AsyncWrite + Unpin>(
    stream: T,
    builder: &server::Builder,
    mut orders: watch::Receiver<Order>,
    answer: impl Answering,
) {
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            Ok(()) = orders.changed() => {
                if *orders.borrow() == Order::HangUp {
                    return;
                }
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, respond))) = accepted else { return };
        let (head, body) = request.into_parts();
        tokio::spawn(answer(Asked { head, body, respond }));
    }
}
