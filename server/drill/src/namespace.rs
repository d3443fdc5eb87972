//! A separate network for a replica, which requires root: a cable to its callers, and a cable to
//! its database that can be unplugged. While it is unplugged, nothing is refused and nothing
//! arrives.
//!
//! `ip` (iproute2) creates and removes it. The replica's proxy listens on the database's end of the
//! cable, so that every fault of a proxy works here as well.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use crate::Outcome;

/// A network namespace, which is removed with its cables when dropped.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    /// Distinguishes its networks from those of other replicas.
    number: u8,
}

impl Namespace {
    /// Creates a namespace for the replica with this number.
    pub(crate) fn new(number: u8) -> Outcome<Self> {
        let namespace = Self { name: format!("drill{}-{number}", std::process::id()), number };
        ip(&["netns", "add", &namespace.name])?;
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
        namespace.lay(&namespace.cable(), "database", namespace.database())?;
        let callers = format!("{}c", namespace.cable());
        namespace.lay(&callers, "callers", namespace.network(1))?;
        Ok(namespace)
    }

    /// Returns the database's address, as seen from the replica.
    pub(crate) fn database(&self) -> Ipv4Addr {
        self.network(0)
    }

    /// Returns the replica's address, as seen by its callers.
    pub(crate) fn replica(&self) -> Ipv4Addr {
        other_end(self.network(1))
    }

    /// Returns a command that runs inside the namespace, as the process that is started.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Unplugs the cable to the database, or plugs it in again.
    pub(crate) async fn plug(&self, plugged: bool) -> Outcome<()> {
        let (cable, state) = (self.cable(), if plugged { "up" } else { "down" });
        let done = tokio::task::spawn_blocking(move || {
            ip(&["link", "set", &cable, state]).map_err(|error| error.to_string())
        });
        Ok(done.await??)
    }

    /// Returns a name of at most 15 characters, which is the kernel's limit.
    fn cable(&self) -> String {
        format!("drl{}-{}", std::process::id(), self.number)
    }

    /// Returns this end of one of its two networks, which have four addresses each.
    fn network(&self, which: u8) -> Ipv4Addr {
        // Private (RFC 1918), and hardly ever the same as in another drill at the same time.
        let [low, high, ..] = std::process::id().to_le_bytes();
        Ipv4Addr::new(10, 0x80 | high, low, (self.number * 2 + which) * 4 + 1)
    }

    /// Creates a cable with one end here and the other in the namespace.
    fn lay(&self, here: &str, there: &str, address: Ipv4Addr) -> Outcome<()> {
        let addresses = [address, other_end(address)].map(|address| format!("{address}/30"));
        let name = self.name.as_str();
        ip(&["link", "add", here, "type", "veth", "peer", "name", there, "netns", name])?;
        ip(&["addr", "add", &addresses[0], "dev", here])?;
        ip(&["link", "set", here, "up"])?;
        ip(&["-n", name, "addr", "add", &addresses[1], "dev", there])?;
        ip(&["-n", name, "link", "set", there, "up"])
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A cable disappears with either end. The cables go first, because a namespace exists as
        // long as a process uses it.
        let _ = ip(&["link", "del", &self.cable()]);
        let _ = ip(&["link", "del", &format!("{}c", self.cable())]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn other_end(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address) + 1)
}

fn ip(arguments: &[&str]) -> Outcome<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), why.trim()).into())
}
