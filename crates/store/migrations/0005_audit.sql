-- The audit trail. Content and its hash are written with the change they tell about; the chainer
-- fills in sequence, previous_hash and chain_hash once, and nothing changes afterwards.
CREATE TABLE audit_records (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    -- The person in `actor`, for look-ups.
    user_id TEXT,
    action TEXT NOT NULL,
    object_type TEXT NOT NULL,
    object_id TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL,
    sequence BIGINT,
    previous_hash TEXT,
    chain_hash TEXT
);
CREATE UNIQUE INDEX audit_sequence ON audit_records (sequence);
CREATE INDEX audit_unlinked ON audit_records (at, id) WHERE sequence IS NULL;
CREATE INDEX audit_page ON audit_records (at, id);
CREATE INDEX audit_user ON audit_records (user_id, at, id);
CREATE INDEX audit_object ON audit_records (object_type, object_id, at, id);

-- Signed heads of the chain.
CREATE TABLE audit_heads (
    sequence BIGINT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL,
    signed_at BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    signature TEXT NOT NULL
);
