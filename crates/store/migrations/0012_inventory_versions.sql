-- Counts the changes of each integration's inventory, so that what keeps a picture of it in memory
-- reads only what changed. A table of its own: whoever relies on an integration holds its row.
CREATE TABLE inventory_versions (
    integration_id TEXT NOT NULL PRIMARY KEY REFERENCES integrations (id) ON DELETE CASCADE,
    version BIGINT NOT NULL
);
ALTER TABLE resources ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
CREATE INDEX resources_version ON resources (integration_id, version);

-- What policy comes to is told without reading it.
CREATE INDEX access_flows_version ON access_flows (version, id);
