-- Which tools fail, how often, and with what? `success` is NULL where no source told how the call ended.
SELECT
    coalesce(mcp_server || '/' || coalesce(mcp_tool, tool_name), tool_name, '(unknown)') AS tool,
    count(*) AS calls,
    count(*) FILTER (success = false) AS failed,
    round(100.0 * count(*) FILTER (success = false) / count(*), 1) AS failed_percent,
    count(*) FILTER (success IS NULL) AS open,
    count(*) FILTER (decision = 'reject') AS rejected,
    median(duration_ms)::BIGINT AS median_ms,
    left(any_value(error) FILTER (success = false), 120) AS an_error
FROM events
WHERE kind = 'tool_call' AND NOT inherited
GROUP BY ALL
ORDER BY failed DESC, calls DESC, tool;
