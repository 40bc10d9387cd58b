//! `latchkey apply`: bring what is stored to what documents say, all of it or nothing.
//!
//! Invariants: everything that is wrong in any document is told, with its place, before anything
//! is written; what is told of a trial is what the real run would do; nothing that people have
//! named reaches a terminal as a command.

use std::{collections::BTreeSet, fmt::Write as _, process::ExitCode};

use latchkey_api::policy_document::document_of;
use latchkey_app::{
    Actor, App, AppError,
    flows::warnings_about,
    policy_as_code::{
        Applied, ApplyPolicy, Change, Document, Outcome, PolicyKind, PolicyObject, Refusal,
        RefusedAt, apply_policy,
    },
};
use latchkey_aql::shown;
use serde_json::{Map, Value, json};

use crate::{
    admin, answer,
    cli::ApplyArgs,
    fault::Fault,
    installation,
    policy_diff::{self, MemberChange},
    policy_file::{Places, ReadDocument, Unreadable},
    policy_folder,
    surroundings::Surroundings,
};

/// A trial that found something to change.
const WOULD_CHANGE: u8 = 2;

/// Runs `latchkey apply`.
pub(crate) async fn run(args: ApplyArgs, at: Surroundings) -> Result<ExitCode, Fault> {
    let (documents, subjects, mut problems) = sort(policy_folder::read_all(&args.files)?);
    let is_readable = problems.all.is_empty();
    // A trial of those that can be read tells what else is wrong. What cannot be read would look
    // as if it had no document.
    let dry_run = args.dry_run || !is_readable;
    let command = ApplyPolicy { documents, prune: args.prune && is_readable, dry_run };
    let owner = format!("apply-{:016x}", u64::from_be_bytes(at.rng.bytes()));
    let app = installation::existing(&args.store, &at, &owner).await?;
    let outcome = apply_policy(&app, &Actor::command_line(), command).await;
    let applied = match outcome.map_err(|error| admin::say(&error))? {
        Outcome::Applied(applied) if is_readable => applied,
        Outcome::Applied(_) => return Err(problems.fault()),
        Outcome::Refused(refusals) => {
            for refusal in refusals {
                problems.note(refusal, &subjects);
            }
            return Err(problems.fault());
        }
    };
    if !dry_run {
        latchkey_app::audit::settle(&app).await.map_err(|error| admin::say(&error))?;
        warn_of_lowered(&app, &applied).await;
    }
    let told = Told::of(&applied, &subjects, dry_run).map_err(|e| Fault::new(e.to_string()))?;
    if args.json {
        answer::object(&told.json())?;
    } else {
        answer::text(&told.text())?;
    }
    let would_change = dry_run && !applied.changes.is_empty();
    Ok(if would_change { ExitCode::from(WOULD_CHANGE) } else { ExitCode::SUCCESS })
}

/// Says of each flow that was saved what it lowers, as saving it through the API does.
async fn warn_of_lowered(app: &App, applied: &Applied) {
    for change in &applied.changes {
        let Some(PolicyObject::AccessFlow(saved)) = &change.after else { continue };
        for warning in warnings_about(app, &saved.flow.id).await {
            let (name, warning) = (shown(&saved.flow.name), shown(&warning));
            tracing::warn!("The access flow \"{name}\" {warning}.");
        }
    }
}

/// A document that went into the run.
struct Subject {
    /// Its place among all that were read.
    read_as: usize,
    about: (PolicyKind, String),
    id: Option<String>,
    places: Places,
}

/// The documents for the run, beside them what is remembered of each, and what is wrong already.
fn sort(read: Vec<Result<ReadDocument, Unreadable>>) -> (Vec<Document>, Vec<Subject>, Problems) {
    let mut documents = Vec::new();
    let mut subjects = Vec::new();
    let mut problems = Problems::default();
    for (read_as, read) in read.into_iter().enumerate() {
        let ReadDocument { about, id, document, places } = match read {
            Ok(read) => read,
            Err(Unreadable { lines, about }) => {
                problems.broken.extend(about.map(normal));
                problems.all.extend(lines.into_iter().map(|line| Problem::of(read_as, line)));
                continue;
            }
        };
        match document.says() {
            Ok(says) => {
                subjects.push(Subject { read_as, about, id: id.clone(), places });
                documents.push(Document { id, says });
            }
            Err(errors) => {
                let line = |error: &latchkey_app::FieldError| {
                    Problem::of(read_as, places.line(&error.field, &error.message))
                };
                problems.all.extend(errors.iter().map(line));
                problems.broken.extend(id.map(|id| normal((about.0, id))));
                problems.broken.insert(normal(about));
            }
        }
    }
    (documents, subjects, problems)
}

