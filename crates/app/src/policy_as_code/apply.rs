//! Bringing documents in.
//!
//! Everything is tried even after something was refused, so that one run tells all that is wrong;
//! with anything refused, nothing of it stays.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_catalog::find_type;
use latchkey_domain::ids::{AccessScopeId, BundleId, FlowId, GroupId, IntegrationId};
use latchkey_store::{StoreError, Tx};

use super::{
    Applied, ApplyPolicy, Change, Document, GroupWithMembers, Outcome, PolicyKind, PolicyObject,
    Refusal, RefusedAt, Says, prune,
};
use crate::{
    Actor, App, access_scopes, bundles,
    error::{AppError, ErrorKind},
    flows, groups, integrations,
};

/// Why a run is undone.
enum Undone {
    /// It was a trial.
    Tried(Applied),
    /// This is wrong with it.
    Refused(Vec<Refusal>),
    /// It could not go on.
    Failed(AppError),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Brings documents in, all of them or none. 403 unless the actor may manage every kind that they
/// are about.
pub async fn apply_policy(
    app: &App,
    actor: &Actor,
    command: ApplyPolicy,
) -> Result<Outcome, AppError> {
    let kinds: BTreeSet<PolicyKind> =
        command.documents.iter().map(|document| document.says.kind()).collect();
    for kind in &kinds {
        actor.require(kind.managing())?;
    }
    let ApplyPolicy { documents, prune, dry_run } = command;
    let done = app
        .store()
        .write(async |tx: &mut Tx| -> Result<Applied, Undone> {
            let mut run = Run::new(tx, app, actor);
            run.apply(documents).await?;
            if prune && run.refusals.is_empty() {
                run.prune(&kinds).await?;
            }
            match (run.refusals.is_empty(), dry_run) {
                (false, _) => Err(Undone::Refused(run.refusals)),
                (true, true) => Err(Undone::Tried(run.applied)),
                (true, false) => Ok(run.applied),
            }
        })
        .await;
    match done {
        Ok(applied) | Err(Undone::Tried(applied)) => Ok(Outcome::Applied(applied)),
        Err(Undone::Refused(refusals)) => Ok(Outcome::Refused(refusals)),
        Err(Undone::Failed(error)) => Err(error),
    }
}

struct Run<'a> {
    tx: &'a mut Tx,
    app: &'a App,
    actor: &'a Actor,
    applied: Applied,
    refusals: Vec<Refusal>,
    /// Ids of everything that has a document.
    documented: BTreeSet<(PolicyKind, String)>,
}

/// A document whose subject was looked up.
struct Found {
    /// Its place in the list.
    place: usize,
    /// The id of what it is about; `None` if that is new.
    id: Option<String>,
    says: Says,
}

impl<'a> Run<'a> {
    fn new(tx: &'a mut Tx, app: &'a App, actor: &'a Actor) -> Self {
        let (applied, refusals) = (Applied::default(), Vec::new());
        Self { tx, app, actor, applied, refusals, documented: BTreeSet::new() }
    }

    async fn apply(&mut self, documents: Vec<Document>) -> Result<(), Undone> {
        let mut found = self.find_all(documents).await?;
        let heights = heights_of_groups(&found);
        found.sort_by_key(|one| {
            let height = heights.get(&one.place).copied().unwrap_or_default();
            (one.says.kind(), is_no_identity_source(&one.says), height)
        });
        for Found { place, id, says } in found {
            let kind = says.kind();
            if let Some(id) = &id {
                self.documented.insert((kind, id.clone()));
            }
            match self.apply_one(id, says).await {
                Ok(None) => self.applied.unchanged += 1,
                Ok(Some(mut change)) => {
                    change.document = Some(place);
                    if let Some(after) = &change.after {
                        self.documented.insert((kind, after.id().to_owned()));
                    }
                    self.applied.changes.push(change);
                }
                Err(error) => self.refuse(RefusedAt::Document(place), error)?,
            }
        }
        Ok(())
    }

