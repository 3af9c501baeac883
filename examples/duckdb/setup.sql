-- Opens a lake: three views, `facts`, `events` and `sessions`.
--
--     duckdb -init examples/duckdb/setup.sql
--     D .read examples/duckdb/cost-by-user-and-day.sql
--
-- Another lake: SET VARIABLE lake = '/path/to/lake' (or 's3://bucket/prefix', see setup-s3.sql) before or after; the
-- views follow the variable. Every query reads the newest version of the tables.
INSTALL delta;
LOAD delta;

SET VARIABLE lake = coalesce(getvariable('lake'), 'sessionlake-data/lake');
SET VARIABLE workspace = coalesce(getvariable('workspace'), 'default');

CREATE OR REPLACE VIEW facts AS
    FROM delta_scan(getvariable('lake') || '/' || getvariable('workspace') || '/facts');
CREATE OR REPLACE VIEW events AS
    FROM delta_scan(getvariable('lake') || '/' || getvariable('workspace') || '/events');
CREATE OR REPLACE VIEW sessions AS
    FROM delta_scan(getvariable('lake') || '/' || getvariable('workspace') || '/sessions');
