//! Lines written by a thread of its own.
//!
//! Whoever writes only appends to a buffer in memory, so a slow disk or a reader that has stopped reading
//! never holds a request up. The buffer is bounded: past its end lines are dropped and counted. So are those that
//! cannot be written; the next ones are tried again, because a disk does not stay full.

use prometheus::IntCounter;
use std::{
    fs::File,
    io::{self, Write},
    mem,
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

const BUFFER_BYTES_MAX: usize = 4 << 20;
/// Lines are gathered for so long before they are written: one wake-up and one write for many requests.
const GATHER: Duration = Duration::from_millis(20);

/// Where lines go.
pub struct Lines {
    shared: Arc<Shared>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    dropped: IntCounter,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Nothing more is taken.
    is_closed: bool,
}

impl Lines {
    /// Starts a writer, as a thread of this name. Lines that it cannot take are counted in `dropped`.
    ///
    /// # Errors
    /// Where the thread cannot start.
    pub fn start(name: &str, output: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), filled: Condvar::new(), dropped });
        let writer = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(name.to_owned()).spawn(move || shared.write_to(output))?
        };
        Ok(Self { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Adds a line, or several, with their line ends.
    pub fn append(&self, line: &[u8]) {
        self.shared.append(line);
    }

    /// Writes what is left and ends the writer, within `wait`.
    pub fn close(&self, wait: Duration) {
        self.shared.lock().is_closed = true;
        self.shared.filled.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let give_up = Instant::now() + wait;
        while writer.as_ref().is_some_and(|writer| !writer.is_finished()) && Instant::now() < give_up {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A standard stream as a file of its own. `io::stdout()` and `io::stderr()` hold their lock for as long as a
/// write takes: while nobody reads, everybody else who writes there, at the process's exit too, would wait.
///
/// # Errors
/// Where the process may open no more files.
pub fn unlocked(stream: impl AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.is_closed || state.lines.len() + line.len() > BUFFER_BYTES_MAX {
            self.dropped.inc();
            return;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn write_to(&self, to: impl Write) {
        let mut output = Output { to, is_torn: false };
        let mut lines = Vec::new();
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() && !state.is_closed {
                state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.is_closed {
                drop(state);
                thread::sleep(GATHER);
                state = self.lock();
            }
            mem::swap(&mut lines, &mut state.lines);
            let is_closed = state.is_closed;
            drop(state);
            let unwritten = output.write(&lines).iter().filter(|byte| **byte == b'\n').count();
            self.dropped.inc_by(unwritten as u64);
            if is_closed {
                return;
            }
            lines.clear();
        }
    }
}

/// What lines are written to.
struct Output<W> {
    to: W,
    /// Whether it ends in the middle of a line.
    is_torn: bool,
}

impl<W: Write> Output<W> {
    /// Writes lines as far as it goes, and gives back the others, the one that was torn among them.
    fn write<'a>(&mut self, lines: &'a [u8]) -> &'a [u8] {
        // What comes next is not to be taken for the rest of a line.
        if self.is_torn && self.to.write_all(b"\n").is_err() {
            drop(self.to.flush());
            return lines;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(written @ 1..) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        drop(self.to.flush());
        let written = lines.strip_suffix(rest).unwrap_or_default();
        self.is_torn = written.last().is_some_and(|byte| *byte != b'\n');
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixStream, sync::mpsc};

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "dropped").unwrap()
    }

    #[test]
    fn a_reader_that_never_reads_costs_lines_not_time() {
        let dropped = counter();
        let shared = Shared { state: Mutex::default(), filled: Condvar::new(), dropped: dropped.clone() };
        let line = vec![b'x'; 1 << 20];
        for _ in 0..6 {
            shared.append(&line);
        }
        assert_eq!((dropped.get(), shared.lock().lines.len()), (2, BUFFER_BYTES_MAX));
    }

    #[test]
    fn closing_writes_what_is_left_but_waits_for_no_reader() {
        let (output, mut input) = UnixStream::pair().unwrap();
        let lines = Lines::start("read", output, counter()).unwrap();
        lines.append(b"one\n");
        lines.append(b"two\n");
        lines.close(Duration::from_secs(60));
        let mut text = String::new();
        io::Read::read_to_string(&mut input, &mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");

        let (output, _unread) = UnixStream::pair().unwrap();
        let lines = Lines::start("unread", output, counter()).unwrap();
        lines.append(&vec![b'x'; BUFFER_BYTES_MAX]);
        let (closed, is_closed) = mpsc::channel();
        thread::spawn(move || {
            lines.close(Duration::from_millis(50));
            closed.send(()).unwrap();
        });
        is_closed.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    /// Takes so many bytes in all, and no more.
    struct Disk {
        free: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (taken, _) = bytes.split_at(bytes.len().min(self.free));
            if taken.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.free -= taken.len();
            self.written.extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_torn_is_not_taken_up_again() {
        for (free, unwritten, written) in [
            (0, "one\ntwo\n", "six\n"),
            (3, "\ntwo\n", "one\nsix\n"),
            (4, "two\n", "one\nsix\n"),
            (6, "o\n", "one\ntw\nsix\n"),
            (8, "", "one\ntwo\nsix\n"),
        ] {
            let mut output = Output { to: Disk { free, written: Vec::new() }, is_torn: false };
            assert_eq!(output.write(b"one\ntwo\n"), unwritten.as_bytes(), "{free}");
            assert_eq!(output.write(b"fix\n"), b"fix\n", "{free}");
            output.to.free = 100;
            assert_eq!(output.write(b"six\n"), b"", "{free}");
            assert_eq!(String::from_utf8_lossy(&output.to.written), written, "{free}");
        }
    }

    #[test]
    fn what_comes_after_the_target_has_gone_is_counted() {
        let (output, input) = UnixStream::pair().unwrap();
        drop(input);
        let dropped = counter();
        let lines = Lines::start("gone", output, dropped.clone()).unwrap();
        let give_up = Instant::now() + Duration::from_secs(20);
        while dropped.get() == 0 && Instant::now() < give_up {
            lines.append(b"line\n");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(dropped.get() > 0, "nothing was counted");
    }
}
