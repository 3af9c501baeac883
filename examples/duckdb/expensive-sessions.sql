-- Sessions over a cost, with the prompts that people typed. Reads only `sessions`.
--     SET VARIABLE over_usd = 0.50;    -- default 0.02
SELECT
    session_id,
    start_time,
    coalesce(user_email, user_account_id, principal, user_id, '(unknown)') AS user,
    project,
    cost_usd,
    model_calls,
    tool_calls,
    list_transform(prompts, lambda p: left(p.text, 200)) AS prompts
FROM sessions
WHERE cost_usd > coalesce(getvariable('over_usd'), 0.02)
ORDER BY cost_usd DESC, session_id;
