-- Whether an Admin filed it so that policy looks at the grantee as if they had asked.
ALTER TABLE requests ADD COLUMN asked_as_grantee BOOLEAN NOT NULL DEFAULT FALSE;
