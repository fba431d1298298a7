//! What folders and files may be called.

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
    faults
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
}
