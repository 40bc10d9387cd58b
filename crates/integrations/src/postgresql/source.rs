//! Native ids of what discovery finds: a class and a percent-encoded path, such as
//! `table:shop/public/orders`. Dump and restore keep them, so approvals outlive a move; the oid,
//! which does not survive, is in the resource's context.

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode,
};

/// Everything but letters, digits and these four is encoded in a native id.
const ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'$');

/// In a path for people only what would make it ambiguous or unprintable is encoded.
const PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'/');

/// A place in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Source {
    /// A database.
    Database(String),
    /// A schema of a database.
    Schema(String, String),
    /// A table, view, materialised view or foreign table.
    Table(String, String, String),
    /// A role of the cluster.
    Role(String),
}

impl Source {
    /// Reads a native id.
    pub(super) fn parse(id: &str) -> Result<Self, TargetFault> {
        let bad = || {
            TargetFault::new(
                FaultClass::Refused,
                format!("{id:?} is not the native id of a PostgreSQL resource"),
            )
        };
        let (class, rest) = id.split_once(':').ok_or_else(bad)?;
        let parts: Vec<String> = rest
            .split('/')
            .map(|part| percent_decode_str(part).decode_utf8().map(Into::into))
            .collect::<Result<_, _>>()
            .map_err(|_| bad())?;
        let source = match (class, <[String; 3]>::try_from(parts.clone()), parts.as_slice()) {
            ("table", Ok([database, schema, table]), _) => Self::Table(database, schema, table),
            ("schema", _, [database, schema]) => Self::Schema(database.clone(), schema.clone()),
            ("database", _, [database]) => Self::Database(database.clone()),
            ("role", _, [role]) => Self::Role(role.clone()),
            _ => return Err(bad()),
        };
        if source.parts().iter().any(|part| part.is_empty()) {
            return Err(bad());
        }
        Ok(source)
    }

    /// The native id.
    pub(super) fn id(&self) -> String {
        let class = match self {
            Self::Database(..) => "database",
            Self::Schema(..) => "schema",
            Self::Table(..) => "table",
            Self::Role(..) => "role",
        };
        format!("{class}:{}", self.encoded(ID))
    }

    /// The path for people: `shop/public/orders`.
    pub(super) fn path(&self) -> String {
        self.encoded(PATH)
    }

    /// The resource type of the catalogue.
    pub(super) fn resource_type(&self) -> &'static str {
        match self {
            Self::Database(..) => "postgresql-database",
            Self::Schema(..) => "postgresql-schema",
            Self::Table(..) => "postgresql-table",
            Self::Role(..) => "postgresql-role",
        }
    }

    /// The names, outermost first.
    pub(super) fn parts(&self) -> Vec<&str> {
        match self {
            Self::Database(a) | Self::Role(a) => vec![a],
            Self::Schema(a, b) => vec![a, b],
            Self::Table(a, b, c) => vec![a, b, c],
        }
    }

    /// The last name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Database(name)
            | Self::Role(name)
            | Self::Schema(_, name)
            | Self::Table(_, _, name) => name,
        }
    }

    /// The database it is in; `None` for a role, which belongs to the whole cluster.
    pub(super) fn database(&self) -> Option<&str> {
        match self {
            Self::Database(database) | Self::Schema(database, _) | Self::Table(database, _, _) => {
                Some(database)
            }
            Self::Role(_) => None,
        }
    }

    fn encoded(&self, set: &'static AsciiSet) -> String {
        let parts: Vec<String> = self
            .parts()
            .into_iter()
            .map(|part| utf8_percent_encode(part, set).to_string())
            .collect();
        parts.join("/")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_are_readable_where_names_are() {
        let table = Source::Table("shop".into(), "public".into(), "orders".into());
        assert_eq!(table.id(), "table:shop/public/orders");
        assert_eq!(table.path(), "shop/public/orders");
        let odd = Source::Table("a/b".into(), "ü".into(), "100% *".into());
        assert_eq!(odd.id(), "table:a%2Fb/%C3%BC/100%25%20%2A");
        assert_eq!(odd.path(), "a%2Fb/%C3%BC/100%25 *");
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for id in
            ["", "table:", "table:a/b", "schema:a//", "view:a/b/c", "role:", "role:a/b", "shop"]
        {
            assert!(Source::parse(id).is_err(), "{id}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_the_round_trip(parts in proptest::collection::vec("\\PC{1,12}", 3)) {
            let [a, b, c] = <[String; 3]>::try_from(parts).unwrap();
            for source in [
                Source::Table(a.clone(), b.clone(), c.clone()),
                Source::Schema(a.clone(), b.clone()),
                Source::Database(a.clone()),
                Source::Role(a),
            ] {
                prop_assert_eq!(Source::parse(&source.id()).unwrap(), source);
            }
        }
    }
}
