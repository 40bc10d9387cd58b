-- Uses of flows for emergencies, and what was found when each was looked at afterwards. Without a
-- finding it waits for somebody to look.
CREATE TABLE emergencies (
    request_id TEXT NOT NULL PRIMARY KEY REFERENCES requests (id),
    began_at BIGINT NOT NULL,
    finding TEXT,
    note TEXT,
    reviewer_id TEXT REFERENCES users (id),
    reviewed_at BIGINT
);
CREATE INDEX emergencies_began ON emergencies (began_at, request_id);
CREATE INDEX emergencies_waiting ON emergencies (began_at, request_id) WHERE finding IS NULL;
