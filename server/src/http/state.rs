//! What every request handler is given.

use std::sync::Arc;

use authority::Authority;
use axum::extract::FromRef;
use ipnet::IpNet;
use leptos::config::LeptosOptions;

use super::{
    bodies::Bodies, cookies::SessionCookies, host::Hosts, origin::Origins, rate::RateLimit,
    strangers::Strangers, unread::Answers,
};
use crate::{config::Config, metrics::Traffic};

/// What every request handler is given. Cloned per request: cheap.
#[derive(Clone)]
pub(crate) struct AppState {
    /// The core.
    pub(crate) authority: Authority,
    /// The configuration as the server was started with.
    pub(crate) config: Arc<Config>,
    /// What leptos asks of its host. Tessera serves its own assets; nothing here is read from a file.
    pub(crate) leptos: LeptosOptions,
    /// The networks whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// How the session's cookie is called and protected.
    pub(crate) cookies: SessionCookies,
    /// Where unsafe requests of browsers may come from.
    pub(crate) origins: Origins,
    /// The names of this server.
    pub(crate) hosts: Arc<Hosts>,
    /// How often one caller may call the API.
    pub(crate) rate_limit: RateLimit,
    /// How much of bodies is held.
    pub(crate) bodies: Bodies,
    /// How many requests of strangers are answered.
    pub(crate) strangers: Strangers,
    /// The large answers that known callers have not taken yet.
    pub(crate) answers: Answers,
    /// What was answered.
    pub(crate) traffic: Arc<Traffic>,
}

impl AppState {
    /// The state of a server with this core and this configuration.
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

#[cfg(test)]
impl AppState {
    /// A state whose database is out of reach: whatever is answered was answered without it.
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
