-- Values of identity attributes other than user and group, such as okta_city = Berlin. Never
-- deleted: conditions of access flows keep their ids.
CREATE TABLE attribute_values (
    id TEXT NOT NULL PRIMARY KEY,
    attribute_type TEXT NOT NULL,
    value TEXT NOT NULL,
    value_lower TEXT NOT NULL,
    -- The identity source that says so; NULL for what was set here.
    source_integration_id TEXT,
    source_id TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX attribute_values_page ON attribute_values (created_at, id);
CREATE INDEX attribute_values_text ON attribute_values (attribute_type, value_lower);
CREATE INDEX attribute_values_source ON attribute_values (source_id);

-- Who has which.
CREATE TABLE user_attributes (
    user_id TEXT NOT NULL REFERENCES users (id),
    value_id TEXT NOT NULL REFERENCES attribute_values (id),
    -- The value as it was sent for this person; may differ in letter case.
    text TEXT NOT NULL,
    PRIMARY KEY (user_id, value_id)
);
CREATE INDEX user_attributes_value ON user_attributes (value_id);
