//! Selection of the content coding for a file (RFC 9110 section 12.5.3).

use axum::http::{HeaderMap, header};

/// A coding in which a file can be sent, ordered from the largest file to the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    /// No compression.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Encoding {
    /// The compressed codings that the bundler writes.
    pub(super) const COMPRESSED: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// Returns the ending that the bundler appends to the file name.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "gz",
            Self::Brotli => "br",
        }
    }

    /// Returns the name of the content coding, or `None` for an uncompressed file.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// Returns the available coding with the highest weight, or the smallest among equals. If the
/// client accepts none of them, returns the uncompressed file: a page needs its files more than an
/// error.
pub(super) fn choose(headers: &HeaderMap, available: &[Encoding]) -> Encoding {
    let accepted: Vec<(String, u16)> = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(parse)
        .collect();
    let weight = |name: &str| {
        let given =
            |wanted: &str| accepted.iter().find(|(name, _)| name == wanted).map(|(_, q)| *q);
        given(name).or_else(|| given("*"))
    };
    available
        .iter()
        .filter_map(|encoding| Some((weight(encoding.name()?)?, *encoding)))
        // A client that does not mention `identity` still accepts it, but only as the last choice.
        .chain([(weight("identity").unwrap_or(1), Encoding::Identity)])
        .filter(|(weight, _)| *weight > 0)
        .max()
        .map_or(Encoding::Identity, |(_, encoding)| encoding)
}

/// Returns a coding in lower case and its weight in thousandths, or `None` if the item is empty or
/// malformed.
fn parse(item: &str) -> Option<(String, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let weight = match parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q="))) {
        None => 1_000,
        Some(text) => thousandths(text)?,
    };
    Some((name, weight))
}

/// Parses `0`, `0.5` or `1.000` into thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accept.parse().unwrap());
        choose(&headers, &Encoding::COMPRESSED)
    }

    #[test]
    fn browser_gets_brotli() {
        assert_eq!(chosen("gzip, deflate, br, zstd"), Encoding::Brotli);
        assert_eq!(chosen("gzip, BR;q=1.0"), Encoding::Brotli);
        assert_eq!(chosen("*"), Encoding::Brotli);
    }

    #[test]
    fn weight_precedes_size() {
        assert_eq!(chosen("br;q=0.5, gzip;q=0.8"), Encoding::Gzip);
        assert_eq!(chosen("br;q=0, *;q=0.1"), Encoding::Gzip);
        assert_eq!(chosen("br;q=0.001"), Encoding::Brotli);
        assert_eq!(chosen("identity, br;q=0.5"), Encoding::Identity);
    }

    #[test]
    fn plain_file_is_the_fallback() {
        assert_eq!(chosen("br;q=0, gzip;q=0, identity;q=0"), Encoding::Identity);
        assert_eq!(chosen("deflate"), Encoding::Identity);
        assert_eq!(chosen("br;q=2, gzip;q=0.1234"), Encoding::Identity);
        assert_eq!(choose(&HeaderMap::new(), &Encoding::COMPRESSED), Encoding::Identity);
    }

    #[test]
    fn file_without_compressed_variants_is_sent_plain() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, "br".parse().unwrap());
        assert_eq!(choose(&headers, &[]), Encoding::Identity);
    }
}
