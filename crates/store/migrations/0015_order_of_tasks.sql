-- The order in which the tasks of one integration go out.
CREATE INDEX tasks_order ON tasks (connector_id, integration_id, priority DESC, due, id);
