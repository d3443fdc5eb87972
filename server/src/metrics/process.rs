//! Numbers that the operating system reports about this process.

use std::fs;

/// Returns the resident memory in bytes, or `None` if the system does not report it in `/proc`.
pub(super) fn resident() -> Option<u64> {
    parse(&fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_parsed_in_bytes() {
        assert_eq!(parse("VmSize:\t 9 kB\nVmRSS:\t    1234 kB\nX: 1"), Some(1_263_616));
        for other in ["", "VmRSS:", "VmRSS: x kB", "VmRSS: 1 MB", "VmRSS: 18446744073709551615 kB"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
