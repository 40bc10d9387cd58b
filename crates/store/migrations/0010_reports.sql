-- Saved reports of activity.
CREATE TABLE activity_reports (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_lower TEXT NOT NULL,
    definition TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- When it goes out next; none without a schedule.
    next_run_at BIGINT
);
CREATE UNIQUE INDEX activity_reports_name ON activity_reports (name_lower);
CREATE INDEX activity_reports_page ON activity_reports (created_at, id);

-- Messages that could not be sent for so long that sending them was given up.
CREATE TABLE dead_letters (
    id TEXT NOT NULL PRIMARY KEY,
    topic TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    last_error TEXT NOT NULL,
    dead_at BIGINT NOT NULL
);
CREATE INDEX dead_letters_at ON dead_letters (dead_at);
