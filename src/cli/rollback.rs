//! `portcullis rollback`.

use super::{
    EXIT_USAGE,
    check::Format,
    fail,
    output::{complain, show, show_json},
    paint::Look,
    reload::{self, GatewayArgs, admin_of},
    same_file,
    source::{self, must_be_a_file},
    variable,
};
use crate::{
    client::{Client, Endpoint, Trust, unix_ms},
    config,
    life::history::{History, Past, replace},
};
use chrono::{DateTime, SecondsFormat};
use serde_json::json;
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// A gateway that does not say in time which file it runs is not waited for.
const DEADLINE: Duration = Duration::from_secs(10);

/// What to go back to.
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
    /// The revision to go back to, or how it begins; without it the newest that is another than the file now
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,
    /// Only shows what there is to go back to
    #[arg(long)]
    list: bool,
    /// Where the gateway keeps its history, where that is none of the usual places
    #[arg(long, value_name = "FOLDER")]
    history: Option<PathBuf>,
    /// Only writes the file. A gateway that watches it takes it up all the same
    #[arg(long)]
    no_reload: bool,
    /// Has it taken up even where that ends more streams than `reload.max_streams_cut`
    #[arg(long)]
    force: bool,
    /// How what is said is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Why nothing was put back. The file is as it was.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no configuration of {file} is kept{}: name the folder with --history", looked(.places))]
    NoHistory { file: String, places: Vec<PathBuf> },
    #[error("no revision that is kept begins with `{0}`: see --list")]
    Unknown(String),
    #[error("several revisions begin with `{0}`: write more of it")]
    Ambiguous(String),
    #[error("every configuration that is kept is what {0} holds already")]
    NothingElse(String),
    #[error("{0} is a symbolic link, and whoever set it would set it again: put {1} where it comes from")]
    Link(String, String),
    #[error("{0}: {1}")]
    Io(String, io::Error),
    #[error("{0}")]
    Config(config::Report),
    #[error("{0}")]
    OtherGateway(String),
}

impl Problem {
    fn io(path: &Path, error: io::Error) -> Self {
        Self::Io(path.display().to_string(), error)
    }
}

/// What is to be put back, and where.
struct Chosen {
    past: Past,
    text: String,
    /// The file's mode.
    mode: u32,
    /// What the file holds now, where no history has it.
    lost: Option<Vec<u8>>,
    keep: usize,
    history: History,
    /// The admin listener under the configuration that is put back.
    admin: Option<Endpoint>,
}

/// Puts a configuration back that was in force, and has the gateway take it up. Exit codes: 0 where it is in force, 1
/// where nothing could be put back or no gateway answered, 2 where the configuration has problems by now or the gateway runs
/// another file.
pub(super) async fn rollback(args: RollbackArgs) -> ExitCode {
    let file = args.gateway.file_or_default();
    if let Err(code) = must_be_a_file("rollback", file) {
        return code;
    }
    match put_back(&args, file).await {
        Ok(Some(past)) => has_put_back(args, &past).await,
        Ok(None) => ExitCode::SUCCESS,
        Err(Problem::Config(report)) => {
            let code = source::refuse(&[report], args.format);
            complain(Look::Plain, "Nothing is put back: what was in force then has problems now.");
            code
        }
        Err(problem @ Problem::OtherGateway(_)) => {
            complain(Look::Problems, &format!("portcullis rollback: {problem}"));
            ExitCode::from(EXIT_USAGE)
        }
        Err(problem) => fail(&format!("portcullis rollback: {problem}")),
    }
}

/// Says what the file holds, and has it taken up unless that is not wanted.
async fn has_put_back(args: RollbackArgs, past: &Past) -> ExitCode {
    let file = args.gateway.file_or_default().display();
    match args.format {
        Format::Text => show(Look::Plain, &format!("{file} holds {} again", past.revision)),
        // What the gateway says of it is the one document.
        Format::Json if !args.no_reload => {}
        Format::Json => show_json(&json!({ "file": file.to_string(), "holds": past.revision }).to_string()),
    }
    if args.no_reload {
        return ExitCode::SUCCESS;
    }
    let RollbackArgs { gateway, force, format, .. } = args;
    reload::reload(reload::ReloadArgs { gateway, force, plan: false, format }).await
}

async fn put_back(args: &RollbackArgs, file: &Path) -> Result<Option<Past>, Problem> {
    let history = history(args, file)?;
    let entries = history.entries().map_err(|error| Problem::io(history.folder(), error))?;
    let held = fs::read(file).ok();
    if args.list {
        list(&entries, held.as_deref(), args.format);
        return Ok(None);
    }
    // A rollback that was refused has left the file so, and is now asked for in earnest.
    let is_asked_again = args.force && args.to.is_none();
    if let Some(refused) = entries.iter().skip(1).find(|past| is_asked_again && is_held(past, held.as_deref())) {
        return Ok(Some(refused.clone()));
    }
    let chosen = prepared(args, file, history, &entries, held)?;
    if let Some(admin) = chosen.admin.as_ref().filter(|_| !args.no_reload && args.gateway.file().is_some()) {
        let client = Client::new(DEADLINE, &Trust::nobody());
        same_file::refuse_another(&client, admin, file).await.map_err(Problem::OtherGateway)?;
    }
    write(chosen, file).map(Some)
}

