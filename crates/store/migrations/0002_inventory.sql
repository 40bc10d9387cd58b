CREATE TABLE connectors (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    token_hash TEXT,
    created_at BIGINT NOT NULL,
    last_connected_at BIGINT,
    version TEXT NOT NULL,
    cloud_provider_type TEXT NOT NULL,
    -- The newest signed audit head that the connector has echoed.
    echoed_head TEXT
);
CREATE INDEX connectors_page ON connectors (created_at, id);

-- Processes of connectors, one row each.
CREATE TABLE connector_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    connector_id TEXT NOT NULL REFERENCES connectors (id) ON DELETE CASCADE,
    metadata TEXT NOT NULL,
    last_connected_at BIGINT NOT NULL,
    public_key TEXT NOT NULL
);
CREATE INDEX connector_sessions_live ON connector_sessions (connector_id, last_connected_at);

CREATE TABLE integrations (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_lower TEXT NOT NULL,
    integration_type TEXT NOT NULL,
    category TEXT NOT NULL,
    connector_id TEXT REFERENCES connectors (id),
    status TEXT NOT NULL,
    status_detail TEXT,
    config TEXT NOT NULL,
    secret_store TEXT,
    connected_resource_types TEXT,
    custom_access_details TEXT,
    owner TEXT,
    owners_mapping TEXT,
    last_sync_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX integrations_page ON integrations (created_at, id);
CREATE INDEX integrations_connector ON integrations (connector_id);
CREATE UNIQUE INDEX integrations_name ON integrations (name_lower);

-- Secrets that the server keeps: sealed.
CREATE TABLE integration_secrets (
    integration_id TEXT NOT NULL PRIMARY KEY REFERENCES integrations (id) ON DELETE CASCADE,
    sealed TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The discovery run that is under way in an integration.
CREATE TABLE sync_runs (
    integration_id TEXT NOT NULL PRIMARY KEY REFERENCES integrations (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    pages BIGINT NOT NULL,
    started_at BIGINT NOT NULL
);

CREATE TABLE resources (
    id TEXT NOT NULL PRIMARY KEY,
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    resource_type TEXT NOT NULL,
    source_id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_lower TEXT NOT NULL,
    path TEXT NOT NULL,
    tags TEXT NOT NULL,
    user_tags TEXT NOT NULL,
    context TEXT NOT NULL,
    status TEXT NOT NULL,
    risk TEXT,
    created_at BIGINT NOT NULL,
    -- The last discovery run that saw it.
    seen_run TEXT NOT NULL
);
CREATE INDEX resources_page ON resources (created_at, id);
CREATE INDEX resources_integration ON resources (integration_id, resource_type, created_at, id);
CREATE INDEX resources_source ON resources (source_id);
CREATE INDEX resources_name ON resources (name_lower);

CREATE TABLE permissions (
    id TEXT NOT NULL PRIMARY KEY,
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    resource_type TEXT NOT NULL,
    name TEXT NOT NULL,
    risk TEXT
);
CREATE INDEX permissions_integration ON permissions (integration_id, resource_type, name);

CREATE TABLE access_flows (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_lower TEXT NOT NULL,
    description TEXT,
    active BOOLEAN NOT NULL,
    policy TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT
);
CREATE INDEX access_flows_page ON access_flows (created_at, id);
CREATE UNIQUE INDEX access_flows_name ON access_flows (name_lower);

-- What each flow names, derived from its policy when it is written.
CREATE TABLE flow_references (
    flow_id TEXT NOT NULL REFERENCES access_flows (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    ref_id TEXT NOT NULL,
    PRIMARY KEY (flow_id, kind, ref_id)
);
CREATE INDEX flow_references_ref ON flow_references (kind, ref_id);
