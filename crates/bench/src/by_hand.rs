//! What the work costs at the least: the same statements sent by hand through the same driver,
//! with no record, no policy and no proof.

use anyhow::Result;
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::Client;

use crate::statistics::Stopwatch;
use crate::target::{GROUP, RIVAL, Shop};

/// One client with its own connection.
pub(crate) struct ByHand<'a> {
    shop: &'a Shop,
    client: Client,
    name: String,
    turn: u32,
}

impl<'a> ByHand<'a> {
    pub(crate) async fn new(shop: &'a Shop, number: usize) -> Result<Self> {
        let client = shop.connect(RIVAL, &shop.password).await?;
        Ok(Self { shop, client, name: format!("hand_{number}"), turn: 0 })
    }

    /// Creates a role and logs in as it, then takes it away; the two times in milliseconds.
    pub(crate) async fn once(&mut self) -> Result<(f64, f64)> {
        self.turn += 1;
        let role = format!("{}_{}", self.name, self.turn);
        let issue = Stopwatch::start();
        let password = format!("{role}-{}", self.shop.password);
        let verifier = scram_sha_256(password.as_bytes());
        self.client
            .batch_execute(&format!(
                "BEGIN; SELECT pg_advisory_xact_lock(hashtext('{role}'));
                 CREATE ROLE {role} LOGIN PASSWORD '{verifier}' VALID UNTIL '2100-01-01';
                 COMMENT ON ROLE {role} IS 'marker';
                 GRANT {role} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE;
                 GRANT {GROUP} TO {role} WITH INHERIT TRUE, SET FALSE; COMMIT"
            ))
            .await?;
        self.shop.log_in(&role, &password).await?;
        let issued = issue.milliseconds();
        let revoke = Stopwatch::start();
        self.client
            .batch_execute(&format!(
                "BEGIN; COMMENT ON ROLE {role} IS 'ending';
                 ALTER ROLE {role} NOLOGIN PASSWORD NULL VALID UNTIL '-infinity';
                 REVOKE {GROUP} FROM {role}; COMMIT;
                 SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                   WHERE usesysid = '{role}'::regrole;
                 DROP ROLE {role};
                 SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"
            ))
            .await?;
        Ok((issued, revoke.milliseconds()))
    }
}
