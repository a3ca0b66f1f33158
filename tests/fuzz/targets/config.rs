//! Configurations: whatever a file holds, it is taken or its problems are told. Time is libFuzzer's to watch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::config;
use std::path::Path;

/// Of a hundred problems, each with a line of the file, both cut to some hundred characters.
const REPORT_BYTES_MAX: usize = 1 << 18;

fuzz_target!(|text: &str| {
    // A folder that is not there: the files that a text names are none of this machine's, but for absolute paths.
    let env = |name: &str| (name.len() < 4).then(|| name.repeat(4));
    match config::parse(text, "gateway.yaml", Path::new("nowhere"), &env) {
        Ok(loaded) => {
            let _ = loaded.masked();
        }
        Err(report) => {
            assert!(report.has_errors());
            assert!(report.to_string().len() < REPORT_BYTES_MAX);
        }
    }
});
