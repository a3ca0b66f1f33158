//! The vectors of what is signed hold for an implementation that shares nothing with this one.

use std::{
    io::ErrorKind,
    process::{Command, Stdio},
};

/// `ops/test` brings Python and runs this too; where there is none, only that run tells.
#[test]
fn a_second_implementation_finds_in_each_vector_what_it_says() {
    let check = Command::new("python3")
        .args(["-B", "tests/clients/vectors/check.py"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output();
    let told = match check {
        Err(error) if error.kind() == ErrorKind::NotFound => return eprintln!("not checked: there is no python3"),
        told => told.unwrap(),
    };
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{said}{}", String::from_utf8_lossy(&told.stderr));
    assert!(said.ends_with("0 failed\n"), "{said}");
}
