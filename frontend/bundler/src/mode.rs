//! How much time to spend on small files.

/// What the site is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// For users: as small as possible.
    Release,
    /// For the person who is changing it: as soon as possible.
    Dev,
}

impl Mode {
    /// The Cargo profile of the WebAssembly.
    pub(crate) const fn profile(self) -> &'static str {
        match self {
            Self::Release => "wasm-release",
            Self::Dev => "wasm-dev",
        }
    }

    /// Brotli's quality (RFC 7932), 0 to 11.
    pub(crate) const fn brotli_quality(self) -> u32 {
        match self {
            Self::Release => 11,
            Self::Dev => 3,
        }
    }

    /// Deflate's level (RFC 1951), 0 to 9.
    pub(crate) const fn gzip_level(self) -> u32 {
        match self {
            Self::Release => 9,
            Self::Dev => 3,
        }
    }
}
