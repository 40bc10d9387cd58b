//! `latchkey audit verify`: 0 when the trail holds, 1 when it does not.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    answer, cli::AuditCommand, fault::Fault, installation, surroundings::Surroundings, telemetry,
};

/// Runs `latchkey audit …`.
pub(crate) async fn run(
    command: AuditCommand,
    surroundings: Surroundings,
) -> Result<ExitCode, Fault> {
    let AuditCommand::Verify(args) = command;
    let settled = installation::settle(&args)?;
    telemetry::start_quiet(&settled)?;
    let store = installation::store(&settled, &surroundings).await?;
    let app = installation::app(store, &settled.config, &surroundings, "audit-verify".to_owned());
    let report = latchkey_app::audit::verify(&app)
        .await
        .map_err(|error| Fault::new(format!("the audit trail cannot be read: {error}")))?;
    let problems: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    for problem in &problems {
        answer::text(&format!("{problem}\n"))?;
    }
    answer::object(&json!({
        "intact": report.is_intact(),
        "records": report.records,
        "unlinked": report.unlinked,
        "heads": report.heads,
        "problems": problems,
    }))?;
    Ok(if report.is_intact() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
