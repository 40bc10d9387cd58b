//! `latchkey report …`: saved reports, run on the database directly.
//!
//! A file that could not be written to its end is not left behind under its name.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use futures::TryStreamExt;
use latchkey_app::{Actor, AppError, reports};
use latchkey_domain::report::ReportFormat;
use serde_json::json;

use crate::{
    admin, answer,
    cli::{ReportCommand, ReportRunArgs},
    fault::Fault,
    surroundings::Surroundings,
};

/// Runs `latchkey report …`.
pub(crate) async fn run(
    command: ReportCommand,
    surroundings: Surroundings,
) -> Result<ExitCode, Fault> {
    let ReportCommand::Run(args) = command;
    let format = match &args.format {
        None => None,
        Some(word) => Some(word.parse::<ReportFormat>().map_err(|e| Fault::new(e.to_string()))?),
    };
    let mut written = admin::directly(&args.store, &surroundings, async |app| {
        let actor = Actor::command_line();
        let mut file = reports::run_report_named(app, &actor, &args.name, format).await?;
        let mut out = Output::open(&args)?;
        while let Some(piece) = file.body.try_next().await? {
            out.write(&piece)?;
        }
        out.finish()?;
        Ok(json!({ "report": file.report, "format": file.format.as_str() }))
    })
    .await?;
    if let Some(path) = &args.output {
        if let Some(members) = written.as_object_mut() {
            members.insert("file".to_owned(), json!(path));
        }
        answer::object(&written)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the file goes.
enum Output {
    Standard,
    Draft { file: File, draft: PathBuf, path: PathBuf },
}

impl Output {
    fn open(args: &ReportRunArgs) -> Result<Self, AppError> {
        let Some(path) = &args.output else { return Ok(Self::Standard) };
        let mut draft = path.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        let file = File::create(&draft).map_err(|error| refused(path, &error))?;
        Ok(Self::Draft { file, draft, path: path.clone() })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), AppError> {
        match self {
            Self::Standard => match std::io::stdout().lock().write_all(piece) {
                // The reader has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                written => written.map_err(|error| refused(Path::new("-"), &error)),
            },
            Self::Draft { file, path, .. } => {
                file.write_all(piece).map_err(|error| refused(path, &error))
            }
        }
    }

    fn finish(mut self) -> Result<(), AppError> {
        match &mut self {
            Self::Standard => {
                let flushed = std::io::stdout().lock().flush();
                flushed.or_else(|error| match error.kind() {
                    ErrorKind::BrokenPipe => Ok(()),
                    _ => Err(refused(Path::new("-"), &error)),
                })
            }
            Self::Draft { file, draft, path } => {
                let whole = file.sync_all().and_then(|()| fs::rename(&*draft, &*path));
                whole.map_err(|error| refused(path, &error))
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Self::Draft { draft, .. } = self {
            // Gone already when the file is whole.
            let _ = fs::remove_file(draft);
        }
    }
}

fn refused(path: &Path, error: &std::io::Error) -> AppError {
    AppError::invalid("--output", format!("{} cannot be written: {error}", path.display()))
}
