//! Opening an installation: data folder, master key, database.
//!
//! Folder, key and schema are made when they are not there, so that the first command on a fresh
//! machine works, whichever it is.

use std::{
    fs::DirBuilder,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use latchkey_app::{App, AppConfig};
use latchkey_domain::Rng;
use latchkey_store::{DatabaseUrl, KeyRing, Store, StoreError, StoreOptions};
use secrecy::ExposeSecret;

use crate::{
    cli::StoreArgs,
    config::{self, Config, Flags, Settled},
    fault::Fault,
    surroundings::Surroundings,
    telemetry,
};

/// The SQLite file in the data folder.
const FILE: &str = "latchkey.db";

/// Names the file of the master key outside the data folder.
const KEY_VARIABLE: &str = "LATCHKEY_MASTER_KEY_FILE";

/// Configuration for a command that works on the database.
pub(crate) fn settle(args: &StoreArgs) -> Result<Settled, Fault> {
    let flags = Flags { database: args.database.clone(), ..Flags::default() };
    config::settle(args.data.as_deref(), &flags)
}

/// Makes the data folder, readable by its owner alone.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Fault> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Fault::new(format!(
            "the data folder {} cannot be made: {error}; choose another with --data",
            folder.display()
        ))
    })
}

/// The database that the configuration names.
pub(crate) fn database(settled: &Settled) -> Result<DatabaseUrl, Fault> {
    match &settled.config.database {
        Some(url) => DatabaseUrl::parse(url).map_err(|error| Fault::new(error.to_string())),
        None => Ok(DatabaseUrl::Sqlite(settled.data.join(FILE))),
    }
}

/// The keys: from the file that the variable names, else from the data folder.
pub(crate) fn keys(folder: &Path, rng: &dyn Rng) -> Result<KeyRing, Fault> {
    let keys = match std::env::var_os(KEY_VARIABLE) {
        Some(file) => KeyRing::open_file(Path::new(&file)),
        None => KeyRing::open_or_create(folder, rng),
    };
    keys.map_err(|error| Fault::new(error.to_string()))
}

/// Opens the database, making or upgrading it; from then on its clock counts, if it has one.
pub(crate) async fn store(settled: &Settled, surroundings: &Surroundings) -> Result<Store, Fault> {
    make_folder(&settled.data)?;
    let database = database(settled)?;
    let place = place_of(&database);
    let options = StoreOptions {
        database,
        keys: keys(&settled.data, surroundings.rng.as_ref())?,
        clock: surroundings.clock.clone(),
        rng: surroundings.rng.clone(),
        max_connections: settled.config.max_connections.max(2),
    };
    let opened = async {
        let store = Store::open(options).await?;
        surroundings.shared_clock.follow(&store).await?;
        Ok(store)
    };
    opened.await.map_err(|error: StoreError| explain(&place, &error))
}

/// The use cases over a database that is there already; a command that only looks makes none.
pub(crate) async fn existing(
    args: &StoreArgs,
    at: &Surroundings,
    instance: &str,
) -> Result<App, Fault> {
    let settled = settle(args)?;
    telemetry::start_quiet(&settled)?;
    if let DatabaseUrl::Sqlite(file) = database(&settled)?
        && !file.exists()
    {
        return Err(Fault::new(format!(
            "there is no database {}; name its folder with --data, or the database with \
             --database",
            file.display()
        )));
    }
    let store = store(&settled, at).await?;
    Ok(app(store, &settled.config, at, instance.to_owned()))
}

/// The use cases over an open database.
pub(crate) fn app(
    store: Store,
    config: &Config,
    surroundings: &Surroundings,
    instance: String,
) -> App {
    // On SQLite the one server always runs the connector `local`; on PostgreSQL it is asked for.
    let local_connector = config.local_connector || !store.is_postgres();
    let app_config = AppConfig {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        local_connector,
        listens: listens(config.listen),
        instance,
    };
    App::new(store, surroundings.clock.clone(), surroundings.rng.clone(), app_config)
}

/// What to tell connectors of the listener. A connector elsewhere cannot know which addresses
/// `0.0.0.0` and `::` stand for; the one that leads out of this machine can be told.
fn listens(listen: SocketAddr) -> Vec<SocketAddr> {
    let mut all = vec![listen];
    if listen.ip().is_unspecified() {
        // Addresses that documentation has for its own (RFC 5737, RFC 3849); nothing is sent.
        for (own, other) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
            let leads_out = UdpSocket::bind(own)
                .and_then(|socket| socket.connect(other).and_then(|()| socket.local_addr()));
            all.extend(leads_out.map(|address| SocketAddr::new(address.ip(), listen.port())));
        }
    }
    all
}

/// Where the database is, without its password.
fn place_of(database: &DatabaseUrl) -> String {
    match database {
        DatabaseUrl::Sqlite(path) => path.display().to_string(),
        DatabaseUrl::Postgres(url) => match url::Url::parse(url.expose_secret()) {
            Ok(url) => format!(
                "{} at {}:{}",
                url.path().trim_start_matches('/'),
                url.host_str().unwrap_or("localhost"),
                url.port().unwrap_or(5432)
            ),
            Err(_) => "that the URL names".to_owned(),
        },
    }
}

/// One sentence about a database that cannot be opened, and what to do.
fn explain(place: &str, error: &StoreError) -> Fault {
    let advice = match error {
        StoreError::Unavailable(detail) => format!(
            "the database {place} does not answer ({detail}); check that it runs and that \
             --database is right"
        ),
        StoreError::Database(detail) => format!(
            "the database {place} refused ({detail}); check --database: name, user, password, \
             and that the user may create tables"
        ),
        other => format!("the database {place} cannot be used: {other}"),
    };
    Fault::new(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_database_is_named_without_its_password() {
        let url = DatabaseUrl::parse("postgres://me:hunter2@db.example:6000/latch").unwrap();
        assert_eq!(place_of(&url), "latch at db.example:6000");
    }
}
