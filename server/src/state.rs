//! The state that every request handler gets.

use std::sync::Arc;

use authority::Authority;
use axum::extract::FromRef;
use ipnet::IpNet;
use leptos::config::LeptosOptions;

use crate::{
    config::Config,
    limits::{bodies::Bodies, rate::RateLimit, strangers::Strangers, unread::Answers},
    metrics::Traffic,
    request::{cookies::SessionCookies, host::Hosts, origin::Origins},
};

/// The state that every request handler gets. It is cloned for each request, which is cheap.
#[derive(Clone)]
pub(crate) struct AppState {
    /// The core.
    pub(crate) authority: Authority,
    /// The configuration with which the server was started.
    pub(crate) config: Arc<Config>,
    /// The options that leptos requires. Tessera serves its own assets, and reads nothing here from
    /// a file.
    pub(crate) leptos: LeptosOptions,
    /// The networks whose `X-Forwarded-For` is trusted.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// The name and the protection of the session cookie.
    pub(crate) cookies: SessionCookies,
    /// The origins from which browsers may send unsafe requests.
    pub(crate) origins: Origins,
    /// The names of this server.
    pub(crate) hosts: Arc<Hosts>,
    /// The limit of API calls per caller.
    pub(crate) rate_limit: RateLimit,
    /// The limits on the memory for bodies.
    pub(crate) bodies: Bodies,
    /// The limit on concurrent requests of unauthenticated callers.
    pub(crate) strangers: Strangers,
    /// The large responses that authenticated callers have not read yet.
    pub(crate) answers: Answers,
    /// The counts of responses.
    pub(crate) traffic: Arc<Traffic>,
}

impl AppState {
    /// Returns the state of a server with this core and this configuration.
    pub(crate) fn new(authority: Authority, config: Arc<Config>) -> Self {
        Self {
            leptos: LeptosOptions::builder().output_name("tessera").build(),
            trusted_proxies: config.trusted_proxies.as_slice().into(),
            cookies: SessionCookies::for_public_url(&config.public_url),
            origins: Origins::of(&config.public_url),
            hosts: Arc::new(Hosts::of(&config)),
            rate_limit: RateLimit::per_minute(config.api_rate_limit),
            bodies: Bodies::default(),
            strangers: Strangers::default(),
            answers: Answers::default(),
            traffic: Arc::default(),
            authority,
            config,
        }
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}

impl FromRef<AppState> for Arc<[IpNet]> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.trusted_proxies)
    }
}

impl FromRef<AppState> for SessionCookies {
    fn from_ref(state: &AppState) -> Self {
        state.cookies
    }
}

impl FromRef<AppState> for Origins {
    fn from_ref(state: &AppState) -> Self {
        state.origins.clone()
    }
}

impl FromRef<AppState> for Arc<Hosts> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.hosts)
    }
}

impl FromRef<AppState> for RateLimit {
    fn from_ref(state: &AppState) -> Self {
        state.rate_limit.clone()
    }
}

impl FromRef<AppState> for Strangers {
    fn from_ref(state: &AppState) -> Self {
        state.strangers.clone()
    }
}

impl FromRef<AppState> for Arc<Traffic> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.traffic)
    }
}

#[cfg(test)]
impl AppState {
    /// A state whose database is unreachable: every successful response was produced without it.
    pub(crate) fn without_database() -> Self {
        use authority::{Settings, clock::SystemClock, entropy::SystemEntropy, keys::Keys, store};

        let pool = store::connect("postgres://nobody@127.0.0.1:1/nowhere", 1).unwrap();
        let keys = Keys::generate(&SystemEntropy);
        let clock = Arc::new(SystemClock);
        let authority =
            Authority::new(pool, keys, clock, Arc::new(SystemEntropy), Settings::default());
        let config = Config::load(&crate::config::Inputs {
            config_flag: None,
            flags: Vec::new(),
            environment: Vec::new(),
            folder: "/nowhere".into(),
            obstacle: |_| None,
        });
        Self::new(authority, Arc::new(config.unwrap()))
    }
}
