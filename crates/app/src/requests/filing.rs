//! Filing requests: what was asked is frozen, the governing flow is chosen, and the request goes
//! where that flow sends it, all in one transaction. All or nothing: if any entitlement has no
//! governing flow, nothing is created.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    audit::AuditActor,
    bundle::Bundle,
    flow::AccessFlow,
    ids::{IntegrationId, PermissionId, RequestId, ResourceId, UserId},
    inventory::Entitlement,
    policy::{
        ends::{check_duration, granted_duration},
        owners::Owners,
        second_factor::needs_second_factor,
        selection::{Asking, Part, Preference, Refusal, Split, split},
        targets::is_grantable,
    },
    request::{AccessRequest, RequestState, RequestUnit},
    settings::SettingSpec,
};
use latchkey_inventory::Snapshot;
use latchkey_store::{NewJob, Tx, Wake};
use serde_json::json;

use super::{
    approvers::Parties,
    escalating::{plan_escalation, tell_while_stuck},
    form::{Form, refuse_justification},
    fresh::{self, Fresh},
    owners::owners_of_resources,
    people::{Person, grantee_of},
    programs::{Heard, ask_programs, newly_asked_hosts},
    reading::find_own,
    view::{RequestView, view},
};
use crate::{
    Actor, App, Operation,
    bundle_members::entitlements_of_bundle,
    bundles,
    contents::Contents,
    crash_points,
    entitlements::find_entitlements,
    error::{AppError, codes},
    indexed, jobs,
    lifecycle::{begin_granting, enter, lock_claims_of},
    second_factor::covering_factor,
};

/// The most entitlements one call may ask for.
const MOST_ENTITLEMENTS: usize = 500;
/// The most custom fields, and the longest of their names and values in characters.
const MOST_FIELDS: usize = 50;
const LONGEST_FIELD: usize = 1000;
/// The custom field by which an emergency is named.
const BREAK_GLASS_FIELD: &str = "break_glass";

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestAccess {
    /// A bundle, by id or name.
    pub bundle_reference: Option<String>,
    /// Entitlements; empty with a bundle.
    pub entitlements: Vec<(ResourceId, PermissionId)>,
    /// Why.
    pub justification: Option<String>,
    /// For how many seconds; the governing flow's maximum when absent.
    pub duration_sec: Option<i64>,
    /// Further fields of the form.
    pub custom_fields: BTreeMap<String, String>,
    /// Id or e-mail of the person it is for; the caller when absent.
    pub grantee: Option<String>,
}

/// Files a request for the caller or, where a flow allows it, for somebody else: one request for
/// each governing flow.
pub async fn request_access(
    app: &App,
    actor: &Actor,
    command: RequestAccess,
) -> Result<Vec<RequestView>, AppError> {
    actor.require(Operation::RequestAccess)?;
    check_command(&command)?;
    let picture = picture_for(app, &command).await;
    let filing = Filing { picture: picture.as_deref(), ..Filing::default() };
    let filed =
        app.store().write(async |tx: &mut Tx| file(tx, app, actor, &command, filing).await).await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::REQUEST_FILED);
    Ok(filed)
}

