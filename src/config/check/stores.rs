use super::{
    super::{
        secrets::{self, SecretFault},
        source::{RedisStore, RedisUrl, Secret, Store},
        tree::join,
    },
    Checks,
};
use crate::client::Trust;

const URL_REMEDY: &str = "write `redis://host:port`, or `rediss://host:port` for TLS";

impl Checks<'_> {
    pub(super) fn stores(&mut self) {
        let config = self.config;
        for (name, store) in &config.stores {
            if let Store::Redis(redis) = store {
                self.redis(&format!("{}/redis", join("/stores", name)), redis);
            }
        }
    }

    fn redis(&mut self, pointer: &str, redis: &RedisStore) {
        let places = [redis.url.is_some(), redis.sentinel.is_some(), !redis.cluster.is_empty()];
        match places.iter().filter(|is_given| **is_given).count() {
            0 => self.error(pointer, "it is not said where Redis is", "add `url`, `sentinel` or `cluster`"),
            1 => {}
            _ => {
                let what = "only one of `url`, `sentinel` and `cluster` can say where Redis is";
                self.error(pointer, what, "keep the one that is meant");
            }
        }
        if redis.cluster.is_empty() {
            self.prefix(pointer, &redis.prefix);
        } else {
            self.cluster_prefix(pointer, &redis.prefix);
        }
        let is_tls = self.redis_urls(pointer, redis);
        self.redis_secrets(pointer, redis, is_tls);
    }

    fn prefix(&mut self, pointer: &str, prefix: &str) {
        let is_plain = prefix.chars().all(|c| c.is_ascii_graphic());
        if prefix.is_empty() || prefix.len() > 64 || !is_plain {
            let remedy = "write 1 to 64 characters without spaces, such as `{portcullis}:`";
            self.error(format_args!("{pointer}/prefix"), format!("«{prefix}» cannot be a prefix"), remedy);
        }
    }

    /// A Cluster puts a key where the part of it within the first braces belongs.
    fn cluster_prefix(&mut self, pointer: &str, prefix: &str) {
        self.prefix(pointer, prefix);
        let tag = prefix.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
        if tag.is_none_or(str::is_empty) {
            let what = format!("the prefix «{prefix}» spreads the keys of one claim over a Cluster");
            self.error(format_args!("{pointer}/prefix"), what, "put a part of it in braces, such as `{portcullis}:`");
        }
    }

    /// Checks every URL, and says whether any is for TLS.
    fn redis_urls(&mut self, pointer: &str, redis: &RedisStore) -> bool {
        let mut is_tls = false;
        let one = redis.url.iter().map(|url| (format!("{pointer}/url"), url));
        let listed = |under: String, urls: &'static str| move |index: usize| format!("{under}/{urls}/{index}");
        let sentinel = listed(format!("{pointer}/sentinel"), "sentinels");
        let cluster = listed(pointer.to_owned(), "cluster");
        let sentinels = redis.sentinel.iter().flat_map(|sentinel| &sentinel.sentinels);
        let sentinels = sentinels.enumerate().map(|(index, url)| (sentinel(index), url));
        let nodes = redis.cluster.iter().enumerate().map(|(index, url)| (cluster(index), url));
        for (pointer, url) in one.chain(sentinels).chain(nodes) {
            match url.parse::<RedisUrl>() {
                // Never quoted: it may hold a password.
                Err(what) => self.error(&pointer, what, URL_REMEDY),
                Ok(url) => {
                    is_tls |= url.is_tls;
                    if url.password.is_some() {
                        let what = "there is a password in this URL, for everybody who may read this file";
                        self.warning(&pointer, what, "write `password: { env: REDIS_PASSWORD }` or `{ file: … }`");
                    }
                    if url.database != 0 && redis.url.is_none() {
                        self.error(&pointer, "only a single server has databases", "remove the number from the URL");
                    }
                }
            }
        }
        is_tls
    }

    fn redis_secrets(&mut self, pointer: &str, redis: &RedisStore, is_tls: bool) {
        if redis.user.is_some() && redis.password.is_none() {
            let what = "a user is named, but no password";
            self.error(format_args!("{pointer}/user"), what, "add `password: { env: REDIS_PASSWORD }`");
        }
        if redis.tls.is_some() && !is_tls {
            self.error(
                format_args!("{pointer}/tls"),
                "nothing here is spoken to by TLS",
                "write `rediss://` in the URL",
            );
        }
        if !self.outside.has_secrets {
            return;
        }
        if let Some(password) = &redis.password {
            self.password(&format!("{pointer}/password"), password);
        }
        if let Some(password) = redis.sentinel.as_ref().and_then(|sentinel| sentinel.password.as_ref()) {
            self.password(&format!("{pointer}/sentinel/password"), password);
        }
        if let Some(tls) = &redis.tls
            && let Err(fault) = Trust::in_file(&self.outside.base_dir.join(&tls.ca))
        {
            let remedy = "name a PEM file with the certificate of the authority";
            self.fault(format_args!("{pointer}/tls/ca"), &fault, remedy);
        }
    }

    fn password(&mut self, pointer: &str, secret: &Secret) {
        let (field, remedy) = match secret {
            Secret::File(_) => ("file", "name a file that holds nothing but the password"),
            Secret::Env(_) => ("env", "set it to the password"),
        };
        let pointer = join(pointer, field);
        match (secrets::password(secret, self.outside.base_dir, self.outside.env), secret) {
            (Err(fault @ SecretFault::Unreadable { .. }), _) => {
                self.fault(&pointer, &fault, "name a file that this user may read");
            }
            (Err(fault), _) => self.fault(&pointer, &fault, remedy),
            (Ok(_), Secret::File(path)) => self.private_file(&pointer, path),
            (Ok(_), Secret::Env(_)) => {}
        }
    }
}
