//! Where the checkout, its build output and its programs are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

/// The workspace's root folder.
pub(crate) fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies below the workspace")
}

/// `cargo` in the root folder, without standard input.
///
/// `cargo xtask` gives this program variables about its own package. Build scripts of others (that
/// of `ring`) watch them, so that handing them on would build half the tree anew whenever somebody
/// changes between `cargo xtask` and `cargo`.
pub(crate) fn cargo(arguments: &[&str]) -> Result<Command> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root()?).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

/// Runs a command whose output a person watches.
pub(crate) fn watch(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("`{}` ended with {status}", words(command));
    }
    Ok(())
}

/// Runs a command and returns its standard output; its errors stay visible.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("`{}` ended with {}", words(command), output.status);
    }
    String::from_utf8(output.stdout).context("a command printed something that is no text")
}

/// The dependency graph.
pub(crate) fn metadata() -> Result<Metadata> {
    metadata_by(&["--locked"])
}

/// The same with every feature of every member.
pub(crate) fn metadata_with_all_features() -> Result<Metadata> {
    metadata_by(&["--locked", "--all-features"])
}

fn metadata_by(options: &[&str]) -> Result<Metadata> {
    MetadataCommand::new()
        .manifest_path(root()?.join("Cargo.toml"))
        .other_options(options.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        .exec()
        .context("cargo metadata failed")
}

/// The folder of build output, wherever it was put.
pub(crate) fn target_folder() -> Result<PathBuf> {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => Ok(root()?.join(folder)),
        None => Ok(root()?.join("target")),
    }
}

/// Builds the program `latchkey` as it is shipped, without crash points, in the development
/// profile. The whole workspace is selected, so that third-party crates have the same features as
/// in the test build and are built once.
pub(crate) fn build_latchkey() -> Result<()> {
    watch(&mut cargo(&[
        "build",
        "--locked",
        "--workspace",
        "--exclude",
        "latchkey-e2e",
        "--bin",
        "latchkey",
    ])?)
}

/// A program of the development build.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(target_folder()?.join("debug").join(name))
}

fn words(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or_default().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy().into_owned()));
    words.join(" ")
}