/// Files a request that is over once more, with the same entitlements and duration.
pub async fn request_again(
    app: &App,
    actor: &Actor,
    id: &str,
    justification: Option<String>,
    custom_fields: BTreeMap<String, String>,
) -> Result<Vec<RequestView>, AppError> {
    actor.require(Operation::RequestAccess)?;
    let picture = indexed::present(app);
    let filed = app
        .store()
        .write(async |tx: &mut Tx| -> Result<Vec<RequestView>, AppError> {
            let former = find_own(tx, actor, id).await?;
            if !former.state.is_final() {
                return Err(AppError::conflict(
                    "this request is not over yet; end it first, or ask for something else",
                ));
            }
            if former.requestor_id != actor.user.id {
                return Err(AppError::not_found());
            }
            let (bundle_reference, entitlements) = asked_before(tx, &former).await?;
            let command = RequestAccess {
                bundle_reference,
                entitlements,
                justification,
                duration_sec: former.duration_was_asked.then_some(former.duration_sec).flatten(),
                custom_fields,
                grantee: Some(former.grantee_id.to_string()),
            };
            check_command(&command)?;
            let filing = Filing {
                again: Some(&former.id),
                as_grantee: former.asked_as_grantee && actor.may(Operation::RequestForUser),
                undivided: false,
                picture: Some(&picture),
            };
            file(tx, app, actor, &command, filing).await
        })
        .await?;
    app.store().wake().notify(Wake::Tasks);
    app.crash_point(crash_points::REQUEST_FILED);
    Ok(filed)
}

/// What a request asked for: the bundle, with what it holds by now, or the entitlements. Those of
/// a bundle that was deleted are asked for one by one.
async fn asked_before(
    tx: &mut Tx,
    former: &AccessRequest,
) -> Result<(Option<String>, Vec<(ResourceId, PermissionId)>), AppError> {
    if let Some(bundle) = &former.bundle_id
        && tx.find_bundle(bundle).await?.is_some()
    {
        return Ok((Some(bundle.to_string()), Vec::new()));
    }
    let units = tx.units_of(&former.id).await?.into_iter();
    Ok((None, units.map(|unit| (unit.resource_id, unit.permission_id)).collect()))
}

/// The circumstances of a call that files requests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filing<'a> {
    /// The request that is filed once more.
    pub(super) again: Option<&'a RequestId>,
    /// Whether an Admin files it, so that policy looks at the grantee as if they had asked.
    pub(super) as_grantee: bool,
    /// Whether the answer has room for one request only.
    pub(super) undivided: bool,
    /// The index as it was when the transaction began, to find the members of a bundle by.
    pub(super) picture: Option<&'a Snapshot>,
}

/// The index, if the call needs it and there is one: nobody is refused for want of it.
pub(super) async fn picture_for(app: &App, command: &RequestAccess) -> Option<Arc<Snapshot>> {
    match &command.bundle_reference {
        Some(_) => indexed::snapshot(app).await.ok(),
        None => None,
    }
}

/// What was asked, with everything that deciding about it needs. Asked through a bundle, the
/// entitlements are the bundle's now, and stay so in the request.
pub(super) struct Asked {
    bundle: Option<Bundle>,
    contents: Contents,
    requestor: Person,
    as_grantee: bool,
    grantee: Person,
    entitlements: Vec<Entitlement>,
    flows: Vec<AccessFlow>,
    preference: Preference,
}

impl Asked {
    /// Reads it; 400 where something that was asked for does not exist.
    pub(super) async fn read(
        tx: &mut Tx,
        actor: &Actor,
        command: &RequestAccess,
        as_grantee: bool,
        picture: Option<&Snapshot>,
    ) -> Result<Self, AppError> {
        let requestor = Person::of(tx, actor.user.clone()).await?;
        let grantee = match command.grantee.as_deref() {
            None => requestor.clone(),
            named => grantee_of(tx, &actor.user, named).await?,
        };
        let bundle = match &command.bundle_reference {
            Some(reference) => Some(find_bundle(tx, reference).await?),
            None => None,
        };
        let entitlements = match &bundle {
            Some(bundle) => entitlements_of_bundle(tx, bundle, picture).await?,
            None => read_entitlements(tx, &command.entitlements).await?,
        };
        let flows = tx.active_flows().await?;
        let contents = Contents::of(tx, flows.iter().map(|flow| &flow.policy)).await?;
        let spec = SettingSpec::get("flow_selection").map_err(AppError::internal)?;
        let word = tx.setting(spec).await?;
        let preference = Preference::from_setting(word.as_str().unwrap_or_default());
        Ok(Self {
            bundle,
            contents,
            requestor,
            as_grantee,
            grantee,
            entitlements,
            flows,
            preference,
        })
    }

