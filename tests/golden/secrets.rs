//! Keys, certificates and passwords as secret stores, editors and shells hand them over.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use portcullis::{
    client::Trust,
    config::{
        secrets::{self, certificate_chain, certified_key, private_key, signing_key},
        source::{Secret, Tls},
    },
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, generate_simple_self_signed};
use std::{fs, path::Path};

fn pem(seed: u8) -> String {
    SigningKey::from_bytes(&[seed; 32]).to_pkcs8_pem(Default::default()).unwrap().to_string()
}

fn of_env(value: &str) -> Result<[u8; 32], String> {
    let env = |_: &str| Some(value.to_owned());
    let key = signing_key(&Secret::Env("KEY".to_owned()), Path::new(""), &env);
    key.map(|key| key.to_bytes()).map_err(|fault| fault.to_string())
}

#[test]
fn a_signing_key_is_read_in_whatever_form_it_comes() {
    let pem = pem(7);
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
    for text in [
        pem.clone(),
        pem.replace('\n', "\r\n"),
        pem.replace('\n', "\\n"),
        pem.trim().replace('\n', " "),
        format!("\u{feff}\n  {pem}\n\n"),
        format!("'{pem}'"),
        STANDARD.encode(&pem),
        body,
        format!("{public}{pem}"),
        format!("{pem}{pem}"),
        format!("subject: signer\n{pem}{}", generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem()),
    ] {
        assert_eq!(of_env(&text), Ok([7; 32]), "{text:?}");
    }
    for (text, expected) in [
        (other.serialize_pem(), "it is a key for ECDSA"),
        (other.serialize_pem().replace("PRIVATE", "EC PRIVATE"), "it is a EC PRIVATE KEY, which is SEC1 and for ECDSA"),
        (pem.replace("PRIVATE", "ENCRYPTED PRIVATE"), "take the passphrase off with `openssl pkey"),
        (pem.replace("PRIVATE", "OPENSSH PRIVATE"), "which only OpenSSH reads"),
        (public.to_owned(), "it is a PUBLIC KEY"),
        (format!("{pem}{}", self::pem(8)), "there are two keys in it"),
        (pem.replace("-----END", "-----DNE"), "its PEM section is damaged"),
        (STANDARD.encode([7; 32]), "there is no PEM section in it"),
        ("s3cr3t\u{fffd}".to_owned(), "the environment variable `KEY` is not UTF-8"),
    ] {
        let said = of_env(&text).unwrap_err();
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("MC4C") && !said.contains("s3cr3t"), "{said}");
    }
}

#[test]
fn certificates_and_their_keys_are_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let forms: [fn(&str) -> Vec<u8>; 6] = [
        |pem| pem.replace('\n', "\r\n").into_bytes(),
        |pem| format!("\u{feff}{pem}").into_bytes(),
        |pem| format!("Certificate:\n  Data: x\n\n{pem}\nbye\n").into_bytes(),
        |pem| pem.lines().map(|line| format!("  {line} \n")).collect::<String>().into_bytes(),
        |pem| STANDARD.encode(pem).into_bytes(),
        |pem| STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap(),
    ];
    for (index, form) in forms.into_iter().enumerate() {
        let write = |name: &str, text: &str| {
            let path = folder.path().join(format!("{index}-{name}"));
            fs::write(&path, form(text)).unwrap();
            path
        };
        let tls = Tls { certificate: write("certificate", &certificate), key: write("key", &key) };
        assert_eq!(
            certificate_chain(&tls.certificate).map_err(|fault| fault.to_string()).map(|chain| chain.len()),
            Ok(1)
        );
        certified_key(&tls, Path::new("")).map_err(|fault| format!("{index}: {fault}")).unwrap();
        Trust::in_file(&tls.certificate).map_err(|fault| format!("{index}: {fault}")).unwrap();
        let swapped = private_key(&tls.certificate).err().unwrap().to_string();
        assert!(swapped.contains("holds no private key"), "{swapped}");
    }
}

#[test]
fn a_password_ends_ahead_of_its_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    for text in ["pass word", "pass word\n", "pass word\r\n", "\u{feff}pass word\n\n"] {
        fs::write(&file, text).unwrap();
        let read = secrets::password(&Secret::File(file.clone()), Path::new(""), &|_| None);
        assert_eq!(read.map_err(|fault| fault.to_string()), Ok("pass word".to_owned()), "{text:?}");
    }
}
