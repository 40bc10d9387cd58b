-- Second factors: the secret sealed, without a time of confirmation until a first code was right,
-- and the last time step whose code was used. A person has at most one of each kind.
CREATE TABLE second_factors (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    confirmed_at BIGINT,
    last_step BIGINT
);
CREATE UNIQUE INDEX second_factors_confirmed ON second_factors (user_id)
    WHERE confirmed_at IS NOT NULL;
CREATE UNIQUE INDEX second_factors_pending ON second_factors (user_id) WHERE confirmed_at IS NULL;

-- Codes that stand in for the second factor, once each: keyed hashes only.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id),
    code_hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, code_hash)
);

CREATE TABLE passwords (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
    password_hash TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Links that let a person set a password and sign in, once each.
CREATE TABLE sign_in_links (
    token_hash TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_in_links_user ON sign_in_links (user_id);
CREATE INDEX sign_in_links_end ON sign_in_links (expires_at);

-- Sessions of browsers: a keyed hash of the cookie only.
CREATE TABLE web_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    second_factor_at BIGINT
);
CREATE UNIQUE INDEX web_sessions_token ON web_sessions (token_hash);
CREATE INDEX web_sessions_user ON web_sessions (user_id);
CREATE INDEX web_sessions_end ON web_sessions (expires_at);

-- Which requests a step-up page named: its success covers these.
CREATE TABLE step_up_pages (
    id TEXT NOT NULL PRIMARY KEY,
    web_session_id TEXT NOT NULL REFERENCES web_sessions (id) ON DELETE CASCADE,
    request_ids TEXT NOT NULL,
    shown_at BIGINT NOT NULL
);
CREATE INDEX step_up_pages_session ON step_up_pages (web_session_id, shown_at);

-- How often somebody tried something within a window of time. What was tried is named by a keyed
-- hash: what people type into the field of an address may be a password.
CREATE TABLE attempts (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    window_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE INDEX attempts_window ON attempts (window_at);

-- When the second factor was given for a request.
ALTER TABLE requests ADD COLUMN second_factor_at BIGINT;
