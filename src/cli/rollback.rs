//! `portcullis rollback`.

use super::{EXIT_USAGE, check::Format, fail, reload, say, variable};
use crate::{
    client::unix_ms,
    config,
    life::history::{History, Past, replace},
};
use chrono::{DateTime, SecondsFormat};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What to go back to.
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// The configuration whose file is to hold what was in force before.
    #[arg(default_value = "gateway.yaml", env = "PORTCULLIS_CONFIG")]
    config: PathBuf,
    /// The revision to go back to, or how it begins; without it the newest that is another than the file now.
    #[arg(long, value_name = "REVISION")]
    to: Option<String>,
    /// Only shows what there is to go back to.
    #[arg(long)]
    list: bool,
    /// Where the gateway keeps its history, where that is none of the usual places.
    #[arg(long, value_name = "FOLDER")]
    history: Option<PathBuf>,
    /// Only writes the file. A gateway that watches it takes it up all the same.
    #[arg(long)]
    no_reload: bool,
    /// Has it taken up even where that ends more streams than `reload.max_streams_cut`.
    #[arg(long)]
    force: bool,
    /// The admin listener, where it is another than the configuration says.
    #[arg(long, value_name = "URL")]
    admin: Option<crate::client::Endpoint>,
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
}

/// Puts a configuration back that was in force, and has the gateway take it up. Exit codes: 0 where it is in force, 1
/// where nothing could be put back or no gateway answered, 2 where the configuration has problems by now.
pub(super) async fn rollback(args: RollbackArgs) -> ExitCode {
    let put_back = match put_back(&args) {
        Ok(Some(put_back)) => put_back,
        Ok(None) => return ExitCode::SUCCESS,
        Err(Problem::Config(report)) => {
            say(io::stderr(), &format!("{report}\nNothing is put back: what was in force then has problems now."));
            return ExitCode::from(EXIT_USAGE);
        }
        Err(problem) => return fail(&format!("portcullis rollback: {problem}")),
    };
    say(io::stdout(), &format!("{} holds {} again", args.config.display(), put_back.revision));
    if args.no_reload {
        return ExitCode::SUCCESS;
    }
    let RollbackArgs { config, admin, force, .. } = args;
    reload::reload(reload::ReloadArgs { config, admin, force, plan: false, format: Format::Text }).await
}

fn put_back(args: &RollbackArgs) -> Result<Option<Past>, Problem> {
    let file = args.config.display().to_string();
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error| Problem::Io(path, error)
    };
    let history = history(args)?;
    let entries = history.entries().map_err(at(history.folder()))?;
    let held = fs::read(&args.config).ok();
    if args.list {
        entries.iter().for_each(|past| say(io::stdout(), &line(past, held.as_deref())));
        return Ok(None);
    }
    // A rollback that was refused has left the file so, and is now asked for in earnest.
    let is_asked_again = args.force && args.to.is_none();
    if let Some(refused) = entries.iter().skip(1).find(|past| is_asked_again && is_held(past, held.as_deref())) {
        return Ok(Some(refused.clone()));
    }
    let chosen = choose(&entries, args.to.as_deref(), held.as_deref(), &file)?;
    let text = chosen.text().map_err(at(&chosen.path))?;
    let base_dir = args.config.parent().unwrap_or(Path::new(""));
    let loaded = config::parse(&text, &chosen.path.display().to_string(), base_dir, &variable);
    let keep = loaded.map_err(Problem::Config)?.config.reload.history;
    let mode = match fs::symlink_metadata(&args.config) {
        Ok(now) if now.is_symlink() => return Err(Problem::Link(file, chosen.path.display().to_string())),
        Ok(now) => now.permissions().mode() & 0o7777,
        Err(_) => 0o644,
    };
    if let Some(held) = held.filter(|held| !entries.iter().any(|past| is_held(past, Some(held)))) {
        let aside = history.set_aside(unix_ms(), &held, keep).map_err(at(history.folder()))?;
        say(io::stderr(), &format!("What {file} held is set aside as {}", aside.display()));
    }
    replace(&args.config, &text, mode).map_err(at(&args.config))?;
    Ok(Some(chosen.clone()))
}

/// The history in the first place that has one.
fn history(args: &RollbackArgs) -> Result<History, Problem> {
    let file = args.config.display().to_string();
    let places = match &args.history {
        Some(folder) => vec![History::within(folder)],
        None => History::places(&args.config, &variable).map_err(|error| Problem::Io(file.clone(), error))?,
    };
    let has_some = |history: &&History| history.entries().is_ok_and(|entries| !entries.is_empty());
    let found = places.iter().find(has_some).cloned();
    let folders = || places.iter().map(|history| history.folder().to_owned()).collect();
    found.ok_or_else(|| Problem::NoHistory { file, places: folders() })
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

fn line(past: &Past, held: Option<&[u8]>) -> String {
    let since = DateTime::from_timestamp_millis(past.since_ms).unwrap_or_default();
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
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