/// Everything that is wrong.
#[derive(Default)]
struct Problems {
    all: Vec<Problem>,
    /// What documents are about that have something wrong with them.
    broken: BTreeSet<(PolicyKind, String)>,
}

struct Problem {
    /// The place of the document among all that were read; the last for what has none.
    read_as: usize,
    line: String,
    /// What the member at fault refers to, if it refers: the kind, and a name or an id.
    refers_to: Option<(PolicyKind, String)>,
}

impl Problem {
    fn of(read_as: usize, line: String) -> Self {
        Self { read_as, line, refers_to: None }
    }
}

impl Problems {
    fn note(&mut self, refusal: Refusal, subjects: &[Subject]) {
        let Refusal { at, error } = refusal;
        match at {
            RefusedAt::Unwanted(kind, name) => {
                let line = format!("--prune: {} \"{name}\": {}", kind.noun(), error.message);
                self.all.push(Problem::of(usize::MAX, line));
            }
            RefusedAt::Twice(second, first) => {
                let (Some(second), Some(first)) = (subjects.get(second), subjects.get(first))
                else {
                    return;
                };
                let (kind, name) = &second.about;
                let told = format!(
                    "the {} \"{name}\" has another document at {}",
                    kind.noun(),
                    first.places.place("name")
                );
                let line = second.places.line("name", &told);
                self.all.push(Problem::of(second.read_as, line));
            }
            RefusedAt::Document(at) => {
                let Some(subject) = subjects.get(at) else { return };
                self.broken.insert(normal(subject.about.clone()));
                if let Some(id) = &subject.id {
                    self.broken.insert(normal((subject.about.0, id.clone())));
                }
                self.note_errors(subject, &error);
            }
        }
    }

    fn note_errors(&mut self, subject: &Subject, error: &AppError) {
        let Subject { read_as, places, about: (kind, name), .. } = subject;
        if error.errors.is_empty() {
            let told = format!("{} \"{name}\": {}", kind.noun(), error.message);
            self.all.push(Problem::of(*read_as, places.line_of_all(&told)));
        }
        for error in &error.errors {
            let refers_to = places
                .reference(&error.field)
                .and_then(|text| Some(normal((referred_kind(&error.field)?, text.to_owned()))));
            let line = places.line(&error.field, &error.message);
            self.all.push(Problem { refers_to, ..Problem::of(*read_as, line) });
        }
    }

    /// All of it in the order of the documents. That something refers to what is broken itself is
    /// no news.
    fn fault(self) -> Fault {
        let Self { mut all, broken } = self;
        let is_news = |one: &Problem| one.refers_to.as_ref().is_none_or(|to| !broken.contains(to));
        if all.iter().any(is_news) {
            all.retain(is_news);
        }
        all.sort_by_key(|one| one.read_as);
        let mut text = match all.len() {
            1 => "nothing was changed; one thing is wrong:".to_owned(),
            many => format!("nothing was changed; {many} things are wrong:"),
        };
        for problem in &all {
            let _ = write!(text, "\n{}", shown(&problem.line));
        }
        Fault::new(text)
    }
}

/// Names mean the same in any case.
fn normal((kind, name): (PolicyKind, String)) -> (PolicyKind, String) {
    (kind, name.to_lowercase())
}

/// What kind of thing a member refers to.
fn referred_kind(member: &str) -> Option<PolicyKind> {
    let what = member.rsplit('.').next()?.strip_suffix("_reference")?;
    match what {
        "integration" | "source_integration" => Some(PolicyKind::Integration),
        other => PolicyKind::parse(other),
    }
}

/// What is told of a run.
struct Told {
    dry_run: bool,
    changes: Vec<ToldChange>,
    unchanged: u64,
}

struct ToldChange {
    action: Action,
    kind: PolicyKind,
    name: String,
    /// The id; not of what a trial would create, which has none.
    id: Option<String>,
    /// File and line of its document.
    place: Option<(String, u64)>,
    members: Vec<MemberChange>,
    requests_ended: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Update,
    Delete,
}

