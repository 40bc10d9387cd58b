use std::{fs, os::unix::fs::PermissionsExt};

use latchkey_testkit::TestClock;

use super::*;

struct Bench {
    folder: tempfile::TempDir,
    clock: Arc<TestClock>,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: Arc::new(TestClock::default()) }
    }

    fn open(&self) -> Journal {
        let folder = Arc::new(Folder::open(self.folder.path()).unwrap());
        Journal::open(folder, Arc::<TestClock>::clone(&self.clock)).unwrap()
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("journal.log")
    }
}

fn holder(principal: &str) -> Holder {
    Holder { integration: IntegrationId::new("i1"), principal: principal.to_owned() }
}

fn claim(unit: &str, second: i64) -> JournalClaim {
    let ends_at = Some(Timestamp::from_second(second).unwrap());
    JournalClaim { unit: UnitId::new(unit), ends_at }
}

async fn lease(journal: &Journal, principal: &str, claims: Vec<JournalClaim>) {
    journal.lease(&holder(principal), &SessionId::new("s"), 1, claims).await.unwrap();
}

#[tokio::test]
async fn a_lease_is_on_disk_once_the_call_returns() {
    let bench = Bench::new();
    let journal = bench.open();
    lease(&journal, "p", vec![claim("u1", 100), claim("u2", 200)]).await;
    let content = fs::read(bench.file()).unwrap();
    assert_eq!(replay(&content).unwrap().records.len(), 1);
    // The same again needs no write.
    lease(&journal, "p", vec![claim("u2", 200)]).await;
    assert_eq!(fs::read(bench.file()).unwrap(), content);
    assert_eq!(fs::metadata(bench.file()).unwrap().permissions().mode() & 0o777, 0o600);
    journal.close().await;
}

#[tokio::test]
async fn a_claim_that_comes_back_right_after_it_was_settled_is_journaled_again() {
    let bench = Bench::new();
    let journal = bench.open();
    for _ in 0..50 {
        lease(&journal, "p", vec![claim("u1", 100)]).await;
        journal.settle(&holder("p"), None);
        lease(&journal, "p", vec![claim("u1", 100)]).await;
        assert_eq!(journal.units_of(&holder("p")), [UnitId::new("u1")]);
    }
    journal.close().await;
}

#[tokio::test]
async fn after_a_torn_write_the_journal_opens_and_goes_on() {
    let bench = Bench::new();
    let journal = bench.open();
    lease(&journal, "p", vec![claim("u1", 100)]).await;
    lease(&journal, "q", vec![claim("u2", 100)]).await;
    journal.close().await;
    drop(journal);
    let content = fs::read(bench.file()).unwrap();
    fs::write(bench.file(), &content[..content.len() - 5]).unwrap();

    let journal = bench.open();
    assert_eq!(journal.open_leases(), 1);
    lease(&journal, "r", vec![claim("u3", 100)]).await;
    journal.close().await;
    drop(journal);
    let journal = bench.open();
    assert_eq!(journal.units_of(&holder("p")), [UnitId::new("u1")]);
    assert_eq!(journal.units_of(&holder("r")), [UnitId::new("u3")]);
    assert!(!bench.folder.path().join("journal.damaged").exists());
    journal.close().await;
}

#[tokio::test]
async fn a_damaged_journal_keeps_its_whole_records_and_a_copy_for_a_person() {
    let bench = Bench::new();
    let journal = bench.open();
    lease(&journal, "p", vec![claim("u1", 100)]).await;
    lease(&journal, "q", vec![claim("u2", 100)]).await;
    journal.close().await;
    drop(journal);
    let content = fs::read_to_string(bench.file()).unwrap();
    fs::write(bench.file(), content.replace("\"u1\"", "\"u8\"")).unwrap();

    let journal = bench.open();
    assert_eq!(journal.units_of(&holder("q")), [UnitId::new("u2")]);
    assert_eq!(journal.open_leases(), 1);
    assert!(bench.folder.path().join("journal.damaged").exists());
    journal.close().await;
}

#[tokio::test]
async fn a_long_journal_is_shortened_while_it_is_in_use() {
    let bench = Bench::new();
    let journal = bench.open();
    for number in 0..40 {
        let claims = (0..200).map(|unit| claim(&format!("u{number}-{unit}"), 100)).collect();
        lease(&journal, "p", claims).await;
        journal.settle(&holder("p"), None);
    }
    lease(&journal, "q", vec![claim("last", 100)]).await;
    journal.close().await;
    let length = fs::metadata(bench.file()).unwrap().len();
    assert!(length < 300_000, "{length} bytes");
    drop(journal);
    let journal = bench.open();
    assert_eq!(journal.units_of(&holder("q")), [UnitId::new("last")]);
    journal.close().await;
}

#[tokio::test]
async fn what_was_ended_stays_to_be_told_for_a_day() {
    let bench = Bench::new();
    let journal = bench.open();
    lease(&journal, "p", vec![claim("u1", 100)]).await;
    let claims = vec![ExpiredClaim { unit_id: UnitId::new("u1"), removed_at: bench.clock.now() }];
    let ended_by = Timestamp::from_second(100).unwrap();
    journal.expired(&holder("p"), claims, ended_by).await.unwrap();
    journal.close().await;
    drop(journal);

    let journal = bench.open();
    assert_eq!(journal.open_leases(), 0);
    assert_eq!(journal.untold(&holder("p")).len(), 1);
    journal.close().await;
    drop(journal);

    bench.clock.advance(std::time::Duration::from_hours(25));
    let journal = bench.open();
    journal.close().await;
    drop(journal);
    let journal = bench.open();
    assert!(journal.untold(&holder("p")).is_empty());
    journal.close().await;
}
