//! How often the backend is asked whether it is there, by what goes over the wire.

use super::*;
use std::{io, sync::Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, duplex, split};

const PREFACE_BYTES: usize = 24;
const PING: u8 = 6;
const ACK: u8 = 1;
/// gRFC A8: what servers allow that were told nothing else.
const LEAST: Duration = Duration::from_secs(300);

/// A backend on whose connection the client's PINGs are noted.
#[derive(Clone)]
struct Tapped {
    backend: Backend,
    pings: Arc<Mutex<Vec<Instant>>>,
}

impl Dial for Tapped {
    fn dial(&self) -> futures_util::future::BoxFuture<'static, io::Result<Box<dyn dial::Io>>> {
        let (client, ours) = duplex(1 << 16);
        let (server, theirs) = duplex(1 << 16);
        self.backend.serve(theirs);
        let pings = Arc::clone(&self.pings);
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (split(ours), split(server));
        tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
        tokio::spawn(async move {
            let mut preface = [0; PREFACE_BYTES];
            from_client.read_exact(&mut preface).await?;
            to_server.write_all(&preface).await?;
            loop {
                let mut head = [0; 9];
                from_client.read_exact(&mut head).await?;
                let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
                from_client.read_exact(&mut payload).await?;
                if head[3] == PING && head[4] & ACK == 0 {
                    pings.lock().unwrap().push(Instant::now());
                }
                to_server.write_all(&[&head, payload.as_slice()].concat()).await?;
            }
            #[allow(unreachable_code, reason = "the type of the errors")]
            Ok::<(), io::Error>(())
        });
        Box::pin(async { Ok(Box::new(client) as Box<dyn dial::Io>) })
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_not_pinged_more_often_than_servers_allow() {
    let (backend, mut asked) = Backend::new();
    let tapped = Tapped { backend, pings: Arc::default() };
    let (publisher, invalidations) = (hub().1, Arc::new(Invalidations::new(Arc::new(SystemClock::new()))));
    let feed = Feed::over(Arc::new(tapped.clone()), options("backend:8082"), publisher, &invalidations);
    let (status, running) = (feed.status(), tokio::spawn(feed.run()));
    let begun = Instant::now();
    let _open = asked.recv().await.unwrap().open();
    tokio::time::sleep(SECOND * 3_600).await;
    let pings = tapped.pings.lock().unwrap().clone();
    let apart = std::iter::once(begun).chain(pings.iter().copied()).collect::<Vec<_>>();
    let waits: Vec<Duration> = apart.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.len() > 5 && waits.iter().all(|wait| *wait > LEAST), "{waits:?}");
    let counts = status.counts();
    assert_eq!((counts.opened, counts.ended, counts.gaps), (1, 0, 1), "the gap is that of the start");
    running.abort();
}
