//! Second factors: the secret sealed at rest; recovery codes as keyed hashes.
//!
//! Invariants: a time step is used once, also when two servers are asked at the same moment; a
//! recovery code is used once.

use latchkey_domain::{
    ids::{SecondFactorId, UserId},
    second_factor::SecondFactor,
};
use secrecy::{ExposeSecret, SecretSlice};

use crate::{
    error::Result,
    seal::{self, Place, seal},
    sql::{Row, Sql, micros, opt_micros, values},
    tx::Tx,
};

const COLUMNS: &str = "id, user_id, created_at, confirmed_at, last_step";

fn read_factor(row: &Row) -> Result<SecondFactor> {
    Ok(SecondFactor {
        id: SecondFactorId::new(row.text("id")?),
        user_id: UserId::new(row.text("user_id")?),
        created_at: row.time("created_at")?,
        confirmed_at: row.opt_time("confirmed_at")?,
        last_step: row.opt_int("last_step")?,
    })
}

fn place(id: &SecondFactorId) -> Place<'_> {
    Place { table: "second_factors", row: id.as_str(), column: "sealed" }
}

impl Tx {
    /// Keeps a factor that is still to be confirmed, in place of another such one. The factor that
    /// the person has stays as it is.
    pub async fn put_pending_factor(
        &mut self,
        factor: &SecondFactor,
        secret: &SecretSlice<u8>,
    ) -> Result<()> {
        let sql = "DELETE FROM second_factors WHERE user_id = $1 AND confirmed_at IS NULL";
        self.exec(Sql::with(sql, values![factor.user_id.as_str()])).await?;
        let sealed = seal(self.keys(), self.rng(), place(&factor.id), secret.expose_secret())?;
        let mut sql = Sql::new(&format!("INSERT INTO second_factors (sealed, {COLUMNS}) VALUES "));
        sql.list(values![
            sealed,
            factor.id.as_str(),
            factor.user_id.as_str(),
            micros(factor.created_at),
            opt_micros(factor.confirmed_at),
            factor.last_step,
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// The person's factor that counts, or the one that is still to be confirmed, with its secret;
    /// locked until the transaction ends.
    pub async fn lock_factor(
        &mut self,
        user: &UserId,
        confirmed: bool,
    ) -> Result<Option<(SecondFactor, SecretSlice<u8>)>> {
        let which = if confirmed { "IS NOT NULL" } else { "IS NULL" };
        let sql = format!(
            "SELECT sealed, {COLUMNS} FROM second_factors \
             WHERE user_id = $1 AND confirmed_at {which}{}",
            self.for_update()
        );
        let Some(row) = self.row(Sql::with(&sql, values![user.as_str()])).await? else {
            return Ok(None);
        };
        let factor = read_factor(&row)?;
        let secret = seal::open(self.keys(), place(&factor.id), &row.text("sealed")?)?;
        Ok(Some((factor, SecretSlice::from(secret.to_vec()))))
    }

    /// The person's factor that counts.
    pub async fn find_factor(&mut self, user: &UserId) -> Result<Option<SecondFactor>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM second_factors \
             WHERE user_id = $1 AND confirmed_at IS NOT NULL"
        );
        let row = self.row(Sql::with(&sql, values![user.as_str()])).await?;
        row.as_ref().map(read_factor).transpose()
    }

    /// Uses a time step of a factor; false if it, or a later one, was used before.
    pub async fn use_step(&mut self, id: &SecondFactorId, step: i64) -> Result<bool> {
        let sql = "UPDATE second_factors SET last_step = $2 \
                   WHERE id = $1 AND (last_step IS NULL OR last_step < $2)";
        Ok(self.exec(Sql::with(sql, values![id.as_str(), step])).await? > 0)
    }

    /// Lets a factor count from now on, in place of the one that did.
    pub async fn confirm_factor(&mut self, factor: &SecondFactor) -> Result<()> {
        let sql = "DELETE FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL";
        self.exec(Sql::with(sql, values![factor.user_id.as_str()])).await?;
        let sql = "UPDATE second_factors SET confirmed_at = $2 WHERE id = $1";
        self.exec(Sql::with(sql, values![factor.id.as_str(), micros(self.now())])).await?;
        Ok(())
    }

    /// Forgets the person's factors and recovery codes; false if none counted.
    pub async fn delete_factors_of(&mut self, user: &UserId) -> Result<bool> {
        let had = self.find_factor(user).await?.is_some();
        for table in ["second_factors", "recovery_codes"] {
            let sql = format!("DELETE FROM {table} WHERE user_id = $1");
            self.exec(Sql::with(&sql, values![user.as_str()])).await?;
        }
        Ok(had)
    }

    /// Keeps hashes of recovery codes, in place of all before.
    pub async fn put_recovery_codes(&mut self, user: &UserId, hashes: &[String]) -> Result<()> {
        let sql = "DELETE FROM recovery_codes WHERE user_id = $1";
        self.exec(Sql::with(sql, values![user.as_str()])).await?;
        let now = micros(self.now());
        for hash in hashes {
            let sql = "INSERT INTO recovery_codes (user_id, code_hash, created_at) \
                       VALUES ($1, $2, $3)";
            self.exec(Sql::with(sql, values![user.as_str(), hash.as_str(), now])).await?;
        }
        Ok(())
    }

    /// Uses a recovery code up; false if the person has no such code left.
    pub async fn use_recovery_code(&mut self, user: &UserId, hash: &str) -> Result<bool> {
        let sql = "UPDATE recovery_codes SET used_at = $3 \
                   WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL";
        let values = values![user.as_str(), hash, micros(self.now())];
        Ok(self.exec(Sql::with(sql, values)).await? > 0)
    }

    /// How many recovery codes the person has left.
    pub async fn count_recovery_codes(&mut self, user: &UserId) -> Result<u64> {
        let sql = "SELECT COUNT(*) AS n FROM recovery_codes \
                   WHERE user_id = $1 AND used_at IS NULL";
        self.count(Sql::with(sql, values![user.as_str()])).await
    }
}
