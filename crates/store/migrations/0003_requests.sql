CREATE TABLE requests (
    id TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    requestor_id TEXT NOT NULL REFERENCES users (id),
    grantee_id TEXT NOT NULL REFERENCES users (id),
    -- Flows and bundles may be deleted; the request keeps what they said.
    flow_id TEXT NOT NULL,
    flow_version BIGINT NOT NULL,
    flow_policy TEXT NOT NULL,
    bundle_id TEXT,
    state TEXT NOT NULL,
    state_reason TEXT,
    justification TEXT,
    duration_sec BIGINT,
    duration_was_asked BOOLEAN NOT NULL,
    custom_fields TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    decided_at BIGINT,
    ends_at BIGINT,
    granted_at BIGINT,
    grant_deadline BIGINT,
    ended_at BIGINT,
    revoke_requested_at BIGINT,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX requests_number ON requests (number);
CREATE INDEX requests_page ON requests (created_at, id);
CREATE INDEX requests_requestor ON requests (requestor_id, created_at, id);
CREATE INDEX requests_grantee ON requests (grantee_id, created_at, id);
CREATE INDEX requests_flow ON requests (flow_id, state);
CREATE INDEX requests_state ON requests (state, created_at, id);

-- Entitlements of requests. From 'wanted' to 'ending' a row is a claim of its session.
CREATE TABLE request_units (
    id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL REFERENCES requests (id),
    position BIGINT NOT NULL,
    -- The request's creation time, so that pages need no join.
    created_at BIGINT NOT NULL,
    integration_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_source_id TEXT NOT NULL,
    resource_name TEXT NOT NULL,
    resource_path TEXT NOT NULL,
    resource_context TEXT NOT NULL,
    permission_id TEXT NOT NULL,
    permission TEXT NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    session_id TEXT,
    ends_at BIGINT
);
CREATE INDEX request_units_request ON request_units (request_id, position);
CREATE INDEX request_units_session ON request_units (session_id);
CREATE INDEX request_units_integration ON request_units (integration_id, state);
CREATE INDEX request_units_ends ON request_units (ends_at) WHERE state IN ('wanted', 'held');

CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    request_id TEXT NOT NULL REFERENCES requests (id),
    approver_id TEXT NOT NULL REFERENCES users (id),
    decision TEXT NOT NULL,
    reason TEXT,
    digest TEXT NOT NULL,
    forced BOOLEAN NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX approvals_request ON approvals (request_id, at, id);

-- One row per (grantee, integration): locked by whoever changes their sessions.
CREATE TABLE grantee_locks (
    integration_id TEXT NOT NULL,
    grantee_id TEXT NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (integration_id, grantee_id)
);

CREATE TABLE access_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    integration_id TEXT NOT NULL,
    grantee_id TEXT NOT NULL REFERENCES users (id),
    generation BIGINT NOT NULL,
    principal TEXT NOT NULL,
    state TEXT NOT NULL,
    fence BIGINT NOT NULL,
    desired_version BIGINT NOT NULL,
    applied_version BIGINT NOT NULL,
    credentials_status TEXT NOT NULL,
    can_reset_credentials BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE UNIQUE INDEX sessions_live ON access_sessions (integration_id, grantee_id)
    WHERE state = 'live';
CREATE INDEX sessions_page ON access_sessions (created_at, id);
CREATE INDEX sessions_grantee ON access_sessions (grantee_id, created_at, id);
CREATE INDEX sessions_integration ON access_sessions (integration_id, state);
CREATE INDEX sessions_principal ON access_sessions (integration_id, principal);

-- Generated credentials: sealed.
CREATE TABLE session_credentials (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES access_sessions (id),
    sealed TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- How to connect, without secrets.
CREATE TABLE session_details (
    session_id TEXT NOT NULL PRIMARY KEY REFERENCES access_sessions (id),
    details TEXT NOT NULL
);

CREATE TABLE receipts (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES access_sessions (id),
    request_id TEXT,
    task_id TEXT NOT NULL,
    receipt TEXT NOT NULL,
    fence BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX receipts_session ON receipts (session_id, at, id);
CREATE INDEX receipts_request ON receipts (request_id, at, id);