    /// What each document is about. Those that are about the same as another are refused.
    async fn find_all(&mut self, documents: Vec<Document>) -> Result<Vec<Found>, Undone> {
        let mut found = Vec::with_capacity(documents.len());
        let mut names = BTreeMap::new();
        let mut ids = BTreeMap::new();
        for (place, Document { id, says }) in documents.into_iter().enumerate() {
            let kind = says.kind();
            let same_name = *names.entry((kind, says.name().to_lowercase())).or_insert(place);
            let id = match find(self.tx, kind, id, says.name()).await {
                Ok(id) => id,
                Err(error) => {
                    self.refuse(RefusedAt::Document(place), error)?;
                    continue;
                }
            };
            let same_id = match &id {
                Some(id) => *ids.entry((kind, id.clone())).or_insert(place),
                None => place,
            };
            let first = same_name.min(same_id);
            if first < place {
                let told = format!("one {} cannot have two documents", kind.noun());
                self.refuse(RefusedAt::Twice(place, first), AppError::conflict(told))?;
            } else {
                found.push(Found { place, id, says });
            }
        }
        Ok(found)
    }

    /// Brings one document in; `None` if it says what is stored.
    async fn apply_one(
        &mut self,
        id: Option<String>,
        says: Says,
    ) -> Result<Option<Change>, AppError> {
        match (says, id) {
            (Says::Group(command), id) => self.apply_group(id, command).await,
            (Says::Integration { integration_type, command }, id) => {
                self.apply_integration(id, &integration_type, *command).await
            }
            (Says::AccessScope(command), id) => self.apply_scope(id, command).await,
            (Says::Bundle(command), id) => self.apply_bundle(id, command).await,
            (Says::AccessFlow(command), id) => self.apply_flow(id, *command).await,
        }
    }

    async fn apply_group(
        &mut self,
        id: Option<String>,
        command: groups::CreateGroup,
    ) -> Result<Option<Change>, AppError> {
        let Self { tx, app, actor, .. } = self;
        let Some(id) = id.map(GroupId::new) else {
            let group = groups::create(tx, app, actor, command).await?;
            let after = GroupWithMembers::of(tx, group).await?;
            return Ok(Some(Change::created(PolicyObject::Group(after))));
        };
        let group = tx.find_group(&id).await?.ok_or_else(AppError::not_found)?;
        let before = GroupWithMembers::of(tx, group).await?;
        if !groups::replace_if_different(tx, actor, &before.group, command).await? {
            return Ok(None);
        }
        let group = tx.find_group(&id).await?.ok_or_else(AppError::not_found)?;
        let after = GroupWithMembers::of(tx, group).await?;
        Ok(Some(Change::replaced(PolicyObject::Group(before), PolicyObject::Group(after))))
    }

    async fn apply_integration(
        &mut self,
        id: Option<String>,
        integration_type: &str,
        command: integrations::IntegrationCommand,
    ) -> Result<Option<Change>, AppError> {
        let Self { tx, app, actor, .. } = self;
        let Some(id) = id.map(IntegrationId::new) else {
            let made = integrations::create(tx, app, actor, integration_type, command).await?;
            let change = Change::created(PolicyObject::Integration(Box::new(made)));
            return Ok(Some(change));
        };
        let before = tx.find_integration(&id).await?.ok_or_else(AppError::not_found)?;
        if before.integration_type != integration_type {
            let told = format!("cannot change; it is {}", before.integration_type);
            return Err(AppError::invalid("type", told));
        }
        let before = integrations::view(tx, before).await?;
        let replaced = integrations::replace_if_different(tx, app, actor, &id, command).await?;
        Ok(replaced.map(|(after, new_secret)| Change {
            new_secret,
            ..Change::replaced(
                PolicyObject::Integration(Box::new(before)),
                PolicyObject::Integration(Box::new(after)),
            )
        }))
    }

