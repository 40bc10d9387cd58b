//! For whom a flow lets a person ask.

use crate::{
    flow::{FlowPolicy, RequestScope},
    policy::matching::{PersonFacts, meets},
};

/// Whether the flow lets `requestor` ask for `grantee`; says nothing about whether the requestor
/// may use the flow at all.
///
/// `request_for` wins over the older switch `request_for_others`. Without both, people ask for
/// themselves alone; with the switch alone, for anybody. An empty list of scopes is the
/// default, oneself.
pub fn may_ask_for(
    policy: &FlowPolicy,
    requestor: PersonFacts<'_>,
    grantee: PersonFacts<'_>,
) -> bool {
    let own = requestor.user.id == grantee.user.id;
    let Some(request_for) = &policy.request_for else {
        return own || policy.request_for_others;
    };
    if request_for.request_scopes.is_empty() {
        return own;
    }
    request_for.request_scopes.iter().any(|scope| match scope {
        RequestScope::Myself => own,
        RequestScope::Others => {
            !own && request_for.grantees.as_ref().is_some_and(|set| meets(grantee, set))
        }
        RequestScope::DirectReports => {
            !own && grantee.user.manager_id.as_ref() == Some(&requestor.user.id)
        }
    })
}
