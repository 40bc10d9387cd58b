-- Groups within groups: whoever is in the child is in the group as well.
CREATE TABLE group_nesting (
    group_id TEXT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    child_id TEXT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, child_id)
);
CREATE INDEX group_nesting_child ON group_nesting (child_id);
-- Whoever nests groups takes this row first: two who do so at once could close a circle that
-- neither of them sees.
INSERT INTO counters (name, value) VALUES ('group_nesting', 0);
