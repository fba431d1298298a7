//! The components that a program has inside it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dapr_pluggable::Blocks;

type Make = Arc<dyn Fn() -> Blocks + Send + Sync>;

/// Components that are opened in this process where no socket has their name. A name is the second half of a type:
/// `sqlite` stands for `state.sqlite`, `pubsub.sqlite` and whatever else its [`Blocks`] have.
#[derive(Clone, Default)]
pub struct Catalogue(BTreeMap<String, Make>);

impl Catalogue {
    /// Without components.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a component. `make` is called at most once for a name in each host, so that all its instances have one world,
    /// as behind a socket.
    #[must_use]
    pub fn with(
        mut self,
        name: impl AsRef<str>,
        make: impl Fn() -> Blocks + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(name.as_ref().to_lowercase(), Arc::new(make));
        self
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn make(&self, name: &str) -> Option<Blocks> {
        self.0.get(name).map(|make| make())
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
