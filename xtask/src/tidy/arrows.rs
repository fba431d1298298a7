//! Which crate may import which.

use std::path::Path;

use super::{Dependency, Package, Workspace};

/// What a crate is, by its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Protocol,
    Sdk,
    Component,
    Host,
    Conformance,
    Testbed,
    Cli,
    Xtask,
    Example,
}

/// Drivers, and the only component folder that may name each.
const DRIVERS: [(&str, &str); 7] = [
    ("rusqlite", "sqlite"),
    ("redis", "redis"),
    ("rdkafka", "kafka"),
    ("async-nats", "nats"),
    ("rumqttc-next", "mqtt"),
    ("tokio-postgres", "postgres"),
    ("opendal", "objects"),
];

pub(super) fn faults(workspace: &Workspace, root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    for package in &workspace.packages {
        let folder = folder(&package.manifest_path, root);
        let Some(role) = role(&folder) else {
            faults.push(format!(
                "{folder}: no kind of crate that ARCHITECTURE.md knows"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            faults.extend(fault(package, role, &folder, dependency, root));
        }
    }
    faults
}

fn fault(
    package: &Package,
    role: Role,
    folder: &str,
    dependency: &Dependency,
    root: &Path,
) -> Option<String> {
    let (from, to) = (&package.name, &dependency.name);
    let is_for_tests = dependency.kind.as_deref() == Some("dev");
    if let Some(path) = &dependency.path {
        let target = self::role(&relative(path, root))?;
        let allowed = if is_for_tests {
            target != Role::Cli
        } else {
            role.imports().contains(&target)
        };
        return (!allowed).then(|| format!("{folder}: {from} may not import {to}"));
    }
    if let Some((_, home)) = DRIVERS.iter().find(|(driver, _)| driver == to) {
        // Tests look at a server from the side.
        let is_home = role == Role::Testbed || folder == format!("components/{home}");
        return (!is_home)
            .then(|| format!("{folder}: the driver {to} belongs into components/{home} alone"));
    }
    let is_of_the_wire = to.starts_with("tonic") || to.starts_with("prost");
    (is_of_the_wire && !is_for_tests && !role.knows_the_wire())
        .then(|| format!("{folder}: {to} is for the crates that know the wire, not for {from}"))
}

impl Role {
    fn imports(self) -> &'static [Self] {
        match self {
            Self::Protocol | Self::Xtask => &[],
            Self::Sdk => &[Self::Protocol],
            Self::Component | Self::Host | Self::Conformance | Self::Testbed => &[Self::Sdk],
            Self::Cli => &[Self::Host, Self::Conformance, Self::Component, Self::Sdk],
            Self::Example => &[Self::Sdk, Self::Component, Self::Host],
        }
    }

    fn knows_the_wire(self) -> bool {
        matches!(self, Self::Protocol | Self::Sdk | Self::Xtask)
    }
}

fn role(folder: &str) -> Option<Role> {
    Some(match folder {
        "protocol" => Role::Protocol,
        "sdk" => Role::Sdk,
        "host" => Role::Host,
        "conformance" => Role::Conformance,
        "testbed" => Role::Testbed,
        "cli" => Role::Cli,
        "xtask" => Role::Xtask,
        _ if folder.starts_with("components/") => Role::Component,
        _ if folder == "examples" || folder.starts_with("examples/") => Role::Example,
        _ => return None,
    })
}

fn folder(manifest: &str, root: &Path) -> String {
    let path = relative(manifest, root);
    path.strip_suffix("/Cargo.toml").unwrap_or(&path).to_owned()
}

fn relative(path: &str, root: &Path) -> String {
    let path = Path::new(path);
    let relative = path.strip_prefix(root).unwrap_or(path);
    relative.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(folder: &str, name: &str, kind: Option<&str>, path: Option<&str>) -> Vec<String> {
        let dependency = Dependency {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            path: path.map(|path| format!("/r/{path}")),
        };
        let package = Package {
            name: "p".to_owned(),
            manifest_path: format!("/r/{folder}/Cargo.toml"),
            dependencies: vec![dependency],
            features: Default::default(),
        };
        let workspace = Workspace {
            packages: vec![package],
        };
        faults(&workspace, Path::new("/r"))
    }

    #[test]
    fn arrows_point_one_way() {
        for (from, to) in [
            ("components/a", "sdk"),
            ("cli", "components/a"),
            ("sdk", "protocol"),
        ] {
            assert!(
                judge(from, "x", None, Some(to)).is_empty(),
                "{from} -> {to}"
            );
        }
        for (from, to) in [
            ("sdk", "components/a"),
            ("host", "components/a"),
            ("components/a", "components/b"),
            ("components/a", "protocol"),
            ("cli", "testbed"),
        ] {
            assert_eq!(judge(from, "x", None, Some(to)).len(), 1, "{from} -> {to}");
        }
        assert!(judge("host", "x", Some("dev"), Some("components/a")).is_empty());
        assert_eq!(judge("host", "x", Some("dev"), Some("cli")).len(), 1);
    }

    #[test]
    fn drivers_and_the_wire_have_their_places() {
        assert!(judge("components/sqlite", "rusqlite", None, None).is_empty());
        assert!(judge("testbed", "redis", None, None).is_empty());
        assert_eq!(judge("cli", "rusqlite", Some("dev"), None).len(), 1);
        assert!(judge("sdk", "tonic", None, None).is_empty());
        assert!(judge("host", "tonic-prost", Some("dev"), None).is_empty());
        assert_eq!(judge("host", "tonic-prost", None, None).len(), 1);
        assert_eq!(judge("elsewhere", "serde", None, None).len(), 1);
    }
}
