//! What a store is made from: the configuration, with secrets read.

use crate::{
    client::{Trust, TrustFault},
    config::{
        Env, Loaded,
        secrets::{self, SecretFault},
        source::{self, RedisUrl},
    },
};
use rustls::ClientConfig;
use std::{fmt, sync::Arc, time::Duration};

/// What a store is made from. Shows no secret.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Where the server is.
    pub place: Place,
    /// How to speak TLS, where any of the URLs asks for it.
    pub tls: Option<Arc<ClientConfig>>,
    /// What every key begins with.
    pub prefix: String,
    /// The longest that a caller waits.
    pub command_timeout: Duration,
    /// The longest that each step of connecting takes.
    pub connect_timeout: Duration,
    /// So many calls in a row fail before the link is taken down.
    pub failures: u32,
    /// How long the server is left alone then.
    pub open_for: Duration,
    /// Takes a server that may drop keys.
    pub allow_eviction: bool,
    /// The most calls that wait for an answer at once.
    pub in_flight_max: usize,
}

/// Where the server is. The URLs carry user and password.
#[derive(Debug, Clone)]
pub enum Place {
    /// Here.
    Server(RedisUrl),
    /// Where one of these says.
    Sentinel {
        /// Who knows.
        sentinels: Vec<RedisUrl>,
        /// The name that they know the primary by.
        master: String,
        /// Who the primary is told to be speaking with.
        login: Login,
    },
    /// On the node of a Cluster that has the slot of the prefix.
    Cluster(Vec<RedisUrl>),
}

/// A user and its password. Its `Debug` keeps them to itself.
#[derive(Clone, Default)]
pub struct Login {
    /// The user; the server's default user where there is none.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a store cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum OptionsFault {
    /// A password could not be read.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// There is nobody to trust.
    #[error(transparent)]
    Trust(#[from] TrustFault),
    /// A URL that is none.
    #[error("{0}")]
    Url(&'static str),
    /// No place is given.
    #[error("it is not said where Redis is")]
    Nowhere,
}

impl RedisOptions {
    /// Reads the secrets of a checked configuration.
    ///
    /// # Errors
    /// Where one cannot be read, or the configuration was not checked.
    pub fn new(written: &source::RedisStore, loaded: &Loaded, env: &Env<'_>) -> Result<Self, OptionsFault> {
        let secret = |secret: &Option<source::Secret>| {
            secret.as_ref().map(|secret| secrets::password(secret, &loaded.base_dir, env)).transpose()
        };
        let password = secret(&written.password)?;
        let sentinel_password = written.sentinel.as_ref().map(|sentinel| secret(&sentinel.password));
        let place = place(written, password.as_ref(), sentinel_password.transpose()?.flatten().as_ref())?;
        let tls = place.is_tls().then(|| match &written.tls {
            Some(tls) => Trust::in_file(&loaded.resolve(&tls.ca)),
            None => Trust::of_the_system(),
        });
        Ok(Self {
            place,
            tls: tls.transpose()?.map(|trust| Arc::new(trust.config())),
            prefix: written.prefix.clone(),
            command_timeout: written.command_timeout.get(),
            connect_timeout: written.connect_timeout.get(),
            failures: written.breaker.failures,
            open_for: written.breaker.open_for.get(),
            allow_eviction: written.allow_eviction,
            in_flight_max: written.in_flight_max,
        })
    }
}

impl Place {
    fn is_tls(&self) -> bool {
        match self {
            Self::Server(url) => url.is_tls,
            Self::Sentinel { sentinels: urls, .. } | Self::Cluster(urls) => urls.iter().any(|url| url.is_tls),
        }
    }
}

fn place(
    written: &source::RedisStore,
    password: Option<&String>,
    sentinel_password: Option<&String>,
) -> Result<Place, OptionsFault> {
    let parse = |text: &String| text.parse::<RedisUrl>().map_err(OptionsFault::Url);
    // What is given beside a URL stands above what is in it.
    let parse_own = |text: &String| {
        let url = parse(text)?;
        let (user, password) = (written.user.clone().or(url.user), password.cloned().or(url.password));
        Ok(RedisUrl { user, password, ..url })
    };
    if let Some(url) = &written.url {
        return Ok(Place::Server(parse_own(url)?));
    }
    if let Some(sentinel) = &written.sentinel {
        let parse = |text: &String| {
            let url = parse(text)?;
            Ok(RedisUrl { password: sentinel_password.cloned().or(url.password), ..url })
        };
        return Ok(Place::Sentinel {
            sentinels: sentinel.sentinels.iter().map(parse).collect::<Result<_, OptionsFault>>()?,
            master: sentinel.master.clone(),
            login: Login { user: written.user.clone(), password: password.cloned() },
        });
    }
    if written.cluster.is_empty() {
        return Err(OptionsFault::Nowhere);
    }
    Ok(Place::Cluster(written.cluster.iter().map(parse_own).collect::<Result<_, OptionsFault>>()?))
}
