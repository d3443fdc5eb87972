//! The load: wrk on the second core, and the server's own CPU time from /proc.

use std::{fs, process::Command};

use crate::{Outcome, server::Running};

/// Seconds of a measurement; long enough for its throughput to settle.
const SECONDS: u32 = 4;
/// Clock ticks of /proc/PID/stat in a second (`USER_HZ`, 100 on Linux).
const TICKS: f64 = 100.0;

/// What is sent.
pub(crate) struct Load<'a> {
    pub(crate) connections: u16,
    pub(crate) token: &'a str,
    pub(crate) body: &'a str,
}

/// What one measurement gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Answers in a second.
    pub(crate) per_second: f64,
    /// The 99th percentile, microseconds.
    pub(crate) p99_us: f64,
    /// The server process's own CPU time for one answer, microseconds.
    pub(crate) cpu_us: f64,
}

impl Load<'_> {
    /// Runs without counting.
    pub(crate) fn warm_up(&self, server: &Running) -> Outcome<()> {
        self.wrk(server, 1).map(drop)
    }

    /// Runs and counts.
    pub(crate) fn measure(&self, server: &Running) -> Outcome<Reading> {
        let before = cpu_seconds(server.pid)?;
        let output = self.wrk(server, SECONDS)?;
        let cpu = cpu_seconds(server.pid)? - before;
        let field = |label: &str| {
            output
                .lines()
                .find_map(|line| line.trim().strip_prefix(label))
                .and_then(|rest| rest.split_whitespace().next())
                .ok_or_else(|| format!("wrk printed no {label}"))
        };
        if output.contains("Non-2xx") {
            return Err("the server refused requests under load".into());
        }
        let requests: f64 = output
            .lines()
            .find(|line| line.contains(" requests in "))
            .and_then(|line| line.split_whitespace().next())
            .ok_or("wrk printed no number of requests")?
            .parse()?;
        Ok(Reading {
            per_second: field("Requests/sec:")?.parse()?,
            p99_us: microseconds(field("99%")?)?,
            cpu_us: cpu * 1e6 / requests,
        })
    }

    fn wrk(&self, server: &Running, seconds: u32) -> Outcome<String> {
        let script = std::env::temp_dir().join(format!("tessera-bench-{}.lua", std::process::id()));
        // Lua's long brackets take the JSON as it is.
        let text = format!(
            "wrk.method = \"POST\"\nwrk.body = [==[{}]==]\n\
             wrk.headers[\"Content-Type\"] = \"application/json\"\n\
             wrk.headers[\"Authorization\"] = \"Bearer {}\"\n",
            self.body, self.token
        );
        fs::write(&script, text)?;
        let output = Command::new("taskset")
            .args(["--cpu-list", "1", "wrk", "--threads", "1", "--latency", "--connections"])
            .arg(self.connections.to_string())
            .arg("--duration")
            .arg(format!("{seconds}s"))
            .arg("--script")
            .arg(&script)
            .arg(format!("{}/api/v1/verify", server.url))
            .output();
        fs::remove_file(&script)?;
        let output = output?;
        if !output.status.success() {
            return Err(format!("wrk failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// One request by curl; its answer's body.
pub(crate) fn post(server: &Running, token: &str, body: &str) -> Outcome<String> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--header",
            "Content-Type: application/json",
            "--header",
        ])
        .arg(format!("Authorization: Bearer {token}"))
        .args(["--data", body])
        .arg(format!("{}/api/v1/verify", server.url))
        .output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// CPU time that a process has used, in all its threads (proc(5), fields 14 and 15 of stat).
fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in brackets and may hold spaces.
    let rest = stat.rsplit_once(')').ok_or("unreadable stat")?.1;
    let field = |index: usize| rest.split_whitespace().nth(index).ok_or("unreadable stat");
    let ticks: f64 = field(11)?.parse::<f64>()? + field(12)?.parse::<f64>()?;
    Ok(ticks / TICKS)
}

/// wrk's times: `812.00us`, `1.20ms`, `2.00s`.
fn microseconds(text: &str) -> Outcome<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 1.0)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1e3)
    } else {
        (text.strip_suffix('s').ok_or("unreadable time")?, 1e6)
    };
    Ok(number.parse::<f64>()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_wrk_are_read() {
        assert!((microseconds("1.50ms").unwrap() - 1_500.0).abs() < 1e-9);
        assert!((microseconds("812.00us").unwrap() - 812.0).abs() < 1e-9);
        assert!(microseconds("soon").is_err());
    }
}
