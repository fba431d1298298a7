//! Notices of changes in a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::debug;

/// How often the folder is looked into without a notice: some file systems give none, a folder may not be there yet, and a
/// socket that is there may begin to answer.
const UNNOTICED: Duration = Duration::from_secs(2);

/// Waits for changes in a folder.
#[derive(Debug)]
pub(crate) struct Watch {
    folder: PathBuf,
    watcher: Option<RecommendedWatcher>,
    notices: mpsc::Receiver<()>,
    notify: mpsc::Sender<()>,
}

impl Watch {
    pub(crate) fn new(folder: &Path) -> Self {
        // One is enough: it says that there is something to see.
        let (notify, notices) = mpsc::channel(1);
        let mut watch = Self {
            folder: folder.to_owned(),
            watcher: None,
            notices,
            notify,
        };
        watch.install();
        watch
    }

    /// Waits until there may be something new, at most two seconds.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            _ = self.notices.recv() => {}
            () = sleep(UNNOTICED) => self.renew(),
        }
    }

    /// Installs the watcher where that was not possible, or where the folder has come anew.
    fn renew(&mut self) {
        let watches = self.watcher.is_some() && self.folder.is_dir();
        if !watches {
            self.watcher = None;
            self.install();
        }
    }

    fn install(&mut self) {
        let notify = self.notify.clone();
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading the folder is an event, too.
            let matters = event.map_or(true, |event| {
                matches!(
                    event.kind,
                    EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_)
                )
            });
            if matters {
                // A notice that is already there says the same.
                let _ = notify.try_send(());
            }
        });
        let watched = made.and_then(|mut watcher| {
            watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watched {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                debug!(folder = %self.folder.display(), %error, "the folder is looked into without notices");
            }
        }
    }
}
