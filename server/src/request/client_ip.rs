//! The caller's address: the peer's address, unless the peer is a proxy that is trusted to name it.

use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A peer with this address.
    Network(IpAddr),
    /// A process on this machine that may open the server's Unix socket. It has no address. A
    /// process with access to that file is trusted like a proxy in `trusted_proxies`.
    Local,
}

/// Returns the caller's address.
///
/// The `X-Forwarded-For` header of a trusted peer is read from its end, where the nearest proxy
/// wrote. The first address that is not itself a trusted proxy is the caller's. Entries to its left
/// were sent by the caller and mean nothing. If a trusted proxy wrote something that is not an
/// address, the caller's address is unknown: `None`, which fails every address rule. It is also
/// unknown if a local process names none.
pub(crate) fn client_ip(
    peer: Option<Peer>,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut caller = match peer? {
        Peer::Network(address) => {
            let address = address.to_canonical();
            if !is_trusted(&address) {
                return Some(address);
            }
            Some(address)
        }
        Peer::Local => None,
    };
    for entry in hops(headers).into_iter().rev() {
        let address = entry.and_then(parse)?;
        caller = Some(address);
        if !is_trusted(&address) {
            break;
        }
    }
    caller
}

/// Returns the peer of a request that came through an untrusted proxy: all clients behind it share
/// its address. Checks this only if no proxy is trusted. Otherwise the operator knows the setting,
/// and the header comes from an untrusted client.
pub(crate) fn untrusted_proxy(
    peer: Option<Peer>,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    match peer? {
        Peer::Network(address) if trusted.is_empty() && headers.contains_key(FORWARDED_FOR) => {
            Some(address.to_canonical())
        }
        _ => None,
    }
}

/// Returns the peer of this request; `None` if there is no connection, as in a unit test.
pub(crate) fn peer(extensions: &Extensions) -> Option<Peer> {
    extensions.get().copied()
}

/// Returns all entries in order, with `None` for one that is not text. Repeated headers form one
/// list (RFC 9110 section 5.3).
fn hops(headers: &HeaderMap) -> Vec<Option<&str>> {
    let lines = headers.get_all(FORWARDED_FOR).iter();
    // Parse each entry by itself: a proxy appends the caller's address to the line that the
    // caller sent.
    let entries = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    entries.map(|entry| std::str::from_utf8(entry).ok().map(str::trim)).collect()
}

/// Parses an address, with or without a port: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn parse(entry: &str) -> Option<IpAddr> {
    let address = entry
        .parse::<IpAddr>()
        .or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()))
        .or_else(|_| entry.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(peer: &str, lines: &[&str], trusted: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = http::HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(FORWARDED_FOR, line);
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let peer = match peer {
            "local" => Peer::Local,
            address => Peer::Network(address.parse().unwrap()),
        };
        client_ip(Some(peer), &headers, &trusted).map(|ip| ip.to_string())
    }

    #[test]
    fn untrusted_peer_is_the_caller_despite_its_headers() {
        assert_eq!(of("192.0.2.9", &["10.0.0.1"], &["127.0.0.0/8"]).unwrap(), "192.0.2.9");
        assert_eq!(of("::ffff:192.0.2.9", &[], &[]).unwrap(), "192.0.2.9");
    }

    #[test]
    fn rightmost_untrusted_address_is_the_caller() {
        let trusted = ["127.0.0.0/8", "10.0.0.0/8"];
        for (lines, caller) in [
            (&["6.6.6.6, 192.0.2.1, 10.0.0.7"][..], "192.0.2.1"),
            (&["6.6.6.6", "192.0.2.1", "10.0.0.7"][..], "192.0.2.1"),
            (&["192.0.2.1:4711"][..], "192.0.2.1"),
            (&["[2001:db8::1]:4711"][..], "2001:db8::1"),
            (&["[2001:db8::1]"][..], "2001:db8::1"),
            (&["10.0.0.5, 10.0.0.7"][..], "10.0.0.5"),
            (&[][..], "127.0.0.1"),
        ] {
            assert_eq!(of("127.0.0.1", lines, &trusted).unwrap(), caller, "{lines:?}");
        }
    }

    #[test]
    fn invalid_addresses_are_ignored_from_the_caller_but_not_from_a_proxy() {
        let trusted = ["127.0.0.0/8"];
        assert_eq!(of("127.0.0.1", &["x, 192.0.2.1"], &trusted).unwrap(), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["é, 192.0.2.1"], &trusted).unwrap(), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.1, unknown"], &trusted), None);
        assert_eq!(of("127.0.0.1", &["192.0.2.1, é"], &trusted), None);
        assert_eq!(of("127.0.0.1", &[""], &trusted), None);
    }

    #[test]
    fn local_peer_without_a_valid_address_has_no_client_ip() {
        for (lines, caller) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1, 10.0.0.7"], Some("192.0.2.1")),
            (&["6.6.6.6, 192.0.2.1"], Some("192.0.2.1")),
            (&["unknown"], None),
            (&[], None),
        ] {
            assert_eq!(of("local", lines, &["10.0.0.0/8"]).as_deref(), caller, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn headers_of_a_caller_never_change_the_result(
            sent in "[ -~é]{0,80}",
            caller in any::<u32>(),
        ) {
            let caller = IpAddr::from(caller.to_be_bytes());
            let trusted = ["127.0.0.0/8"];
            prop_assume!(!trusted[0].parse::<IpNet>().unwrap().contains(&caller));
            let line = format!("{sent}, {caller}");
            prop_assert_eq!(of("127.0.0.1", &[&line], &trusted), Some(caller.to_string()));
            prop_assert_eq!(of(&caller.to_string(), &[&sent], &trusted), Some(caller.to_string()));
        }

        #[test]
        fn any_header_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                headers.append(FORWARDED_FOR, value);
            }
            let trusted = ["0.0.0.0/0".parse().unwrap()];
            let _ = client_ip(Some(Peer::Network([127, 0, 0, 1].into())), &headers, &trusted);
            let _ = client_ip(Some(Peer::Local), &headers, &trusted);
        }
    }
}
