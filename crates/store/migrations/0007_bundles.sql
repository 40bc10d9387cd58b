-- Named queries over the inventory.
CREATE TABLE access_scopes (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_lower TEXT NOT NULL,
    description TEXT,
    query TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX access_scopes_page ON access_scopes (created_at, id);
CREATE UNIQUE INDEX access_scopes_name ON access_scopes (name_lower);

-- Named sets of targets.
CREATE TABLE bundles (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_lower TEXT NOT NULL,
    targets TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX bundles_page ON bundles (created_at, id);
CREATE UNIQUE INDEX bundles_name ON bundles (name_lower);

-- What each bundle names, derived from its targets when it is written.
CREATE TABLE bundle_references (
    bundle_id TEXT NOT NULL REFERENCES bundles (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    ref_id TEXT NOT NULL,
    PRIMARY KEY (bundle_id, kind, ref_id)
);
CREATE INDEX bundle_references_ref ON bundle_references (kind, ref_id);
