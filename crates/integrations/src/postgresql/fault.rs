//! What the server's errors mean for the work, and what a person can do about them.

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use tokio_postgres::error::SqlState;

/// A fault with what decides about trying again at once.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// The fault as it is reported.
    pub fault: TargetFault,
    /// The server's code, if the server answered.
    pub code: Option<SqlState>,
    /// Whether the connection ended: what was being done may have been done.
    pub connection_lost: bool,
}

impl Failure {
    /// Whether the same transaction may succeed when it is simply run again: two transactions
    /// met (`XX000 tuple concurrently updated` is how catalogue tables say it).
    pub(super) fn is_collision(&self) -> bool {
        match &self.code {
            Some(code) => {
                *code == SqlState::T_R_SERIALIZATION_FAILURE
                    || *code == SqlState::T_R_DEADLOCK_DETECTED
                    || *code == SqlState::LOCK_NOT_AVAILABLE
                    || *code == SqlState::UNIQUE_VIOLATION
                    || *code == SqlState::DUPLICATE_OBJECT
                    // Dropped between the look and the grant: the next look says so.
                    || *code == SqlState::UNDEFINED_TABLE
                    || *code == SqlState::INVALID_SCHEMA_NAME
                    || (*code == SqlState::INTERNAL_ERROR
                        && self.fault.message.contains("concurrently"))
            }
            None => false,
        }
    }

    /// Whether the server refused for lack of a right.
    pub(super) fn is_denied(&self) -> bool {
        self.code == Some(SqlState::INSUFFICIENT_PRIVILEGE)
    }

    /// Whether a named object or role does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.code == Some(SqlState::UNDEFINED_OBJECT)
    }

    /// The same failure with more words around the server's own.
    pub(super) fn explain(mut self, words: &str) -> Self {
        self.fault.message = format!("{words}: {}", self.fault.message);
        self
    }
}

impl From<TargetFault> for Failure {
    fn from(fault: TargetFault) -> Self {
        Self { fault, code: None, connection_lost: false }
    }
}

impl From<Failure> for TargetFault {
    fn from(failure: Failure) -> Self {
        failure.fault
    }
}

/// A refusal in our own words.
pub(super) fn refused(message: impl Into<String>) -> Failure {
    TargetFault::new(FaultClass::Refused, message).into()
}

/// What an error of the driver means. `place` is `host:port`.
pub(super) fn classify(error: &tokio_postgres::Error, place: &str) -> Failure {
    let Some(answer) = error.as_db_error() else {
        let source = std::error::Error::source(error).map(ToString::to_string);
        let detail = source.unwrap_or_else(|| error.to_string());
        return Failure {
            fault: TargetFault::new(
                FaultClass::Unreachable,
                format!("the connection to PostgreSQL at {place} failed: {detail}"),
            ),
            code: None,
            connection_lost: true,
        };
    };
    let code = answer.code();
    let (class, advice) = advice(code);
    let detail = answer.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let advice = if advice.is_empty() { String::new() } else { format!(". {advice}") };
    Failure {
        fault: TargetFault::new(
            class,
            format!("PostgreSQL at {place} says: {}{detail}{advice}", answer.message()),
        ),
        code: Some(code.clone()),
        connection_lost: error.is_closed()
            || matches!(answer.severity(), "FATAL" | "PANIC")
            || *code == SqlState::ADMIN_SHUTDOWN
            || *code == SqlState::CRASH_SHUTDOWN,
    }
}

fn advice(code: &SqlState) -> (FaultClass, &'static str) {
    use FaultClass::{Refused, Transient, Unreachable};
    if *code == SqlState::INVALID_PASSWORD {
        (Refused, "Check username and password of the integration's secret")
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        (Refused, "Check the username, sslmode, and the server's pg_hba.conf")
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        (Refused, "The database is gone, or dbname names one that never was")
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        (
            Refused,
            "Run docs/integrations/postgresql/provisioner.sql again, or give the \
                   provisioner the right that is missing",
        )
    } else if *code == SqlState::QUERY_CANCELED || *code == SqlState::LOCK_NOT_AVAILABLE {
        (Transient, "Somebody holds a lock, or the server is slow; it is tried again")
    } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        (Transient, "The server is read-only: hostname must be the primary")
    } else if *code == SqlState::ADMIN_SHUTDOWN
        || *code == SqlState::CRASH_SHUTDOWN
        || *code == SqlState::CANNOT_CONNECT_NOW
        || code.code().starts_with("08")
    {
        (Unreachable, "")
    } else if ["53", "40", "55", "57", "58", "XX"]
        .iter()
        .any(|class| code.code().starts_with(class))
    {
        (Transient, "")
    } else {
        (Refused, "")
    }
}
