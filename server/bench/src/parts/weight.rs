//! The files that a browser loads first, in brotli bytes.

use std::{fs, io::Write};

use crate::Outcome;

const SITE: &str = "target/site";
/// The maximum size of all of them together.
const BUDGET: u64 = 300 * 1_024;

/// Prints a line for each file of the manifest, and their sum.
pub(crate) fn print(out: &mut impl Write) -> Outcome<()> {
    let manifest: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{SITE}/manifest.json"))?)?;
    let files = manifest.as_object().ok_or("the manifest is not an object")?;
    let mut sum = 0;
    for (kind, path) in files {
        let path = path.as_str().ok_or("the manifest contains no path")?;
        let bytes = fs::metadata(format!("{SITE}{path}.br"))
            .or_else(|_| fs::metadata(format!("{SITE}{path}")))?
            .len();
        sum += bytes;
        writeln!(out, "  {kind:<8} {bytes:>8} B  {path}")?;
    }
    writeln!(
        out,
        "  {:<8} {sum:>8} B  {:.2} × the budget of {BUDGET} B",
        "all",
        ratio(sum, BUDGET)
    )?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "file sizes are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
