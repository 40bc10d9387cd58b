//! Saved reports of activity.

use latchkey_domain::{ids::ReportId, report::ActivityReport};

use crate::{
    error::Result,
    page::{PageQuery, TextMatch},
    sql::{Row, Sql, json, micros, opt_micros, values},
    tx::Tx,
};

const COLUMNS: &str = "r.id, r.name, r.definition, r.created_at, r.updated_at, r.next_run_at";

fn read_report(row: &Row) -> Result<ActivityReport> {
    Ok(ActivityReport {
        id: ReportId::new(row.text("id")?),
        name: row.text("name")?,
        definition: row.json("definition")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        next_run_at: row.opt_time("next_run_at")?,
    })
}

impl Tx {
    /// Adds a report. A taken name is a duplicate.
    pub async fn insert_report(&mut self, report: &ActivityReport) -> Result<()> {
        let mut sql = Sql::new(
            "INSERT INTO activity_reports (id, name, name_lower, definition, created_at, \
             updated_at, next_run_at) VALUES ",
        );
        sql.list(values![
            report.id.as_str(),
            report.name.as_str(),
            report.name.to_lowercase(),
            json(&report.definition)?,
            micros(report.created_at),
            micros(report.updated_at),
            opt_micros(report.next_run_at),
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// Writes a report; false without such a report. A taken name is a duplicate.
    pub async fn update_report(&mut self, report: &ActivityReport) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE activity_reports SET name = $2, name_lower = $3, definition = $4, \
             updated_at = $5, next_run_at = $6 WHERE id = $1",
            values![
                report.id.as_str(),
                report.name.as_str(),
                report.name.to_lowercase(),
                json(&report.definition)?,
                micros(report.updated_at),
                opt_micros(report.next_run_at),
            ],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// The report with this id.
    pub async fn find_report(&mut self, id: &ReportId) -> Result<Option<ActivityReport>> {
        self.report_where("r.id = $1", id.as_str().to_owned(), "").await
    }

    /// The report with this id, which nobody else changes until the transaction ends.
    pub async fn lock_report(&mut self, id: &ReportId) -> Result<Option<ActivityReport>> {
        let lock = self.for_update();
        self.report_where("r.id = $1", id.as_str().to_owned(), lock).await
    }

    /// The report of this name, without letter case.
    pub async fn find_report_by_name(&mut self, name: &str) -> Result<Option<ActivityReport>> {
        self.report_where("r.name_lower = $1", name.to_lowercase(), "").await
    }

    async fn report_where(
        &mut self,
        condition: &str,
        value: String,
        lock: &str,
    ) -> Result<Option<ActivityReport>> {
        let sql = format!("SELECT {COLUMNS} FROM activity_reports r WHERE {condition}{lock}");
        let row = self.row(Sql::with(&sql, values![value])).await?;
        row.as_ref().map(read_report).transpose()
    }

    /// Reports by name, in the order of lists.
    pub async fn list_reports(
        &mut self,
        name: Option<&TextMatch>,
        page: &PageQuery,
    ) -> Result<Vec<ActivityReport>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM activity_reports r WHERE TRUE"));
        sql.and_text("r.name_lower", name);
        page.apply(&mut sql, "r.created_at", "r.id");
        self.rows(sql, read_report).await
    }

    /// Deletes a report; false without such a report.
    pub async fn delete_report(&mut self, id: &ReportId) -> Result<bool> {
        let sql = Sql::with("DELETE FROM activity_reports WHERE id = $1", values![id.as_str()]);
        Ok(self.exec(sql).await? > 0)
    }

    /// How many reports have a schedule.
    pub async fn count_scheduled_reports(&mut self) -> Result<u64> {
        let sql = "SELECT COUNT(*) AS n FROM activity_reports WHERE next_run_at IS NOT NULL";
        self.count(Sql::new(sql)).await
    }
}
