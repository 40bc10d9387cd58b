//! PostgreSQL 15 and later.
//!
//! A session's principal is a login role that holds nothing itself: it is a member of one group
//! role for each right. All role-level work of an integration runs in one database, under
//! advisory locks, in transactions that compare the fence in the role's comment and write it
//! together with the effect. `docs/integrations/postgresql/README.md` explains the whole and the
//! window that remains.

#![expect(
    clippy::format_push_string,
    reason = "statements are gathered into one text so that they travel in one round trip"
)]

mod apply;
mod catalog;
mod change;
mod claims;
mod connection;
mod cut;
mod details;
mod discover;
mod expire;
mod fault;
mod graveyard;
mod groups;
mod inventory_mark;
mod looks;
mod marker;
mod names;
mod oids;
mod planned;
mod pool;
mod principal;
mod quote;
mod reconcile;
mod restless;
mod revoke;
mod rights;
mod sessions;
mod settings;
mod source;
mod tags;
mod tls;
mod turns;
mod validate;
mod verifier;
mod ways;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use latchkey_domain::{
    ids::IntegrationId,
    provisioning::{
        AccessDetails, DesiredClaim, DesiredPrincipal, DriftFinding, Finding, KnownSession,
        TargetFault,
    },
};

use self::{
    looks::Looks,
    marker::{Marker, PrincipalMarker},
    oids::Oids,
    pool::Pool,
    restless::Restless,
    settings::Settings,
    turns::Turns,
    ways::Ways,
};
use crate::{Applied, ApplyError, DiscoverySink, Expired, Integration, Target, Work};

/// Every point between two effects on the target, in the order of a grant and a revoke.
pub const CRASH_POINTS: &[&str] = &[
    "pg.apply.start",
    "pg.groups.created",
    "pg.groups.granted",
    "pg.apply.locked",
    "pg.apply.committed",
    "pg.cut.sessions_ended",
    "pg.revoke.start",
    "pg.revoke.ending",
    "pg.revoke.prepared_rolled_back",
    "pg.revoke.replica_clear",
    "pg.revoke.sessions_ended",
    "pg.revoke.graveyard_ready",
    "pg.revoke.objects_moved",
    "pg.revoke.emptied",
    "pg.revoke.dropped",
    "pg.expire.committed",
];

/// The module for the integration type `postgresql`. One value serves every integration of a
/// process and keeps their admin connections.
#[derive(Debug, Default)]
pub struct PostgreSql {
    pool: Arc<Pool>,
    looks: Looks,
    turns: Turns,
    ways: Ways,
    oids: Oids,
    restless: Restless,
}

impl PostgreSql {
    /// A module without connections.
    pub fn new() -> Self {
        Self::default()
    }

    fn context<'a>(
        &'a self,
        target: &'a Target,
        work: &'a Work,
    ) -> Result<Context<'a>, TargetFault> {
        Ok(Context {
            pool: &self.pool,
            looks: &self.looks,
            turns: &self.turns,
            ways: &self.ways,
            oids: &self.oids,
            restless: &self.restless,
            settings: Settings::read(target)?,
            target,
            work,
        })
    }
}

/// The circumstances of one operation.
#[derive(Debug)]
struct Context<'a> {
    pool: &'a Arc<Pool>,
    looks: &'a Looks,
    turns: &'a Turns,
    ways: &'a Ways,
    oids: &'a Oids,
    restless: &'a Restless,
    settings: Settings,
    target: &'a Target,
    work: &'a Work,
}

impl Context<'_> {
    /// Whether resources of this type are to be found.
    fn wants(&self, resource_type: &str) -> bool {
        let wanted = self.target.connected_resource_types.as_ref();
        wanted.is_none_or(|types| types.iter().any(|wanted| wanted == resource_type))
    }

    /// A principal's marker as a string constant.
    #[expect(clippy::unused_self, reason = "reads better at its callers")]
    fn comment(&self, marker: &PrincipalMarker) -> Result<String, TargetFault> {
        quote::literal(&Marker::Principal(marker.clone()).text())
    }
}

#[async_trait]
impl Integration for PostgreSql {
    fn integration_type(&self) -> &'static str {
        "postgresql"
    }

    async fn validate(&self, target: &Target, work: &Work) -> Result<Vec<Finding>, TargetFault> {
        validate::validate(&self.context(target, work)?).await
    }

    async fn discover(
        &self,
        target: &Target,
        work: &Work,
        pages: &mut dyn DiscoverySink,
    ) -> Result<(), TargetFault> {
        discover::discover(&self.context(target, work)?, pages).await
    }

    async fn inventory_mark(
        &self,
        target: &Target,
        work: &Work,
    ) -> Result<Option<u64>, TargetFault> {
        inventory_mark::inventory_mark(&self.context(target, work)?).await.map(Some)
    }

    async fn apply(
        &self,
        target: &Target,
        work: &Work,
        desired: &DesiredPrincipal,
    ) -> Result<Applied, ApplyError> {
        let context = self.context(target, work)?;
        let turn = self.turns.wait(&target.integration_id, &desired.principal, work);
        let _turn = turn.await.map_err(|failure| failure.fault)?;
        apply::apply(&context, desired).await
    }

    async fn expire(&self, target: &Target, work: &Work) -> Result<Vec<Expired>, TargetFault> {
        expire::expire(&self.context(target, work)?).await
    }

    fn sweep_often_until(&self, integration: &IntegrationId) -> Option<Duration> {
        self.restless.until(integration)
    }

    async fn reconcile(
        &self,
        target: &Target,
        work: &Work,
        known: &[KnownSession],
        remove: bool,
    ) -> Result<Vec<DriftFinding>, TargetFault> {
        reconcile::reconcile(&self.context(target, work)?, known, remove).await
    }

    fn access_details(
        &self,
        target: &Target,
        principal: &str,
        claims: &[DesiredClaim],
    ) -> AccessDetails {
        details::access_details(target, principal, claims)
    }
}
