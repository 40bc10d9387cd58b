//! A connection to the database of a test that knows nothing of the store.

use latchkey_testkit::TestDatabase;
use tokio_postgres::NoTls;

use crate::sql::Dialect;

/// A connection.
pub enum Raw {
    Sqlite(rusqlite::Connection),
    Postgres(tokio_postgres::Client),
}

impl Raw {
    /// Opens the database, which the store has already made.
    pub async fn open(database: &TestDatabase) -> Self {
        if let Some(file) = database.sqlite_file() {
            return Self::Sqlite(rusqlite::Connection::open(file).unwrap());
        }
        let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
        // Ends with the client.
        tokio::spawn(connection);
        Self::Postgres(client)
    }

    /// How its SQL is spelt.
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs statements.
    pub async fn run(&self, statements: &str) {
        match self {
            Self::Sqlite(connection) => connection.execute_batch(statements).unwrap(),
            Self::Postgres(client) => client.batch_execute(statements).await.unwrap(),
        }
    }

    /// The rows of a query whose columns are all texts.
    pub async fn rows<const COLUMNS: usize>(&self, query: &str) -> Vec<[String; COLUMNS]> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare(query).unwrap();
                let read = |row: &rusqlite::Row<'_>| {
                    Ok(std::array::from_fn(|column| row.get(column).unwrap()))
                };
                statement.query_map([], read).unwrap().map(Result::unwrap).collect()
            }
            Self::Postgres(client) => {
                let rows = client.query(query, &[]).await.unwrap();
                let read = |row: &tokio_postgres::Row| {
                    std::array::from_fn(|column| row.get::<_, String>(column))
                };
                rows.iter().map(read).collect()
            }
        }
    }
}