/// Chooses what is put back, and reads all that has to be known before anything is written.
fn prepared(
    args: &RollbackArgs,
    file: &Path,
    history: History,
    entries: &[Past],
    held: Option<Vec<u8>>,
) -> Result<Chosen, Problem> {
    let name = file.display().to_string();
    let past = choose(entries, args.to.as_deref(), held.as_deref(), &name)?.clone();
    let text = past.text().map_err(|error| Problem::io(&past.path, error))?;
    let base_dir = file.parent().unwrap_or(Path::new(""));
    let loaded =
        config::parse(&text, &past.path.display().to_string(), base_dir, &variable).map_err(Problem::Config)?;
    let mode = match fs::symlink_metadata(file) {
        Ok(now) if now.is_symlink() => return Err(Problem::Link(name, past.path.display().to_string())),
        Ok(now) => now.permissions().mode() & 0o7777,
        Err(_) => 0o644,
    };
    let lost = held.filter(|held| !entries.iter().any(|past| is_held(past, Some(held))));
    let admin = args.gateway.admin.clone().or_else(|| admin_of(&loaded));
    Ok(Chosen { past, text, mode, lost, keep: loaded.config.reload.history, history, admin })
}

/// Writes the file, and sets aside what would be lost.
fn write(chosen: Chosen, file: &Path) -> Result<Past, Problem> {
    let Chosen { past, text, mode, lost, keep, history, .. } = chosen;
    if let Some(lost) = lost {
        let aside = history.set_aside(unix_ms(), &lost, keep).map_err(|error| Problem::io(history.folder(), error))?;
        complain(Look::Plain, &format!("What {} held is set aside as {}", file.display(), aside.display()));
    }
    replace(file, &text, mode).map_err(|error| Problem::io(file, error))?;
    Ok(past)
}

/// The history in the first place that has one.
fn history(args: &RollbackArgs, file: &Path) -> Result<History, Problem> {
    let places = match &args.history {
        Some(folder) => vec![History::within(folder)],
        None => History::places(file, &variable).map_err(|error| Problem::io(file, error))?,
    };
    let has_some = |history: &&History| history.entries().is_ok_and(|entries| !entries.is_empty());
    let found = places.iter().find(has_some).cloned();
    let folders = || places.iter().map(|history| history.folder().to_owned()).collect();
    found.ok_or_else(|| Problem::NoHistory { file: file.display().to_string(), places: folders() })
}

/// The entry that is asked for, out of the newest first.
fn choose<'a>(
    entries: &'a [Past],
    revision: Option<&str>,
    held: Option<&[u8]>,
    file: &str,
) -> Result<&'a Past, Problem> {
    let Some(revision) = revision else {
        let other = entries.iter().find(|past| !is_held(past, held));
        return other.ok_or_else(|| Problem::NothingElse(file.to_owned()));
    };
    let asked = || revision.to_owned();
    let mut found = entries.iter().filter(|past| past.revision.starts_with(revision));
    let first = found.next().ok_or_else(|| Problem::Unknown(asked()))?;
    // One that was in force twice is the same.
    if found.any(|other| other.revision != first.revision) { Err(Problem::Ambiguous(asked())) } else { Ok(first) }
}

fn is_held(past: &Past, held: Option<&[u8]>) -> bool {
    // A byte order mark is no part of what is taken up.
    let held = held.map(|held| held.strip_prefix("\u{feff}".as_bytes()).unwrap_or(held));
    held.is_some_and(|held| past.text().is_ok_and(|text| text.as_bytes() == held))
}

/// Shows what there is to go back to, the newest first.
fn list(entries: &[Past], held: Option<&[u8]>, format: Format) {
    let entry = |past: &Past| json!({ "revision": past.revision, "in_force_since": since(past), "is_held": is_held(past, held) });
    match format {
        Format::Json => show_json(&json!(entries.iter().map(entry).collect::<Vec<_>>()).to_string()),
        Format::Text => entries.iter().for_each(|past| show(Look::Plain, &line(past, held))),
    }
}

/// When it came into force, as RFC 3339 has it.
fn since(past: &Past) -> String {
    DateTime::from_timestamp_millis(past.since_ms).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn line(past: &Past, held: Option<&[u8]>) -> String {
    let since = since(past);
    let note = if is_held(past, held) { "  what the file holds" } else { "" };
    format!("{}  in force since {since}{note}", past.revision)
}

fn looked(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    format!(" in {}", places.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_the_newest_other_or_the_one_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::within(folder.path());
        for (now_ms, revision, text) in [(1, "abcd1", "a"), (2, "abcd2", "b"), (3, "abcd1", "a"), (4, "ffff3", "c")] {
            history.record(now_ms, revision, text, 10).unwrap();
        }
        let entries = history.entries().unwrap();
        for (revision, held, expected) in [
            (None, Some("c"), "3"),
            (None, Some("broken: ["), "4"),
            (None, None, "4"),
            (None, Some("\u{feff}c"), "3"),
            (Some("abcd1"), Some("c"), "3"),
            (Some("abcd2"), Some("c"), "2"),
            (Some("abcd"), Some("c"), "several revisions begin with `abcd`: write more of it"),
            (Some("f"), Some("c"), "4"),
            (Some("0000"), Some("c"), "no revision that is kept begins with `0000`: see --list"),
        ] {
            let chosen = choose(&entries, revision, held.map(str::as_bytes), "gateway.yaml");
            let chosen = chosen.map_or_else(|problem| problem.to_string(), |past| past.since_ms.to_string());
            assert_eq!(chosen, expected, "{revision:?} {held:?}");
        }
        let alone = choose(&entries[..1], None, Some(b"c"), "gateway.yaml").unwrap_err().to_string();
        assert_eq!(alone, "every configuration that is kept is what gateway.yaml holds already");
    }

    #[test]
    fn a_line_of_the_list_says_since_when() {
        let past = Past { since_ms: 1_700_000_000_000, revision: "abcd1".to_owned(), path: PathBuf::from("/nowhere") };
        assert_eq!(line(&past, None), "abcd1  in force since 2023-11-14T22:13:20Z");
    }
}
