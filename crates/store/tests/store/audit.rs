//! The audit trail: what was written is read back, and whatever is done to it shows.

use std::time::Duration;

use latchkey_domain::{
    audit::{AuditActor, AuditEvent},
    ids::{ConnectorId, UserId},
};
use latchkey_store::{
    AUDIT_CHAINER_LEASE, AuditFilter, AuditHead, AuditProblem, AuditReport, PageQuery, Result,
    TextMatch, VerifyOptions,
};

use crate::{
    fixtures::{Ground, event, on_both},
    secrets::execute,
};

/// Writes, links and signs ten records.
async fn ten_records(ground: &Ground) -> AuditHead {
    append(ground, 10).await;
    assert_eq!(ground.store.link_audit("a").await.unwrap(), 10);
    ground.store.sign_audit_head().await.unwrap().unwrap()
}

async fn append(ground: &Ground, count: usize) {
    for n in 0..count {
        ground.clock.advance(Duration::from_millis(1));
        let event = event("access_request.created", &format!("r{n}"));
        ground.store.write(async |tx| tx.append_audit(&event).await).await.unwrap();
    }
}

async fn verify(ground: &Ground) -> AuditReport {
    ground.store.verify_audit(&VerifyOptions::default()).await.unwrap()
}

/// The report in words, one problem a line, without an end of line after the last.
async fn complaints(ground: &Ground) -> String {
    let report = verify(ground).await;
    let lines: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// The id of the record with this number.
async fn id_of(ground: &Ground, sequence: i64) -> String {
    let page = PageQuery::all();
    let records = ground.store.read(async |tx| tx.list_audit(&AuditFilter::default(), &page).await);
    let records = records.await.unwrap();
    records.into_iter().find(|r| r.sequence == Some(sequence)).unwrap().id.to_string()
}

on_both! {
    a_record_is_read_back_as_written_and_found_by_filter,
    an_untouched_trail_holds,
    one_chainer_at_a_time_numbers_each_record_once,
    f07_an_edited_record_is_named,
    f07_a_deleted_record_is_named,
    f07_a_deleted_record_whose_gap_was_closed_is_named,
    f07_a_cut_tail_is_named,
    f07_swapped_records_are_named,
    f07_a_recomputed_chain_is_named,
    f07_a_forged_head_is_named,
    a_record_that_nobody_links_is_reported_after_a_minute,
    an_echoed_head_is_kept_if_it_is_ours_and_newer,
}

async fn a_record_is_read_back_as_written_and_found_by_filter(ground: Ground) {
    let actor = AuditActor::User { user_id: UserId::new("u1"), token_id: None };
    let written = AuditEvent { actor: actor.clone(), ..event("access_request.approved", "r1") };
    append(&ground, 2).await;
    let id = ground.store.write(async |tx| tx.append_audit(&written).await).await.unwrap();
    let found = ground.store.read(async |tx| tx.find_audit(&id).await).await.unwrap().unwrap();
    assert_eq!((&found.actor, &found.detail, found.sequence), (&actor, &written.detail, None));
    assert_eq!(found.detail.to_string(), written.detail.to_string(), "members in their order");
    let count = async |filter: AuditFilter| {
        let page = PageQuery { after: None, limit: 10, newest_first: true };
        ground.store.read(async |tx| tx.list_audit(&filter, &page).await).await.unwrap().len()
    };
    let none = AuditFilter::default;
    assert_eq!(count(none()).await, 3);
    assert_eq!(count(AuditFilter { user: Some(UserId::new("u1")), ..none() }).await, 1);
    let actions = vec![TextMatch::Suffix(".approved".to_owned())];
    assert_eq!(count(AuditFilter { actions, ..none() }).await, 1);
    assert_eq!(count(AuditFilter { object_id: Some("r1".to_owned()), ..none() }).await, 2);
    assert_eq!(count(AuditFilter { from: Some(found.at), ..none() }).await, 2);
    assert_eq!(count(AuditFilter { until: Some(found.at), ..none() }).await, 1);
}

async fn an_untouched_trail_holds(ground: Ground) {
    assert_eq!(ground.store.sign_audit_head().await.unwrap(), None);
    assert!(verify(&ground).await.is_intact());
    let head = ten_records(&ground).await;
    assert_eq!(head.sequence, 10);
    assert_eq!(ground.store.sign_audit_head().await.unwrap(), Some(head.clone()), "signed once");
    assert_eq!(ground.store.audit_head().await.unwrap(), Some(head.clone()));
    append(&ground, 3).await;
    ground.store.link_audit("a").await.unwrap();
    append(&ground, 2).await;
    let report = ground.store.verify_audit(&VerifyOptions { echoed_heads: vec![head] }).await;
    let report = report.unwrap();
    assert!(report.is_intact(), "{:?}", report.problems);
    assert_eq!((report.records, report.unlinked, report.heads), (13, 2, 2));
    assert_eq!(report.signed_up_to, Some(10));
}

async fn one_chainer_at_a_time_numbers_each_record_once(ground: Ground) {
    let other = ground.second_server().await;
    append(&ground, 30).await;
    let both = tokio::join!(ground.store.link_audit("a"), other.link_audit("b"));
    assert_eq!(both.0.unwrap() + both.1.unwrap(), 30);
    append(&ground, 1).await;
    let (mine, theirs) = (ground.store.link_audit("a").await, other.link_audit("b").await);
    assert_eq!(mine.unwrap() + theirs.unwrap(), 1, "the lease has one holder");
    ground
        .store
        .write(async |tx| -> Result<()> {
            tx.release_lease(AUDIT_CHAINER_LEASE, "a").await?;
            tx.release_lease(AUDIT_CHAINER_LEASE, "b").await?;
            Ok(())
        })
        .await
        .unwrap();
    append(&ground, 1).await;
    assert_eq!(other.link_audit("b").await.unwrap(), 1);
    assert!(verify(&ground).await.is_intact());
}

async fn f07_an_edited_record_is_named(ground: Ground) {
    ten_records(&ground).await;
    let id = id_of(&ground, 4).await;
    for edit in
        ["detail = '{}'", "object_id = 'r9'", "action = 'x.y'", "at = at + 1", "user_id = 'u9'"]
    {
        let column = edit.split(' ').next().unwrap();
        execute(
            &ground,
            &format!("CREATE TABLE kept AS SELECT {column} FROM audit_records WHERE sequence = 4"),
        )
        .await;
        execute(&ground, &format!("UPDATE audit_records SET {edit} WHERE sequence = 4")).await;
        let said = complaints(&ground).await;
        assert_eq!(
            said,
            format!("record 4 ({id}) was edited: its content does not match its hash")
        );
        execute(
            &ground,
            &format!(
                "UPDATE audit_records SET {column} = (SELECT {column} FROM kept) WHERE sequence = 4"
            ),
        )
        .await;
        execute(&ground, "DROP TABLE kept").await;
    }
    assert!(verify(&ground).await.is_intact());
}

async fn f07_a_deleted_record_is_named(ground: Ground) {
    ten_records(&ground).await;
    execute(&ground, "DELETE FROM audit_records WHERE sequence IN (4, 5)").await;
    let said = complaints(&ground).await;
    assert!(said.starts_with("records 4 to 5 are missing: they were deleted"), "{said}");
}

async fn f07_a_deleted_record_whose_gap_was_closed_is_named(ground: Ground) {
    ten_records(&ground).await;
    execute(&ground, "DELETE FROM audit_records WHERE sequence = 4").await;
    for n in 5..=10 {
        execute(
            &ground,
            &format!("UPDATE audit_records SET sequence = {} WHERE sequence = {n}", n - 1),
        )
        .await;
    }
    let id = id_of(&ground, 4).await;
    let said = complaints(&ground).await;
    assert!(said.starts_with(&format!("record 4 ({id}) was moved")), "{said}");
}

async fn f07_a_cut_tail_is_named(ground: Ground) {
    let head = ten_records(&ground).await;
    execute(&ground, "DELETE FROM audit_records WHERE sequence >= 8").await;
    let said = complaints(&ground).await;
    assert!(
        said.starts_with("records 8 to 10 are missing at the end: number 10 was signed"),
        "{said}"
    );
    // The cut does not vanish when the chain goes on.
    append(&ground, 1).await;
    ground.store.link_audit("a").await.unwrap();
    let said = complaints(&ground).await;
    assert!(said.starts_with("records 8 to 10 are missing"), "{said}");
    // Nor when the signed heads are cut with it: a connector has kept one.
    execute(&ground, "DELETE FROM audit_records WHERE sequence >= 8").await;
    execute(&ground, "DELETE FROM audit_heads").await;
    assert!(verify(&ground).await.is_intact(), "nothing in the database tells");
    let options = VerifyOptions { echoed_heads: vec![head.clone()] };
    let report = ground.store.verify_audit(&options).await.unwrap();
    assert!(matches!(report.problems[0], AuditProblem::TailCut { first: 8, last: 10, .. }));
    let connector = ground.add_connector("local").await;
    ground.store.write(async |tx| tx.record_echoed_head(&connector, &head).await).await.unwrap();
    assert!(!verify(&ground).await.is_intact());
}

async fn f07_swapped_records_are_named(ground: Ground) {
    ten_records(&ground).await;
    let (four, seven) = (id_of(&ground, 4).await, id_of(&ground, 7).await);
    for (from, to) in [(4, -1), (7, 4), (-1, 7)] {
        execute(
            &ground,
            &format!("UPDATE audit_records SET sequence = {to} WHERE sequence = {from}"),
        )
        .await;
    }
    let said = complaints(&ground).await;
    assert!(said.contains(&format!("record 4 ({seven}) was moved")), "{said}");
    assert!(said.contains(&format!("record 7 ({four}) was moved")), "{said}");
}

async fn f07_a_recomputed_chain_is_named(ground: Ground) {
    ten_records(&ground).await;
    // Whoever knows the source rebuilds the chain after an edit: here, by having the
    // records from 4 on forgotten and linked anew.
    execute(&ground, "DELETE FROM audit_records WHERE sequence = 4").await;
    execute(&ground, "CREATE TABLE heads AS SELECT * FROM audit_heads").await;
    execute(&ground, "DELETE FROM audit_heads").await;
    execute(&ground, "UPDATE audit_records SET sequence = NULL WHERE sequence > 4").await;
    append(&ground, 1).await;
    assert_eq!(ground.store.link_audit("a").await.unwrap(), 7);
    assert!(verify(&ground).await.is_intact(), "the chain itself is whole");
    execute(&ground, "INSERT INTO audit_heads SELECT * FROM heads").await;
    let id = id_of(&ground, 10).await;
    let said = complaints(&ground).await;
    assert!(
        said.starts_with(&format!("record 10 ({id}) is not the one that was signed")),
        "{said}"
    );
}

async fn f07_a_forged_head_is_named(ground: Ground) {
    ten_records(&ground).await;
    execute(&ground, "UPDATE audit_heads SET hash = 'f00d'").await;
    let said = complaints(&ground).await;
    assert!(said.contains("the signed head of record 10 has a wrong signature"), "{said}");
}

async fn a_record_that_nobody_links_is_reported_after_a_minute(ground: Ground) {
    append(&ground, 1).await;
    ground.clock.advance(Duration::from_mins(1));
    assert!(verify(&ground).await.is_intact());
    ground.clock.advance(Duration::from_millis(1));
    let said = complaints(&ground).await;
    assert!(said.contains("is not linked into the chain"), "{said}");
}

async fn an_echoed_head_is_kept_if_it_is_ours_and_newer(ground: Ground) {
    let head = ten_records(&ground).await;
    let connector = ground.add_connector("local").await;
    let record = async |head: &AuditHead, id: &ConnectorId| {
        ground.store.write(async |tx| tx.record_echoed_head(id, head).await).await.unwrap()
    };
    let forged = AuditHead { sequence: 11, ..head.clone() };
    assert!(!record(&forged, &connector).await);
    assert!(record(&head, &connector).await);
    assert!(!record(&head, &connector).await);
    assert!(!record(&head, &ConnectorId::new("nobody")).await);
}
