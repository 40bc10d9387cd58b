//! The journal's records: whatever was written, and wherever a crash cut the file, what is read
//! back is what was on disk before.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_connector::journal::{Holder, JournalClaim, Ledger, Record, replay};
use latchkey_domain::{
    ids::{IntegrationId, SessionId, UnitId},
    provisioning::ExpiredClaim,
};
use proptest::{collection::vec, option, prelude::*, sample::Index};

const HEADER: &str = "latchkey-journal 1\n";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn holders() -> impl Strategy<Value = Holder> {
    let names = prop_oneof![Just("lk_u_a"), Just("lk_u_b"), Just("quote\"\n{é}")];
    (0..2_u8, names).prop_map(|(integration, principal)| Holder {
        integration: IntegrationId::new(format!("i{integration}")),
        principal: principal.to_owned(),
    })
}

fn units() -> impl Strategy<Value = UnitId> {
    (0..4_u8).prop_map(|number| UnitId::new(format!("u{number}")))
}

fn records() -> impl Strategy<Value = Record> {
    let claim = (units(), option::weighted(0.8, 0..50_i64))
        .prop_map(|(unit, end)| JournalClaim { unit, ends_at: end.map(at) });
    let leased = (holders(), 0..9_i64, vec(claim, 0..4)).prop_map(|(holder, fence, claims)| {
        let session = SessionId::new(format!("s-{}", holder.principal));
        Record::Leased { holder, session, fence, claims }
    });
    let ended_by = option::of(0..50_i64).prop_map(|end| end.map(at));
    let settled = (holders(), option::of(vec(units(), 0..3)), ended_by)
        .prop_map(|(holder, units, ended_by)| Record::Settled { holder, units, ended_by });
    let expired = (holders(), vec(units(), 0..3), 0..50_i64).prop_map(|(holder, units, end)| {
        let claims = units
            .into_iter()
            .map(|unit_id| ExpiredClaim { unit_id, removed_at: at(end) })
            .collect();
        Record::Expired { holder, claims, ended_by: at(end) }
    });
    let reported = (holders(), vec(units(), 0..3))
        .prop_map(|(holder, units)| Record::Reported { holder, units });
    prop_oneof![4 => leased, 2 => settled, 2 => expired, 1 => reported]
}

/// What a person would work out by hand: one row a claim, one row a claim to be told.
#[derive(Debug, Default, PartialEq)]
struct Model {
    claims: BTreeMap<(Holder, UnitId), Option<Timestamp>>,
    untold: BTreeMap<(Holder, UnitId), Timestamp>,
}

impl Model {
    fn enter(&mut self, record: &Record) {
        match record.clone() {
            Record::Leased { holder, claims, .. } => {
                for claim in claims {
                    self.claims.insert((holder.clone(), claim.unit), claim.ends_at);
                }
            }
            Record::Settled { holder, units, ended_by } => {
                self.claims.retain(|(of, unit), end| {
                    let is_named = units.as_ref().is_none_or(|units| units.contains(unit));
                    let is_over = match ended_by {
                        None => true,
                        Some(by) => end.is_some_and(|end| end <= by),
                    };
                    *of != holder || !is_named || !is_over
                });
            }
            Record::Expired { holder, claims, ended_by } => {
                for claim in claims {
                    let key = (holder.clone(), claim.unit_id);
                    if self.claims.get(&key).is_some_and(|end| end.is_some_and(|e| e <= ended_by)) {
                        self.claims.remove(&key);
                    }
                    self.untold.insert(key, claim.removed_at);
                }
            }
            Record::Reported { holder, units } => {
                self.untold.retain(|(of, unit), _| *of != holder || !units.contains(unit));
            }
        }
    }

    fn of(ledger: &Ledger, everyone: &[Holder]) -> Self {
        let mut model = Self::default();
        for (holder, entry) in ledger.entries() {
            for (unit, end) in &entry.claims {
                model.claims.insert((holder.clone(), unit.clone()), *end);
            }
        }
        for holder in everyone {
            for claim in ledger.untold(holder) {
                model.untold.insert((holder.clone(), claim.unit_id.clone()), claim.removed_at);
            }
        }
        model
    }
}

