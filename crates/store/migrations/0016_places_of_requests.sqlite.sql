-- A person's list is answered from this index alone. The rows of one person lie far apart in the
-- table, and each would cost a page of the file.
DROP INDEX IF EXISTS requests_grantee;
CREATE INDEX requests_listed ON requests (grantee_id, created_at, id, requestor_id, bundle_id,
    state, justification, duration_sec, custom_fields, ended_at, places);
