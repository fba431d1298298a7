//! Go, for testbed/peers/go: found, or installed.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command::{output, root};
use crate::debian;

/// The oldest that go.mod there takes.
const OLDEST: (u32, u32) = (1, 24);
/// What is installed where the system's is older.
const RELEASE: &str = "go1.24.11";
/// Where; tests look for `bin/go` in it.
const OWN: &str = "target/go";

/// Sees to it that there is Go. What stays missing is for its users to skip, or to fail for.
pub(crate) fn install() {
    if program().is_some() {
        return;
    }
    debian::install(&["go", "version"], "golang-go");
    if program().is_some() || version(Path::new("go")).is_none() {
        return;
    }
    if let Err(error) = fetch() {
        eprintln!("cannot install {RELEASE}: {error:#}");
    }
}

/// Go of the search path, or our own, whichever is new enough. `None` where neither is, which is said.
///
/// # Errors
/// When neither is and `CI` is set.
pub(crate) fn expect(what: &str) -> Result<Option<PathBuf>> {
    let found = program();
    if found.is_none() {
        let (major, minor) = OLDEST;
        let advice = format!("install Go {major}.{minor} or newer");
        if std::env::var_os("CI").is_some() {
            bail!("{what} needs Go, and CI is set: {advice}");
        }
        eprintln!("skipped: {what}: Go is missing: {advice}");
    }
    Ok(found)
}

fn program() -> Option<PathBuf> {
    let own = root().join(OWN).join("bin/go");
    let mut programs = [PathBuf::from("go"), own].into_iter();
    programs.find(|program| version(program).is_some_and(|version| version >= OLDEST))
}

fn version(program: &Path) -> Option<(u32, u32)> {
    let text = output(Command::new(program).arg("version")).ok()?;
    let release = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."))?;
    let minor: String = release.chars().take_while(char::is_ascii_digit).collect();
    Some((1, minor.parse().ok()?))
}

/// Any Go downloads a newer one: they are modules.
fn fetch() -> Result<()> {
    #[derive(Deserialize)]
    struct Downloaded {
        #[serde(rename = "Dir")]
        folder: PathBuf,
    }
    let platform = output(Command::new("go").args(["env", "GOOS", "GOARCH"]))?;
    let mut platform = platform.lines();
    let system = platform.next().context("go env has no GOOS")?;
    let architecture = platform.next().context("go env has no GOARCH")?;
    let module = format!("golang.org/toolchain@v0.0.1-{RELEASE}.{system}-{architecture}");
    let downloaded = output(Command::new("go").args(["mod", "download", "-json", &module]))?;
    let Downloaded { folder } = serde_json::from_str(&downloaded)
        .with_context(|| format!("go mod download {module} gave {downloaded:?}"))?;
    // No file of a module is executable.
    for programs in ["bin".into(), format!("pkg/tool/{system}_{architecture}")] {
        let programs = folder.join(programs);
        let entries = fs::read_dir(&programs)
            .with_context(|| format!("cannot read {}", programs.display()))?;
        for entry in entries {
            fs::set_permissions(entry?.path(), Permissions::from_mode(0o755))?;
        }
    }
    let own = root().join(OWN);
    match fs::remove_file(&own) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(symlink(folder, own)?)
}
