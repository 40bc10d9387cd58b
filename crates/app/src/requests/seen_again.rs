//! Everything that is asked again about a request before it goes on, read in the transaction that
//! decides.

use jiff::Timestamp;
use latchkey_domain::{
    flow::AccessFlow,
    inventory::Entitlement,
    policy::{
        approvals::Given, deciding::Facts, digest::request_digest, owners::Owners,
        programs::ProgramAnswer,
    },
    request::{AccessRequest, Approval, RequestState, RequestUnit},
};
use latchkey_store::Tx;

use super::{
    approvers::{Parties, parties_of},
    owners::owners_of_units,
    people::People,
    programs::{Heard, answers_about},
};
use crate::{contents::Contents, entitlements::find_entitlements, error::AppError};

/// The rows that decide, as they are now.
pub(crate) struct SeenAgain {
    current: Option<AccessFlow>,
    contents: Contents,
    entitlements: Vec<Entitlement>,
    owners: Owners,
    unit_count: usize,
    digest: String,
    approvals: Vec<Approval>,
    answers: Vec<ProgramAnswer>,
    people: People,
}

impl SeenAgain {
    /// Reads them.
    pub(crate) async fn read(
        tx: &mut Tx,
        request: &AccessRequest,
        units: &[RequestUnit],
    ) -> Result<Self, AppError> {
        let current = tx.find_flow(&request.flow_id).await?;
        let policies: Vec<_> = [&request.flow_policy]
            .into_iter()
            .chain(current.as_ref().map(|flow| &flow.policy))
            .collect();
        let contents = Contents::of(tx, policies.iter().copied()).await?;
        let owners = owners_of_units(tx, &policies, units).await?;
        let approvals = tx.approvals_of(&request.id).await?;
        let deciders = approvals.iter().map(|approval| &approval.approver_id);
        let people = People::read(tx, parties_of(request).into_iter().chain(deciders)).await?;
        Ok(Self {
            contents,
            entitlements: entitlements_now(tx, units).await?,
            owners,
            unit_count: units.len(),
            digest: request_digest(request, units),
            approvals,
            answers: answers_about(tx, request).await?,
            people,
            current,
        })
    }

    /// The same as policy takes it.
    pub(crate) fn facts<'a>(
        &'a self,
        request: &'a AccessRequest,
        now: Timestamp,
    ) -> Result<Facts<'a>, AppError> {
        let parties = Parties::among(&self.people, request)?;
        Ok(Facts {
            frozen: &request.flow_policy,
            current: self.current.as_ref(),
            requestor: parties.requestor.facts(),
            asker: parties.asker.facts(),
            grantee: parties.grantee.facts(),
            bundle: request.bundle_id.as_ref(),
            contents: &self.contents,
            entitlements: &self.entitlements,
            owners: &self.owners,
            tiers_told: request.escalations.len(),
            answers: &self.answers,
            unit_count: self.unit_count,
            has_second_factor: request.second_factor_at.is_some()
                || request.state == RequestState::PendingMfa,
            duration_sec: request.duration_sec,
            digest: &self.digest,
            now,
        })
    }

    /// The entitlements as they are now; those that are gone are left out.
    pub(crate) fn entitlements(&self) -> &[Entitlement] {
        &self.entitlements
    }

    /// What programs have said so far.
    pub(super) fn heard(&self) -> Heard<'_> {
        Heard { answers: &self.answers, digest: &self.digest }
    }

    /// The decisions so far, by people as they are now.
    pub(crate) fn given(&self) -> Vec<Given<'_>> {
        self.approvals
            .iter()
            .filter_map(|approval| {
                let person = self.people.find(&approval.approver_id)?;
                Some(Given { approval, approver: person.facts() })
            })
            .collect()
    }
}

/// The entitlements as they are now; those that are gone are left out.
async fn entitlements_now(
    tx: &mut Tx,
    units: &[RequestUnit],
) -> Result<Vec<Entitlement>, AppError> {
    let pairs = units.iter().map(|unit| (&unit.resource_id, &unit.permission_id));
    Ok(find_entitlements(tx, pairs).await?.into_iter().flatten().collect())
}
