"""Times SQL over PostgreSQL's protocol against DuckDB on the same files, one after the other in each round.

    speed.py LAKE PORT [--runs 7] [--database default]

LAKE is what the server on PORT (without auth) has open. Prints each question's best time on both and their ratio. DuckDB
has as many threads as the machine has cores, and reads the tables with delta_scan.
"""

import argparse
import time

import psycopg

from lake import connect, mount

QUESTIONS = {
    "cost by user and day": """SELECT date, user_email, count(*) AS sessions, sum(cost_usd) AS cost, sum(input_tokens) AS tokens
        FROM sessions GROUP BY date, user_email ORDER BY date, user_email""",
    "tools by error": """SELECT tool_name, count(*) AS calls, sum(CASE WHEN success THEN 0 ELSE 1 END) AS failed, avg(duration_ms) AS ms
        FROM events WHERE kind = 'tool_call' GROUP BY tool_name ORDER BY failed DESC, tool_name""",
    "one session by id": "SELECT seq, time, kind, tool_name, content, cost_usd FROM events WHERE session_id = '{session}' ORDER BY seq",
    "sessions over a cost": """SELECT session_id, start_time, user_email, cost_usd, prompts FROM sessions
        WHERE cost_usd > {cost} ORDER BY cost_usd DESC, session_id""",
    "text in tool output": """SELECT session_id, seq, tool_name FROM events WHERE tool_output LIKE '%{text}%'
        ORDER BY session_id, seq""",
}


def timed(ask):
    started = time.perf_counter()
    rows = ask()
    return time.perf_counter() - started, rows


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("lake")
    arguments.add_argument("port", type=int)
    arguments.add_argument("--runs", type=int, default=7)
    arguments.add_argument("--database", default="default")
    options = arguments.parse_args()
    duck = connect()
    mount(duck, options.lake, options.database)
    server = psycopg.connect(host="127.0.0.1", port=options.port, dbname=options.database, user="speed", autocommit=True)
    session, cost = duck.execute(
        "SELECT session_id, (SELECT quantile_cont(cost_usd, 0.99) FROM sessions) FROM sessions ORDER BY session_id "
        "LIMIT 1 OFFSET (SELECT count(*) // 2 FROM sessions)").fetchone()
    text = duck.execute("SELECT substr(tool_output, 1, 12) FROM events WHERE length(tool_output) > 40 LIMIT 1").fetchone()[0]
    words = {"session": session, "cost": cost, "text": text.replace("'", "").replace("%", "")}
    print(f"{'question':24}{'rows':>9}{'DuckDB ms':>12}{'server ms':>12}{'ratio':>8}")
    for name, question in QUESTIONS.items():
        sql = question.format(**words)
        duck_s, server_s = [], []
        for _ in range(options.runs):
            seconds, expected = timed(lambda: duck.execute(sql).fetchall())
            duck_s.append(seconds)
            seconds, rows = timed(lambda: server.execute(sql).fetchall())
            server_s.append(seconds)
            assert len(rows) == len(expected), f"{name}: {len(expected)} rows from DuckDB, {len(rows)} from the server"
        best = min(duck_s), min(server_s)
        print(f"{name:24}{len(rows):>9}{best[0] * 1e3:>12.1f}{best[1] * 1e3:>12.1f}{best[1] / best[0]:>8.2f}")


main()
