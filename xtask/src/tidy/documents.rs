//! What documents must keep to.

use std::collections::BTreeSet;

use super::tree::Tree;

/// The bounds of a document that is meant to be read at one go.
const ARCHITECTURE: usize = 250;
/// A page of a decision: lines and characters.
const PAGE: (usize, usize) = (60, 5_000);

pub(super) fn faults(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in tree.texts(".md") {
        faults.extend(length(path, text));
        faults.extend(links(tree, path, text));
    }
    for file in tree.files() {
        if let Some(text) = &file.text {
            faults.extend(machine_paths(&file.path, text));
        }
    }
    faults
}

fn length(path: &str, text: &str) -> Option<String> {
    let (lines, characters) = (text.lines().count(), text.chars().count());
    if path == "ARCHITECTURE.md" && lines > ARCHITECTURE {
        return Some(format!("{path}: {lines} lines, at most {ARCHITECTURE}"));
    }
    let is_too_long =
        path.starts_with("docs/decisions/") && (lines > PAGE.0 || characters > PAGE.1);
    is_too_long
        .then(|| format!("{path}: {lines} lines and {characters} characters, at most a page"))
}

/// Links that lead nowhere in the project. Links out of it are not followed.
fn links(tree: &Tree, path: &str, text: &str) -> Vec<String> {
    let known: BTreeSet<&str> = tree.files().map(|file| file.path.as_str()).collect();
    let is_there = |target: &str| {
        let folder = format!("{target}/");
        known.contains(target) || known.iter().any(|file| file.starts_with(&folder))
    };
    targets(text)
        .filter(|target| !target.contains("://") && !target.starts_with(['#', '<']))
        .map(|target| target.split('#').next().unwrap_or(target))
        .filter(|target| !resolve(path, target).is_some_and(|target| is_there(&target)))
        .map(|target| format!("{path}: the link to {target} leads nowhere"))
        .collect()
}

/// The targets of the links in a document: what stands between `](` and `)`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?;
        (!target.contains(char::is_whitespace)).then_some(target)
    })
}

/// A target as a path from the root, if it stays inside.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut names: Vec<&str> = from.split('/').collect();
    names.pop();
    for name in target.split('/') {
        match name {
            "." | "" => {}
            ".." => {
                names.pop()?;
            }
            _ => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// Paths that exist on somebody's machine alone.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    // Put together here, so that this file does not accuse itself.
    let foreign = ["work", "home", "root", "Users"].map(|folder| format!("/{folder}/"));
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| foreign.iter().any(|folder| has_path(line, folder)))
        .map(|(index, _)| format!("{path}:{}: a path of one machine", index + 1))
        .collect()
}

/// Whether a path begins with a folder, rather than having it further down.
fn has_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|char| char.is_alphanumeric() || "._-}/~".contains(char))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_somewhere() {
        let text = "[a](b.md) [c](../d/) [e](https://f.g) [h](#i) [j](k.md#l) [m](../../n)";
        let tree = Tree::of(&[("x/a.md", text), ("x/b.md", ""), ("d/d.rs", "")]);
        assert_eq!(
            faults(&tree),
            ["k.md", "../../n"].map(|target| format!("x/a.md: the link to {target} leads nowhere"))
        );
    }

    #[test]
    fn documents_have_a_length() {
        let text = "x\n".repeat(251);
        let tree = Tree::of(&[
            ("ARCHITECTURE.md", &text),
            ("docs/decisions/1.md", &text),
            ("b.md", &text),
        ]);
        assert_eq!(faults(&tree).len(), 2);
    }

    #[test]
    fn machines_stay_out() {
        let home = format!("see /{}/me/x", "home");
        assert_eq!(faults(&Tree::of(&[("a.txt", &home)])).len(), 1);
        let inside = format!("see target/{}/x", "home");
        assert!(faults(&Tree::of(&[("a.txt", &inside)])).is_empty());
    }
}