    async fn apply_scope(
        &mut self,
        id: Option<String>,
        command: access_scopes::AccessScopeCommand,
    ) -> Result<Option<Change>, AppError> {
        let Self { tx, app, actor, .. } = self;
        let Some(id) = id.map(AccessScopeId::new) else {
            let made = access_scopes::create(tx, app, actor, command).await?;
            return Ok(Some(Change::created(PolicyObject::AccessScope(made))));
        };
        let before = tx.find_access_scope(&id).await?.ok_or_else(AppError::not_found)?;
        if access_scopes::says(&before, &command) {
            return Ok(None);
        }
        let after = access_scopes::replace(tx, actor, before.clone(), command).await?;
        let (before, after) = (PolicyObject::AccessScope(before), PolicyObject::AccessScope(after));
        Ok(Some(Change::replaced(before, after)))
    }

    async fn apply_bundle(
        &mut self,
        id: Option<String>,
        command: bundles::BundleCommand,
    ) -> Result<Option<Change>, AppError> {
        let Self { tx, app, actor, .. } = self;
        let Some(id) = id.map(BundleId::new) else {
            let made = bundles::create(tx, app, actor, command).await?;
            return Ok(Some(Change::created(PolicyObject::Bundle(made))));
        };
        let before = tx.find_bundle(&id).await?.ok_or_else(AppError::not_found)?;
        let seen = bundles::view(tx, before.clone()).await?;
        let replaced = bundles::replace_if_different(tx, actor, before, command).await?;
        Ok(replaced
            .map(|after| Change::replaced(PolicyObject::Bundle(seen), PolicyObject::Bundle(after))))
    }

    async fn apply_flow(
        &mut self,
        id: Option<String>,
        command: flows::FlowCommand,
    ) -> Result<Option<Change>, AppError> {
        let Self { tx, app, actor, .. } = self;
        let Some(id) = id.map(FlowId::new) else {
            let made = flows::create(tx, app, actor, command).await?;
            return Ok(Some(Change::created(PolicyObject::AccessFlow(Box::new(made)))));
        };
        let before = tx.find_flow(&id).await?.ok_or_else(AppError::not_found)?;
        let seen = flows::view(tx, before.clone()).await?;
        let replaced = flows::replace_if_different(tx, actor, before, command).await?;
        Ok(replaced.map(|(after, requests_ended)| Change {
            requests_ended,
            ..Change::replaced(
                PolicyObject::AccessFlow(Box::new(seen)),
                PolicyObject::AccessFlow(Box::new(after)),
            )
        }))
    }

    async fn prune(&mut self, kinds: &BTreeSet<PolicyKind>) -> Result<(), Undone> {
        for kind in kinds.iter().rev() {
            let stored = super::export::read(self.tx, *kind).await.map_err(Undone::Failed)?;
            for object in stored {
                if self.documented.contains(&(*kind, object.id().to_owned())) {
                    continue;
                }
                let at = RefusedAt::Unwanted(*kind, object.name().to_owned());
                match prune::delete(self.tx, self.actor, &object).await {
                    Ok(requests_ended) => self.applied.changes.push(Change {
                        document: None,
                        before: Some(object),
                        after: None,
                        new_secret: false,
                        requests_ended,
                    }),
                    Err(error) => self.refuse(at, error)?,
                }
            }
        }
        Ok(())
    }

    /// Notes what is wrong. The run goes on to find the rest, unless the database itself refused
    /// something: then nothing more can be asked of this transaction.
    fn refuse(&mut self, at: RefusedAt, error: AppError) -> Result<(), Undone> {
        if matches!(error.kind, ErrorKind::Internal | ErrorKind::Unavailable) {
            return Err(Undone::Failed(error));
        }
        let is_lost = error.source.is_some();
        self.refusals.push(Refusal { at, error });
        if is_lost {
            return Err(Undone::Refused(std::mem::take(&mut self.refusals)));
        }
        Ok(())
    }
}

