//! Whether this process runs in a container, where users of components and runtimes differ and folders are private.

use std::env;
use std::ffi::OsString;
use std::path::Path;

/// The files that Docker and Podman leave in their containers.
const MARKERS: [&str; 2] = [".dockerenv", "run/.containerenv"];

/// Whether this process runs in a container: Kubernetes says so in the environment, Docker and Podman by a file.
#[must_use]
pub fn in_container() -> bool {
    in_container_with(|name| env::var_os(name), Path::new("/"))
}

/// The same, with the environment as `lookup` has it and the file system below `root`.
#[must_use]
pub fn in_container_with(lookup: impl Fn(&str) -> Option<OsString>, root: &Path) -> bool {
    lookup("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty())
        || MARKERS
            .iter()
            .any(|marker| root.join(marker).try_exists().unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_sign_is_enough() {
        let root = tempfile::tempdir().unwrap();
        let inside = |host: Option<&'static str>| {
            in_container_with(
                move |name| {
                    host.filter(|_| name == "KUBERNETES_SERVICE_HOST")
                        .map(OsString::from)
                },
                root.path(),
            )
        };
        assert!(!inside(None));
        assert!(!inside(Some("")));
        assert!(inside(Some("10.0.0.1")));
        for marker in MARKERS {
            let path = root.path().join(marker);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            assert!(inside(None), "{marker}");
            fs::remove_file(&path).unwrap();
        }
    }
}
