//! The effects of a policy change, for people.

use std::fmt::Write as _;

use domain::policy_view::{Misfit, PolicyPreview};

use super::rule::value_of;
use crate::output::plain;

/// Formats the preview as text of several lines.
pub(in crate::cli) fn preview_text(preview: &PolicyPreview) -> String {
    let mut text = String::new();
    if preview.changed.is_empty() {
        text.push_str("No effective rule changes.\n");
    }
    for rule in &preview.changed {
        let (before, after) = (value_of(*rule, &preview.before), value_of(*rule, &preview.after));
        let _ = writeln!(text, "{}: {} -> {}", rule.as_str(), plain(&before), plain(&after));
    }
    if !preview.audiences.is_empty() {
        let audiences: Vec<_> = preview.audiences.iter().map(AsRef::as_ref).collect();
        let _ = writeln!(text, "New audiences: {}", audiences.join(" "));
    }
    if preview.above_cap > 0 {
        let _ = writeln!(text, "Tokens above the limit: {}.", preview.above_cap);
    }
    if preview.unfit > 0 {
        let _ = writeln!(
            text,
            "Existing tokens that do not comply: {}. They keep working: a policy applies only to \
             later changes.",
            preview.unfit
        );
        for misfit in Misfit::ALL {
            let count = preview.misfits.get(&misfit).copied().unwrap_or_default();
            if count > 0 {
                let _ = writeln!(text, "  {}: {count}", misfit.as_str());
            }
        }
        for token in &preview.tokens {
            let reasons: Vec<_> = token.reasons.iter().map(|reason| reason.as_str()).collect();
            let (name, reasons) = (plain(&token.name), reasons.join(" "));
            let _ = writeln!(text, "  {} {name} ({}): {reasons}", token.id, token.workspace);
        }
        let named = i64::try_from(preview.tokens.len()).unwrap_or(i64::MAX);
        if preview.unfit > named {
            let _ = writeln!(text, "  and {} more", preview.unfit - named);
        }
    }
    text
}
