-- What came of asking programs like approvers. A decision that is null is none.
CREATE TABLE program_answers (
    request_id TEXT NOT NULL REFERENCES requests (id),
    url TEXT NOT NULL,
    decision TEXT,
    reason TEXT,
    digest TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (request_id, url)
);
