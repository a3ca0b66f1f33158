//! Compiles the .proto files with protox, so that no protoc is needed on the machine.

use prost::Message as _;
use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 3] = ["edge/v1/gateway.proto", "push/v1/push.proto", "google/rpc/error_details.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let set = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    let encoded = descriptors.encode_to_vec();
    fs::write(&set, &encoded)?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    pbjson_build::Builder::new().register_descriptors(&encoded)?.ignore_unknown_fields().build(&[".edge.v1"])?;
    Ok(())
}
