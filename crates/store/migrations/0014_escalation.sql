-- When each tier of approvers was told: a JSON list of instants.
ALTER TABLE requests ADD COLUMN escalations TEXT NOT NULL DEFAULT '[]';
