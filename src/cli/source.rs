//! The configuration that a command is told to read.

use super::{
    EXIT_USAGE,
    check::Format,
    fail,
    output::{complain, show_json},
    paint::Look,
    variable,
};
use crate::config::{self, Env, Loaded, Report};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileTypeExt as _,
    path::Path,
    process::ExitCode,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// The variable that names the configuration of every command that takes one.
pub(super) const CONFIG_VARIABLE: &str = "PORTCULLIS_CONFIG";
/// What stands for standard input.
pub(super) const STDIN: &str = "-";
/// What problems call it.
const STDIN_NAME: &str = "<stdin>";
/// Whoever waits for input longer is told what the command waits for.
const HINT_AFTER: Duration = Duration::from_secs(2);

/// Whether the secrets and certificates that a configuration names are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Read,
    Skipped,
}

/// Loads a configuration, or says what is wrong with it: in JSON on stdout where that is asked for, else on stderr.
pub(super) fn load(path: &Path, secrets: Secrets, format: Format) -> Result<Loaded, ExitCode> {
    load_quietly(path, secrets, &variable).map_err(|report| refuse(&[report], format))
}

/// Says what is wrong with configurations, as [`load`] does.
pub(super) fn refuse(reports: &[Report], format: Format) -> ExitCode {
    match format {
        Format::Json => show_json(&Report::json_of(reports)),
        Format::Text => {
            let texts: Vec<String> = reports.iter().map(ToString::to_string).collect();
            complain(Look::Problems, &texts.join("\n"));
        }
    }
    ExitCode::from(EXIT_USAGE)
}

/// Loads a configuration that is named on the command line: a file, `-` for standard input, or a pipe, which is read to its
/// end. Relative paths in what is no file are taken from the working directory.
pub(super) fn load_quietly(path: &Path, secrets: Secrets, env: &Env<'_>) -> Result<Loaded, Report> {
    let is_stdin = is_stdin(path);
    if !is_stdin && !is_pipe(path) {
        let load = if secrets == Secrets::Read { config::load } else { config::load_without_secrets };
        return load(path, env);
    }
    let name = if is_stdin { STDIN_NAME.to_owned() } else { path.display().to_string() };
    let bytes = match is_stdin {
        true => read_to_end(STDIN_NAME, move || Ok(io::stdin().lock())),
        false => {
            let path = path.to_owned();
            read_to_end(&name, move || File::open(path))
        }
    };
    config::load_read(bytes, &name, env, secrets == Secrets::Read)
}

/// Whether a path stands for standard input. Opening `/dev/stdin` fails where that is a socket.
pub(super) fn is_stdin(path: &Path) -> bool {
    [STDIN, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].iter().any(|name| path == Path::new(name))
}

/// Refuses standard input and pipes for a command that speaks of a file which a gateway reads again at each reload.
pub(super) fn must_be_a_file(command: &str, path: &Path) -> Result<(), ExitCode> {
    if !is_stdin(path) && !is_pipe(path) {
        return Ok(());
    }
    fail(&format!(
        "portcullis {command}: `{}` is no regular file: a gateway reads its configuration again at each reload, so name \
         the file itself",
        path.display()
    ));
    Err(ExitCode::from(EXIT_USAGE))
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_char_device()
    })
}

/// Reads to the end, but no more than a configuration may have and one byte. A pipe that nobody writes to keeps the command
/// waiting, as it does every other program; after a while stderr says so.
fn read_to_end<R: io::Read>(name: &str, open: impl FnOnce() -> io::Result<R> + Send + 'static) -> io::Result<Vec<u8>> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let read = || {
            let mut bytes = Vec::new();
            open()?.take(config::TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        // The other side waits for nothing else.
        drop(tell.send(read()));
    });
    let is_gone = || Err(io::Error::other("it could not be read"));
    match told.recv_timeout(HINT_AFTER) {
        Ok(read) => read,
        Err(RecvTimeoutError::Disconnected) => is_gone(),
        Err(RecvTimeoutError::Timeout) => {
            complain(Look::Plain, &format!("portcullis: waiting for the end of {name}"));
            told.recv().unwrap_or_else(|_| is_gone())
        }
    }
}
