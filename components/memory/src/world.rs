//! Where data lives: outside the component values, under the name of their instance.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use dapr_pluggable::InstanceId;

/// One `T` for each instance name, made when it is first asked for. Clones are the same world.
///
/// A runtime may send Init for an instance again, and two runtimes may each have sent one: every value that is opened for
/// a name finds the data of that name here.
pub(crate) struct World<T>(Arc<Mutex<HashMap<InstanceId, Arc<T>>>>);

impl<T: Default> World<T> {
    /// A world with nothing in it.
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// What belongs to an instance.
    pub(crate) fn of(&self, instance: &InstanceId) -> Arc<T> {
        // An insert is one step, so a panic elsewhere leaves the map whole.
        let mut instances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(instances.entry(instance.clone()).or_default())
    }
}

impl<T> Clone for World<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for World<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("World").finish_non_exhaustive()
    }
}
