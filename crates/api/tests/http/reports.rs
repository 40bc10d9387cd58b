//! Activity reports: what is sent comes back, runs are files, schedules queue mails.

use latchkey_app::jobs::run_due_jobs;
use latchkey_domain::people::Role;
use latchkey_store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::{
    ground::Ground,
    requests::{Story, id_of},
};

const REPORTS: &str = "/api/admin/v1/activity-reports";

fn of_a_month(name: &str) -> Value {
    json!({
        "name": name, "filters": {},
        "timeframe": {"relative": {"last": 1, "unit": "month", "rounded": true}},
    })
}

async fn audited(ground: &Ground) -> String {
    ground.everything_stored().await.0
}

#[tokio::test]
async fn a_report_comes_back_as_it_was_sent() {
    let ground = Ground::new().await;
    let sent = json!({
        "name": "Access of Ana", "fields": ["status", "request_id"],
        "filters": {
            "requestor_source_ids": ["ana@example.com"], "statuses": ["active", "Revoked"],
            "trigger_types": [], "resource_types": null,
        },
        "timeframe": {"absolute": {
            "start_date": "2026-01-01T00:00:00Z", "end_date": "2026-02-01T00:00:00Z",
        }},
        "schedule": {"cron_expression": "0 9 * * 1-5", "recipients": ["Audit@example.com"]},
        "format": "pdf",
    });
    let made = ground.post(&ground.admin, REPORTS, sent.clone()).await.ok();
    for member in ["name", "fields", "schedule", "format"] {
        assert_eq!(made[member], sent[member], "{member}");
    }
    assert_eq!(made["timeframe"]["absolute"], sent["timeframe"]["absolute"]);
    assert_eq!(made["timeframe"]["relative"], Value::Null);
    assert_eq!(made["filters"]["statuses"], json!(["active", "Revoked"]));
    assert_eq!(made["filters"]["trigger_types"], json!([]));
    assert_eq!(made["filters"]["resource_types"], Value::Null);
    assert_eq!(made["creation_date"], made["update_date"]);
    let path = format!("{REPORTS}/{}", id_of(&made));
    assert_eq!(ground.get(&ground.admin, &path).await.ok(), made);

    ground.pass(60);
    let replaced = ground.put(&ground.admin, &path, of_a_month("access of ANA")).await.ok();
    for cleared in ["fields", "schedule", "format"] {
        assert_eq!(replaced[cleared], Value::Null, "{cleared}");
    }
    assert_eq!(replaced["timeframe"]["absolute"], Value::Null);
    assert_eq!(
        replaced["timeframe"]["relative"],
        json!({"last": 1, "unit": "month", "rounded": true})
    );
    assert_eq!(replaced["creation_date"], made["creation_date"]);
    assert_ne!(replaced["update_date"], made["update_date"]);

    let gone = ground.delete(&ground.admin, &path).await.ok();
    assert!(gone["message"].as_str().unwrap().contains("access of ANA"));
    ground.get(&ground.admin, &path).await.refused(404, "NotFound");
    ground.delete(&ground.admin, &path).await.refused(404, "NotFound");
    let trail = audited(&ground).await;
    for action in ["activity_report.created", "activity_report.updated", "activity_report.deleted"]
    {
        assert!(trail.contains(action), "{action}");
    }
}

#[tokio::test]
async fn an_input_may_leave_out_what_has_a_default() {
    let ground = Ground::new().await;
    let body = json!({
        "name": "x", "filters": {}, "timeframe": {"relative": {"last": 2, "unit": "day"}},
    });
    let made = ground.post(&ground.admin, REPORTS, body).await.ok();
    assert_eq!(made["timeframe"]["relative"]["rounded"], false);
}

