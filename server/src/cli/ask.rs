//! Questions to the person at the terminal.

use std::{
    io::{self, BufRead as _, IsTerminal as _},
    thread,
};

use tokio::sync::oneshot;

use crate::output;

/// Reports whether a person can be asked: standard input and standard error are a terminal.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for confirmation. `y` and `yes` confirm.
///
/// A separate thread reads the answer: a thread of the runtime would keep the program from exiting
/// on Ctrl+C.
pub(super) async fn confirm(question: &str) -> bool {
    output::remark(&format!("{question} [y/N]"));
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        // The receiver may be gone.
        let _ = sender.send(read.is_ok() && is_yes(&line));
    });
    receiver.await.unwrap_or_default()
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn answers_other_than_yes_mean_no() {
        assert!(is_yes("y\n") && is_yes(" YES \r\n"));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("yeah") && !is_yes("n"));
    }
}
