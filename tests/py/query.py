"""Reads a lake for the Rust tests.

stdin, JSON: {"lake": path or s3 URL, "workspace": "default", "s3": {...}?, "until": "SELECT <bool>"?,
"timeout": seconds, "queries": [SQL, ...]}. Waits until `until` holds (a table that does not exist yet counts as
false), then prints one JSON list of rows per query. Exit code 3: it never held; stderr says what it saw.
"""

import decimal
import datetime
import json
import sys
import time

import duckdb

from lake import connect, mount


def plain(value):
    """A value as JSON keeps it: decimals and times as text, so that nothing is rounded."""
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def rows(connection, sql):
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, map(plain, row))) for row in cursor.fetchall()]


def wait(connection, request):
    deadline = time.monotonic() + request.get("timeout", 30)
    last = "nothing"
    while time.monotonic() < deadline:
        try:
            missing = mount(connection, request["lake"], request.get("workspace", "default"))
            row = connection.execute(request["until"]).fetchone()
            if row and row[0]:
                return
            last = f"{row} (missing tables: {missing})"
        except duckdb.Error as error:
            last = str(error)
        time.sleep(0.1)
    print(f"condition did not come true: {request['until']}\nlast: {last}", file=sys.stderr)
    for table in ("facts", "events", "sessions"):
        try:
            sql = f"SELECT session_id, count(*) n FROM {table} GROUP BY 1 ORDER BY 2 DESC LIMIT 5"
            print(f"{table}: {rows(connection, sql)}", file=sys.stderr)
        except duckdb.Error as error:
            print(f"{table}: {error}", file=sys.stderr)
    sys.exit(3)


def main():
    request = json.load(sys.stdin)
    connection = connect(request.get("s3"))
    if request.get("until"):
        wait(connection, request)
    mount(connection, request["lake"], request.get("workspace", "default"))
    json.dump([rows(connection, sql) for sql in request["queries"]], sys.stdout)


if __name__ == "__main__":
    main()
