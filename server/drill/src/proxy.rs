//! The proxy between a replica and the database: a TCP port that can be cut, frozen, delayed and
//! restored.
//!
//! *Cut*: connections are reset, new ones as well. *Frozen*: connections stay open, but bytes are
//! held back until the proxy is restored, in both directions or only the responses. *Delayed*: each
//! piece is held back for a while.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    task::spawn_local,
    time::sleep,
};

/// The state of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    Cut,
    Frozen,
    AnswersFrozen,
    Delayed(Duration),
}

/// The proxy of one replica.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
    socket: Rc<RefCell<PathBuf>>,
    backends: Rc<Backends>,
}

/// PostgreSQL's processes behind the open connections.
#[derive(Debug, Default)]
struct Backends {
    next: Cell<u64>,
    open: RefCell<HashMap<u64, u32>>,
}

impl Proxy {
    /// Listens on a free port of this address, and forwards to the database's socket.
    pub(crate) async fn start(ip: Ipv4Addr, socket: PathBuf) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let (way, watched) = watch::channel(Way::Open);
        let backends = Rc::new(Backends::default());
        let socket = Rc::new(RefCell::new(socket));
        spawn_local(accept(listener, Rc::clone(&socket), watched, Rc::clone(&backends)));
        Ok(Self { address, way, socket, backends })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the state.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Directs new connections to another database. Open connections stay where they are.
    pub(crate) fn direct_to(&self, socket: PathBuf) {
        self.socket.replace(socket);
    }

    /// Returns PostgreSQL's process IDs, separated by commas.
    pub(crate) fn backends(&self) -> String {
        let open = self.backends.open.borrow();
        open.values().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

async fn accept(
    listener: TcpListener,
    socket: Rc<RefCell<PathBuf>>,
    way: watch::Receiver<Way>,
    backends: Rc<Backends>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Closing without lingering sends a reset.
        let _ = client.set_zero_linger();
        let now = *way.borrow();
        if now == Way::Cut {
            continue;
        }
        let (socket, way, backends) = (socket.borrow().clone(), way.clone(), Rc::clone(&backends));
        spawn_local(async move {
            let _ = serve(client, &socket, way, &backends).await;
        });
    }
}

async fn serve(
    client: TcpStream,
    socket: &Path,
    way: watch::Receiver<Way>,
    backends: &Rc<Backends>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let database = UnixStream::connect(socket).await?;
    let (from_client, to_client) = client.into_split();
    let (from_database, to_database) = database.into_split();
    let mut cut = way.clone();
    let entry = Entry::new(backends);
    // When either direction ends, both are closed. Bytes held back at that time are lost, as in a
    // network that does not come back.
    tokio::select! {
        ended = pump(from_client, to_database, way.clone(), |way| way == Way::Frozen, |_| {}) => ended,
        ended = pump(
            from_database, to_client, way,
            |way| matches!(way, Way::Frozen | Way::AnswersFrozen), |bytes| entry.read(bytes),
        ) => ended,
        _ = cut.wait_for(|way| *way == Way::Cut) => Ok(()),
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut way: watch::Receiver<Way>,
    held: fn(Way) -> bool,
    look: impl Fn(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        look(&buffer[..length]);
        // Copied first, because the borrow holds a lock.
        let now = *way.borrow();
        if let Way::Delayed(time) = now {
            // The piece meets the next state: it is delayed before the state is checked again.
            sleep(time).await;
        }
        let _ = way.wait_for(|way| !held(*way)).await;
        to.write_all(&buffer[..length]).await?;
    }
}

/// A connection's place among the open ones.
struct Entry<'a> {
    backends: &'a Backends,
    key: u64,
    known: Cell<bool>,
}

impl<'a> Entry<'a> {
    fn new(backends: &'a Backends) -> Self {
        let key = backends.next.get();
        backends.next.set(key + 1);
        Self { backends, key, known: Cell::new(false) }
    }

    /// Searches for `BackendKeyData` among the messages after a login.
    fn read(&self, bytes: &[u8]) {
        if self.known.get() {
            return;
        }
        if let Some(pid) = backend(bytes) {
            self.known.set(true);
            self.backends.open.borrow_mut().insert(self.key, pid);
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.backends.open.borrow_mut().remove(&self.key);
    }
}

/// Returns the process ID in `BackendKeyData` (`K`), if these bytes are whole messages up to it.
fn backend(mut bytes: &[u8]) -> Option<u32> {
    loop {
        let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let length = number(1)? as usize;
        if *bytes.first()? == b'K' {
            return number(5);
        }
        bytes = bytes.get(length + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_found_among_the_messages_after_a_login() {
        let mut bytes = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x09a\0bc\0".to_vec();
        assert_eq!(backend(&bytes), None);
        bytes.extend_from_slice(b"K\0\0\0\x0c\0\0\x01\x02\0\0\0\x07Z\0\0\0\x05I");
        assert_eq!(backend(&bytes), Some(258));
        assert_eq!(backend(b""), None);
        assert_eq!(backend(b"K\0\0"), None);
        assert_eq!(backend(b"R\xff\xff\xff\xff"), None);
    }
}
