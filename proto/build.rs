//! Compiles the .proto files with protox, so that no protoc is needed on the machine.

use prost::Message as _;
use prost_types::{FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto::Type};
use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 3] = ["edge/v1/gateway.proto", "push/v1/push.proto", "google/rpc/error_details.proto"];
/// The package whose messages have a JSON form, too.
const WITH_JSON: &str = "edge.v1";

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let set = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(&set, descriptors.encode_to_vec())?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    add_json(&mut config, &descriptors);
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}

/// Has the messages derive serde, with what protobuf's JSON mapping wants of each type from `src/json.rs`.
fn add_json(config: &mut prost_build::Config, descriptors: &FileDescriptorSet) {
    for file in descriptors.file.iter().filter(|file| file.package() == WITH_JSON) {
        for message in &file.message_type {
            let path = format!(".{WITH_JSON}.{}", message.name());
            config.message_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]");
            config.message_attribute(&path, r#"#[serde(default, rename_all = "camelCase")]"#);
            for field in &message.field {
                config.field_attribute(format!("{path}.{}", field.name()), json_of(field));
            }
        }
    }
}

fn json_of(field: &FieldDescriptorProto) -> String {
    let form = match field.r#type() {
        Type::Int64 => r#"with = "crate::json::int64""#,
        Type::Bytes => r#"with = "crate::json::base64""#,
        _ => r#"deserialize_with = "crate::json::or_default""#,
    };
    let name = field.name();
    format!(r#"#[serde(alias = "{name}", skip_serializing_if = "crate::json::is_default", {form})]"#)
}
