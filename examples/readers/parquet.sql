-- Plain Parquet, without the delta extension: for a copy of the files, or a tool that has no Delta reader.
--
-- What to know: a directory holds more files than the table has. Files that were replaced stay for a day, and their rows
-- would be counted twice. So the list of files is taken from the log, by the rule that a file counts when the last entry
-- that names it adds it. This reads the log's entries alone: on a lake whose old entries were cleaned away behind a
-- checkpoint, use delta_scan.
SET VARIABLE lake = coalesce(getvariable('lake'), 'sessionlake-data/lake');
SET VARIABLE workspace = coalesce(getvariable('workspace'), 'default');
SET VARIABLE sessions = getvariable('lake') || '/' || getvariable('workspace') || '/sessions/';

SET VARIABLE files = (
    WITH entries AS (
        SELECT filename AS entry, coalesce(add.path, remove.path) AS path, add IS NOT NULL AS added
        FROM read_json(getvariable('sessions') || '_delta_log/*.json', format = 'newline_delimited', filename = true,
                       columns = {add: 'STRUCT(path VARCHAR)', remove: 'STRUCT(path VARCHAR)'})
        WHERE add IS NOT NULL OR remove IS NOT NULL
    )
    SELECT list(getvariable('sessions') || path) FROM (SELECT path FROM entries GROUP BY path HAVING arg_max(added, entry))
);

SELECT user_email, date, count(*) AS sessions, sum(cost_usd) AS cost_usd
FROM read_parquet(getvariable('files'), hive_partitioning = true, union_by_name = true)
GROUP BY ALL ORDER BY date, user_email;
