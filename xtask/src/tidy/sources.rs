//! What Rust files may contain.

use std::collections::BTreeMap;

use super::tree::Tree;

const LONG: usize = 500;
const TOO_LONG: usize = 600;
const EXAMPLE: usize = 100;

/// The parts of the SDK that know gRPC. The others are its public face.
const WIRE: [&str; 6] = ["wire", "server", "client", "program", "dial", "services"];

pub(super) fn faults(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in tree.rust() {
        let lines = text.lines().count();
        if lines > TOO_LONG {
            faults.push(format!("{path}: {lines} lines, at most {TOO_LONG}"));
        }
        if is_face(path) {
            faults.extend(wire(path, text));
        }
        faults.extend(unfinished(path, text));
    }
    faults.extend(examples(tree));
    faults
}

/// What is not against the rules yet.
pub(super) fn notices(tree: &Tree) -> Vec<String> {
    tree.rust()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| (LONG + 1..=TOO_LONG).contains(lines))
        .map(|(path, lines)| format!("{path}: {lines} lines, soon too many for one purpose"))
        .collect()
}

fn is_face(path: &str) -> bool {
    let Some(path) = path.strip_prefix("sdk/src/") else {
        return path.starts_with("host/src/")
            || path.starts_with("components/") && path.contains("/src/");
    };
    let first = path.split('/').next().unwrap_or(path);
    let module = first.strip_suffix(".rs").unwrap_or(first);
    !WIRE.contains(&module)
}

fn wire(path: &str, text: &str) -> Vec<String> {
    code(text)
        .filter(|(_, line)| {
            ["tonic::", "prost::", "dapr_pluggable_protocol"]
                .iter()
                .any(|name| line.contains(name))
        })
        .map(|(number, _)| format!("{path}:{number}: no type of the wire belongs here"))
        .collect()
}

/// Marks of what somebody meant to do later.
fn unfinished(path: &str, text: &str) -> Vec<String> {
    // Put together here, so that this file does not accuse itself.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| marks.iter().any(|mark| line.contains(mark.as_str())))
        .map(|(index, _)| format!("{path}:{}: finish it, or say why it is so", index + 1))
        .collect()
}

/// The lines that are not comments, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// An example is read at a glance.
fn examples(tree: &Tree) -> Vec<String> {
    let mut lengths: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, text) in tree.rust() {
        let Some(example) = path.strip_prefix("examples/") else {
            continue;
        };
        if let Some((example, rest)) = example.split_once('/')
            && !rest.starts_with("tests/")
        {
            *lengths.entry(example).or_default() += text.lines().count();
        }
    }
    lengths
        .into_iter()
        .filter(|(_, lines)| *lines > EXAMPLE)
        .map(|(example, lines)| format!("examples/{example}: {lines} lines, at most {EXAMPLE}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_has_a_limit() {
        let (long, longer) = ("\n".repeat(550), "\n".repeat(601));
        let tree = Tree::of(&[("a/src/b.rs", &long), ("a/src/c.rs", &longer)]);
        assert_eq!(faults(&tree), ["a/src/c.rs: 601 lines, at most 600"]);
        assert_eq!(notices(&tree).len(), 1);
        let tree = Tree::of(&[
            ("examples/a/src/main.rs", &"\n".repeat(101)),
            ("examples/b/src/main.rs", "\n"),
            ("examples/b/tests/b.rs", &"\n".repeat(101)),
        ]);
        assert_eq!(faults(&tree), ["examples/a: 101 lines, at most 100"]);
    }

    #[test]
    fn traits_know_no_wire() {
        let text = "// tonic::Status\nuse tonic::Status;\n";
        for path in [
            "sdk/src/state.rs",
            "sdk/src/state/bulk.rs",
            "components/a/src/lib.rs",
        ] {
            let tree = Tree::of(&[(path, text)]);
            let fault = format!("{path}:2: no type of the wire belongs here");
            assert_eq!(faults(&tree), [fault]);
        }
        for path in [
            "sdk/src/wire/state.rs",
            "sdk/src/server.rs",
            "sdk/tests/a.rs",
        ] {
            assert!(faults(&Tree::of(&[(path, text)])).is_empty(), "{path}");
        }
    }

    #[test]
    fn nothing_is_left_for_later() {
        let text = format!("// {}: more\n", ["TO", "DO"].concat());
        assert_eq!(faults(&Tree::of(&[("a/b.rs", &text)])).len(), 1);
    }
}