    /// At whom policy looks as the one who asks.
    fn asker(&self) -> &Person {
        if self.as_grantee { &self.grantee } else { &self.requestor }
    }

    /// Who it is about.
    pub(super) fn parties(&self) -> Parties<'_> {
        Parties { requestor: &self.requestor, asker: self.asker(), grantee: &self.grantee }
    }

    /// Who owns what one part is about, if its flow asks owners.
    pub(super) async fn owners_of(&self, tx: &mut Tx, part: &Part<'_>) -> Result<Owners, AppError> {
        let asked = part.entitlements.iter().filter_map(|place| self.entitlements.get(*place));
        let resources = asked.map(|entitlement| &entitlement.resource);
        owners_of_resources(tx, &part.policy(), resources).await
    }

    /// One part for each flow that governs any of it.
    pub(super) fn split(&self, now: Timestamp, command: &RequestAccess) -> Split<'_> {
        let asking = Asking {
            requestor: self.asker().facts(),
            grantee: self.grantee.facts(),
            bundle: self.bundle.as_ref().map(|bundle| &bundle.id),
            contents: &self.contents,
            duration_sec: command.duration_sec,
            break_glass: names_emergency(&command.custom_fields),
            now,
            preference: self.preference,
        };
        split(&self.flows, &asking, &self.entitlements)
    }
}

/// Whether the answers name an emergency.
pub(crate) fn names_emergency(answers: &BTreeMap<String, String>) -> bool {
    answers.get(BREAK_GLASS_FIELD).is_some_and(|word| word == "true")
}

async fn find_bundle(tx: &mut Tx, reference: &str) -> Result<Bundle, AppError> {
    bundles::find_by_reference(tx, reference)
        .await?
        .ok_or_else(|| AppError::invalid("bundle_reference", "names no bundle by id or name"))
}

/// Reads the entitlements; one that does not exist is a 400 that names its place.
async fn read_entitlements(
    tx: &mut Tx,
    asked: &[(ResourceId, PermissionId)],
) -> Result<Vec<Entitlement>, AppError> {
    let read = find_entitlements(tx, asked.iter().map(|(one, other)| (one, other))).await?;
    let mut found = Vec::with_capacity(asked.len());
    for (place, entitlement) in read.into_iter().enumerate() {
        match entitlement.filter(is_grantable) {
            Some(entitlement) => found.push(entitlement),
            None => {
                return Err(AppError::invalid(
                    format!("entitlements[{place}]"),
                    "no such resource and permission; take ids from available-access/entitlements",
                ));
            }
        }
    }
    Ok(found)
}

/// Creates the requests.
pub(super) async fn file(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    command: &RequestAccess,
    filing: Filing<'_>,
) -> Result<Vec<RequestView>, AppError> {
    let asked = Asked::read(tx, actor, command, filing.as_grantee, filing.picture).await?;
    let now = tx.now();
    let split = asked.split(now, command);
    if let Some(refusal) = split.refusal() {
        return Err(refuse(&refusal, &split, asked.bundle.is_some()));
    }
    if filing.undivided && split.parts.len() > 1 {
        return Err(refuse_divided(&split));
    }
    let form = Form::read(tx).await?;
    // Who files for somebody by the oldest paths has no form to fill in.
    let has_form = filing.again.is_some() || !filing.as_grantee;
    let missing = form.missing_answers(command, has_form);
    if !missing.is_empty() {
        return Err(AppError::invalid_fields(missing));
    }
    hold_what_it_rests_on(tx, &asked, &split).await?;
    let mut filed = Vec::with_capacity(split.parts.len());
    for part in &split.parts {
        form.check_justification(&part.policy(), command, filing.again.is_some())
            .map_err(|problem| refuse_justification(&problem))?;
        let (request, units) = draft(now, app, &asked, command, part);
        filed.push(store(tx, app, actor, &asked, request, units, filing.again).await?);
    }
    Ok(filed)
}

