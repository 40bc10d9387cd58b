//! Ceilings: what this connector gives at most, whatever the server asks for. They bind grants
//! only; taking access away is never refused.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use latchkey_domain::{
    ids::UnitId,
    provisioning::{ClaimExtension, DesiredClaim, DesiredPrincipal, FaultClass, TargetFault},
};

use crate::config::forbidden;

/// What may be granted at most; `None` for no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Integration types, letter for letter.
    pub integration_types: Option<BTreeSet<String>>,
    /// Permission names, letter for letter.
    pub permissions: Option<BTreeSet<String>>,
    /// The longest time from a grant to its end.
    pub longest_grant: Option<Duration>,
}

/// What is left of a task under the ceilings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// The task; what may not be granted is among the claims to be gone.
    pub(crate) desired: DesiredPrincipal,
    /// Why claims may not be granted.
    pub(crate) refused: Vec<(UnitId, TargetFault)>,
    /// Claims that are granted with the later end that was asked for.
    pub(crate) extended: Vec<ClaimExtension>,
}

impl Ceilings {
    /// Fails if the connector may not work on targets of this type.
    pub(crate) fn check_type(&self, integration_type: &str) -> Result<(), TargetFault> {
        match &self.integration_types {
            Some(types) if !types.contains(integration_type) => Err(forbidden(format!(
                "the connector may not serve integrations of the type `{}`; see [ceilings] \
                 integration_types in its connector.toml",
                integration_type.escape_debug()
            ))),
            _ => Ok(()),
        }
    }

    /// Splits a task's claims into those that may be granted and those that may not; a claim
    /// whose end has passed by `server_now` is to be gone as well. A claim gets the later end
    /// that is asked for it if it may have it; otherwise it keeps the end it has.
    pub(crate) fn limit(
        &self,
        integration_type: &str,
        desired: &DesiredPrincipal,
        server_now: Timestamp,
    ) -> Allowed {
        let mut allowed =
            DesiredPrincipal { claims: Vec::new(), extensions: Vec::new(), ..desired.clone() };
        let mut refused = Vec::new();
        let mut extended = Vec::new();
        for claim in &desired.claims {
            let is_over = claim.ends_at.is_some_and(|end| end <= server_now);
            let verdict = self
                .check_type(integration_type)
                .and_then(|()| self.check_claim(claim, server_now));
            let later = desired
                .extensions
                .iter()
                .find(|later| later.unit_id == claim.unit_id && !is_over)
                .map(|later| DesiredClaim { ends_at: Some(later.ends_at), ..claim.clone() })
                .filter(|longer| self.check_claim(longer, server_now).is_ok());
            match verdict {
                Ok(()) if !is_over => {
                    extended.extend(later.as_ref().and_then(|longer| {
                        let ends_at = longer.ends_at?;
                        Some(ClaimExtension { unit_id: longer.unit_id.clone(), ends_at })
                    }));
                    allowed.claims.push(later.unwrap_or_else(|| claim.clone()));
                }
                Ok(()) => allowed.removed.push(claim.clone()),
                Err(fault) => {
                    allowed.removed.push(claim.clone());
                    refused.push((claim.unit_id.clone(), fault));
                }
            }
        }
        Allowed { desired: allowed, refused, extended }
    }

    fn check_claim(&self, claim: &DesiredClaim, server_now: Timestamp) -> Result<(), TargetFault> {
        if let Some(permissions) = &self.permissions
            && !permissions.contains(&claim.permission)
        {
            return Err(forbidden(format!(
                "the connector may not grant `{}`; see [ceilings] permissions in its \
                 connector.toml",
                claim.permission.escape_debug()
            )));
        }
        let Some(longest) = self.longest_grant else { return Ok(()) };
        let is_covered = claim.ends_at.is_some_and(|end| {
            server_now.saturating_add(longest).is_ok_and(|latest| end <= latest)
        });
        if is_covered {
            return Ok(());
        }
        Err(TargetFault::new(
            FaultClass::Forbidden,
            format!(
                "the connector grants for {} s at most, and this claim {}; see [ceilings] \
                 longest_grant in its connector.toml",
                longest.as_secs(),
                if claim.ends_at.is_some() { "ends later" } else { "has no end" },
            ),
        ))
    }
}
