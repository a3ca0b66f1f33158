use super::*;
use crate::demo::Ports;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bare backend passes for a gateway as long as nothing is signed: the story must notice.
#[tokio::test]
async fn without_a_gateway_the_story_ends_at_the_first_command() {
    let (stage, mut mailbox) = Stage::set(Ports::default()).await.unwrap();
    let backend: Endpoint = format!("http://{}", stage.backend.address()).parse().unwrap();
    let gateway = Gateway { public: backend.clone(), edge: backend.clone(), admin: backend };
    let heard = Heard::default();
    let failed = tell(&stage, &mut mailbox, &gateway, &mut Narrator::new(heard.clone(), false)).await.unwrap_err();
    assert_eq!(failed.step, "Connect, JSON, HTTP/1.1: user.account.get");
    assert_eq!(failed.expected, "a signed answer with result_code \"ok\"");
    let heard = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    let marks: Vec<_> = heard.lines().filter_map(|line| line.trim_start().split_once(' ')).map(|(m, _)| m).collect();
    assert_eq!(marks.iter().filter(|mark| **mark == "✓").count(), 2, "{heard}");
    assert!(heard.contains("✗ Connect, JSON") && heard.contains("expected: ") && heard.contains("came: "), "{heard}");
}