/// The answer to a call that would become several requests, where it can be told about one: it
/// names which entitlement is governed by which flow, so that they can be asked for apart.
fn refuse_divided(split: &Split<'_>) -> AppError {
    let mut error = AppError::refused(
        codes::BAD_REQUEST,
        "several access flows govern parts of this; ask for each part by itself",
    );
    for part in &split.parts {
        for place in &part.entitlements {
            error = error.with_field(
                format!("entitlements[{place}]"),
                format!("is governed by the access flow \"{}\"", part.flow.name),
            );
        }
    }
    error
}

/// Keeps the people, the flows and the integrations as they were read until the request is
/// stored, so that whoever takes one of them away finds the request.
async fn hold_what_it_rests_on(
    tx: &mut Tx,
    asked: &Asked,
    split: &Split<'_>,
) -> Result<(), AppError> {
    let people = BTreeSet::from([&asked.requestor.user.id, &asked.grantee.user.id]);
    let people: Vec<UserId> = people.into_iter().cloned().collect();
    if !tx.hold_active_users(&people).await? {
        return Err(AppError::conflict("a person that this is about was disabled just now"));
    }
    for part in &split.parts {
        if !tx.hold_flow(&part.flow.id, part.flow.version).await? {
            return Err(AppError::conflict("the access flow changed just now; ask again"));
        }
    }
    let integrations: BTreeSet<&IntegrationId> =
        asked.entitlements.iter().map(|entitlement| &entitlement.resource.integration_id).collect();
    let integrations: Vec<IntegrationId> = integrations.into_iter().cloned().collect();
    if !tx.hold_integrations(&integrations).await? {
        return Err(AppError::conflict("an integration was deleted just now; ask for the rest"));
    }
    Ok(())
}

/// The request for one part, frozen as it is asked.
fn draft(
    now: Timestamp,
    app: &App,
    asked: &Asked,
    command: &RequestAccess,
    part: &Part<'_>,
) -> (AccessRequest, Vec<RequestUnit>) {
    let entitlements = part.entitlements.iter().filter_map(|place| asked.entitlements.get(*place));
    let policy = part.policy().into_owned();
    let fresh = Fresh {
        requestor: &asked.requestor.user.id,
        grantee: &asked.grantee.user.id,
        as_grantee: asked.as_grantee,
        flow: part.flow,
        bundle: asked.bundle.as_ref().map(|bundle| &bundle.id),
        justification: command.justification.clone(),
        duration_sec: granted_duration(&policy, command.duration_sec),
        duration_was_asked: command.duration_sec.is_some(),
        policy,
        custom_fields: command.custom_fields.clone(),
    };
    fresh.draft(app, now, entitlements)
}

/// Stores the request and sends it where its flow says.
async fn store(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    asked: &Asked,
    mut request: AccessRequest,
    mut units: Vec<RequestUnit>,
    again: Option<&RequestId>,
) -> Result<RequestView, AppError> {
    let audit = actor.audit();
    request.second_factor_at = covering_factor(tx, actor).await?;
    let waits = needs_second_factor(&request.flow_policy) && request.second_factor_at.is_none();
    let needs_approval = request.flow_policy.approver_policy.is_some();
    if !needs_approval && !waits {
        lock_claims_of(tx, &request.grantee_id, &units).await?;
    }
    fresh::insert(tx, &audit, &mut request, &units, again).await?;
    if waits {
        enter(tx, &audit, &mut request, RequestState::PendingMfa, None, json!({})).await?;
        plan_expiry(tx, &request).await?;
    } else if needs_approval {
        ask_approvers(tx, &audit, &mut request, &units, asked.parties()).await?;
    } else {
        begin_granting(tx, app, &audit, &mut request, &mut units).await?;
    }
    view(tx, request).await
}

