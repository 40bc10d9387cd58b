//! Running reports: a long history is read a page at a time, and a PDF has its limit.

use futures::TryStreamExt;
use latchkey_app::{
    Actor,
    error::codes,
    reports::{SaveReport, create_report, run_report, run_report_named},
};
use latchkey_domain::{
    activity::ActivityField,
    ids::{RequestId, UnitId},
    report::{
        ActivityReport, RelativeUnit, ReportDefinition, ReportFilters, ReportFormat,
        ReportTimeframe,
    },
};

use crate::{ground::Ground, on_both_databases};

async fn report_of_a_day(ground: &Ground) -> ActivityReport {
    let save = SaveReport {
        name: "day".to_owned(),
        definition: ReportDefinition {
            fields: Some(vec![ActivityField::RequestId, ActivityField::Resources]),
            filters: ReportFilters::default(),
            timeframe: ReportTimeframe::Relative {
                last: 1,
                unit: RelativeUnit::Day,
                rounded: false,
            },
            schedule: None,
            format: None,
        },
    };
    create_report(&ground.app, &Actor::command_line(), save).await.unwrap()
}

/// Stores `count` requests like the first one.
async fn many_requests(ground: &Ground, count: usize) {
    ground.flow("read", Some(60), &[&ground.bob]).await;
    let first = ground.ask(&["orders"], None).await;
    let rng = ground.app.rng();
    ground
        .write(async |tx| {
            for _ in 1..count {
                let now = tx.now();
                let mut request = first.request.clone();
                request.id = RequestId::generate(now, rng);
                request.number = tx.next_request_number().await.unwrap();
                let mut unit = first.units[0].clone();
                unit.id = UnitId::generate(now, rng);
                unit.request_id = request.id.clone();
                tx.insert_request(&request, &[unit]).await.unwrap();
            }
        })
        .await;
}

on_both_databases! {
    async fn a_long_report_is_read_a_page_at_a_time(ground) {
        many_requests(ground, 2100).await;
        let report = report_of_a_day(ground).await;
        ground.pass(1).await;
        let shell = Actor::command_line();
        let mut file = run_report_named(&ground.app, &shell, "DAY", None).await.unwrap();
        let mut pieces = Vec::new();
        while let Some(piece) = file.body.try_next().await.unwrap() {
            pieces.push(String::from_utf8(piece).unwrap());
        }
        let lines: Vec<usize> = pieces.iter().map(|piece| piece.lines().count()).collect();
        assert_eq!(lines, [1, 1000, 1000, 100], "the heading, and three pages");
        let mut ids: Vec<&str> =
            pieces.iter().skip(1).flat_map(|piece| piece.lines()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2100);

        let pdf = Some(ReportFormat::Pdf);
        let file = run_report(&ground.app, &shell, &report.id, pdf).await.unwrap();
        let made: Vec<Vec<u8>> = file.body.try_collect().await.unwrap();
        assert!(made.concat().starts_with(b"%PDF"));
    }

    async fn what_is_not_there_is_not_run(ground) {
        let shell = Actor::command_line();
        let refused = run_report_named(&ground.app, &shell, "nothing", None).await.unwrap_err();
        assert_eq!(refused.code, codes::NOT_FOUND);
        let refused = run_report_named(&ground.app, &ground.ana, "nothing", None).await.unwrap_err();
        assert_eq!(refused.code, codes::FORBIDDEN);
    }
}
