-- The three logins of a journal on a ClickHouse server of your own, each with what it needs and no more:
--   violet_migrator  makes and changes the tables: `violet migrate`, and `violet heal` where a part is damaged
--   violet_writer    soaks, replays, imports, `violet end`: reads and inserts; drops aged inputs (`--keep-inputs`)
--   violet_reader    people, dashboards, `violet web`, `violet status`: reads, within bounds, and changes nothing
--
-- Give it to an administrator, with the SHA-256 of each password in the place of its mark:
--   export MIGRATOR_SHA256=$(printf %s "$PASSWORD" | sha256sum | cut -d ' ' -f 1)    # and WRITER_SHA256, READER_SHA256
--   envsubst < deploy/clickhouse/users.sql | clickhouse-client --user admin --password --multiquery
-- The journal lies in the database `violet`. The tables must be there before a writer comes: `violet migrate` first.
--
-- What was tried: tests/integration/test_rights.py gives each role's grants to the login of the embedded engine, which is
-- ClickHouse's, and runs migrations, a soak with retention, and queries under them, and what each must be denied. The embedded
-- engine keeps no users, so CREATE USER, CREATE ROLE, profile and quota are parsed by it and were not run. The reader's
-- settings are those of deploy/clickhouse/users.d/violet.xml. No server and no cluster was asked.

CREATE DATABASE IF NOT EXISTS violet;

CREATE ROLE IF NOT EXISTS violet_migrator_role;
GRANT SELECT, INSERT, CREATE TABLE, CREATE VIEW, DROP VIEW, ALTER TABLE, ALTER VIEW, OPTIMIZE, CHECK ON violet.* TO violet_migrator_role;
GRANT SELECT ON system.* TO violet_migrator_role;
GRANT BACKUP ON violet.* TO violet_migrator_role;

CREATE ROLE IF NOT EXISTS violet_writer_role;
GRANT SELECT, INSERT ON violet.* TO violet_writer_role;
GRANT ALTER DELETE ON violet.violet_planes TO violet_writer_role;
GRANT ALTER UPDATE ON violet.violet_rejects TO violet_writer_role;
GRANT SELECT ON system.parts TO violet_writer_role;
GRANT SELECT ON system.detached_parts TO violet_writer_role;
GRANT SELECT ON system.mutations TO violet_writer_role;
GRANT SELECT ON system.tables TO violet_writer_role;
GRANT SELECT ON system.columns TO violet_writer_role;
GRANT SELECT ON system.settings TO violet_writer_role;

CREATE ROLE IF NOT EXISTS violet_reader_role;
GRANT SELECT ON violet.* TO violet_reader_role;
GRANT SELECT ON system.parts TO violet_reader_role;
GRANT SELECT ON system.detached_parts TO violet_reader_role;
GRANT SELECT ON system.tables TO violet_reader_role;
GRANT SELECT ON system.columns TO violet_reader_role;
GRANT SELECT ON system.settings TO violet_reader_role;

CREATE SETTINGS PROFILE IF NOT EXISTS violet_writer_profile SETTINGS async_insert = 0 CONST;
CREATE SETTINGS PROFILE IF NOT EXISTS violet_reader_profile SETTINGS
    readonly = 1, allow_ddl = 0, max_result_rows = 100000, result_overflow_mode = 'throw', max_memory_usage = 4000000000,
    max_execution_time = 30 MIN 1 MAX 60 CHANGEABLE_IN_READONLY;
CREATE QUOTA IF NOT EXISTS violet_reader_quota FOR INTERVAL 1 hour MAX queries = 20000, execution_time = 3600 TO violet_reader_role;

CREATE USER IF NOT EXISTS violet_migrator IDENTIFIED WITH sha256_hash BY '${MIGRATOR_SHA256}' DEFAULT DATABASE violet;
CREATE USER IF NOT EXISTS violet_writer IDENTIFIED WITH sha256_hash BY '${WRITER_SHA256}' DEFAULT DATABASE violet SETTINGS PROFILE 'violet_writer_profile';
CREATE USER IF NOT EXISTS violet_reader IDENTIFIED WITH sha256_hash BY '${READER_SHA256}' DEFAULT DATABASE violet SETTINGS PROFILE 'violet_reader_profile';
GRANT violet_migrator_role TO violet_migrator;
GRANT violet_writer_role TO violet_writer;
GRANT violet_reader_role TO violet_reader;
