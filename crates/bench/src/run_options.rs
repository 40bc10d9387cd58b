//! What every benchmark is started with, whether it needs all of it or not, so that `cargo xtask
//! bench` starts each with the same words.

use std::path::PathBuf;

use clap::Args;

/// How a benchmark is run.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// The release build of `latchkey`.
    #[arg(long)]
    pub(crate) program: PathBuf,
    /// The file to write.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// The documented script that makes the provisioner.
    #[arg(long, default_value = "docs/integrations/postgresql/provisioner.sql")]
    pub(crate) provisioner: PathBuf,
    /// The commit that was built.
    #[arg(long)]
    pub(crate) commit: String,
    /// A tenth of what is stored, granted or indexed, to see that everything runs; targets that
    /// are about the whole do not hold then.
    #[arg(long)]
    pub(crate) tenth: bool,
}