/// Has a request wait for its approvers, who are told; for as long as it may wait from now on.
pub(super) async fn ask_approvers(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &[RequestUnit],
    parties: Parties<'_>,
) -> Result<(), AppError> {
    let people = tell_while_stuck(tx, request, parties, units, Heard::NOTHING).await?;
    let tiers_told = request.escalations.len();
    let programs_asked = newly_asked_hosts(&request.flow_policy, tiers_told, None);
    let told = json!({ "tiers_told": tiers_told, "programs_asked": programs_asked });
    enter(tx, actor, request, RequestState::Pending, people.trouble, told).await?;
    plan_expiry(tx, request).await?;
    plan_escalation(tx, request, tx.now()).await?;
    ask_programs(tx, request, None).await
}

/// Plans the timer that cancels a request which waits from now on, and for too long.
async fn plan_expiry(tx: &mut Tx, request: &AccessRequest) -> Result<(), AppError> {
    let spec = SettingSpec::get("approval_expiry_sec").map_err(AppError::internal)?;
    let seconds = tx.setting(spec).await?.as_i64().unwrap_or(86_400);
    let run_at =
        tx.now().saturating_add(SignedDuration::from_secs(seconds)).map_err(AppError::internal)?;
    tx.enqueue_job(&NewJob {
        kind: jobs::EXPIRE_APPROVAL,
        dedupe_key: Some(jobs::approval_expiry_key(&request.id)),
        payload: json!({ "request_id": request.id }),
        run_at,
    })
    .await?;
    Ok(())
}

/// The answer to a call that no flow allows, naming the entitlements at fault, or the bundle.
fn refuse(refusal: &Refusal, split: &Split<'_>, by_bundle: bool) -> AppError {
    let text = refusal.to_string();
    let mut error = match refusal {
        Refusal::DurationTooLong { .. } => AppError::refused(codes::DURATION_TOO_LONG, text),
        Refusal::OutsideTimeframe { .. } => AppError::forbidden(codes::OUTSIDE_TIMEFRAME, text),
        Refusal::NoMatchingFlow | Refusal::BelowFloor { .. } => {
            AppError::forbidden(codes::NO_MATCHING_FLOW, text)
        }
    };
    if by_bundle {
        return error.with_field("bundle_reference", refusal.to_string());
    }
    for (place, reason) in &split.refused {
        error = error.with_field(format!("entitlements[{place}]"), reason.to_string());
    }
    error
}

pub(super) fn check_command(command: &RequestAccess) -> Result<(), AppError> {
    match (&command.bundle_reference, command.entitlements.len()) {
        (Some(_), 1..) => {
            return Err(AppError::invalid(
                "bundle_reference",
                "ask for a bundle or for entitlements, not for both",
            ));
        }
        (None, 0) => {
            return Err(AppError::invalid("entitlements", "name at least one entitlement"));
        }
        (None, count) if count > MOST_ENTITLEMENTS => {
            return Err(AppError::invalid(
                "entitlements",
                format!("at most {MOST_ENTITLEMENTS} in one call"),
            ));
        }
        _ => {}
    }
    if let Some(seconds) = command.duration_sec {
        check_duration(seconds)
            .map_err(|error| AppError::invalid("duration_in_sec", error.to_string()))?;
    }
    if command.custom_fields.len() > MOST_FIELDS {
        return Err(AppError::invalid("custom_fields", format!("at most {MOST_FIELDS} fields")));
    }
    let is_long = |text: &String| text.chars().count() > LONGEST_FIELD;
    match command.custom_fields.iter().find(|(key, value)| is_long(key) || is_long(value)) {
        Some((key, _)) => Err(AppError::invalid(
            format!("custom_fields.{}", key.chars().take(40).collect::<String>()),
            format!("names and values have at most {LONGEST_FIELD} characters"),
        )),
        None => Ok(()),
    }
}
