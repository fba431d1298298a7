//! How long a test waits for what must happen.

use std::env;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Long enough for a slow machine; what waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// How long to wait for what must happen: 30 s times the number in the environment variable `PATIENCE`.
#[must_use]
pub fn patience() -> Duration {
    match env::var("PATIENCE") {
        Ok(factor) => {
            let factor: f64 = factor
                .parse()
                .unwrap_or_else(|_| panic!("PATIENCE is {factor:?}: expected a number, such as 2"));
            PATIENCE.mul_f64(factor)
        }
        Err(_) => PATIENCE,
    }
}

/// Waits for something that must come.
///
/// # Panics
/// When it does not come within [`patience`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(patience(), future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain: {what}"),
    }
}

/// Asks until something is true.
///
/// # Panics
/// When it is not true within [`patience`].
pub async fn eventually(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_true().await {
            sleep(PAUSE).await;
        }
    };
    within(what, wait).await;
}

/// Asks until the answer is the expected one.
///
/// # Panics
/// When it is another for as long as [`patience`] lasts; the text has the last one.
pub async fn eventually_equal<T: PartialEq + Debug>(
    what: &str,
    expected: T,
    mut ask: impl AsyncFnMut() -> T,
) {
    let deadline = Instant::now() + patience();
    loop {
        let answer = within(what, ask()).await;
        if answer == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "waited in vain: {what} is still {answer:?}, not {expected:?}"
        );
        sleep(PAUSE).await;
    }
}
