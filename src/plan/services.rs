//! RPC services that are forwarded, as their descriptors say.

use crate::upstream::grpc::Callee;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};
use prost_types::method_options::IdempotencyLevel;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// One method.
#[derive(Debug, Clone)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: Arc<str>,
    /// What it takes.
    pub input: MessageDescriptor,
    /// What it answers.
    pub output: MessageDescriptor,
    /// Whether the caller sends more than one message.
    pub client_streams: bool,
    /// Whether it answers with more than one.
    pub server_streams: bool,
    /// Whether it may be called with GET: `option idempotency_level = NO_SIDE_EFFECTS`.
    pub has_no_side_effects: bool,
}

/// The methods that a route serves, by path.
#[derive(Debug, Clone, Default)]
pub struct Services(HashMap<String, Method>);

impl Services {
    /// The methods of these services, or the name of one that is not described.
    ///
    /// # Errors
    /// The first service that is missing.
    pub fn new<'a>(pool: &DescriptorPool, services: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut methods = HashMap::new();
        for name in services {
            for method in pool.get_service_by_name(name).ok_or(name)?.methods() {
                let path = format!("/{name}/{}", method.name());
                methods.insert(path.clone(), Method::new(path.into(), &method));
            }
        }
        Ok(Self(methods))
    }

    /// The method of a canonical path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }
}

impl Method {
    fn new(path: Arc<str>, descriptor: &MethodDescriptor) -> Self {
        let options = descriptor.method_descriptor_proto().options.as_ref();
        let level = options.map(prost_types::MethodOptions::idempotency_level);
        Self {
            path,
            input: descriptor.input(),
            output: descriptor.output(),
            client_streams: descriptor.is_client_streaming(),
            server_streams: descriptor.is_server_streaming(),
            has_no_side_effects: level == Some(IdempotencyLevel::NoSideEffects),
        }
    }

    /// Whether one message is answered with one.
    #[must_use]
    pub fn is_unary(&self) -> bool {
        !self.client_streams && !self.server_streams
    }
}

/// Where the calls of a route go.
pub struct RpcTarget {
    /// Its name, in what is shown of the route.
    pub name: String,
    /// What may be called.
    pub services: Services,
    /// What answers.
    pub callee: Arc<dyn Callee>,
    /// The most time that a call has whose caller sends one message and gets one.
    pub unary_max: Duration,
    /// How long a stream may be silent in both directions.
    pub idle: Duration,
}
