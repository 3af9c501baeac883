-- Access to a lake on S3 or a compatible store. Read this first, then setup.sql.
--
--     SET VARIABLE lake = 's3://acme-sessions/prod';
--     SET VARIABLE s3_key_id = '...';  SET VARIABLE s3_secret = '...';  SET VARIABLE s3_region = 'eu-central-1';
--     .read examples/duckdb/setup-s3.sql
--     .read examples/duckdb/setup.sql
--
-- For a compatible store also: SET VARIABLE s3_endpoint = 'minio.example.com:9000';  SET VARIABLE s3_url_style = 'path';
-- and, without TLS, SET VARIABLE s3_use_ssl = false. With AWS's own credential chain (profiles, roles) use instead:
-- INSTALL aws; LOAD aws; CREATE SECRET sessionlake (TYPE s3, PROVIDER credential_chain);
INSTALL httpfs;
LOAD httpfs;

CREATE OR REPLACE SECRET sessionlake (
    TYPE s3,
    KEY_ID getvariable('s3_key_id'),
    SECRET getvariable('s3_secret'),
    REGION coalesce(getvariable('s3_region'), 'us-east-1'),
    ENDPOINT coalesce(getvariable('s3_endpoint'), 's3.amazonaws.com'),
    URL_STYLE coalesce(getvariable('s3_url_style'), 'vhost'),
    USE_SSL coalesce(getvariable('s3_use_ssl'), true)
);
