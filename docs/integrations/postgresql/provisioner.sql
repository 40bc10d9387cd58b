-- Makes the roles with which Latchkey manages access to this PostgreSQL cluster, with as few
-- rights as the work takes: CREATEROLE, membership of the owners of what it manages, and no
-- SUPERUSER. README.md beside this file explains each step.
--
-- Run it as a superuser, once in EVERY database that Latchkey is to manage, and again when a
-- new owner or schema appears. Running it twice changes nothing.
--
-- Edit these three lines first.
SET latchkey.login = 'latchkey_connector';
SET latchkey.password = 'change-me';
SET latchkey.owners = '';  -- owners to manage, separated by commas; '' for all but superusers

DO $provisioner$
DECLARE
  modern boolean := current_setting('server_version_num')::int >= 160000;
  login text := current_setting('latchkey.login');
  password text := current_setting('latchkey.password');
  wanted text[] := array_remove(
    regexp_split_to_array(trim(current_setting('latchkey.owners')), '\s*,\s*'), '');
  item record;
BEGIN
  PERFORM set_config('search_path', 'pg_catalog, pg_temp', true);
  IF password = 'change-me' THEN
    RAISE EXCEPTION 'edit the line SET latchkey.password first';
  END IF;

  -- 1. The role that does the work. Nobody logs in as it.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'latchkey_provisioner') THEN
    CREATE ROLE latchkey_provisioner NOLOGIN CREATEROLE;
  END IF;

  -- 2. The login that becomes it. Make a second one and drop the first to rotate it.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
    EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT PASSWORD %L', login, password);
  END IF;
  IF modern THEN
    EXECUTE format('GRANT latchkey_provisioner TO %I WITH INHERIT FALSE, SET TRUE', login);
  ELSE
    EXECUTE format('GRANT latchkey_provisioner TO %I', login);
  END IF;

  -- 3. This database: the login connects, the provisioner passes the right to connect on.
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO latchkey_provisioner WITH GRANT OPTION',
                 current_database());

  -- 4. Owners: as their member the provisioner passes rights on their objects on.
  FOR item IN
    SELECT DISTINCT r.rolname FROM pg_roles r
    WHERE NOT r.rolsuper AND r.rolname <> 'latchkey_provisioner' AND r.rolname <> login
      AND NOT starts_with(r.rolname::text, 'pg_') AND NOT starts_with(r.rolname::text, 'lk_')
      AND (cardinality(wanted) = 0 OR r.rolname = ANY (wanted))
      AND (r.oid IN (SELECT relowner FROM pg_class)
           OR r.oid IN (SELECT nspowner FROM pg_namespace)
           OR r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database()))
  LOOP
    IF modern THEN
      EXECUTE format('GRANT %I TO latchkey_provisioner WITH INHERIT TRUE, SET FALSE',
                     item.rolname);
    ELSE
      EXECUTE format('GRANT %I TO latchkey_provisioner', item.rolname);
    END IF;
  END LOOP;

  -- 5. Schemas and objects of superusers: membership of a superuser would be too much, so the
  --    rights themselves are given, to be passed on.
  FOR item IN
    SELECT n.oid, n.nspname FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
    WHERE (r.rolsuper OR r.rolname = 'pg_database_owner')
      AND NOT starts_with(n.nspname::text, 'pg_') AND n.nspname <> 'information_schema'
  LOOP
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO latchkey_provisioner WITH GRANT OPTION',
                   item.nspname);
  END LOOP;
  FOR item IN
    SELECT n.nspname, c.relname, c.relkind FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
    WHERE r.rolsuper AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT starts_with(n.nspname::text, 'pg_') AND n.nspname <> 'information_schema'
  LOOP
    IF item.relkind = 'S' THEN
      EXECUTE format('GRANT SELECT, USAGE ON SEQUENCE %I.%I TO latchkey_provisioner '
                     'WITH GRANT OPTION', item.nspname, item.relname);
    ELSE
      EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLE %I.%I '
                     'TO latchkey_provisioner WITH GRANT OPTION', item.nspname, item.relname);
    END IF;
  END LOOP;
END
$provisioner$;

RESET latchkey.password;
