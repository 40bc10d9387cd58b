//! What came of asking programs like approvers.

use latchkey_domain::{ids::RequestId, policy::programs::ProgramAnswer};

use crate::{
    error::Result,
    requests::{decision_word, read_decision},
    sql::{CHUNK, Row, Sql, micros, values},
    tx::Tx,
};

const COLUMNS: &str = "request_id, url, decision, reason, digest, at";

fn read_answer(row: &Row) -> Result<ProgramAnswer> {
    let is_decided = row.opt_text("decision")?.is_some();
    Ok(ProgramAnswer {
        request_id: RequestId::new(row.text("request_id")?),
        url: row.text("url")?,
        decision: if is_decided { Some(row.word("decision", read_decision)?) } else { None },
        reason: row.opt_text("reason")?,
        digest: row.text("digest")?,
        at: row.time("at")?,
    })
}

impl Tx {
    /// Adds what came of asking a program; false if that is known already about this request.
    pub async fn insert_program_answer(&mut self, answer: &ProgramAnswer) -> Result<bool> {
        let mut sql = Sql::new(&format!("INSERT INTO program_answers ({COLUMNS}) VALUES "));
        sql.list(values![
            answer.request_id.as_str(),
            answer.url.as_str(),
            answer.decision.map(decision_word),
            answer.reason.as_deref(),
            answer.digest.as_str(),
            micros(answer.at),
        ]);
        sql.push(" ON CONFLICT (request_id, url) DO NOTHING");
        Ok(self.exec(sql).await? > 0)
    }

    /// What came of asking programs about several requests, each request's oldest first.
    pub async fn program_answers_of_requests(
        &mut self,
        requests: &[RequestId],
    ) -> Result<Vec<ProgramAnswer>> {
        let mut found = Vec::new();
        for requests in requests.chunks(CHUNK) {
            let mut sql =
                Sql::new(&format!("SELECT {COLUMNS} FROM program_answers WHERE request_id IN "));
            sql.list(requests.iter().map(RequestId::as_str));
            sql.push(" ORDER BY request_id, at, url");
            found.extend(self.rows(sql, read_answer).await?);
        }
        Ok(found)
    }
}
