//! `tessera serve`.

use super::Failure;
use crate::{config::Config, open_files, serve, telemetry};

/// Rendering a page recurses over the types of its views. Without optimisation, the deepest page
/// needs more than the default 2 MiB. Unused stack memory costs nothing.
const WORKER_STACK: usize = 16 * 1024 * 1024;

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    telemetry::start(&config.log, config.log_format);
    open_files::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(WORKER_STACK)
        .enable_all()
        .build()?;
    Ok(runtime.block_on(serve::run(config.clone(), WORKER_STACK))?)
}
