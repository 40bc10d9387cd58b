//! A request with the names that people and wire formats show.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    ids::{IntegrationId, RequestId, UserId},
    people::User,
    policy::{
        extensions::{ExtendOptions, options},
        programs::ProgramAnswer,
    },
    provisioning::Receipt,
    request::{AccessRequest, Approval, RequestUnit},
};
use latchkey_store::Tx;

use super::programs::answers_about_all;
use crate::error::AppError;

/// A request with everything its wire forms need.
#[derive(Debug, Clone)]
pub struct RequestView {
    /// The request.
    pub request: AccessRequest,
    /// Its units, in the order in which they were asked for.
    pub units: Vec<RequestUnit>,
    /// Who asked.
    pub requestor: User,
    /// Who is to have access.
    pub grantee: User,
    /// The governing flow's name; what it was called last once it is deleted.
    pub flow_name: String,
    /// The name of the bundle it was asked through; what it was called last once it is deleted.
    pub bundle_name: Option<String>,
    /// Names of the integrations of its units.
    pub integrations: BTreeMap<IntegrationId, String>,
    /// Decisions so far, oldest first.
    pub approvals: Vec<Approval>,
    /// What came of asking programs so far, oldest first.
    pub program_answers: Vec<ProgramAnswer>,
    /// People who may decide now; filled while the request is pending.
    pub asked_approvers: Vec<User>,
    /// In which tier of escalation those of them were asked who were not asked from the start;
    /// tiers count from 1.
    pub asked_in_tier: BTreeMap<UserId, usize>,
    /// Whether the caller is one of them.
    pub can_decide: bool,
    /// Evidence read back from targets, oldest first.
    pub receipts: Vec<Receipt>,
    /// What prolonging it would do.
    pub extend_options: ExtendOptions,
}

/// A unit with the name of its integration.
#[derive(Debug, Clone)]
pub struct UnitView {
    /// The unit.
    pub unit: RequestUnit,
    /// The integration's name.
    pub integration_name: String,
    /// The word on the wire for how it stands.
    pub status: &'static str,
}

impl RequestView {
    /// The name of an integration of the request's.
    pub(super) fn integration_name(&self, id: &IntegrationId) -> String {
        self.integrations.get(id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// A unit of the request with what its wire forms say.
    pub(super) fn unit(&self, unit: RequestUnit) -> UnitView {
        UnitView {
            integration_name: self.integration_name(&unit.integration_id),
            status: unit.wire_word(self.request.state),
            unit,
        }
    }
}

/// Reads what belongs to `request`.
pub(crate) async fn view(tx: &mut Tx, request: AccessRequest) -> Result<RequestView, AppError> {
    let mut seen = views(tx, vec![request]).await?;
    seen.pop().ok_or_else(|| AppError::internal("a request without a view"))
}

/// Reads what belongs to these requests, in a few statements however many they are. Keeps their
/// order.
pub(crate) async fn views(
    tx: &mut Tx,
    requests: Vec<AccessRequest>,
) -> Result<Vec<RequestView>, AppError> {
    let ids: Vec<RequestId> = requests.iter().map(|request| request.id.clone()).collect();
    let units = tx.units_of_requests(&ids).await?;
    let approvals = tx.approvals_of_requests(&ids).await?;
    let answers = answers_about_all(tx, &requests).await?;
    let receipts = tx.receipts_of_requests(&ids).await?;
    let people = requests.iter().flat_map(|one| [&one.requestor_id, &one.grantee_id]);
    let users = tx.find_users(&distinct(people)).await?;
    let users: BTreeMap<UserId, User> =
        users.into_iter().map(|user| (user.id.clone(), user)).collect();
    let user = |id: &UserId| {
        let found = users.get(id).cloned();
        found.ok_or_else(|| AppError::internal(format!("user {id} is missing")))
    };
    let flows = tx.flow_names(&distinct(requests.iter().map(|one| &one.flow_id))).await?;
    let bundles = distinct(requests.iter().filter_map(|one| one.bundle_id.as_ref()));
    let bundles = tx.bundle_names(&bundles).await?;
    let integrations = distinct(units.iter().map(|unit| &unit.integration_id));
    let names = tx.integration_names(&integrations).await?;
    let mut units = by_request(units, |unit| unit.request_id.clone());
    let mut approvals = by_request(approvals, |approval| approval.request_id.clone());
    let mut answers = by_request(answers, |answer| answer.request_id.clone());
    let mut receipts: BTreeMap<RequestId, Vec<Receipt>> = receipts
        .into_iter()
        .filter_map(|record| Some((record.request_id?, record.receipt)))
        .fold(BTreeMap::new(), |mut all, (id, receipt)| {
            all.entry(id).or_default().push(receipt);
            all
        });
    let now = tx.now();
    let view = |request: AccessRequest| {
        let units: Vec<RequestUnit> = units.remove(&request.id).unwrap_or_default();
        let name_of = |id: &IntegrationId| names.get(id).cloned().unwrap_or_else(|| id.to_string());
        let integrations =
            units.iter().map(|unit| (unit.integration_id.clone(), name_of(&unit.integration_id)));
        Ok(RequestView {
            requestor: user(&request.requestor_id)?,
            grantee: user(&request.grantee_id)?,
            flow_name: flows
                .get(&request.flow_id)
                .cloned()
                .unwrap_or_else(|| request.flow_id.to_string()),
            bundle_name: request.bundle_id.as_ref().and_then(|id| bundles.get(id).cloned()),
            integrations: integrations.collect(),
            units,
            approvals: approvals.remove(&request.id).unwrap_or_default(),
            program_answers: answers.remove(&request.id).unwrap_or_default(),
            asked_approvers: Vec::new(),
            asked_in_tier: BTreeMap::new(),
            can_decide: false,
            receipts: receipts.remove(&request.id).unwrap_or_default(),
            extend_options: options(&request, now),
            request,
        })
    };
    requests.into_iter().map(view).collect()
}

pub(super) fn distinct<'a, T: Ord + Clone + 'a>(values: impl Iterator<Item = &'a T>) -> Vec<T> {
    let values: BTreeSet<&T> = values.collect();
    values.into_iter().cloned().collect()
}

/// Rows by the request that they are about, in the order in which they come.
pub(crate) fn by_request<T>(
    rows: impl IntoIterator<Item = T>,
    id: impl Fn(&T) -> RequestId,
) -> BTreeMap<RequestId, Vec<T>> {
    let mut grouped: BTreeMap<RequestId, Vec<T>> = BTreeMap::new();
    for row in rows {
        grouped.entry(id(&row)).or_default().push(row);
    }
    grouped
}
