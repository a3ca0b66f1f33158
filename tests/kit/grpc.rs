//! A gRPC upstream that does what the test says, frame by frame, and remembers what it saw.

use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderName, Request, Response};
use hyper::body::Bytes;
use prost::Message as _;
use std::{
    fs,
    future::poll_fn,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex},
    task::Poll,
    thread,
};
use tokio::sync::{Notify, mpsc, oneshot};

/// What it does with a call, in this order.
#[derive(Debug, Clone)]
pub enum Step {
    /// Waits until the request has ended.
    Wait,
    /// Answers with a status and headers, beside them `content-type: application/grpc`.
    Head(u16, Vec<(&'static str, String)>),
    /// Answers with headers and nothing else.
    Only(u16, Vec<(&'static str, String)>),
    /// Sends bytes as they are, as fast as they are taken.
    Data(Bytes),
    /// Sends every message back as it comes, until the request has ended.
    Echo,
    /// Ends with trailers.
    Trailers(Vec<(&'static str, String)>),
    /// Ends without any.
    End,
    /// Resets the stream.
    Reset(Reason),
    /// Waits until the stream is reset.
    Hang,
    /// Waits until the test says so.
    Pause(Arc<Notify>),
}

/// A call as the upstream saw it so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    /// The flag of each message, and the message.
    pub messages: Vec<(u8, Bytes)>,
    /// Whether the request came to its end.
    pub is_whole: bool,
    /// How the stream was reset.
    pub reset: Option<Reason>,
    /// How many bytes of the answer were taken.
    pub bytes_taken: usize,
}

impl Seen {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("visible ASCII")).collect()
    }
}

type Call = Arc<Mutex<Seen>>;

/// A gRPC upstream on a free port, and the descriptors of its services.
pub struct GrpcUpstream {
    pub address: SocketAddr,
    script: Arc<Mutex<Vec<Step>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    folder: tempfile::TempDir,
    _stop: oneshot::Sender<()>,
}

impl GrpcUpstream {
    /// Starts one that echoes until it is told otherwise.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("nonblocking");
        let address = listener.local_addr().expect("an address");
        let (script, calls) = (Arc::new(Mutex::new(echo())), Arc::default());
        let (stop, stopped) = oneshot::channel();
        let serving = serve(listener, Arc::clone(&script), Arc::clone(&calls));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    () = serving => {}
                    _ = stopped => {}
                }
            });
        });
        let folder = tempfile::tempdir().expect("a folder for the descriptors");
        fs::write(folder.path().join("services.bin"), descriptors()).expect("the descriptors are written");
        Self { address, script, calls, folder, _stop: stop }
    }

    /// Says what it does with the calls that come from now on.
    pub fn does(&self, script: impl Into<Vec<Step>>) {
        *self.script.lock().unwrap() = script.into();
    }

    /// The file that describes its services.
    pub fn descriptors(&self) -> PathBuf {
        self.folder.path().join("services.bin")
    }

    /// The calls so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.calls.lock().unwrap().iter().map(|call| call.lock().unwrap().clone()).collect()
    }

    /// The last call.
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a call")
    }
}

/// The services of `services.proto` with all that they import.
pub fn descriptors() -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kit");
    let mut compiler = protox::Compiler::new([folder]).expect("the folder is there");
    let compiled = compiler.include_imports(true).open_file("services.proto").expect("the services compile");
    compiled.file_descriptor_set().encode_to_vec()
}