impl Change {
    fn created(after: PolicyObject) -> Self {
        Self {
            document: None,
            before: None,
            after: Some(after),
            new_secret: false,
            requests_ended: 0,
        }
    }

    fn replaced(before: PolicyObject, after: PolicyObject) -> Self {
        Self { before: Some(before), ..Self::created(after) }
    }
}

/// Whether it names others of its kind, as integrations do whose owners come from an identity
/// source, and is named by none.
fn is_no_identity_source(says: &Says) -> bool {
    match says {
        Says::Integration { integration_type, .. } => {
            find_type(integration_type).is_none_or(|kind| kind.category == "RESOURCES")
        }
        _ => false,
    }
}

/// The id of what a document is about: by the id that it says, or else by its name.
async fn find(
    tx: &mut Tx,
    kind: PolicyKind,
    id: Option<String>,
    name: &str,
) -> Result<Option<String>, AppError> {
    let known = match (kind, &id) {
        (PolicyKind::Group, Some(id)) => {
            id_of(tx.find_group(&GroupId::new(id)).await?, |one| one.id)
        }
        (PolicyKind::Group, None) => {
            let named = tx.find_group_by_name(name).await?;
            // Groups of identity sources have their names for themselves.
            id_of(named.filter(|group| group.source_integration_id.is_none()), |one| one.id)
        }
        (PolicyKind::Integration, Some(id)) => {
            id_of(tx.find_integration(&IntegrationId::new(id)).await?, |one| one.id)
        }
        (PolicyKind::Integration, None) => {
            id_of(tx.find_integration_by_name(name).await?, |one| one.id)
        }
        (PolicyKind::AccessScope, Some(id)) => {
            id_of(tx.find_access_scope(&AccessScopeId::new(id)).await?, |one| one.id)
        }
        (PolicyKind::AccessScope, None) => {
            id_of(tx.find_access_scope_by_name(name).await?, |one| one.id)
        }
        (PolicyKind::Bundle, Some(id)) => {
            id_of(tx.find_bundle(&BundleId::new(id)).await?, |one| one.id)
        }
        (PolicyKind::Bundle, None) => id_of(tx.find_bundle_by_name(name).await?, |one| one.id),
        (PolicyKind::AccessFlow, Some(id)) => {
            id_of(tx.find_flow(&FlowId::new(id)).await?, |one| one.id)
        }
        (PolicyKind::AccessFlow, None) => id_of(tx.find_flow_by_name(name).await?, |one| one.id),
    };
    if known.is_none() && id.is_some() {
        let told = format!("names no {}; leave it out for a new one", kind.noun());
        return Err(AppError::invalid("id", told));
    }
    Ok(known)
}

fn id_of<T, Id: Into<String>>(found: Option<T>, id: impl FnOnce(T) -> Id) -> Option<String> {
    found.map(|found| id(found).into())
}

/// How many groups deep each group's document goes into other documents, by place: a group comes
/// after those that it names. In a circle somebody has to be first, and is refused then.
fn heights_of_groups(found: &[Found]) -> BTreeMap<usize, usize> {
    let groups: Vec<(usize, &groups::CreateGroup)> = found
        .iter()
        .filter_map(|one| match &one.says {
            Says::Group(command) => Some((one.place, command)),
            _ => None,
        })
        .collect();
    let mut heights: BTreeMap<usize, usize> = groups.iter().map(|(place, _)| (*place, 0)).collect();
    for _ in 0..groups.len() {
        let mut changed = false;
        for (place, command) in &groups {
            let is_named = |name: &str| {
                command.member_groups.iter().any(|one| one.to_lowercase() == name.to_lowercase())
            };
            let inside = groups.iter().filter(|(_, other)| is_named(&other.name));
            let height = inside.filter_map(|(inner, _)| heights.get(inner)).max();
            let height = height.map_or(0, |below| below + 1);
            changed |= heights.insert(*place, height) != Some(height);
        }
        if !changed {
            break;
        }
    }
    heights
}
