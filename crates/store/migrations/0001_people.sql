-- Facts about the database itself: installation id, id of the master key.
CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Numbers that grow: request numbers.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

-- Settings that somebody changed.
CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- People. Never deleted, so that an id is never given again.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    email_lower TEXT NOT NULL,
    email_aliases TEXT NOT NULL,
    first_name TEXT NOT NULL,
    first_name_lower TEXT NOT NULL,
    last_name TEXT NOT NULL,
    last_name_lower TEXT NOT NULL,
    status TEXT NOT NULL,
    source_integration_id TEXT,
    source_id TEXT,
    manager_id TEXT REFERENCES users (id),
    created_at BIGINT NOT NULL
);
CREATE INDEX users_page ON users (created_at, id);
CREATE INDEX users_first_name ON users (first_name_lower);
CREATE INDEX users_last_name ON users (last_name_lower);
CREATE INDEX users_manager ON users (manager_id);
CREATE UNIQUE INDEX users_source ON users (source_integration_id, source_id)
    WHERE source_integration_id IS NOT NULL AND source_id IS NOT NULL;

-- Every address and alias, normalized: one address belongs to one person.
CREATE TABLE user_emails (
    email TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id)
);
CREATE INDEX user_emails_user ON user_emails (user_id);

CREATE TABLE user_roles (
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL,
    PRIMARY KEY (user_id, role)
);
CREATE INDEX user_roles_role ON user_roles (role, user_id);

CREATE TABLE user_groups (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_lower TEXT NOT NULL,
    source_integration_id TEXT,
    source_id TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX groups_page ON user_groups (created_at, id);
CREATE INDEX groups_by_name ON user_groups (name_lower);
CREATE UNIQUE INDEX groups_name ON user_groups (name_lower) WHERE source_integration_id IS NULL;
CREATE UNIQUE INDEX groups_source ON user_groups (source_integration_id, source_id)
    WHERE source_integration_id IS NOT NULL AND source_id IS NOT NULL;

CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user ON group_members (user_id);

-- API tokens: a keyed hash of the secret only.
CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, created_at, id);
