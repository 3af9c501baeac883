-- One session, step by step, with its cost beside each reply.
--     SET VARIABLE session = '...';    -- without it: the session that started last
SET VARIABLE timeline_of = coalesce(getvariable('session'),
    (SELECT session_id FROM sessions WHERE getvariable('session') IS NULL AND prompt_count > 0
     ORDER BY start_time DESC LIMIT 1));
SELECT
    seq,
    strftime(time, '%H:%M:%S') AS at,
    repeat('  ', (agent_id IS NOT NULL)::INT) || kind AS what,
    coalesce(tool_name, skill, model, '') AS of,
    left(replace(coalesce(content, error, tool_input, ''), chr(10), ' '), 80) AS text,
    left(replace(coalesce(tool_output, ''), chr(10), ' '), 40) AS answer,
    success,
    cost_usd,
    sum(cost_usd) OVER (ORDER BY seq) AS cost_so_far,
    joined
FROM events
WHERE session_id = getvariable('timeline_of')
  AND kind NOT IN ('metric', 'span', 'other')
ORDER BY seq;