#[tokio::test]
async fn a_report_that_says_nonsense_is_refused_by_the_member_that_does() {
    let ground = Ground::new().await;
    let plan = |cron: &str, to: Value| json!({"cron_expression": cron, "recipients": to});
    let sliding = |last: i64| json!({"relative": {"last": last, "unit": "day"}});
    let turned = json!({"absolute": {
        "start_date": "2026-02-01T00:00:00Z", "end_date": "2026-01-01T00:00:00Z",
    }});
    let many = vec!["a@example.com"; 101];
    let cases = [
        ("name", json!(" "), "name"),
        ("name", json!("two\nlines"), "name"),
        ("fields", json!(["shoe_size"]), "fields[0]"),
        ("fields", json!([]), "fields"),
        ("fields", json!(["status", "status"]), "fields[1]"),
        ("filters", json!({"statuses": ["Sleeping"]}), "filters.statuses[0]"),
        ("filters", json!({"trigger_types": ["BY_MAGIC"]}), "filters.trigger_types[0]"),
        ("filters", json!({"integration_ids": ["a\nb"]}), "filters.integration_ids[0]"),
        ("timeframe", json!({}), "timeframe"),
        ("timeframe", sliding(0), "timeframe.relative.last"),
        ("timeframe", sliding(-1), "timeframe.relative.last"),
        ("timeframe", turned, "timeframe.absolute.end_date"),
        ("schedule", plan("* * * *", json!(["a@x"])), "schedule.cron_expression"),
        ("schedule", plan("0 0 31 2 *", json!(["a@x"])), "schedule.cron_expression"),
        ("schedule", plan("@daily", json!(["a@x"])), "schedule.cron_expression"),
        ("schedule", plan("0 9 * * *", json!([])), "schedule.recipients"),
        ("schedule", plan("0 9 * * *", json!(many)), "schedule.recipients"),
        ("schedule", plan("0 9 * * *", json!(["ana"])), "schedule.recipients[0]"),
        ("schedule", plan("0 9 * * *", json!(["a@x\r\nBcc: b@x"])), "schedule.recipients[0]"),
        ("format", json!("docx"), "format"),
    ];
    for (member, value, field) in cases {
        let mut body = of_a_month("x");
        body[member] = value.clone();
        let answer = ground.post(&ground.admin, REPORTS, body).await;
        let refused = answer.refused(400, "BadRequest");
        assert_eq!(refused["errors"][0]["field"], field, "{member}: {value}: {refused}");
    }
    let both = json!({
        "relative": {"last": 1, "unit": "day"},
        "absolute": {"start_date": "2026-01-01T00:00:00Z", "end_date": "2026-02-01T00:00:00Z"},
    });
    let mut body = of_a_month("x");
    body["timeframe"] = both;
    ground.post(&ground.admin, REPORTS, body).await.refuses("timeframe");
}

#[tokio::test]
async fn names_are_unique_without_letter_case_and_found_by_their_parts() {
    let ground = Ground::new().await;
    for name in ["Week", "Weekend", "Month"] {
        ground.post(&ground.admin, REPORTS, of_a_month(name)).await.ok();
    }
    ground.post(&ground.admin, REPORTS, of_a_month("WEEK")).await.refused(409, "Conflict");
    let month = ground.get(&ground.admin, &format!("{REPORTS}?name=month")).await.ok();
    let month = format!("{REPORTS}/{}", id_of(&month["items"][0]));
    ground.put(&ground.admin, &month, of_a_month("weekend")).await.refused(409, "Conflict");
    ground.put(&ground.admin, &month, of_a_month("MONTH")).await.ok();
    let first = ground.get(&ground.admin, &format!("{REPORTS}?name=week*&limit=1")).await.ok();
    assert_eq!(first["items"][0]["name"], "Week");
    let token = first["pagination"]["next_page_token"].as_str().unwrap();
    let second = ground.get(&ground.admin, &format!("{REPORTS}?page_token={token}")).await.ok();
    assert_eq!(second["items"][0]["name"], "Weekend");
    assert_eq!(second["pagination"]["next_page_token"], Value::Null);
}

