//! A page as one session of a shell.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use dapr_pluggable_testbed::{Process, patience, skip_missing, socket_folder};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::document::Step;

/// Programs that a page names, as far as a test has something else for them. The port of the host is any free one, and
/// calls go where it is. For `daprd` the host stands in, and answers a get.
const PROGRAMS: [(&str, &str); 4] = [
    (
        "pluggable",
        r#"if [ "$1" = run ]; then shift; exec "$PLUGGABLE" run --dapr-http-port 0 "$@"; fi
exec "$PLUGGABLE" "$@""#,
    ),
    (
        "cargo",
        r#"[ "$1 $2 $3" = "run --release --" ] || exit 9
shift 3
exec pluggable "$@""#,
    ),
    (
        "curl",
        r#"for number in $(ls "$OUTPUT" | sort -rn); do
    address=$(grep -o '127\.0\.0\.1:[0-9]*' "$OUTPUT/$number" | head -n 1)
    [ -z "$address" ] || break
done
for word; do
    shift
    set -- "$@" "$(printf %s "$word" | sed "s/127\.0\.0\.1:3500/$address/")"
done
exec "$CURL" --fail --silent --show-error "$@""#,
    ),
    (
        "daprd",
        r#"exec pluggable run "$@" -- sh -c '"$CURL" --fail --silent --show-error --retry 5 --retry-all-errors \
    "http://127.0.0.1:$DAPR_HTTP_PORT/v1.0/state/statestore/key"'"#,
    ),
];

/// What a session begins with: a trap that names the block that failed and ends what runs on, by its process group.
const BEGIN: &str = r#"set -euo pipefail
block=0
jobs_left() { jobs -p; }
finish() {
    code=$?
    [ "$code" = 0 ] || { echo "block $block failed"; tail -n 50 "$OUTPUT"/*; }
    for job in $(jobs_left); do kill -TERM -- "-$job" 2>/dev/null || :; done
    wait || :
    exit "$code"
}
trap finish EXIT
said() {
    until grep -qsF -- "$2" "$OUTPUT/$1"; do
        kill -0 "$3" 2>/dev/null || { grep -qsF -- "$2" "$OUTPUT/$1" && return; echo "never said: $2"; exit 1; }
        sleep 0.02
    done
}
set -m
"#;

/// A folder to work in, with programs beside it.
pub(crate) struct Session {
    root: TempDir,
}

impl Session {
    /// A session, unless a program is missing that pages use; that is then said.
    pub(crate) fn new(test: &str) -> Option<Self> {
        for program in ["bash", "curl"] {
            if find(program).is_none() {
                skip_missing(test, program, "install the package of that name");
                return None;
            }
        }
        let session = Self {
            root: socket_folder(),
        };
        for folder in ["bin", "work", "output", "home", "sockets"] {
            fs::create_dir(session.folder(folder)).unwrap();
        }
        for (name, script) in PROGRAMS {
            session.program(&format!("bin/{name}"), script);
        }
        Some(session)
    }

    /// An executable script, at a path from the session's root.
    pub(crate) fn program(&self, path: &str, script: &str) {
        let path = self.folder(path);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// An empty folder in the folder to work in.
    pub(crate) fn work_folder(&self, name: &str) {
        fs::create_dir(self.folder("work").join(name)).unwrap();
    }

    /// A link to a folder, at a path from the folder to work in.
    pub(crate) fn link(&self, name: &str, to: &Path) {
        let to = to.canonicalize().unwrap();
        symlink(to, self.folder("work").join(name)).unwrap();
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Takes the steps, and fails where one does.
    pub(crate) async fn run(&self, steps: &[Step]) {
        let mut script = BEGIN.to_owned();
        for (index, step) in steps.iter().enumerate() {
            writeln!(script, "block={index}").unwrap();
            self.write(&mut script, index, step);
        }
        let sockets = self.folder("sockets");
        let script = script.replace("/tmp/dapr-components-sockets", sockets.to_str().unwrap());
        let path = self.folder("session.sh");
        fs::write(&path, &script).unwrap();

        let bin = self.folder("bin").into_os_string().into_string().unwrap();
        let search = env::var("PATH").unwrap();
        let mut command = Command::new("bash");
        command
            .arg(&path)
            .current_dir(self.folder("work"))
            .env_clear()
            .env("PATH", format!("{bin}:{search}"))
            .env("HOME", self.folder("home"))
            .env("OUTPUT", self.folder("output"))
            .env("PLUGGABLE", env!("CARGO_BIN_EXE_pluggable"))
            .env("CURL", find("curl").unwrap())
            .env("DAPR_COMPONENTS_SOCKETS_FOLDER", &sockets)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut shell = Process::spawn(&mut command);
        // A shell that is asked to stop ends what it has started; one that is killed would leave it behind.
        if timeout(patience().mul_f64(0.9), shell.end()).await.is_err() {
            shell.stop().await;
        }
        assert_eq!(shell.code().await, 0, "{}\n{script}", shell.log());
    }

    fn write(&self, script: &mut String, index: usize, step: &Step) {
        match step {
            Step::Run(commands) => write!(script, "{{\n{commands}}} >\"$OUTPUT/{index}\" 2>&1\n"),
            Step::Stay { commands, says } => write!(
                script,
                "(\nset +m\n{commands}wait\n) >\"$OUTPUT/{index}\" 2>&1 &\nsaid {index} '{says}' $!\n"
            ),
            Step::EachLine { commands, says } => {
                for (number, line) in commands.lines().enumerate() {
                    let output = format!("{index}.{number}");
                    let line = line.split(" #").next().unwrap_or(line);
                    // A host with an application ends with it; the others are stopped.
                    let stop = if line.contains(" -- ") {
                        ""
                    } else {
                        "kill $!\n"
                    };
                    write!(
                        script,
                        "{line} >\"$OUTPUT/{output}\" 2>&1 &\nsaid {output} '{says}' $!\n{stop}wait $!\n"
                    )
                    .unwrap();
                }
                Ok(())
            }
            Step::File { path, content } => {
                // At its turn: a page may change a file that it has used.
                write!(
                    script,
                    "mkdir -p \"$(dirname {path})\"\ncat >{path} <<'END OF {path}'\n{content}END OF {path}\n"
                )
            }
            Step::Printed(lines) => {
                let before = index - 1;
                for line in lines.lines() {
                    let line = line.replace('\'', r"'\''");
                    writeln!(script, "grep -qxF -- '{line}' \"$OUTPUT/{before}\"").unwrap();
                }
                Ok(())
            }
        }
        .unwrap();
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let search = env::var_os("PATH")?;
    env::split_paths(&search)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
