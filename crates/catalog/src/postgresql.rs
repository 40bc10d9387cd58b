//! The type `postgresql`: PostgreSQL 15 to 18. `docs/integrations/postgresql/` says how to set
//! one up.

use crate::{
    IntegrationType, NativeExpiry, Param, ParamKind, PermissionSpec, ResourceType, SecretKey,
    SecretStoreKind,
};

/// What the type takes and has.
pub const POSTGRESQL: IntegrationType = IntegrationType {
    name: "postgresql",
    label: "PostgreSQL",
    about: "PostgreSQL 15 and later: a login role for each session, member of one group role \
            for each right.",
    category: "RESOURCES",
    params: PARAMS,
    secret_keys: &[
        SecretKey { key: "username", label: "Username of the provisioner", optional: false },
        SecretKey { key: "password", label: "Password of the provisioner", optional: false },
    ],
    secret_stores: &[SecretStoreKind::Platform, SecretStoreKind::File, SecretStoreKind::Env],
    resource_types: &[DATABASE, SCHEMA, TABLE, ROLE],
    resets_credentials: true,
    native_expiry: NativeExpiry::LoginsOnly,
};

const PARAMS: &[Param] = &[
    Param {
        key: "hostname",
        label: "Host",
        about: "Name or address of the primary server, as the connector reaches it.",
        optional: false,
        default: None,
        kind: ParamKind::Host,
        guards_secret: true,
    },
    Param {
        key: "port",
        label: "Port",
        about: "TCP port of the server.",
        optional: false,
        default: Some("5432"),
        kind: ParamKind::Port,
        guards_secret: true,
    },
    Param {
        key: "dbname",
        label: "Maintenance database",
        about: "The database in which roles are managed. It stays the same for the life of the \
                integration, because its advisory locks order all work.",
        optional: false,
        default: Some("postgres"),
        kind: ParamKind::Text,
        guards_secret: true,
    },
    Param {
        key: "sslmode",
        label: "TLS",
        about: "disable, prefer, require (encrypted, the server's name is not proven) or \
                verify-full.",
        optional: false,
        default: Some("prefer"),
        kind: ParamKind::Choice(&["disable", "prefer", "require", "verify-full"]),
        guards_secret: true,
    },
    Param {
        key: "sslrootcert",
        label: "Root certificates",
        about: "For verify-full: the authorities to trust, in PEM; the public ones if left out.",
        optional: true,
        default: None,
        kind: ParamKind::LongText,
        guards_secret: true,
    },
    Param {
        key: "role",
        label: "Role to act as",
        about: "Set right after connecting, such as latchkey_provisioner, so that logins can \
                be rotated freely.",
        optional: true,
        default: None,
        kind: ParamKind::Text,
        guards_secret: false,
    },
    Param {
        key: "databases",
        label: "Databases",
        about: "Names of the databases to manage, separated by commas; all that the \
                provisioner can connect to if left out.",
        optional: true,
        default: None,
        kind: ParamKind::NameList,
        guards_secret: false,
    },
    Param {
        key: "replicas",
        label: "Replicas and poolers",
        about: "host:port of every replica, separated by commas; sessions there are ended and \
                read back too.",
        optional: true,
        default: None,
        kind: ParamKind::HostList,
        guards_secret: true,
    },
    Param {
        key: "follow_names",
        label: "Follow names",
        about: "true if a table that was dropped and made again under its name is still the \
                table that was approved.",
        optional: false,
        default: Some("false"),
        kind: ParamKind::Flag,
        guards_secret: false,
    },
    Param {
        key: "tags",
        label: "Tags",
        about: "A JSON object: path pattern to tags, such as \
                {\"shop/*/orders\": {\"env\": \"prod\"}}.",
        optional: true,
        default: None,
        kind: ParamKind::TagRules,
        guards_secret: false,
    },
];

/// Reads.
pub const READ_ONLY: &str = "READ_ONLY";
/// Reads and changes rows.
pub const READ_WRITE: &str = "READ_WRITE";
/// Everything short of ownership.
pub const ADMIN: &str = "ADMIN";
/// Membership of a role.
pub const MEMBER: &str = "MEMBER";

const DATABASE: ResourceType = ResourceType {
    name: "postgresql-database",
    label: "Database",
    permissions: &[
        PermissionSpec {
            name: READ_ONLY,
            about: "Read every table, view and sequence of every schema.",
        },
        PermissionSpec { name: READ_WRITE, about: "Read and change the rows of every table." },
        PermissionSpec {
            name: ADMIN,
            about: "Also empty tables, and make new objects in every schema.",
        },
    ],
};

const SCHEMA: ResourceType = ResourceType {
    name: "postgresql-schema",
    label: "Schema",
    permissions: &[
        PermissionSpec {
            name: READ_ONLY,
            about: "Read every table, view and sequence of the schema.",
        },
        PermissionSpec {
            name: READ_WRITE,
            about: "Read and change the rows of every table of the schema.",
        },
        PermissionSpec { name: ADMIN, about: "Also empty tables, and make new objects in it." },
    ],
};

const TABLE: ResourceType = ResourceType {
    name: "postgresql-table",
    label: "Table",
    permissions: &[
        PermissionSpec { name: READ_ONLY, about: "Read the table." },
        PermissionSpec {
            name: READ_WRITE,
            about: "Read the table, insert, update and delete its rows, use its sequences.",
        },
        PermissionSpec { name: ADMIN, about: "Also empty the table (TRUNCATE)." },
    ],
};

const ROLE: ResourceType = ResourceType {
    name: "postgresql-role",
    label: "Role",
    permissions: &[PermissionSpec {
        name: MEMBER,
        about: "Everything that the role may do, by membership.",
    }],
};
