-- Where was something said, typed, run or read? Case is ignored. A period makes it fast: days are partitions.
--     SET VARIABLE text = 'summary';  SET VARIABLE since = DATE '2026-01-01';
SELECT
    session_id,
    seq,
    time,
    kind,
    coalesce(tool_name, '') AS tool,
    CASE
        WHEN content ILIKE pattern THEN 'content'
        WHEN thinking ILIKE pattern THEN 'thinking'
        WHEN tool_input ILIKE pattern THEN 'tool_input'
        WHEN tool_output ILIKE pattern THEN 'tool_output'
        ELSE 'error'
    END AS found_in,
    left(replace(coalesce(content, thinking, tool_input, tool_output, error), chr(10), ' '), 120) AS text
FROM events, (SELECT '%' || coalesce(getvariable('text'), 'summary') || '%' AS pattern)
WHERE date >= coalesce(getvariable('since'), DATE '2000-01-01')
  AND (content ILIKE pattern OR thinking ILIKE pattern OR tool_input ILIKE pattern OR tool_output ILIKE pattern
       OR error ILIKE pattern)
ORDER BY time, session_id, seq;
