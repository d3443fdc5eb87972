//! The compressed forms of each file, created once here instead of at every request.

use std::io::Write as _;

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};

use crate::{
    cache::{Cache, hash},
    mode::Mode,
    progress::Progress,
    root::Root,
    site::Site,
};

/// The extensions of files that are already compressed.
const COMPRESSED: [&str; 8] = ["png", "jpg", "jpeg", "webp", "avif", "woff2", "ico", "gz"];

/// The number of bytes that a compressed form must save to justify a second file.
const WORTH: usize = 64;

/// Adds the brotli and the gzip form of each compressible file.
pub(crate) fn add_compressed(
    site: &mut Site,
    root: &Root,
    mode: Mode,
    progress: &Progress,
) -> Result<()> {
    let mut cache = Cache::open(root.join("target/bundler/compressed").join(mode.profile()))?;
    let plain: Vec<(String, Vec<u8>)> = site
        .files()
        .filter(|(path, _)| is_compressible(path))
        .map(|(path, content)| (path.to_owned(), content.to_vec()))
        .collect();
    for (path, content) in plain {
        let key = hash(&[&content]);
        let smaller = cache.get(&format!("{key}.br"), || {
            progress.say("compress", &path);
            brotli(&content, mode.brotli_quality())
        })?;
        let wider = cache.get(&format!("{key}.gz"), || gzip(&content, mode.gzip_level()))?;
        for (ending, compressed) in [("br", smaller), ("gz", wider)] {
            if compressed.len() + WORTH <= content.len() {
                site.add(format!("{path}.{ending}"), compressed);
            }
        }
    }
    cache.prune()
}

fn is_compressible(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    !COMPRESSED.contains(&ending)
}

fn brotli(content: &[u8], quality: u32) -> Result<Vec<u8>> {
    const BUFFER: usize = 64 * 1024;
    const WINDOW: u32 = 22;
    let mut writer = brotli::CompressorWriter::new(Vec::new(), BUFFER, quality, WINDOW);
    writer.write_all(content)?;
    Ok(writer.into_inner())
}

fn gzip(content: &[u8], level: u32) -> Result<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::new(level));
    writer.write_all(content)?;
    Ok(writer.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn compressed_content_survives_a_round_trip() {
        let content = b"tessera ".repeat(100);

        let mut from_brotli = Vec::new();
        let packed = brotli(&content, 5).unwrap();
        brotli::Decompressor::new(&*packed, 4096).read_to_end(&mut from_brotli).unwrap();
        assert_eq!(from_brotli, content);

        let mut from_gzip = Vec::new();
        let packed = gzip(&content, 6).unwrap();
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut from_gzip).unwrap();
        assert_eq!(from_gzip, content);
    }

    #[test]
    fn pictures_are_not_compressed() {
        assert!(is_compressible("favicon.svg"));
        assert!(!is_compressible("favicon.ico"));
    }
}
