-- A later end that was asked for, until every target has it: of the request, and of each claim.
ALTER TABLE requests ADD COLUMN extending_to BIGINT;
ALTER TABLE request_units ADD COLUMN extends_to BIGINT;
