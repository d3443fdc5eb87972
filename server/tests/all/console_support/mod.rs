//! A browser without scripts, for the tests of the console.
#![allow(unreachable_pub, clippy::allow_attributes, reason = "a test that panics has failed")]

use crate::support::{Answer, Request, Server};

/// The path of the token list of the first workspace.
pub const TOKENS: &str = "/workspaces/workspace-1/settings/tokens";

/// A browser that keeps cookies and sends the origin of its requests, as real browsers do. It does
/// not follow redirects.
#[derive(Debug, Default)]
pub struct Browser {
    address: String,
    jar: Vec<(String, String)>,
    json: bool,
}

impl Browser {
    /// A browser without cookies.
    pub fn new(server: &Server) -> Self {
        Self { address: server.address().to_owned(), ..Self::default() }
    }

    /// A browser that has just signed in.
    #[track_caller]
    pub fn signed_in(server: &Server, email: &str, password: &str) -> Self {
        let mut browser = Self::new(server);
        browser.post("/sign-in", &[("email", email), ("password", password)]).expect(303);
        browser
    }

    /// The same browser, with the requests of a hydrated page.
    #[must_use]
    pub fn asking_for_json(mut self) -> Self {
        self.json = true;
        self
    }

    /// Adds a cookie.
    #[must_use]
    pub fn with_cookie(mut self, name: &str, value: &str) -> Self {
        self.keep(name, value);
        self
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Removes a cookie.
    pub fn forget(&mut self, name: &str) {
        self.jar.retain(|(known, _)| known != name);
    }

    /// Opens a page.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        let request = self.request("GET", path);
        self.send(request)
    }

    /// Posts a form.
    #[track_caller]
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = format!("http://{}", self.address);
        let request = self
            .request("POST", path)
            .header("origin", &origin)
            .header("sec-fetch-site", "same-origin")
            .form(fields);
        self.send(request)
    }

    /// A request with the browser's cookies and without an origin.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let accept = if self.json { "application/json" } else { "text/html,*/*;q=0.8" };
        let request = Request::new(&self.address, method, path).header("accept", accept);
        if self.jar.is_empty() {
            return request;
        }
        let pairs: Vec<_> =
            self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.header("cookie", &pairs.join("; "))
    }

    /// Sends a request and keeps its cookies.
    #[track_caller]
    pub fn send(&mut self, request: Request) -> Answer {
        let answer = request.send();
        for value in set_cookies(&answer) {
            let pair = value.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.keep(name, value);
            }
        }
        answer
    }

    fn keep(&mut self, name: &str, value: &str) {
        self.forget(name);
        if !value.is_empty() {
            self.jar.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// Every `Set-Cookie` of a response.
pub fn set_cookies(answer: &Answer) -> Vec<&str> {
    answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect()
}

/// The value of the input called `name`.
pub fn input_value(page: &str, name: &str) -> Option<String> {
    let at = page.find(&format!(" name=\"{name}\""))?;
    let tag = &page[page[..at].rfind('<')?..];
    let tag = &tag[..tag.find('>')?];
    let value = tag.split_once(" value=\"")?.1;
    Some(value[..value.find('"')?].to_owned())
}

/// Fails the test if the page would be hydrated, or contains the data for it.
#[track_caller]
pub fn assert_static(answer: &Answer) {
    let page = answer.text();
    assert!(!page.contains("id=\"loader\""), "{page}");
    assert!(!page.contains(".wasm"), "{page}");
    assert!(!page.contains("__RESOLVED_RESOURCES"), "{page}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}
