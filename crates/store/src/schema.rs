//! The schema: an ordered list of steps, each applied once, all in one transaction under a lock.
//!
//! The text is the same for SQLite and PostgreSQL. Ids are TEXT, times BIGINT microseconds since
//! 1970 UTC, JSON is TEXT, sealed values are base64 TEXT. A released step is never edited; a
//! change is a new step, and one that old servers can still work with (add first, remove a
//! release later).

/// One step.
pub(crate) struct Step {
    /// Counts up from 1 without gaps.
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// Every step, in order.
pub(crate) const STEPS: &[Step] = &[
    Step { version: 1, name: "people", sql: include_str!("../migrations/0001_people.sql") },
    Step { version: 2, name: "inventory", sql: include_str!("../migrations/0002_inventory.sql") },
    Step { version: 3, name: "requests", sql: include_str!("../migrations/0003_requests.sql") },
    Step { version: 4, name: "work", sql: include_str!("../migrations/0004_work.sql") },
    Step { version: 5, name: "audit", sql: include_str!("../migrations/0005_audit.sql") },
    Step { version: 6, name: "activity", sql: include_str!("../migrations/0006_activity.sql") },
    Step { version: 7, name: "bundles", sql: include_str!("../migrations/0007_bundles.sql") },
    Step { version: 8, name: "attributes", sql: include_str!("../migrations/0008_attributes.sql") },
    Step {
        version: 9,
        name: "filed_by_admin",
        sql: include_str!("../migrations/0009_filed_by_admin.sql"),
    },
    Step { version: 10, name: "reports", sql: include_str!("../migrations/0010_reports.sql") },
    Step {
        version: 11,
        name: "waiting_conditions",
        sql: include_str!("../migrations/0011_waiting_conditions.sql"),
    },
    Step {
        version: 12,
        name: "inventory_versions",
        sql: include_str!("../migrations/0012_inventory_versions.sql"),
    },
    Step {
        version: 13,
        name: "extensions",
        sql: include_str!("../migrations/0013_extensions.sql"),
    },
    Step {
        version: 14,
        name: "escalation",
        sql: include_str!("../migrations/0014_escalation.sql"),
    },
    Step {
        version: 15,
        name: "order_of_tasks",
        sql: include_str!("../migrations/0015_order_of_tasks.sql"),
    },
    Step {
        version: 16,
        name: "places_of_requests",
        sql: include_str!("../migrations/0016_places_of_requests.sql"),
    },
    Step {
        version: 17,
        name: "program_answers",
        sql: include_str!("../migrations/0017_program_answers.sql"),
    },
    Step {
        version: 18,
        name: "emergencies",
        sql: include_str!("../migrations/0018_emergencies.sql"),
    },
    Step {
        version: 19,
        name: "nested_groups",
        sql: include_str!("../migrations/0019_nested_groups.sql"),
    },
    Step { version: 20, name: "sign_in", sql: include_str!("../migrations/0020_sign_in.sql") },
];

/// What steps do besides where the database is SQLite, by version: an index that holds whole rows
/// has no bound there, and PostgreSQL bounds it to a third of a page.
pub(crate) const ON_SQLITE: &[(i64, &str)] =
    &[(16, include_str!("../migrations/0016_places_of_requests.sqlite.sql"))];

/// The version of the last step.
pub(crate) const LATEST: i64 = 20;
