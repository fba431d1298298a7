//! A sign of life on standard error for what takes over a second.

use std::future::Future;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::{Instant, sleep_until};

const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(120);

/// Waits for a future; when it takes longer, and standard error is a terminal, says for what.
pub(crate) async fn shown<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::pin!(future);
    tokio::select! {
        biased;
        output = &mut future => return output,
        () = sleep_until(Instant::now() + PATIENCE) => {}
    }
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(TICK);
    let output = future.await;
    spinner.finish_and_clear();
    output
}
