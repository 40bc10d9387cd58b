//! Uses of flows for emergencies, and what was found afterwards.

use latchkey_domain::{
    emergency::{Emergency, Finding, Review},
    ids::{RequestId, UserId},
};

use crate::{
    error::Result,
    page::PageQuery,
    sql::{Row, Sql, micros, values},
    tx::Tx,
};

const COLUMNS: &str = "e.request_id, e.began_at, e.finding, e.note, e.reviewer_id, e.reviewed_at";

fn read_emergency(row: &Row) -> Result<Emergency> {
    Ok(Emergency {
        request_id: RequestId::new(row.text("request_id")?),
        began_at: row.time("began_at")?,
        review: if row.opt_text("finding")?.is_some() { Some(read_review(row)?) } else { None },
    })
}

fn read_review(row: &Row) -> Result<Review> {
    Ok(Review {
        finding: row.word("finding", |word| Finding::parse(word).ok())?,
        note: row.text("note")?,
        reviewer_id: UserId::new(row.text("reviewer_id")?),
        at: row.time("reviewed_at")?,
    })
}

impl Tx {
    /// Notes that a flow for emergencies is used by this request; nothing if that is known.
    pub async fn insert_emergency(&mut self, request: &RequestId) -> Result<()> {
        let mut sql = Sql::new("INSERT INTO emergencies (request_id, began_at) VALUES ");
        sql.list(values![request.as_str(), micros(self.now())]);
        sql.push(" ON CONFLICT (request_id) DO NOTHING");
        self.exec(sql).await?;
        Ok(())
    }

    /// The emergency that a request named, if it led to access.
    pub async fn find_emergency(&mut self, request: &RequestId) -> Result<Option<Emergency>> {
        let sql = Sql::with(
            &format!("SELECT {COLUMNS} FROM emergencies e WHERE e.request_id = $1"),
            values![request.as_str()],
        );
        self.row(sql).await?.as_ref().map(read_emergency).transpose()
    }

    /// Emergencies in the order in which they began; only those that somebody has looked at, or
    /// only the others, if `reviewed` says so.
    pub async fn list_emergencies(
        &mut self,
        reviewed: Option<bool>,
        page: &PageQuery,
    ) -> Result<Vec<Emergency>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM emergencies e WHERE TRUE"));
        sql.push(match reviewed {
            Some(true) => " AND e.finding IS NOT NULL",
            Some(false) => " AND e.finding IS NULL",
            None => "",
        });
        page.apply(&mut sql, "e.began_at", "e.request_id");
        self.rows(sql, read_emergency).await
    }

    /// How many emergencies nobody has looked at.
    pub async fn count_unreviewed_emergencies(&mut self) -> Result<u64> {
        let sql = Sql::new("SELECT COUNT(*) AS n FROM emergencies WHERE finding IS NULL");
        self.row(sql).await?.map_or(Ok(0), |row| row.count("n"))
    }

    /// Writes down what was found; false if something is written down already.
    pub async fn review_emergency(&mut self, request: &RequestId, review: &Review) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE emergencies SET finding = $1, note = $2, reviewer_id = $3, reviewed_at = $4 \
             WHERE request_id = $5 AND finding IS NULL",
            values![
                review.finding.as_str(),
                review.note.as_str(),
                review.reviewer_id.as_str(),
                micros(review.at),
                request.as_str(),
            ],
        );
        Ok(self.exec(sql).await? > 0)
    }
}
