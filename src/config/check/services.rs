use super::{
    super::{
        descriptors,
        nearest::remedy,
        source::{Route, Rpc},
    },
    Checks, paths,
    targets::COMMAND_SERVICE,
};
use filters::api::units::Size;
use prost_reflect::{DescriptorPool, ServiceDescriptor};

/// gRPC gives the length of a message in 32 bits, and its libraries take no more than this.
const MESSAGE_MAX: u64 = i32::MAX as u64;

impl Checks<'_> {
    pub(super) fn rpc(&mut self, pointer: &str, route: &Route, rpc: &Rpc) {
        let config = self.config;
        self.known(format_args!("{pointer}/upstream"), "upstream", &rpc.upstream, &config.upstreams);
        if rpc.message_max.bytes() == 0 || rpc.message_max.bytes() > MESSAGE_MAX {
            let remedy = format!("write 1B to {}", Size::from_bytes(MESSAGE_MAX));
            self.error(format_args!("{pointer}/message_max"), "gRPC knows no messages of this size", remedy);
        }
        if rpc.idle.get().is_zero() {
            let remedy = "write how long a stream may be silent, such as `5m`";
            self.error(
                format_args!("{pointer}/idle"),
                "a stream that may not be silent at all would never pass",
                remedy,
            );
        }
        let services = match (route.r#match.rpc.as_deref(), rpc.services.as_slice()) {
            (Some(one), []) => {
                let route = pointer.strip_suffix("/rpc").unwrap_or(pointer);
                vec![(format!("{route}/match/rpc"), one)]
            }
            (None, []) => {
                let remedy = "add `services: [shop.v1.Shop]`";
                self.error(pointer, "which services may be called is not said", remedy);
                return;
            }
            (named, several) => {
                let place = |index: usize| format!("{pointer}/services/{index}");
                for (index, service) in several.iter().enumerate() {
                    if named.is_some_and(|named| named != service) {
                        let what = format!("«{service}» is not what the route matches");
                        let remedy = "take `rpc` out of its `match`, or the service out of this list";
                        self.error(place(index), what, remedy);
                    }
                }
                several.iter().enumerate().map(|(index, service)| (place(index), service.as_str())).collect()
            }
        };
        let Some(pool) = self.described(pointer, rpc, &services) else { return };
        if let Some(path) = &route.r#match.path {
            let route = pointer.strip_suffix("/rpc").unwrap_or(pointer);
            self.reached(&format!("{route}/match/path"), path, &services, &pool);
        }
    }

    /// The descriptors, where they have all of these services.
    fn described(&mut self, pointer: &str, rpc: &Rpc, services: &[(String, &str)]) -> Option<DescriptorPool> {
        let pool = match descriptors::read(&self.outside.base_dir.join(&rpc.descriptors)) {
            Ok(pool) => pool,
            Err(fault) => {
                let remedy = "write them with `buf build -o FILE`, or `protoc --include_imports -o FILE …`";
                self.fault(format_args!("{pointer}/descriptors"), &fault, remedy);
                return None;
            }
        };
        let known: Vec<String> = pool.services().map(|service| service.full_name().to_owned()).collect();
        let mut has_all = true;
        for (place, service) in services {
            if *service == COMMAND_SERVICE {
                let what = format!("`{COMMAND_SERVICE}` is the gateway's own");
                self.error(place, what, "serve it with `commands`");
                has_all = false;
            } else if pool.get_service_by_name(service).is_none() {
                let what = format!("the descriptors have no service «{service}»");
                self.error(place, what, remedy(service, "services", known.iter().map(String::as_str)));
                has_all = false;
            }
        }
        has_all.then_some(pool)
    }

    /// A route that takes other paths than its services' methods have would never be called.
    fn reached(&mut self, pointer: &str, path: &str, services: &[(String, &str)], pool: &DescriptorPool) {
        let is_reached = |service: ServiceDescriptor| {
            let name = service.full_name();
            service.methods().any(|method| paths::takes(path, &format!("/{name}/{}", method.name())))
        };
        let services: Vec<_> = services.iter().filter_map(|(_, name)| pool.get_service_by_name(name)).collect();
        if !services.iter().cloned().any(is_reached) {
            let what = format!("no method of the services has a path that «{path}» matches");
            let paths = services.iter().map(|service| format!("`/{}/*`", service.full_name()));
            let remedy = format!("write {}, or `/*`", paths.collect::<Vec<_>>().join(", "));
            self.error(pointer, what, remedy);
        }
    }
}
