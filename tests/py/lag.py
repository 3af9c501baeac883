"""How long after a commit to the lake a server's SQL shows it: lag.py SQL_PORT HTTP_PORT LAKE [COMMITS]

Sends to the HTTP port of another process on the same lake (a directory), finds the commit that holds the rows, by the time of
its log entry, and asks until the rows are there. Prints median and maximum in seconds; the asking is part of them."""

import http.client
import json
import pathlib
import statistics
import sys
import time

import psycopg
import pyarrow.parquet as pq

SQL, HTTP, LAKE = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3]) / "default"
COMMITS = int(sys.argv[4]) if len(sys.argv) > 4 else 50
DEADLINE = 120


def post(hook):
    connection = http.client.HTTPConnection("127.0.0.1", HTTP, timeout=30)
    connection.request("POST", "/v1/hooks", json.dumps(hook), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    if reply.status // 100 != 2:
        sys.exit(f"{reply.status}: {reply.read()}")


def holds(path, session, **wanted):
    """Whether a data file has rows of the session with those values."""
    table = pq.read_table(path, columns=["session_id", *wanted], partitioning=None)
    rows = table.to_pylist()
    return any(row["session_id"] == session and all(row[name] == value for name, value in wanted.items()) for row in rows)


def commit_of(table, after, session, **wanted):
    """The time of the first commit behind `after` with such a row."""
    seen, until = set(), time.monotonic() + DEADLINE
    while time.monotonic() < until:
        for entry in sorted((LAKE / table / "_delta_log").glob("*.json")):
            if entry.name in seen or entry.stat().st_mtime < after - 1:
                continue
            seen.add(entry.name)
            actions = [json.loads(line) for line in entry.read_text().splitlines()]
            for added in (action["add"] for action in actions if "add" in action):
                path = LAKE / table / added["path"].replace("%3D", "=")
                if path.exists() and holds(path, session, **wanted):
                    return entry.stat().st_mtime
        time.sleep(0.002)
    sys.exit(f"no commit to {table} has {session} {wanted}")


def shown(connection, statement, session):
    """The time at which it is there; when it already was, the time of the first look."""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        if connection.execute(statement, [session]).fetchone()[0]:
            return time.time()
        time.sleep(0.005)
    sys.exit(f"{session} is not shown: {statement}")


def main():
    lags = {"live_events": [], "events": [], "sessions": []}
    with psycopg.connect(host="127.0.0.1", port=SQL, dbname="default", user="anyone", autocommit=True) as connection:
        for n in range(COMMITS):
            session, common = f"lag-{n}", {"session_id": f"lag-{n}", "cwd": "/home/dev/project"}
            began = time.time()
            post({**common, "hook_event_name": "UserPromptSubmit", "prompt": f"prompt {n}"})
            stored = commit_of("facts", began, session)
            seen = shown(connection, "SELECT count(*) FROM live_events WHERE session_id = %s", session)
            lags["live_events"].append(max(0.0, seen - stored))
            began = time.time()
            post({**common, "hook_event_name": "SessionEnd", "reason": "other"})
            stored = commit_of("sessions", began, session, status="ended")
            seen = shown(connection, "SELECT count(*) FROM sessions WHERE session_id = %s AND status = 'ended'", session)
            lags["sessions"].append(max(0.0, seen - stored))
            stored = commit_of("events", began, session, kind="session_end")
            seen = shown(connection, "SELECT count(*) FROM events WHERE session_id = %s AND kind = 'session_end'", session)
            lags["events"].append(max(0.0, seen - stored))
    print(json.dumps({table: {"commits": len(all_), "median_s": round(statistics.median(all_), 3),
                              "max_s": round(max(all_), 3)} for table, all_ in lags.items()}))


main()
