//! `latchkey doctor`: looks at configuration, folder, keys, database, clock, connectors and
//! targets, and says what to do. 0 when nothing is wrong; advice alone is nothing wrong.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path, process::ExitCode};

use jiff::SignedDuration;
use latchkey_app::{
    Actor, App, AppError, PageRequest, audit,
    config::LOCAL_CONNECTOR,
    connectors::{self, ConnectorStatus, ConnectorView},
    emergencies,
    integrations::{self, IntegrationsQuery},
    notifications, reconcile,
};
use latchkey_domain::integration::IntegrationStatus;

use crate::{
    answer, cli::StoreArgs, config::Settled, fault::Fault, installation, mail,
    surroundings::Surroundings, telemetry,
};

/// How far back the clock may seem to be set without being told so.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(2);

/// How a look at one thing came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Advice,
    Wrong,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    wrong: usize,
    advice: usize,
}

impl Findings {
    fn say(&mut self, verdict: Verdict, what: &str, text: &str) -> Result<(), Fault> {
        let word = match verdict {
            Verdict::Good => "ok",
            Verdict::Advice => {
                self.advice += 1;
                "advice"
            }
            Verdict::Wrong => {
                self.wrong += 1;
                "wrong"
            }
        };
        answer::text(&format!("{word:<7} {what:<12} {text}\n"))
    }

