//! The help of every verb.

use crate::program::run;

#[tokio::test]
async fn every_verb_has_examples_and_exit_codes() {
    let help = run(["--help"]).await;
    assert_eq!(help.code, 0);
    let verbs: Vec<&str> = help
        .stdout
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert!(verbs.contains(&"serve"), "{verbs:?}");
    for verb in verbs {
        for flag in ["--help", "-h"] {
            let help = run([verb, flag]).await;
            assert_eq!(help.code, 0, "{verb}");
            let example = format!("Examples:\n  pluggable {verb}");
            assert!(help.stdout.contains(&example), "{verb}: {}", help.stdout);
            assert!(help.stdout.contains("Exit codes:\n  0 "), "{verb}");
        }
    }
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2_and_says_why() {
    for (arguments, why) in [
        (&["sevre"][..], "sevre"),
        (&["serve"], "<NAME>"),
        (
            &["serve", "no-such"],
            "possible values: in-memory, memory, redis, sqlite",
        ),
        (&["serve", "sqlite", "sqlite"], "\"sqlite\" is named twice"),
        (&["serve", "sqlite", "memory", "--as", "x"], "one NAME"),
        (&["serve", "sqlite", "--socket-mode", "9"], "octal"),
        (&["health", "--wait", "soon", "memory"], "a duration"),
    ] {
        let ended = run(arguments).await;
        assert_eq!(ended.code, 2, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.starts_with("error: "), "{ended:?}");
        assert!(ended.stderr.contains(why), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "");
    }
}
