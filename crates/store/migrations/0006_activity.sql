-- How each request began: SELF_SERVE or AUTOMATIC. Until now nothing was automatic.
ALTER TABLE requests ADD COLUMN trigger_type TEXT NOT NULL DEFAULT 'SELF_SERVE';

-- How often a running grant was prolonged.
ALTER TABLE requests ADD COLUMN extension_count BIGINT NOT NULL DEFAULT 0;

-- Every filter on activity is answered in the order of lists by one of these.
CREATE INDEX requests_activity_flow ON requests (flow_id, created_at, id);
CREATE INDEX requests_activity_trigger ON requests (trigger_type, created_at, id);
CREATE INDEX request_units_activity_integration
    ON request_units (integration_id, created_at, request_id);
CREATE INDEX request_units_activity_type ON request_units (resource_type, created_at, request_id);
CREATE INDEX request_units_activity_resource ON request_units (resource_id, created_at, request_id);
CREATE INDEX request_units_activity_name ON request_units (resource_name, created_at, request_id);
CREATE INDEX request_units_activity_permission ON request_units (permission, created_at, request_id);
CREATE INDEX users_source_id ON users (source_id) WHERE source_id IS NOT NULL;

-- What deleted things were called, for the history that still names them. Ids are never reused.
CREATE TABLE former_names (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL
);
