-- What did each user's sessions cost per day? A session counts on the UTC day of its start.
-- `cost_usd` is what the client reported per API request; it is NULL, not 0, where nothing was reported.
SELECT
    date AS day,
    coalesce(user_email, user_account_id, principal, user_id, '(unknown)') AS user,
    count(*) AS sessions,
    sum(model_calls)::BIGINT AS model_calls,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(cost_usd) AS cost_usd,
    count(*) FILTER (cost_usd IS NULL) AS sessions_without_cost
FROM sessions
GROUP BY ALL
ORDER BY day DESC, cost_usd DESC NULLS LAST, user;