impl Told {
    fn of(
        applied: &Applied,
        subjects: &[Subject],
        dry_run: bool,
    ) -> Result<Self, serde_json::Error> {
        let tell = |change: &Change| ToldChange::of(change, subjects, dry_run).transpose();
        let changes = applied.changes.iter().filter_map(tell).collect::<Result<_, _>>()?;
        Ok(Self { dry_run, changes, unchanged: applied.unchanged })
    }

    fn count(&self, action: Action) -> usize {
        self.changes.iter().filter(|change| change.action == action).count()
    }

    fn counts(&self) -> [usize; 3] {
        [Action::Create, Action::Update, Action::Delete].map(|action| self.count(action))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            change.push_text(&mut text);
        }
        let unchanged = self.unchanged;
        if unchanged > 0 {
            let _ = writeln!(text, "= {unchanged} unchanged");
        }
        let [created, updated, deleted] = self.counts();
        let _ = if self.dry_run {
            writeln!(
                text,
                "{created} to create, {updated} to change, {deleted} to delete; nothing was written."
            )
        } else {
            writeln!(text, "{created} created, {updated} changed, {deleted} deleted.")
        };
        text
    }

    fn json(&self) -> Value {
        let [created, updated, deleted] = self.counts();
        json!({
            "dry_run": self.dry_run,
            "created": created,
            "updated": updated,
            "deleted": deleted,
            "unchanged": self.unchanged,
            "changes": self.changes.iter().map(ToldChange::json).collect::<Vec<_>>(),
        })
    }
}

impl ToldChange {
    fn of(
        change: &Change,
        subjects: &[Subject],
        dry_run: bool,
    ) -> Result<Option<Self>, serde_json::Error> {
        let (action, object) = match (&change.before, &change.after) {
            (None, Some(after)) => (Action::Create, after),
            (Some(_), Some(after)) => (Action::Update, after),
            (Some(before), None) => (Action::Delete, before),
            (None, None) => return Ok(None),
        };
        let (before, after) = (said_of(change.before.as_ref())?, said_of(change.after.as_ref())?);
        let mut members = policy_diff::between(&before, &after);
        if change.new_secret {
            members.push(MemberChange {
                member: "secret_store_config".to_owned(),
                before: Some("what was stored".into()),
                after: Some("what was sent".into()),
            });
        }
        let place = change.document.and_then(|at| subjects.get(at)).map(|subject| {
            let (file, line) = subject.places.start();
            (file.to_owned(), line)
        });
        Ok(Some(Self {
            action,
            kind: object.kind(),
            name: object.name().to_owned(),
            id: (action != Action::Create || !dry_run).then(|| object.id().to_owned()),
            place,
            members,
            requests_ended: change.requests_ended,
        }))
    }

    fn push_text(&self, text: &mut String) {
        let sign = match self.action {
            Action::Create => '+',
            Action::Update => '~',
            Action::Delete => '-',
        };
        let _ = write!(text, "{sign} {} \"{}\"", self.kind.as_str(), shown(&self.name));
        let _ = match self.requests_ended {
            0 => writeln!(text),
            1 => writeln!(text, " (ends 1 request)"),
            many => writeln!(text, " (ends {many} requests)"),
        };
        if self.action == Action::Update {
            for member in &self.members {
                member.push_text(text);
            }
        }
    }

    fn json(&self) -> Value {
        json!({
            "action": match self.action {
                Action::Create => "create",
                Action::Update => "update",
                Action::Delete => "delete",
            },
            "kind": self.kind.as_str(),
            "id": self.id,
            "name": self.name,
            "file": self.place.as_ref().map(|(file, _)| file),
            "line": self.place.as_ref().map(|(_, line)| line),
            "members": self.members.iter().map(MemberChange::json).collect::<Vec<_>>(),
            "requests_ended": self.requests_ended,
        })
    }
}

/// What a document says of it, without the kind; nothing of what is not there.
fn said_of(object: Option<&PolicyObject>) -> Result<Map<String, Value>, serde_json::Error> {
    let Some(object) = object else { return Ok(Map::new()) };
    let document = document_of(object.clone())?;
    Ok(document.into_iter().filter(|(name, _)| name != "kind").collect())
}
