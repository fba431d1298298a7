//! The promise of the hello-world examples: so many lines and no more, imports included and `main` apart.

use std::fs;
use std::path::Path;

/// The example, and how many lines it may have before `main`.
const LIMITS: [(&str, usize); 4] = [
    ("hello-state", 30),
    ("hello-etag", 45),
    ("hello-pubsub", 25),
    ("hello-output-binding", 15),
];

const MAIN: usize = 8;

/// The lines of the component and of `main`, which comes last. The format is checked for the whole project.
fn count(source: &str) -> Option<(usize, usize)> {
    let lines = |text: &str| text.lines().filter(|line| !line.trim().is_empty()).count();
    let (component, main) = source.split_once("\nfn main()")?;
    Some((lines(component), lines(main)))
}

#[test]
fn hello_world_is_short() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (example, limit) in LIMITS {
        let sources = examples.join(example).join("src");
        let files = fs::read_dir(&sources).unwrap().count();
        assert_eq!(files, 1, "{example} has one file");
        let (component, main) =
            count(&fs::read_to_string(sources.join("main.rs")).unwrap()).unwrap();
        assert!(
            component <= limit,
            "{example}: {component} lines, at most {limit}"
        );
        assert!(
            main <= MAIN,
            "{example}: main has {main} lines, at most {MAIN}"
        );
    }
}

#[test]
fn every_line_counts_that_says_something() {
    let source = "//! Docs.\n\nuse a::b;\n\nstruct C;\n\nfn main() {\n    run()\n}\n";
    assert_eq!(count(source), Some((3, 3)));
}
