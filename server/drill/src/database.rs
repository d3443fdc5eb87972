//! The drill's own PostgreSQL client: statements without parameters over the Unix socket (protocol
//! 3.0, the simple query; PostgreSQL's documentation, "Message Flow").

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use crate::Outcome;

/// A server that accepts this user without a password.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    /// The folder of its socket.
    folder: String,
    user: String,
}

impl Database {
    /// Parses `postgres://USER@localhost/postgres?host=FOLDER`, as tools/with-postgres.sh writes
    /// it.
    pub(crate) fn of_url(url: &str) -> Outcome<Self> {
        let form = || {
            format!(
                "DATABASE_URL must have the form postgres://user@localhost/postgres?host=/folder, \
                 not {url}"
            )
        };
        let rest = url.strip_prefix("postgres://").ok_or_else(form)?;
        let (user, rest) = rest.split_once('@').ok_or_else(form)?;
        let (_, folder) = rest.split_once("?host=").ok_or_else(form)?;
        if !folder.starts_with('/') || folder.contains(['&', '%']) || user.contains(':') {
            return Err(form().into());
        }
        Ok(Self { folder: folder.to_owned(), user: user.to_owned() })
    }

    /// Returns the server with a socket in this folder, for the drill's own user.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.display().to_string(), user: "tessera".to_owned() }
    }

    /// Returns the path of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        PathBuf::from(&self.folder).join(".s.PGSQL.5432")
    }

    /// Returns the direct URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{}@localhost/{database}?host={}", self.user, self.folder)
    }

    /// Returns the URL of one of its databases through a proxy at this address.
    pub(crate) fn url_by(&self, proxy: SocketAddr, database: &str) -> String {
        format!("postgres://{}@{proxy}/{database}?sslmode=disable", self.user)
    }

    /// Runs a query and returns the first column of its first row.
    pub(crate) async fn one(&self, database: &str, query: &str) -> Outcome<String> {
        let rows = self.run(database, query).await?;
        Ok(rows.into_iter().next().ok_or("the query returned no row")?)
    }

    /// Runs a statement and returns the first column of its rows.
    pub(crate) async fn run(&self, database: &str, statement: &str) -> Outcome<Vec<String>> {
        let mut stream = UnixStream::connect(self.socket()).await?;
        let parameters = format!("user\0{}\0database\0{database}\0\0", self.user);
        let mut startup = 196_608_i32.to_be_bytes().to_vec();
        startup.extend_from_slice(parameters.as_bytes());
        send(&mut stream, None, &startup).await?;
        until_ready(&mut stream).await?;
        send(&mut stream, Some(b'Q'), format!("{statement}\0").as_bytes()).await?;
        until_ready(&mut stream).await
    }
}

async fn send(stream: &mut UnixStream, kind: Option<u8>, body: &[u8]) -> Outcome<()> {
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend_from_slice(&i32::try_from(body.len() + 4)?.to_be_bytes());
    message.extend_from_slice(body);
    Ok(stream.write_all(&message).await?)
}

async fn until_ready(stream: &mut UnixStream) -> Outcome<Vec<String>> {
    let (mut rows, mut error) = (Vec::new(), None);
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length.checked_sub(4).ok_or("a message has no length")?];
        stream.read_exact(&mut body).await?;
        match head[0] {
            b'Z' => break,
            b'E' => {
                let text = String::from_utf8_lossy(&body).replace('\0', " ");
                // If the login is refused, the connection closes without becoming ready.
                if text.contains("FATAL") {
                    return Err(text.into());
                }
                error = Some(text);
            }
            // The number of columns (2 bytes), then the length (4 bytes) and the text of each.
            b'D' => rows.extend(body.get(6..).map(|rest| {
                let length = u32::from_be_bytes([body[2], body[3], body[4], body[5]]) as usize;
                String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned()
            })),
            _ => {}
        }
    }
    error.map_or(Ok(rows), |text| Err(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_url_of_a_private_server_is_accepted() {
        let database =
            Database::of_url("postgres://tessera@localhost/postgres?host=/tmp/x").unwrap();
        assert_eq!(database.socket(), PathBuf::from("/tmp/x/.s.PGSQL.5432"));
        assert_eq!(database.url("d"), "postgres://tessera@localhost/d?host=/tmp/x");
        for url in ["", "postgres://h/d", "postgres://u:p@h/d?host=/x", "postgres://u@h/d?host=x"] {
            assert!(Database::of_url(url).is_err(), "{url}");
        }
    }
}
