//! Compiles the messages that `json` is about.

use prost::Message as _;
use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../kit/services.proto");
    let set = protox::compile(["services.proto"], ["../kit"])?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("services.binpb"), set.encode_to_vec())?;
    Ok(())
}
