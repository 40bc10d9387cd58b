//! `latchkey aql …`: queries at the command line. `check` and `format` need no installation; `run`
//! reads the database directly, and makes none where there is none.
//!
//! 0 where the query is right, 1 where it is wrong; what is wrong is drawn on standard error.
//! Invariant: nothing that people or targets have named reaches a terminal as a command.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::ExitCode,
};

use latchkey_app::{
    Actor, PageRequest,
    access_scopes::{PreviewScope, preview_access_scope},
    paging::MAX_LIMIT,
};
use latchkey_aql::{Diagnostic, Query, Severity, parse_with_warnings};

use crate::{
    admin, answer,
    cli::{AqlCommand, AqlRunArgs, QueryArgs},
    entitlement_list,
    fault::Fault,
    installation,
    surroundings::Surroundings,
};

/// Runs `latchkey aql …`.
pub(crate) async fn run(command: AqlCommand, at: Surroundings) -> Result<ExitCode, Fault> {
    match command {
        AqlCommand::Check(args) => {
            let Some(_) = read(&text_of(&args)?) else { return Ok(ExitCode::FAILURE) };
            answer::text("The query is valid.\n")?;
        }
        AqlCommand::Format(args) => {
            let Some(query) = read(&text_of(&args)?) else { return Ok(ExitCode::FAILURE) };
            answer::text(&format!("{}\n", query.format()))?;
        }
        AqlCommand::Run(args) => {
            let text = text_of(&args.query)?;
            let Some(_) = read(&text) else { return Ok(ExitCode::FAILURE) };
            select(&args, text, &at).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The query as it was given.
fn text_of(args: &QueryArgs) -> Result<String, Fault> {
    let Some(file) = &args.file else { return Ok(args.query.clone().unwrap_or_default()) };
    let read = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| Fault::new(format!("{} cannot be read: {error}", file.display())))
}

/// The query that the text is; `None` if it is none. What was found about it is drawn.
fn read(text: &str) -> Option<Query> {
    match parse_with_warnings(text) {
        Ok(parsed) => {
            draw(&parsed.warnings, Severity::Warning, text);
            Some(parsed.query)
        }
        Err(faults) => {
            draw(&faults, Severity::Error, text);
            None
        }
    }
}

fn draw(findings: &[Diagnostic], severity: Severity, text: &str) {
    let mut stderr = std::io::stderr().lock();
    for (at, finding) in findings.iter().enumerate() {
        let gap = if at > 0 { "\n" } else { "" };
        // Without standard error nobody is there to be told.
        let _ = write!(stderr, "{gap}{}", finding.draw(severity, text));
    }
}

/// Prints what the query selects.
async fn select(args: &AqlRunArgs, query: String, at: &Surroundings) -> Result<(), Fault> {
    let app = installation::existing(&args.store, at, "aql-run").await?;
    let command = PreviewScope { query, access_scope_id: None };
    let mut page = PageRequest::default();
    let mut rows = Vec::new();
    let total = loop {
        let left = args.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        page.limit = left.clamp(1, MAX_LIMIT);
        let shown = preview_access_scope(&app, &Actor::command_line(), &command, &page).await;
        let shown = shown.map_err(|error| admin::say(&error))?;
        rows.extend(shown.items.items.into_iter().take(left as usize));
        page.after = shown.items.next;
        if page.after.is_none() || rows.len() >= args.limit as usize {
            break shown.total;
        }
    };
    let list = if args.json {
        entitlement_list::json_lines(&rows, total)
    } else {
        entitlement_list::table(&rows, total)
    };
    answer::text(&list)
}