    fn end(&self) -> Result<ExitCode, Fault> {
        let text = match (self.wrong, self.advice) {
            (0, 0) => "Nothing is wrong.\n".to_owned(),
            (0, advice) => format!("Nothing is wrong; pieces of advice: {advice}.\n"),
            (wrong, _) => format!("Things to mend: {wrong}.\n"),
        };
        answer::text(&text)?;
        Ok(if self.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Runs `latchkey doctor`.
pub(crate) async fn run(args: StoreArgs, at: Surroundings) -> Result<ExitCode, Fault> {
    use Verdict::{Advice, Good, Wrong};
    let mut findings = Findings::default();
    let settled = match installation::settle(&args) {
        Ok(settled) => settled,
        Err(fault) => {
            findings.say(Wrong, "config", &fault.to_string())?;
            return findings.end();
        }
    };
    telemetry::start_silent()?;
    findings.say(Good, "config", "The configuration can be read.")?;
    for name in &settled.unknown_variables {
        let text = format!("The variable {name} is not known and is ignored; check its spelling.");
        findings.say(Advice, "config", &text)?;
    }
    if !settled.data.is_dir() {
        let text = format!(
            "There is no installation in {}: run `latchkey admin bootstrap` there, or name \
             another folder with --data.",
            settled.data.display()
        );
        findings.say(Wrong, "folder", &text)?;
        return findings.end();
    }
    check_folder(&mut findings, &settled.data)?;
    let keys = match installation::keys(&settled.data, at.rng.as_ref()) {
        Ok(keys) => keys,
        Err(fault) => {
            findings.say(Wrong, "keys", &fault.to_string())?;
            return findings.end();
        }
    };
    let text = format!("The master key {} can be read by its owner alone.", keys.id());
    findings.say(Good, "keys", &text)?;
    let store = match installation::store(&settled, &at).await {
        Ok(store) => store,
        Err(fault) => {
            findings.say(Wrong, "database", &fault.to_string())?;
            return findings.end();
        }
    };
    findings.say(Good, "database", "The database answers and belongs to the key.")?;
    let app = installation::app(store, &settled.config, &at, "doctor".to_owned());
    if let Err(error) = look_inside(&mut findings, &app, &settled, &at).await? {
        findings.say(Wrong, "database", &error.message)?;
    }
    findings.end()
}

fn check_folder(findings: &mut Findings, folder: &Path) -> Result<(), Fault> {
    let mode = fs::metadata(folder).map(|found| found.permissions().mode() & 0o777);
    match mode {
        Ok(mode) if mode & 0o077 == 0 => {
            findings.say(Verdict::Good, "folder", "The data folder is closed to others.")
        }
        Ok(mode) => {
            let text = format!(
                "The data folder may be entered by others (mode {mode:03o}); run: chmod 700 {}",
                folder.display()
            );
            findings.say(Verdict::Advice, "folder", &text)
        }
        Err(error) => {
            findings.say(Verdict::Wrong, "folder", &format!("It cannot be looked at: {error}."))
        }
    }
}

/// Looks at what the database says. The outer result is about the output.
async fn look_inside(
    findings: &mut Findings,
    app: &App,
    settled: &Settled,
    at: &Surroundings,
) -> Result<Result<(), AppError>, Fault> {
    let report = match audit::verify(app).await {
        Ok(report) => report,
        Err(error) => return Ok(Err(error)),
    };
    for problem in &report.problems {
        findings.say(Verdict::Wrong, "audit", &format!("{problem}."))?;
    }
    if report.is_intact() {
        let text = format!("The audit trail holds: {} records.", report.records);
        findings.say(Verdict::Good, "audit", &text)?;
    }
    if let Err(error) = check_clock(findings, app, at).await? {
        return Ok(Err(error));
    }
    match reconcile::restore_is_unconfirmed(app).await {
        Ok(false) => {}
        Ok(true) => findings.say(
            Verdict::Wrong,
            "restore",
            "A target has seen newer work than the database knows: the database was restored. \
             Look at the drift below and in the audit trail, then run `latchkey admin reconcile \
             --confirm` to remove what nothing explains.",
        )?,
        Err(error) => return Ok(Err(error)),
    }
    if let Err(error) = check_notifications(findings, app, settled).await? {
        return Ok(Err(error));
    }
    match emergencies::count_unreviewed(app, &Actor::command_line()).await {
        Ok(0) => {}
        Ok(count) => findings.say(
            Verdict::Advice,
            "emergencies",
            &format!(
                "{count} emergencies wait for somebody to look at them: see \
                 GET /api/admin/v1/emergencies?reviewed=false."
            ),
        )?,
        Err(error) => return Ok(Err(error)),
    }
    check_connectors(findings, app, settled).await
}

async fn check_notifications(
    findings: &mut Findings,
    app: &App,
    settled: &Settled,
) -> Result<Result<(), AppError>, Fault> {
    use Verdict::{Advice, Good, Wrong};
    let actor = Actor::command_line();
    let reports = match notifications::scheduled_reports(app, &actor).await {
        Ok(reports) => reports,
        Err(error) => return Ok(Err(error)),
    };
    match mail::mailer(&settled.config) {
        Err(fault) => findings.say(Wrong, "mail", &format!("{fault}."))?,
        Ok(None) if reports > 0 => {
            let text = format!(
                "No mail server is configured (smtp_host), so {reports} reports with a schedule \
                 go to nobody, and people are told by no mail."
            );
            findings.say(Wrong, "mail", &text)?;
        }
        Ok(None) => findings.say(
            Advice,
            "mail",
            "No mail server is configured (smtp_host): people are told by no mail.",
        )?,
        Ok(Some(mailer)) => match mailer.check().await {
            Ok(()) => findings.say(Good, "mail", "The mail server answers.")?,
            Err(why) => {
                let text = format!("The mail server cannot be used: {why}.");
                findings.say(Wrong, "mail", &text)?;
            }
        },
    }
    let (standing, dead) = match notifications::standing(app, &actor).await {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    if let (true, Some(since)) = (standing.failing > 0, standing.failing_since) {
        let why = standing.last_error.as_deref().unwrap_or("nothing is known");
        let text = format!(
            "{} notifications could not be sent yet, the oldest since {since}: {why}. They are \
             tried for three days.",
            standing.failing
        );
        findings.say(Wrong, "messages", &text)?;
    }
    if let Some(last) = dead.first() {
        let text = format!(
            "{} notifications were given up in the last 30 days, the last at {}: {}. The audit \
             trail has each (notification.given_up).",
            standing.dead, last.dead_at, last.last_error
        );
        findings.say(Advice, "messages", &text)?;
    }
    if standing.failing == 0 && dead.is_empty() {
        findings.say(Good, "messages", "No notification has failed.")?;
    }
    Ok(Ok(()))
}

async fn check_clock(
    findings: &mut Findings,
    app: &App,
    at: &Surroundings,
) -> Result<Result<(), AppError>, Fault> {
    let head = match audit::signed_head(app).await {
        Ok(head) => head,
        Err(error) => return Ok(Err(error)),
    };
    let now = app.clock().now();
    match head {
        Some(head) if head.signed_at.duration_since(now) > CLOCK_SLACK => {
            let text = format!(
                "The clock says {now}, but the audit trail was signed at {}: set the clock, and \
                 keep it right with NTP, or access ends at the wrong time.",
                head.signed_at
            );
            findings.say(Verdict::Wrong, "clock", &text)?;
        }
        _ => findings.say(Verdict::Good, "clock", "The clock has not gone back.")?,
    }
    let off = at.shared_clock.of_the_machine().duration_since(now);
    if off.abs() > CLOCK_SLACK {
        let text = format!(
            "This machine's clock is {} s off the database's, which is the one that access ends \
             by; keep both right with NTP.",
            off.as_secs()
        );
        findings.say(Verdict::Advice, "clock", &text)?;
    }
    Ok(Ok(()))
}

async fn check_connectors(
    findings: &mut Findings,
    app: &App,
    settled: &Settled,
) -> Result<Result<(), AppError>, Fault> {
    let actor = Actor::command_line();
    let page = PageRequest { limit: 1000, ..PageRequest::default() };
    let views = match connectors::list_connectors(app, &actor, &BTreeSet::new(), &page).await {
        Ok(views) => views.items,
        Err(error) => return Ok(Err(error)),
    };
    let query = IntegrationsQuery::default();
    let found = match integrations::list_integrations(app, &actor, query, &page).await {
        Ok(found) => found.items,
        Err(error) => return Ok(Err(error)),
    };
    for view in &views {
        let serves = found
            .iter()
            .filter(|known| known.integration.connector_id.as_ref() == Some(&view.connector.id))
            .count();
        say_connector(findings, view, serves)?;
    }
    if views.is_empty() {
        findings.say(
            Verdict::Advice,
            "connectors",
            "There is none yet: `latchkey serve` makes `local` on SQLite (on PostgreSQL with \
             --local-connector); `latchkey admin connector-token create --id ID` makes others.",
        )?;
    }
    for known in &found {
        let integration = &known.integration;
        let verdict = match integration.status {
            IntegrationStatus::Error => Verdict::Wrong,
            IntegrationStatus::Warning | IntegrationStatus::Disabled => Verdict::Advice,
            _ => Verdict::Good,
        };
        let detail = integration.status_detail.as_deref().unwrap_or("nothing to say");
        let text = format!("{} is {}: {detail}", integration.name, integration.status.as_str());
        findings.say(verdict, "integration", &text)?;
    }
    tracing::debug!(data.folder = %settled.data.display(), "The doctor has looked at everything.");
    Ok(Ok(()))
}

fn say_connector(
    findings: &mut Findings,
    view: &ConnectorView,
    serves: usize,
) -> Result<(), Fault> {
    let id = &view.connector.id;
    let is_local = id.as_str() == LOCAL_CONNECTOR;
    match view.status {
        ConnectorStatus::Connected => {
            let text = format!("{id} is connected; integrations it serves: {serves}.");
            findings.say(Verdict::Good, "connector", &text)?;
        }
        ConnectorStatus::Disconnected if serves == 0 => {
            let text = format!("{id} is not connected, and nothing needs it.");
            findings.say(Verdict::Good, "connector", &text)?;
        }
        ConnectorStatus::Disconnected => {
            let advice = if is_local {
                "start `latchkey serve`".to_owned()
            } else {
                format!("start `latchkey connector --id {id}` on its machine")
            };
            let text = format!(
                "{id} is not connected (integrations that need it: {serves}); {advice}. Until then \
                 nothing is granted there, and access ends only by what the targets do themselves."
            );
            findings.say(Verdict::Wrong, "connector", &text)?;
        }
    }
    if is_local && serves > 0 {
        findings.say(
            Verdict::Advice,
            "connector",
            "local runs inside the server. While the server is down it ends nothing: a target's \
             own expiry stops new logins (PostgreSQL: VALID UNTIL), but sessions that are open \
             stay open until the server is back. Run a separate `latchkey connector` for targets \
             where that matters.",
        )?;
    }
    Ok(())
}
