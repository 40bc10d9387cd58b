//! `latchkey what-if`: what a change of policy would do, before it is saved. Reads the database
//! directly, and makes none where there is none; changes nothing.
//!
//! Invariant: nothing that people or targets have named reaches a terminal as a command.

use std::{fmt::Write as _, process::ExitCode};

use latchkey_api::policy_document::consequences;
use latchkey_app::{
    Actor,
    available_access::AvailableEntitlement,
    what_if::{
        Consequences, Effect, Outcome, PersonChanged, PolicyChange, Replay, RequestsChanged,
        SubjectKind, WhatIf, what_if,
    },
};
use latchkey_aql::shown;

use crate::{
    admin, answer, cli::WhatIfArgs, fault::Fault, installation, policy_file,
    surroundings::Surroundings,
};

/// Runs `latchkey what-if`.
pub(crate) async fn run(args: WhatIfArgs, at: Surroundings) -> Result<ExitCode, Fault> {
    let (change, places) = match (&args.file, args.delete_flow) {
        (Some(file), _) => {
            let read = policy_file::read(file)?;
            let change = read.document.change(read.id);
            (change.map_err(|errors| read.places.faults(&errors))?, Some(read.places))
        }
        (None, Some(flow)) => (PolicyChange::DeleteFlow(flow), None),
        (None, None) => return Err(Fault::new("name a file, or a flow to delete")),
    };
    let app = installation::existing(&args.store, &at, "what-if").await?;
    let command = WhatIf { change, replay_days: args.days, limit: args.limit };
    let told = what_if(&app, &Actor::command_line(), command).await;
    let told = told.map_err(|error| match &places {
        Some(places) => places.explain(&error),
        None => admin::say(&error),
    })?;
    if args.json {
        let told = consequences(told).map_err(|error| Fault::new(error.to_string()))?;
        answer::object(&told)?;
    } else {
        answer::text(&text(&told))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The consequences in words.
fn text(told: &Consequences) -> String {
    let mut text = String::new();
    let (kind, act) = match (told.subject.kind, &told.subject.id) {
        (SubjectKind::DeletedFlow, _) => ("access flow", "deleted"),
        (kind, id) => (noun(kind), if id.is_some() { "replaced" } else { "new" }),
    };
    let _ = writeln!(text, "The {kind} \"{}\" would be {act}.", shown(&told.subject.name));
    let _ = writeln!(text, "\n{} gain, {} lose.", people(told.people.gaining), told.people.losing);
    for person in &told.people.people {
        push_person(&mut text, person);
    }
    let listed = told.people.people.len() as u64;
    if listed >= 1 && listed < told.people.gaining.max(told.people.losing) {
        text.push_str("  and others; --limit shows more\n");
    }
    for lowered in &told.lowers {
        let _ = writeln!(text, "\nIt {}.", shown(&lowered.warning()));
    }
    push_requests(&mut text, &told.requests);
    push_replay(&mut text, &told.replay);
    text
}

fn noun(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Flow | SubjectKind::DeletedFlow => "access flow",
        SubjectKind::Bundle => "bundle",
        SubjectKind::AccessScope => "access scope",
    }
}

fn people(count: u64) -> String {
    if count == 1 { "1 person".to_owned() } else { format!("{count} people") }
}

fn push_person(text: &mut String, person: &PersonChanged) {
    let _ = writeln!(text, "  {}", shown(&person.user.email));
    push_entitlements(text, '+', person.gains, &person.gained);
    push_entitlements(text, '-', person.loses, &person.lost);
}

fn push_entitlements(text: &mut String, sign: char, count: u64, some: &[AvailableEntitlement]) {
    for one in some {
        let (resource, permission) = (&one.entitlement.resource, &one.entitlement.permission);
        let _ = writeln!(
            text,
            "    {sign} {} on {} in {}",
            shown(&permission.name),
            shown(&resource.path),
            shown(&one.integration_name)
        );
    }
    let more = count.saturating_sub(some.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "    {sign} and {more} more");
    }
}

fn push_requests(text: &mut String, changed: &RequestsChanged) {
    let (pending, live) = (changed.pending, changed.live);
    let _ = writeln!(text, "\n{pending} pending and {live} live requests change.");
    for one in &changed.requests {
        let effect = match one.effect {
            Effect::Cancelled => "would be cancelled at once",
            Effect::CancelledWhenDecided => "would be cancelled when somebody decides",
            Effect::AsksOthers => "would need others to agree",
            Effect::Revoked => "would be revoked at once",
            Effect::Kept => "would stay until its end, and not be prolonged or asked for again",
        };
        let number = one.seen.request.number;
        let (grantee, reason) = (shown(&one.seen.grantee.email), shown(&one.reason));
        let _ = writeln!(text, "  AR-{number} for {grantee} {effect}: {reason}");
    }
    if !changed.complete {
        text.push_str("  Only the newest requests were looked at.\n");
    }
}

fn push_replay(text: &mut String, replay: &Replay) {
    if replay.days == 0 {
        return;
    }
    let Replay { days, requests, changed, .. } = replay;
    let _ = writeln!(
        text,
        "\nOf {requests} requests of the last {days} days, {changed} would come out differently.\n"
    );
    let _ = writeln!(text, "  {:<16}{:>8}{:>8}{:>8}", "", "then", "now", "after");
    let tallies = [&replay.then, &replay.now, &replay.after];
    for (name, [then, now, after]) in [
        ("auto-approved", tallies.map(|tally| tally.auto_approved)),
        ("needs approval", tallies.map(|tally| tally.needs_approval)),
        ("denied", tallies.map(|tally| tally.denied)),
        ("gone", tallies.map(|tally| tally.gone)),
    ] {
        let _ = writeln!(text, "  {name:<16}{then:>8}{now:>8}{after:>8}");
    }
    for one in &replay.examples {
        let number = one.seen.request.number;
        let (then, now, after) = (word(one.then), word(one.now), word(one.after));
        let by = shown(&one.by);
        let _ = writeln!(text, "  AR-{number}: {then} then, {now} now, {after} after ({by})");
    }
    if !replay.complete {
        text.push_str("  Only the newest requests were replayed.\n");
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::AutoApproved => "auto-approved",
        Outcome::NeedsApproval => "needs approval",
        Outcome::Denied => "denied",
        Outcome::Gone => "gone",
    }
}
