//! `portcullis explain --id`: a request that was.

use crate::{
    config::{Loaded, source::AccessLogTarget},
    explain::logged::{Search, Story},
};
use std::{
    error::Error,
    fs::File,
    io::{self, BufReader},
    path::PathBuf,
};

/// Reads are as large as disks like them.
const BUFFER_BYTES: usize = 256 << 10;

/// What happened to the request of this id. `log` is a file, or `-` for standard input; the configured one where it is
/// none, and the one that was moved aside last (`FILE.1`).
pub(super) fn story(loaded: &Loaded, id: &str, log: Option<&str>) -> Result<Story, Box<dyn Error>> {
    let mut search = Search::default();
    let looked_at = match log {
        Some("-") => {
            search.read(&mut io::stdin().lock(), id)?;
            "standard input".to_owned()
        }
        Some(file) => in_files(&mut search, &[PathBuf::from(file)], id)?,
        None => match &loaded.config.observe.access_log.to {
            AccessLogTarget::File(path) => {
                let path = loaded.resolve(path);
                let mut aside = path.clone().into_os_string();
                aside.push(".1");
                let files = [path, PathBuf::from(aside)];
                let there: Vec<PathBuf> = files.iter().filter(|file| file.exists()).cloned().collect();
                in_files(&mut search, if there.is_empty() { &files } else { &there }, id)?
            }
            _ => {
                return Err(
                    "the access log goes to no file: name it with --log, or give it on standard input with --log -"
                        .into(),
                );
            }
        },
    };
    let line = search.last.ok_or_else(|| format!("no line of {looked_at} has the request id `{id}`"))?;
    Ok(Story::new(line, search.count, loaded))
}

/// Looks in each file until one has the id.
fn in_files(search: &mut Search, files: &[PathBuf], id: &str) -> Result<String, Box<dyn Error>> {
    let mut looked_at = Vec::new();
    for path in files {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        search.read(&mut BufReader::with_capacity(BUFFER_BYTES, file), id)?;
        looked_at.push(path.display().to_string());
        if search.last.is_some() {
            break;
        }
    }
    Ok(looked_at.join(" and "))
}
