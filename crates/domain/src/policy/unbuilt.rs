//! What a flow can say that is not enforced yet.
//!
//! Such a flow is stored and given back as it was sent, but it governs nothing: access under
//! half a policy would be access that the policy does not allow. The list only shrinks.

use crate::{flow::FlowPolicy, policy::automatic::is_automatic};

/// Every member whose enforcement is not built yet.
pub const UNBUILT: &[&str] = &[];

/// The members of this flow whose enforcement is not built yet, in the order of [`UNBUILT`].
/// A flow with any of them governs nothing. An automatic flow has none: what it says beside its
/// conditions and targets counts for nothing anyway.
pub fn unsupported_members(policy: &FlowPolicy) -> Vec<&'static str> {
    if is_automatic(policy) { Vec::new() } else { UNBUILT.to_vec() }
}
