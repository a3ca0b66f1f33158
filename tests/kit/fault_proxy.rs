//! A TCP proxy that goes wrong as it is told.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::JoinHandle,
};

/// What happens to the answers of the server behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// They come later.
    Delay(Duration),
    /// They never come.
    Drop,
    /// The connection is reset instead.
    Reset,
    /// The end comes instead, while requests are still read.
    HalfClose,
    /// Only so many bytes come, then nothing, and the connection stays.
    Truncate(usize),
}

/// A proxy in front of one server, on the runtime that it was started on.
pub struct FaultProxy {
    address: SocketAddr,
    fault: Arc<Mutex<Fault>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// A proxy that does no harm yet.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (fault, connections) = (Arc::new(Mutex::new(Fault::None)), Arc::<AtomicUsize>::default());
        let (shared, count) = (Arc::clone(&fault), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                tokio::spawn(carry(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, fault, connections, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, on connections that are open too.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// How many connections it has taken.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, server: SocketAddr, fault: Arc<Mutex<Fault>>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    // Otherwise small answers wait for acknowledgements, and the proxy is a fault of its own.
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    let ((client_reads, client_writes), (server_reads, mut server_writes)) = (client.into_split(), server.into_split());
    let requests = tokio::spawn(async move {
        let mut client_reads = client_reads;
        drop(tokio::io::copy(&mut client_reads, &mut server_writes).await);
    });
    answers(server_reads, client_writes, &fault).await;
    requests.abort();
}

async fn answers(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, fault: &Mutex<Fault>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = server.read(&mut buffer).await else { return };
        let now = *fault.lock().unwrap();
        let written = match now {
            Fault::None => client.write_all(&buffer[..read]).await,
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                client.write_all(&buffer[..read]).await
            }
            Fault::Drop => Ok(()),
            Fault::Reset => {
                // Closed with no time to linger, a connection is reset.
                drop(client.as_ref().set_zero_linger());
                return;
            }
            Fault::HalfClose => client.shutdown().await,
            Fault::Truncate(bytes) => {
                let written = client.write_all(&buffer[..read.min(bytes)]).await;
                if written.is_ok() {
                    while matches!(server.read(&mut buffer).await, Ok(1..)) {}
                }
                written
            }
        };
        if written.is_err() {
            return;
        }
    }
}
