-- The ledger on PostgreSQL, with two accounts: one owns the tables and brings them up to date after an update of the worker, the other
-- works at night and can change rows, but no table. Run by an administrator, with psql. Choose passwords; put only that of retention_worker
-- into RETENTION_LEDGER of what runs by itself. After every update run `retention status` once with the owner's address.

-- 1. The accounts and the database.
CREATE ROLE retention_owner LOGIN;
CREATE ROLE retention_worker LOGIN;
-- \password retention_owner
-- \password retention_worker
CREATE DATABASE retention_ledger OWNER retention_owner;
-- Then, with the owner's address in RETENTION_LEDGER: retention status   (makes the tables)

-- 2. The rights, in that database and as its owner.
REVOKE ALL ON DATABASE retention_ledger FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE retention_ledger TO retention_worker;
GRANT USAGE ON SCHEMA public TO retention_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO retention_worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO retention_worker;
-- What the owner makes at the next update is the worker's to use, too.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO retention_worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO retention_worker;
