//! The messages and services of components in Go, for the peer in testbed/peers/go.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use prost::Message;
use protox::prost_reflect::prost_types::FileDescriptorSet;
use protox::prost_reflect::prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};

use crate::command::root;

/// Protoc's plugins, of the versions in the peer's go.mod.
const PLUGINS: [&str; 2] = ["protoc-gen-go", "protoc-gen-go-grpc"];
/// The Go package that everything is in.
const PACKAGE: &str = "dapr-pluggable/testbed/peers/go/components";

/// The Go module of the peer.
pub(crate) fn module() -> PathBuf {
    root().join("testbed/peers/go")
}

/// Writes the Go files of these protos into a folder, and says which.
pub(super) fn generate(
    go: &Path,
    descriptors: &FileDescriptorSet,
    protos: &[&str],
    folder: &Path,
) -> Result<Vec<PathBuf>> {
    let packages = protos.iter().map(|proto| format!("M{proto}={PACKAGE}"));
    let parameter = ["paths=source_relative".to_owned()]
        .into_iter()
        .chain(packages)
        .collect::<Vec<_>>()
        .join(",");
    let request = CodeGeneratorRequest {
        file_to_generate: protos.iter().map(|proto| (*proto).to_owned()).collect(),
        parameter: Some(parameter),
        proto_file: descriptors.file.clone(),
        compiler_version: None,
    };
    let request = request.encode_to_vec();
    let mut files = Vec::new();
    for plugin in PLUGINS {
        for file in run(go, plugin, &request)?.file {
            let name = Path::new(file.name()).file_name();
            let path = folder.join(name.context("a generated file has a name")?);
            fs::write(&path, file.content())?;
            files.push(path);
        }
    }
    Ok(files)
}

fn run(go: &Path, plugin: &str, request: &[u8]) -> Result<CodeGeneratorResponse> {
    let mut child = Command::new(go)
        .args(["tool", plugin])
        .current_dir(module())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start `go tool {plugin}`"))?;
    let mut stdin = child.stdin.take().context("the plugin has an input")?;
    // It reads everything before it writes anything.
    stdin.write_all(request)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("`go tool {plugin}` failed: {}", output.status);
    }
    let response = CodeGeneratorResponse::decode(output.stdout.as_slice())?;
    match response.error {
        Some(error) => bail!("{plugin}: {error}"),
        None => Ok(response),
    }
}
