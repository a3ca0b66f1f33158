//! A gateway whose edge route has events beside its commands.

use super::{
    backend::Backend,
    device::{answer, edge_yaml},
    eventually,
    gateway::Gateway,
    push::PushBackend,
    raw::Raw,
};

/// The gateway, ready, with the backend that pushes to it.
pub struct Fed {
    pub gateway: Gateway,
    pub push: PushBackend,
    _backend: Backend,
}

impl Fed {
    pub async fn start() -> Self {
        let push = PushBackend::start().await;
        let backend = Backend::start(answer);
        let events = format!("events: {{ player: {{ feed: {{ grpc: \"http://{}\" }} }} }}", push.address);
        let yaml = edge_yaml(&backend)
            .replace("commands: game }", "commands: game, events: player }")
            .replace("\ncommands:", &format!("\n{events}\ncommands:"));
        let gateway = Gateway::start(&yaml);
        let ready = || Raw::connect(gateway.address("admin")).send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").answer();
        // It is not ready while it has no feed.
        eventually("the feed", || (ready().status == 200).then_some(()));
        Self { gateway, push, _backend: backend }
    }
}