fn holders_in(records: &[Record]) -> Vec<Holder> {
    let holder = |record: &Record| match record {
        Record::Leased { holder, .. }
        | Record::Settled { holder, .. }
        | Record::Expired { holder, .. }
        | Record::Reported { holder, .. } => holder.clone(),
    };
    records.iter().map(holder).collect()
}

fn write(records: &[Record]) -> Vec<u8> {
    let lines: String = records.iter().map(|record| record.to_line().unwrap()).collect();
    format!("{HEADER}{lines}").into_bytes()
}

fn enter_all(records: &[Record]) -> Ledger {
    let mut ledger = Ledger::default();
    for record in records {
        ledger.enter(record);
    }
    ledger
}

proptest! {
    #[test]
    fn a_journal_cut_at_any_byte_comes_to_the_records_that_were_whole(
        written in vec(records(), 0..20),
        cut in any::<Index>(),
    ) {
        let content = write(&written);
        let cut = cut.index(content.len() + 1);
        let replayed = replay(&content[..cut]).unwrap();
        prop_assert_eq!(replayed.damaged, 0);
        let whole = replayed.records.len();
        prop_assert_eq!(&replayed.records, &written[..whole]);
        let ends_at = usize::try_from(replayed.whole).unwrap();
        prop_assert!(ends_at <= cut);
        // Every record that is on disk whole is there.
        prop_assert_eq!(whole, write_ends(&written).iter().filter(|end| **end <= cut).count());

        let mut model = Model::default();
        for record in &written[..whole] {
            model.enter(record);
        }
        let ledger = enter_all(&replayed.records);
        prop_assert_eq!(Model::of(&ledger, &holders_in(&written)), model);
    }

    #[test]
    fn one_changed_byte_loses_one_record_at_most_and_is_noticed(
        written in vec(records(), 1..12),
        place in any::<Index>(),
        flip in 1..=255_u8,
    ) {
        let mut content = write(&written);
        let place = HEADER.len() + place.index(content.len() - HEADER.len());
        content[place] ^= flip;
        let replayed = replay(&content).unwrap();
        // A newline that goes joins two lines; one that comes splits one.
        prop_assert!(replayed.records.len() + 2 >= written.len());
        prop_assert!(replayed.records.iter().all(|record| written.contains(record)));
        prop_assert!(replayed.records.len() < written.len());
    }

    #[test]
    fn the_shortest_journal_comes_to_the_same(written in vec(records(), 0..30)) {
        let ledger = enter_all(&written);
        let short = ledger.to_records(Timestamp::MIN);
        prop_assert!(short.len() <= 12);
        prop_assert_eq!(enter_all(&short), ledger);
    }

    #[test]
    fn ends_are_found_as_a_search_through_everything_finds_them(
        written in vec(records(), 0..30),
        now in 0..50_i64,
    ) {
        let ledger = enter_all(&written);
        for integration in [IntegrationId::new("i0"), IntegrationId::new("i1")] {
            let all: Vec<Timestamp> = ledger
                .entries()
                .iter()
                .filter(|(holder, _)| holder.integration == integration)
                .flat_map(|(_, entry)| entry.claims.values().flatten().copied())
                .collect();
            let ends = ledger.ends(&integration, at(now));
            prop_assert_eq!(ends.next, all.iter().copied().filter(|end| *end > at(now)).min());
            prop_assert_eq!(ends.has_passed, all.iter().any(|end| *end <= at(now)));
            let ended = all.iter().filter(|end| **end <= at(now)).count();
            prop_assert_eq!(ledger.ended(&integration, at(now)).len(), ended);
        }
    }
}

/// Where each record's line ends.
fn write_ends(written: &[Record]) -> Vec<usize> {
    let mut end = HEADER.len();
    written
        .iter()
        .map(|record| {
            end += record.to_line().unwrap().len();
            end
        })
        .collect()
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_not_overwritten() {
    let error = replay(b"latchkey-journal 2\n").unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
    assert!(replay(b"").unwrap().records.is_empty());
    assert!(replay(b"latchkey-jour").unwrap().records.is_empty());
}
