//! Networks that count as one client.

use std::net::{IpAddr, Ipv6Addr};

/// Returns the network that counts as one source of guesses.
pub(crate) fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => "unknown".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => prefix(address, 64),
    }
}

/// Returns the network of this length that an address belongs to.
pub(crate) fn prefix(address: Ipv6Addr, length: u32) -> String {
    let others = 128 - length;
    format!("{}/{length}", Ipv6Addr::from_bits(address.to_bits() >> others << others))
}
