//! A page of the book, and the blocks in it.

use std::fs;
use std::path::Path;

/// What is done with a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Run(String),
    Stay { commands: String, says: String },
    EachLine { commands: String, says: String },
    File { path: String, content: String },
    Printed(String),
}

/// The steps of a page, in order.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    let text = fs::read_to_string(&path).unwrap();
    let steps = parse(&text);
    assert!(!steps.is_empty(), "{page} has no commands");
    steps
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut comment, mut was_run) = (None, false);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let begin = line.trim_start();
        if let Some(language) = begin.strip_prefix("```") {
            // In a list, a block has the indentation of its fence.
            let indent = &line[..line.len() - begin.len()];
            let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
            let block: Vec<&str> = block
                .map(|line| line.strip_prefix(indent).unwrap_or(line))
                .collect();
            let step = step(language, comment.take(), block.join("\n") + "\n", was_run);
            was_run = matches!(step, Some(Step::Run(_)));
            steps.extend(step);
        } else if let Some(text) = begin.strip_prefix("<!-- ") {
            comment = text.strip_suffix(" -->");
        } else if !line.is_empty() {
            comment = None;
        }
    }
    steps
}

fn step(language: &str, comment: Option<&str>, block: String, was_run: bool) -> Option<Step> {
    let (kind, rest) = match comment {
        Some(comment) => comment.split_once(": ").unwrap_or((comment, "")),
        None => ("", ""),
    };
    let rest = rest.to_owned();
    match (kind, language) {
        ("file", _) => Some(Step::File {
            path: rest,
            content: block,
        }),
        ("not run", "sh") => {
            assert!(!rest.is_empty(), "no reason not to run: {block}");
            None
        }
        ("stays, and says", "sh") => Some(Step::Stay {
            commands: block,
            says: rest,
        }),
        ("each line, until it says", "sh") => Some(Step::EachLine {
            commands: block,
            says: rest,
        }),
        ("", "sh") => Some(Step::Run(block)),
        ("", "text") if was_run => Some(Step::Printed(block)),
        ("", _) => None,
        _ => panic!("what is {comment:?} before a block of {language}?"),
    }
}

#[test]
fn comments_say_what_becomes_of_a_block() {
    let page = "\
a\n```sh\none\n```\n\n```text\nprinted\n```\n<!-- not run: it is large -->\n```sh\ntwo\n```\n\
<!-- file: a/b.yaml -->\n```yaml\nc: d\n```\n<!-- stays, and says: ready -->\n```sh\nthree\n```\n```rust\n```\n";
    let expected = [
        Step::Run("one\n".to_owned()),
        Step::Printed("printed\n".to_owned()),
        Step::File {
            path: "a/b.yaml".to_owned(),
            content: "c: d\n".to_owned(),
        },
        Step::Stay {
            commands: "three\n".to_owned(),
            says: "ready".to_owned(),
        },
    ];
    assert_eq!(parse(page), expected);
}

#[test]
#[should_panic(expected = "no reason not to run")]
fn what_is_not_run_has_a_reason() {
    parse("<!-- not run -->\n```sh\none\n```\n");
}
