-- What is missing from the record? One row per gap.
-- sequence: numbers missing between those seen (telemetry lost); tool_without_result: the call never ended (a kill);
-- model_call_without_content: only the cost arrived; model_call_without_cost: only the content arrived;
-- silent_hook: telemetry came, but no hook spoke.
SELECT
    session_id,
    start_time,
    end_reason,
    list_transform(sources, lambda s: s::VARCHAR) AS sources,
    gap.kind AS gap,
    gap.detail AS detail
FROM (SELECT *, unnest(gaps) AS gap FROM sessions)
ORDER BY start_time DESC, session_id, gap, detail;
