use super::{
    super::{
        secrets::{self, SecretFault},
        source::Tls,
        tree::join,
        values,
    },
    Checks,
};
use std::{io::ErrorKind, net::SocketAddr, path::Path};

/// Each is compared with each, and is a socket of its own.
const LISTENERS_MAX: usize = 256;
const PAIR_REMEDY: &str = "name the two that belong together: `openssl x509 -in CERTIFICATE -noout -pubkey` and \
                           `openssl pkey -in KEY -pubout` print the same for them";

impl Checks<'_> {
    pub(super) fn listeners(&mut self) {
        let config = self.config;
        if config.listeners.values().all(|listener| listener.admin) {
            let remedy = "add one: `public: { bind: \"0.0.0.0:8080\" }`";
            self.error("/listeners", "there is no listener for requests", remedy);
        }
        if config.listeners.len() > LISTENERS_MAX {
            let what = format!("there are {} listeners", config.listeners.len());
            return self.error("/listeners", what, format!("write {LISTENERS_MAX} or fewer"));
        }
        let mut taken: Vec<(&str, SocketAddr)> = Vec::new();
        for (name, listener) in &config.listeners {
            let pointer = join("/listeners", name);
            if let Some((first, _)) = taken.iter().find(|(_, bind)| overlap(*bind, listener.bind)) {
                let what = format!("«{}» is taken by the listener `{first}` already", listener.bind);
                self.error(format_args!("{pointer}/bind"), what, "give it another port");
            }
            taken.push((name, listener.bind));
            if listener.admin && !listener.bind.ip().is_loopback() {
                let what = format!("the admin listener would be reachable from outside on «{}»", listener.bind);
                let remedy = match self.is_from_outside(format_args!("{pointer}/bind")) {
                    true => "bind it to loopback: 127.0.0.1 and a port".to_owned(),
                    false => format!("bind it to loopback: `127.0.0.1:{}`", listener.bind.port()),
                };
                self.error(format_args!("{pointer}/bind"), what, remedy);
            }
            if listener.protocols.is_empty() {
                let what = format!("the listener `{name}` speaks no protocol");
                self.error(format_args!("{pointer}/protocols"), what, "write `[http1, h2]`");
            }
            for (index, network) in listener.trusted_proxies.iter().enumerate() {
                self.network(&format!("{pointer}/trusted_proxies/{index}"), network);
            }
            if let Some(tls) = listener.tls.as_ref().filter(|_| self.outside.has_secrets) {
                self.tls(&format!("{pointer}/tls"), tls);
            }
        }
    }

    fn network(&mut self, pointer: &str, network: &str) {
        match values::network(network) {
            None => {
                let remedy = "write a network or an address, such as 10.0.0.0/8, 10.1.2.3 or fd00::/8";
                self.error(pointer, format!("«{network}» is no network"), remedy);
            }
            Some(net) if net.prefix_len() == 0 => {
                let remedy = "name the networks of your own proxies only";
                self.warning(pointer, format!("«{network}» lets any client say where it comes from"), remedy);
            }
            Some(_) => {}
        }
    }

    fn tls(&mut self, pointer: &str, tls: &Tls) {
        let base_dir = self.outside.base_dir;
        let certificate = base_dir.join(&tls.certificate);
        let chain = secrets::certificate_chain(&certificate);
        if let Ok(chain) = &chain {
            self.validity(&format!("{pointer}/certificate"), &certificate, chain);
        }
        let chain = chain.err();
        let key = secrets::private_key(&base_dir.join(&tls.key)).err();
        let pair = if chain.is_none() && key.is_none() { secrets::certified_key(tls, base_dir).err() } else { None };
        for (field, fault) in [("certificate", &chain), ("key", &key), ("key", &pair)] {
            if let Some(fault) = fault {
                let remedy = match fault {
                    SecretFault::Mismatch { .. } => PAIR_REMEDY,
                    SecretFault::Unreadable { source, .. } if source.kind() != ErrorKind::NotFound => {
                        "name a file that this user may read"
                    }
                    _ => "name a PEM file; a relative path is taken from the folder of the configuration",
                };
                self.fault(format_args!("{pointer}/{field}"), fault, remedy);
            }
        }
        if key.is_none() && pair.is_none() {
            self.private_file(&format!("{pointer}/key"), &tls.key);
        }
    }

    /// Warns of a private key that everybody can read.
    pub(super) fn private_file(&mut self, pointer: &str, path: &Path) {
        let path = self.outside.base_dir.join(path);
        if secrets::is_world_readable(&path) {
            let remedy = format!("«chmod o-rwx {}»", path.display());
            self.warning(pointer, format!("every user of this machine may read «{}»", path.display()), remedy);
        }
    }
}

/// Whether two listeners cannot both be bound. Port 0 takes whichever is free.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    let is_same_family = one.is_ipv4() == other.is_ipv4();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || (is_any && is_same_family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_where_the_kernel_says_so() {
        let check = |one: &str, other: &str, expected: bool| {
            assert_eq!(overlap(one.parse().unwrap(), other.parse().unwrap()), expected, "{one} {other}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("127.0.0.1:80", "0.0.0.0:80", true);
        check("127.0.0.1:80", "[::]:80", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
    }
}
