//! What folders and files may be called, and what must be in them.

use super::tree::Tree;

/// Names that say nothing of what is inside.
const EMPTY: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];

pub(super) fn faults(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, _) in tree.rust() {
        if path.ends_with("/mod.rs") {
            faults.push(format!("{path}: modules are foo.rs and foo/, never mod.rs"));
        }
        let stem = path.strip_suffix(".rs").unwrap_or(path);
        if let Some(name) = stem.split('/').find(|name| EMPTY.contains(name)) {
            faults.push(format!("{path}: name the role instead of {name:?}"));
        }
    }
    faults.extend(missing(tree));
    faults
}

/// What every component's folder has.
fn missing(tree: &Tree) -> Vec<String> {
    const NEEDED: [&str; 6] = [
        "Cargo.toml",
        "README.md",
        "component.toml",
        "src/lib.rs",
        "src/main.rs",
        "tests/conformance.rs",
    ];
    let manifests = tree.files().filter_map(|file| {
        let component = file.path.strip_prefix("components/")?;
        component.strip_suffix("/Cargo.toml")
    });
    manifests
        .flat_map(|component| NEEDED.map(|name| format!("components/{component}/{name}")))
        .filter(|path| !tree.files().any(|file| file.path == *path))
        .map(|path| format!("{path} is missing"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_inside() {
        let tree = Tree::of(&[
            ("a/src/b.rs", ""),
            ("a/src/b/utils.rs", ""),
            ("a/mod.rs", ""),
        ]);
        assert_eq!(faults(&tree).len(), 2);
        let tree = Tree::of(&[("a/common/b.rs", ""), ("p/common/v1/c.proto", "")]);
        assert_eq!(faults(&tree).len(), 1);
    }

    #[test]
    fn a_component_is_whole() {
        let tree = Tree::of(&[
            ("components/a/Cargo.toml", ""),
            ("components/a/README.md", ""),
        ]);
        let faults = faults(&tree);
        assert!(faults.contains(&"components/a/src/main.rs is missing".to_owned()));
        assert_eq!(faults.len(), 4);
    }
}
