//! Other systems that say whether a token is good.

use crate::Outcome;
use crate::rounds::Settings;
pub(crate) fn print(_: Settings, _: &mut impl std::io::Write) -> Outcome<()> { Ok(()) }
