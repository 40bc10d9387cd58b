-- Work for connectors. A finished task has no row.
CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY,
    -- Kind and session (or integration): one open task each.
    open_key TEXT NOT NULL,
    integration_id TEXT NOT NULL,
    connector_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    session_id TEXT,
    priority BIGINT NOT NULL,
    due BIGINT NOT NULL,
    -- 'queued' or 'leased'.
    state TEXT NOT NULL,
    -- When it can be taken: when it is due, or when its lease runs out.
    ready_at BIGINT NOT NULL,
    lease BIGINT NOT NULL,
    holder TEXT,
    attempts BIGINT NOT NULL,
    desired_version BIGINT,
    -- Asked for again while it was leased.
    again BOOLEAN NOT NULL,
    last_error TEXT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX tasks_open ON tasks (open_key);
CREATE INDEX tasks_ready ON tasks (connector_id, ready_at);
CREATE INDEX tasks_leased ON tasks (ready_at) WHERE state = 'leased';
CREATE INDEX tasks_integration ON tasks (integration_id);
CREATE INDEX tasks_holder ON tasks (holder) WHERE holder IS NOT NULL;

-- Timers and background work of the server. A finished job has no row.
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    dedupe_key TEXT,
    payload TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    -- 'queued' or 'claimed'.
    state TEXT NOT NULL,
    -- When it can be taken: when it is due, or when its claim runs out.
    ready_at BIGINT NOT NULL,
    lease BIGINT NOT NULL,
    owner TEXT,
    attempts BIGINT NOT NULL,
    -- Asked for again while it was claimed: when, and with what.
    again_at BIGINT,
    again_payload TEXT,
    last_error TEXT,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe_key);
CREATE INDEX jobs_ready ON jobs (ready_at, id);
CREATE INDEX jobs_claimed ON jobs (ready_at) WHERE state = 'claimed';
CREATE INDEX jobs_owner ON jobs (owner) WHERE owner IS NOT NULL;

-- Messages to be sent. A sent message has no row.
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    topic TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ready_at BIGINT NOT NULL,
    lease BIGINT NOT NULL,
    owner TEXT,
    attempts BIGINT NOT NULL,
    last_error TEXT
);
CREATE INDEX outbox_ready ON outbox (ready_at, id);
CREATE INDEX outbox_claimed ON outbox (ready_at) WHERE owner IS NOT NULL;

-- Work that one server at a time may do.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    until BIGINT NOT NULL
);
