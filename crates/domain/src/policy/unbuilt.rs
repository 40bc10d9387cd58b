//! What a flow can say that is not enforced yet.
//!
//! Such a flow is stored and given back as it was sent, but it governs nothing: access under
//! half a policy would be access that the policy does not allow. The list only shrinks.

use crate::{flow::FlowPolicy, policy::automatic::is_automatic};

/// A second factor.
pub const MFA: &str = "settings.require_mfa";

/// Every member whose enforcement is not built yet.
pub const UNBUILT: &[&str] = &[MFA];

/// The members of this flow whose enforcement is not built yet, in the order of [`UNBUILT`].
/// A flow with any of them governs nothing. An automatic flow has none: what it says beside its
/// conditions and targets counts for nothing anyway.
pub fn unsupported_members(policy: &FlowPolicy) -> Vec<&'static str> {
    if is_automatic(policy) {
        return Vec::new();
    }
    UNBUILT.iter().copied().filter(|member| says(policy, member)).collect()
}

fn says(policy: &FlowPolicy, member: &str) -> bool {
    match member {
        MFA => policy.settings.require_mfa,
        _ => true,
    }
}
