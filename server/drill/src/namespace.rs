//! A network of a replica's own, where root may make one: a cable to its callers, and one to its database
//! that can be unplugged. Then nothing is refused and nothing arrives, for as long as it takes.
//!
//! Made and removed by `ip` (iproute2). The database's end of the cable is where the replica's proxy listens,
//! so that all that proxies do to a replica can be done to this one, too.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Stdio},
};

use crate::Outcome;

/// A network namespace; removed when dropped, with its cables.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
    /// Tells its networks from those of the others.
    number: u8,
}

impl Namespace {
    /// A namespace for the replica of this number.
    pub(crate) fn new(number: u8) -> Outcome<Self> {
        let namespace = Self { name: format!("drill{}-{number}", std::process::id()), number };
        ip(&["netns", "add", &namespace.name])?;
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
        namespace.lay(&namespace.cable(), "database", namespace.database())?;
        let callers = format!("{}c", namespace.cable());
        namespace.lay(&callers, "callers", namespace.network(1))?;
        Ok(namespace)
    }

    /// Where the database is, seen from the replica.
    pub(crate) fn database(&self) -> Ipv4Addr {
        self.network(0)
    }

    /// Where the replica is, seen by its callers.
    pub(crate) fn replica(&self) -> Ipv4Addr {
        other_end(self.network(1))
    }

    /// A command that runs in it, as the process that is started.
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

    /// At most 15 characters, as the kernel wants it.
    fn cable(&self) -> String {
        format!("drl{}-{}", std::process::id(), self.number)
    }

    /// This end of one of its two networks, of four addresses each.
    fn network(&self, which: u8) -> Ipv4Addr {
        // Private (RFC 1918), and hardly ever the same as another drill's of the same time.
        let [low, high, ..] = std::process::id().to_le_bytes();
        Ipv4Addr::new(10, 0x80 | high, low, (self.number * 2 + which) * 4 + 1)
    }

    /// A cable with two ends: this one here, the other one in the namespace.
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
        // Cables go with either end; these are first, for a namespace lives on while a process does.
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