#[tokio::test]
async fn a03_who_may_read_reports_may_run_them_and_not_change_them() {
    let ground = Ground::new().await;
    let made = ground.post(&ground.admin, REPORTS, of_a_month("x")).await.ok();
    let path = format!("{REPORTS}/{}", id_of(&made));
    let viewer = ground.somebody("vera", Some(Role::Viewer)).await;
    ground.get(&viewer, &path).await.ok();
    assert_eq!(ground.get(&viewer, &format!("{path}/run")).await.status, 200);
    ground.post(&viewer, REPORTS, of_a_month("y")).await.refused(403, "Forbidden");
    ground.put(&viewer, &path, of_a_month("y")).await.refused(403, "Forbidden");
    ground.delete(&viewer, &path).await.refused(403, "Forbidden");
    let nobody = ground.somebody("norm", None).await;
    ground.get(&nobody, &format!("{path}/run")).await.refused(403, "Forbidden");
    let power = ground.somebody("pia", Some(Role::PowerUser)).await;
    ground.put(&power, &path, of_a_month("y")).await.ok();
    ground.get(&viewer, &format!("{REPORTS}/nothing/run")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_run_is_a_file_of_what_was_asked_for() {
    let story = Story::new(Some("bob")).await;
    let Story { ground, connector, ana, bob, .. } = &story;
    let mut body = story.body("orders").await;
    body["justification"] = json!("=HYPERLINK(\"https://evil.example\"), \"quoted\"\nand more");
    let asked = ground.post(ana, "/api/user/v4/access-requests", body).await.ok()[0].clone();
    story.act(bob, &asked, "approve", json!({})).await.ok();
    ground.work(connector).await;
    story.ask("customers").await;
    let mut report = of_a_month("Access, \"quoted\"");
    report["fields"] =
        json!(["request_id", "requestor_email", "resources", "justification", "status"]);
    let made = ground.post(&ground.admin, REPORTS, report.clone()).await.ok();
    let path = format!("{REPORTS}/{}", id_of(&made));
    ground.pass(1);

    let run = ground.get(&ground.admin, &format!("{path}/run")).await;
    assert_eq!(run.status, 200, "{}", run.text);
    assert_eq!(run.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(run.headers["cache-control"], "no-store");
    assert_eq!(run.headers["x-content-type-options"], "nosniff");
    let named = run.headers["content-disposition"].to_str().unwrap();
    assert!(named.starts_with("attachment; filename=\"access-quoted-"), "{named}");
    let id = id_of(&asked);
    let expected = format!(
        "\"request_id\",\"requestor_email\",\"resources\",\"justification\",\"status\"\r\n\
         \"{id}\",\"ana@example.com\",\"orders\",\
         \"'=HYPERLINK(\"\"https://evil.example\"\"), \"\"quoted\"\"\nand more\",\"Active\"\r\n"
    );
    assert!(run.text.starts_with(&expected), "{}", run.text);
    assert!(run.text.contains("\"customers\""), "{}", run.text);

    let pdf = ground.get(&ground.admin, &format!("{path}/run?format=pdf")).await;
    assert_eq!(pdf.headers["content-type"], "application/pdf");
    assert!(pdf.text.starts_with("%PDF-1.7"), "{}", &pdf.text[..20]);
    ground.get(&ground.admin, &format!("{path}/run?format=xls")).await.refuses("format");

    report["filters"] = json!({"statuses": ["pending"], "resource_ids": ["customers"]});
    ground.put(&ground.admin, &path, report).await.ok();
    let run = ground.get(&ground.admin, &format!("{path}/run")).await;
    assert_eq!(run.text.lines().count(), 2, "{}", run.text);
    assert!(audited(ground).await.contains("activity_report.run"));
}

/// The recipients of the report mails that are queued.
async fn queued(ground: &Ground) -> Vec<String> {
    let claim = async |tx: &mut Tx| -> Result<_, StoreError> {
        let messages = tx.claim_outbox("look", 100, std::time::Duration::from_secs(1)).await?;
        Ok(messages.into_iter().filter(|message| message.topic == "mail.report").collect())
    };
    let messages: Vec<latchkey_store::OutboxMessage> =
        ground.app.store().write(claim).await.unwrap();
    let recipients = messages.iter().map(|one| one.payload["recipient"].as_str().unwrap());
    recipients.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_schedule_queues_one_mail_for_each_recipient_at_each_occurrence() {
    let ground = Ground::new().await;
    let mut body = of_a_month("hourly");
    body["schedule"] = json!({
        "cron_expression": "0 * * * *",
        "recipients": ["one@example.com", "two@example.com", "ONE@example.com"],
    });
    let made = ground.post(&ground.admin, REPORTS, body.clone()).await.ok();
    run_due_jobs(&ground.app).await.unwrap();
    assert_eq!(queued(&ground).await, Vec::<String>::new(), "its hour has not come");
    ground.pass(3600);
    run_due_jobs(&ground.app).await.unwrap();
    run_due_jobs(&ground.app).await.unwrap();
    assert_eq!(queued(&ground).await, ["one@example.com", "two@example.com"]);

    // Nobody was there for a day: the report goes out once, and then every hour again.
    ground.pass(24 * 3600);
    run_due_jobs(&ground.app).await.unwrap();
    assert_eq!(queued(&ground).await.len(), 4, "the first two, unsent, and two more");
    ground.pass(3600);
    run_due_jobs(&ground.app).await.unwrap();
    assert_eq!(queued(&ground).await.len(), 6);

    body["schedule"] = Value::Null;
    let path = format!("{REPORTS}/{}", id_of(&made));
    ground.put(&ground.admin, &path, body).await.ok();
    ground.pass(3600);
    assert_eq!(run_due_jobs(&ground.app).await.unwrap(), 0, "nothing is planned any more");
}
