//! The trade-off between build time and file size.

/// The purpose of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// For users: the smallest files.
    Release,
    /// For trying out: larger files, but a short build.
    Quick,
    /// For developers: the fastest build.
    Dev,
}

impl Mode {
    /// Returns the mode of a command-line option such as `--quick`.
    pub(crate) fn of_option(option: &str) -> Option<Self> {
        match option {
            "--release" => Some(Self::Release),
            "--quick" => Some(Self::Quick),
            "--dev" => Some(Self::Dev),
            _ => None,
        }
    }

    /// Returns the Cargo profile of the WebAssembly.
    pub(crate) const fn profile(self) -> &'static str {
        match self {
            Self::Release => "wasm-release",
            Self::Quick => "wasm-quick",
            Self::Dev => "wasm-dev",
        }
    }

    /// Returns brotli's quality (RFC 7932), from 0 to 11.
    pub(crate) const fn brotli_quality(self) -> u32 {
        match self {
            Self::Release => 11,
            Self::Quick => 5,
            Self::Dev => 3,
        }
    }

    /// Returns Deflate's level (RFC 1951), from 0 to 9.
    pub(crate) const fn gzip_level(self) -> u32 {
        match self {
            Self::Release => 9,
            Self::Quick => 6,
            Self::Dev => 3,
        }
    }
}