/// A message behind its flag and length.
pub fn frame(flag: u8, message: &[u8]) -> Bytes {
    [&[flag][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat().into()
}

/// The head of an answer.
pub fn head() -> Step {
    Step::Head(200, Vec::new())
}

/// A status behind the messages.
pub fn status(code: u32) -> Step {
    Step::Trailers(vec![("grpc-status", code.to_string())])
}

/// Sends back what comes.
pub fn echo() -> Vec<Step> {
    vec![head(), Step::Echo, status(0)]
}

async fn serve(listener: TcpListener, script: Arc<Mutex<Vec<Step>>>, calls: Arc<Mutex<Vec<Call>>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    while let Ok((stream, _)) = listener.accept().await {
        let (script, calls) = (Arc::clone(&script), Arc::clone(&calls));
        stream.set_nodelay(true).expect("a socket");
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (head, body) = request.into_parts();
                let seen = Seen { path: head.uri.path().to_owned(), headers: head.headers, ..Seen::default() };
                let call = Arc::new(Mutex::new(seen));
                calls.lock().unwrap().push(Arc::clone(&call));
                let steps = script.lock().unwrap().clone();
                tokio::spawn(answer(Request::new(body), respond, steps, call));
            }
        });
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, steps: Vec<Step>, call: Call) {
    let (into, mut messages) = mpsc::unbounded_channel();
    let reading = tokio::spawn(read(request.into_body(), Arc::clone(&call), into));
    let mut stream = None;
    for step in steps {
        let outcome = match step {
            Step::Wait => {
                while messages.recv().await.is_some() {}
                Ok(())
            }
            Step::Pause(until) => {
                until.notified().await;
                Ok(())
            }
            Step::Head(status, headers) => {
                stream = respond.send_response(response(status, headers), false).ok();
                Ok(())
            }
            Step::Only(status, headers) => respond.send_response(response(status, headers), true).map(drop),
            Step::Reset(reason) => {
                stream.as_mut().map_or_else(|| respond.send_reset(reason), |stream| stream.send_reset(reason));
                Ok(())
            }
            Step::Hang => match &mut stream {
                None => poll_fn(|cx| respond.poll_reset(cx)).await.map(|reason| reset(&call, reason)),
                Some(stream) => poll_fn(|cx| stream.poll_reset(cx)).await.map(|reason| reset(&call, reason)),
            },
            Step::Data(_) | Step::Echo | Step::Trailers(_) | Step::End => {
                let stream = stream.as_mut().expect("the head goes first");
                body_step(stream, step, &mut messages, &call).await
            }
        };
        if outcome.is_err() {
            break;
        }
    }
    // A stream that is dropped while its request goes on is reset.
    drop(reading.await);
}

async fn body_step(
    stream: &mut SendStream<Bytes>,
    step: Step,
    messages: &mut mpsc::UnboundedReceiver<Bytes>,
    call: &Call,
) -> Result<(), h2::Error> {
    match step {
        Step::Data(bytes) => send(stream, bytes, call).await,
        Step::Echo => {
            while let Some(message) = messages.recv().await {
                send(stream, message, call).await?;
            }
            Ok(())
        }
        Step::Trailers(trailers) => stream.send_trailers(map(trailers)),
        _ => stream.send_data(Bytes::new(), true),
    }
}

/// Sends what there is room for, and waits for more.
async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes, call: &Call) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(reason) => Poll::Ready(reason.map(Err)),
            Poll::Pending => stream.poll_capacity(cx).map(|room| room.unwrap_or(Ok(0)).map(Ok)),
        });
        let room = match room.await? {
            Ok(room) => room,
            Err(reason) => {
                reset(call, reason);
                return Err(reason.into());
            }
        };
        let piece = bytes.split_to(room.min(bytes.len()));
        call.lock().unwrap().bytes_taken += piece.len();
        stream.send_data(piece, false)?;
    }
    Ok(())
}

async fn read(mut body: RecvStream, call: Call, into: mpsc::UnboundedSender<Bytes>) {
    let mut ahead = Vec::new();
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                drop(body.flow_control().release_capacity(data.len()));
                ahead.extend_from_slice(&data);
            }
            Err(error) => return reset(&call, error.reason().unwrap_or(Reason::INTERNAL_ERROR)),
        }
        while let Some(head) = ahead.first_chunk::<5>() {
            let [flag, length @ ..] = *head;
            let end = 5 + u32::from_be_bytes(length) as usize;
            if ahead.len() < end {
                break;
            }
            let whole: Vec<u8> = ahead.drain(..end).collect();
            call.lock().unwrap().messages.push((flag, Bytes::copy_from_slice(&whole[5..])));
            drop(into.send(whole.into()));
        }
    }
    call.lock().unwrap().is_whole = true;
}

fn reset(call: &Call, reason: Reason) {
    call.lock().unwrap().reset = Some(reason);
}

fn response(status: u16, headers: Vec<(&'static str, String)>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().expect("a status");
    *response.headers_mut() = map(headers);
    response.headers_mut().entry("content-type").or_insert_with(|| "application/grpc".parse().unwrap());
    response
}

fn map(headers: Vec<(&'static str, String)>) -> HeaderMap {
    headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).fold(
        HeaderMap::new(),
        |mut map, (name, value)| {
            map.append(name, value);
            map
        },
    )
}
