//! TLS to the database: the trusted certificates, and the effect of another certificate.

#![allow(clippy::allow_attributes, clippy::expect_used, reason = "a test that panics has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{Cluster, Tessera, command::Finished, wait::until};

/// Runs openssl, which PostgreSQL's server programs need as well.
#[track_caller]
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The test's own certificate authority.
struct Ca {
    folder: PathBuf,
    name: &'static str,
}

impl Ca {
    fn new(folder: &Path, name: &'static str) -> Self {
        openssl(
            folder,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} \
                 -keyout {name}.key -out {name}.pem"
            ),
        );
        Self { folder: folder.to_owned(), name }
    }

    /// The file with its certificate.
    fn file(&self) -> String {
        self.folder.join(format!("{}.pem", self.name)).display().to_string()
    }

    /// Settings of a cluster with a certificate for `localhost` that this authority has signed.
    fn settings(&self, cluster: &Cluster) -> Vec<(&'static str, String)> {
        let name = self.name;
        let key = format!("of-{name}.key");
        openssl(
            &self.folder,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
                 -keyout {key} -out of-{name}.csr"
            ),
        );
        fs::write(self.folder.join("names"), "subjectAltName=DNS:localhost\n").expect("ours");
        openssl(
            &self.folder,
            &format!(
                "x509 -req -days 2 -in of-{name}.csr -CA {name}.pem -CAkey {name}.key -CAcreateserial \
                 -extfile names -out of-{name}.pem"
            ),
        );
        let path = |file: &str| self.folder.join(file).display().to_string();
        cluster.give(&self.folder.join(&key));
        vec![
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", path(&format!("of-{name}.pem"))),
            ("ssl_key_file", path(&key)),
        ]
    }

    fn start(&self, cluster: &mut Cluster) {
        let settings = self.settings(cluster);
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        cluster.start(&settings);
    }
}

/// Starts a server that is expected to exit by itself.
fn start(cluster: &Cluster, url: &str, trusted: Option<&str>) -> Finished {
    let data_dir = cluster.folder().join("data");
    let command = Tessera::on(&data_dir, &["serve", "--listen", "127.0.0.1:0"])
        .env("TESSERA_DATABASE_URL", url)
        .env("TESSERA_KEYS_FILE", &cluster.keys().to_string_lossy());
    match trusted {
        Some(file) => command.env("SSL_CERT_FILE", file).run(),
        None => command.run(),
    }
}

/// Fails unless the start failed with the reason on standard error.
#[track_caller]
fn is_refused(finished: &Finished, reason: &str) {
    assert_eq!(finished.status, 1, "{finished:?}");
    assert!(finished.stderr.contains(reason), "{finished:?}");
}

#[test]
fn only_a_certificate_of_a_trusted_authority_for_this_host_is_accepted() {
    let mut cluster = Cluster::new();
    let folder = cluster.folder().to_owned();
    let (own, other) = (Ca::new(&folder, "own"), Ca::new(&folder, "other"));
    own.start(&mut cluster);
    let url = |host: &str, mode: &str, roots: &str| {
        cluster.tls_url(host, &format!("sslmode={mode}&sslrootcert={roots}"))
    };

    let server = cluster.guest(&url("localhost", "verify-full", &own.file())).start();
    let manager = server.managing_token("workspace-1");
    server.request("GET", "/api/v1/self").bearer(&manager).send().expect(200);
    let encrypted =
        "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE application_name = 'tessera'";
    assert_eq!(cluster.sql(encrypted), "t");
    drop(server);

    // Another authority, in a file and in the system's trust store.
    for mode in ["verify-full", "verify-ca"] {
        let refused = start(&cluster, &url("localhost", mode, &other.file()), None);
        is_refused(&refused, "UnknownIssuer");
    }
    let system = url("localhost", "verify-full", "system");
    is_refused(&start(&cluster, &system, Some(&other.file())), "UnknownIssuer");
    let server = cluster.guest(&system).env("SSL_CERT_FILE", &own.file()).start();
    server.get("/readyz").expect(200);
    drop(server);

    // The right authority and another name.
    let refused = start(&cluster, &url("127.0.0.1", "verify-full", &own.file()), None);
    is_refused(&refused, "not valid for name");
    let server = cluster.guest(&url("127.0.0.1", "verify-ca", &own.file())).start();
    server.get("/readyz").expect(200);
}

#[test]
fn unknown_certificate_authority_is_refused_with_the_reason() {
    let mut cluster = Cluster::new();
    let own = Ca::new(cluster.folder(), "own");
    own.start(&mut cluster);
    let refused = start(&cluster, &cluster.tls_url("localhost", "sslrootcert=system"), None);
    is_refused(&refused, "UnknownIssuer");
}

#[test]
fn database_that_returns_with_another_certificate_is_unavailable_with_the_reason() {
    let mut cluster = Cluster::new();
    let folder = cluster.folder().to_owned();
    let (own, other) = (Ca::new(&folder, "own"), Ca::new(&folder, "other"));
    own.start(&mut cluster);
    let roots = format!("sslmode=verify-full&sslrootcert={}", own.file());
    let server = cluster.guest(&cluster.tls_url("localhost", &roots)).start();
    let manager = server.managing_token("workspace-1");

    other.start(&mut cluster);
    until("the reason", || server.stderr().contains("UnknownIssuer").then_some(()));
    server.get("/readyz").expect(503);
    for path in ["/api/v1/self", "/api/v1/workspaces/workspace-1/tokens"] {
        let answer = server.request("GET", path).bearer(&manager).send().expect(503);
        assert!(answer.header("retry-after").is_some());
    }

    own.start(&mut cluster);
    until("the database", || (server.get("/readyz").status == 200).then_some(()));
    server.request("GET", "/api/v1/self").bearer(&manager).send().expect(200);
}
