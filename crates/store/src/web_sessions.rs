//! Sessions of browsers: only a keyed hash of what the browser shows. Read for every call, so a
//! session that is gone is gone on every server at once.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{StepUpPageId, UserId, WebSessionId},
    people::User,
    second_factor::StepUpPage,
    sign_in::WebSession,
};

use crate::{
    error::Result,
    sql::{Row, Sql, json, micros, opt_micros, values},
    tx::{Store, Tx},
    users,
};

const COLUMNS: &str = "id, user_id, created_at, last_seen_at, expires_at, second_factor_at";

/// How many showings of the step-up page a session keeps.
const PAGES: u32 = 20;

fn read_session(row: &Row) -> Result<WebSession> {
    Ok(WebSession {
        id: WebSessionId::new(row.text("id")?),
        user_id: UserId::new(row.text("user_id")?),
        created_at: row.time("created_at")?,
        last_seen_at: row.time("last_seen_at")?,
        expires_at: row.time("expires_at")?,
        second_factor_at: row.opt_time("second_factor_at")?,
    })
}

impl Store {
    /// The session whose secret has this hash, and the person whose it is, whether or not both
    /// still count.
    pub async fn find_web_caller(&self, hash: &str) -> Result<Option<(WebSession, User)>> {
        let sql = format!(
            "SELECT w.id AS session_id, w.created_at AS session_created_at, w.last_seen_at, \
             w.expires_at, w.second_factor_at, {} \
             FROM web_sessions w JOIN users u ON u.id = w.user_id WHERE w.token_hash = $1",
            users::COLUMNS
        );
        let Some(row) = self.row(Sql::with(&sql, values![hash])).await? else { return Ok(None) };
        let user = users::read_user(&row)?;
        let session = WebSession {
            id: WebSessionId::new(row.text("session_id")?),
            user_id: user.id.clone(),
            created_at: row.time("session_created_at")?,
            last_seen_at: row.time("last_seen_at")?,
            expires_at: row.time("expires_at")?,
            second_factor_at: row.opt_time("second_factor_at")?,
        };
        Ok(Some((session, user)))
    }
}

impl Tx {
    /// Adds a session.
    pub async fn insert_web_session(&mut self, session: &WebSession, hash: &str) -> Result<()> {
        let mut sql =
            Sql::new(&format!("INSERT INTO web_sessions (token_hash, {COLUMNS}) VALUES "));
        sql.list(values![
            hash,
            session.id.as_str(),
            session.user_id.as_str(),
            micros(session.created_at),
            micros(session.last_seen_at),
            micros(session.expires_at),
            opt_micros(session.second_factor_at),
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// The session with this id, locked until the transaction ends.
    pub async fn lock_web_session(&mut self, id: &WebSessionId) -> Result<Option<WebSession>> {
        let sql = format!("SELECT {COLUMNS} FROM web_sessions WHERE id = $1{}", self.for_update());
        let row = self.row(Sql::with(&sql, values![id.as_str()])).await?;
        row.as_ref().map(read_session).transpose()
    }

    /// Writes down that a session was used.
    pub async fn touch_web_session(&mut self, id: &WebSessionId, at: Timestamp) -> Result<()> {
        let sql = "UPDATE web_sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2";
        self.exec(Sql::with(sql, values![id.as_str(), micros(at)])).await?;
        Ok(())
    }

    /// Writes down that the second factor was given in a session.
    pub async fn set_second_factor_of_session(
        &mut self,
        id: &WebSessionId,
        at: Timestamp,
    ) -> Result<()> {
        let sql = "UPDATE web_sessions SET second_factor_at = $2 WHERE id = $1";
        self.exec(Sql::with(sql, values![id.as_str(), micros(at)])).await?;
        Ok(())
    }

    /// Lets no second factor count any more that was given in a session of the person's.
    pub async fn forget_second_factor_of_sessions(&mut self, user: &UserId) -> Result<()> {
        let sql = "UPDATE web_sessions SET second_factor_at = NULL WHERE user_id = $1";
        self.exec(Sql::with(sql, values![user.as_str()])).await?;
        Ok(())
    }

    /// Ends a session; false if there was none.
    pub async fn delete_web_session(&mut self, id: &WebSessionId) -> Result<bool> {
        let sql = "DELETE FROM web_sessions WHERE id = $1";
        Ok(self.exec(Sql::with(sql, values![id.as_str()])).await? > 0)
    }

    /// Ends every session of a person, but for one if it is named; returns how many.
    pub async fn delete_web_sessions_of(
        &mut self,
        user: &UserId,
        but: Option<&WebSessionId>,
    ) -> Result<u64> {
        let mut sql =
            Sql::with("DELETE FROM web_sessions WHERE user_id = $1", values![user.as_str()]);
        if let Some(kept) = but {
            sql.push(" AND id <> ").bind(kept.as_str());
        }
        self.exec(sql).await
    }

    /// Forgets some of the sessions that ended before `before`.
    pub async fn sweep_web_sessions(&mut self, before: Timestamp) -> Result<()> {
        let sql = format!(
            "DELETE FROM web_sessions WHERE id IN (SELECT w.id FROM web_sessions w \
             WHERE w.expires_at < $1 LIMIT 100{})",
            self.skip_locked()
        );
        self.exec(Sql::with(&sql, values![micros(before)])).await?;
        Ok(())
    }

    /// Writes down what a step-up page shows, and forgets the oldest showings of its session.
    pub async fn insert_step_up_page(&mut self, page: &StepUpPage) -> Result<()> {
        let mut sql = Sql::new(
            "INSERT INTO step_up_pages (id, web_session_id, request_ids, shown_at) VALUES ",
        );
        sql.list(values![
            page.id.as_str(),
            page.web_session_id.as_str(),
            json(&page.request_ids)?,
            micros(page.shown_at),
        ]);
        self.exec(sql).await?;
        let session = page.web_session_id.as_str();
        let sql = format!(
            "DELETE FROM step_up_pages WHERE web_session_id = $1 AND id NOT IN (SELECT p.id \
             FROM step_up_pages p WHERE p.web_session_id = $1 \
             ORDER BY p.shown_at DESC, p.id DESC LIMIT {PAGES})"
        );
        self.exec(Sql::with(&sql, values![session])).await?;
        Ok(())
    }

    /// What a step-up page showed in this session.
    pub async fn find_step_up_page(
        &mut self,
        id: &StepUpPageId,
        session: &WebSessionId,
    ) -> Result<Option<StepUpPage>> {
        let sql = "SELECT id, web_session_id, request_ids, shown_at FROM step_up_pages \
                   WHERE id = $1 AND web_session_id = $2";
        let row = self.row(Sql::with(sql, values![id.as_str(), session.as_str()])).await?;
        row.map(|row| {
            Ok(StepUpPage {
                id: StepUpPageId::new(row.text("id")?),
                web_session_id: WebSessionId::new(row.text("web_session_id")?),
                request_ids: row.json("request_ids")?,
                shown_at: row.time("shown_at")?,
            })
        })
        .transpose()
    }

    /// Forgets a showing of the page; false if there was none.
    pub async fn delete_step_up_page(&mut self, id: &StepUpPageId) -> Result<bool> {
        let sql = "DELETE FROM step_up_pages WHERE id = $1";
        Ok(self.exec(Sql::with(sql, values![id.as_str()])).await? > 0)
    }
}
