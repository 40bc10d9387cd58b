//! Whether a request waits for its requestor's second factor before anybody is asked.

use crate::{flow::FlowPolicy, policy::automatic::is_automatic};

/// Whether whoever files a request under this policy has to give a second factor. Nobody files
/// what an automatic flow gives, so nobody is asked there.
pub fn needs_second_factor(policy: &FlowPolicy) -> bool {
    policy.settings.require_mfa && !is_automatic(policy)
}
