"""Times the queries of examples/duckdb on a lake, and on the same data written in one go by DuckDB itself.

    compare.py LAKE SCRATCH [--runs 5]

Prints each query's best time (the machine may be shared) on both, their ratio, and the sizes of the tables. A query of one
session is asked of SESSIONS of them, from the first id to the last, since how long a reader looks depends on where in a file
a session is: the time is the mean of their best ones. Expensive is the costliest hundredth. SCRATCH is a directory for
DuckDB's own files; those of an earlier call are used again.
"""

import argparse
import os
import pathlib
import tempfile
import time

import duckdb

from lake import extension, quote

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples" / "duckdb"
TABLES = {"facts": ("received_date", "session_id, time, fact_id"), "events": ("date", "session_id, seq"),
          "sessions": ("date", "session_id")}
SESSIONS = 8
BY_ID = "SELECT * FROM events WHERE session_id = getvariable('session') ORDER BY seq"


def connect(folder, lake):
    connection = duckdb.connect(config={"extension_directory": folder, "threads": 2})
    connection.execute(f"INSTALL {quote(extension('delta'))}")
    connection.execute(f"SET VARIABLE lake = {quote(lake)}")
    connection.execute((EXAMPLES / "setup.sql").read_text())
    return connection


def write(connection, scratch):
    for table, (partition, order) in TABLES.items():
        target = scratch / table
        if not target.exists():
            connection.execute(
                f"COPY (FROM {table} ORDER BY {partition}, {order}) TO {quote(str(target))} (FORMAT parquet, COMPRESSION zstd, "
                f"COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 16000, PARTITION_BY ({partition}), WRITE_PARTITION_COLUMNS false)")


def queries():
    """Names, statements, and whether they are about one session."""
    for file in sorted(EXAMPLES.glob("*.sql")):
        if not file.name.startswith("setup"):
            sql = file.read_text()
            yield file.name, sql, "getvariable('session')" in sql
    yield "one session by id", BY_ID, True


def some_sessions(connection):
    ids = "SELECT session_id, ntile(?) OVER (ORDER BY session_id) AS part FROM sessions"
    return [row[0] for row in connection.execute(f"SELECT min(session_id) FROM ({ids}) GROUP BY part", [SESSIONS]).fetchall()]


def best(connection, sql, runs):
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        connection.execute(sql).fetchall()
        times.append(time.perf_counter() - started)
    return min(times)


def best_of_sessions(connection, sql, runs, sessions):
    times = []
    for session in sessions:
        connection.execute(f"SET VARIABLE session = {quote(session)}")
        times.append(best(connection, sql, runs))
    return sum(times) / len(times)


def size(folder, names=None):
    files = pathlib.Path(folder).rglob("*.parquet")
    return sum(f.stat().st_size for f in files if names is None or f.name in names)


def live(connection, lake, table):
    """Names of the files that count: those that were replaced stay for a day."""
    listed = connection.execute(f"SELECT DISTINCT filename FROM delta_scan({quote(f'{lake}/default/{table}')}, filename = true)")
    return {os.path.basename(row[0]) for row in listed.fetchall()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lake")
    parser.add_argument("scratch", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = connect(folder, options.lake), connect(folder, options.lake)
        write(theirs, options.scratch)
        for table in TABLES:
            theirs.execute(f"CREATE OR REPLACE VIEW {table} AS FROM read_parquet("
                           f"{quote(str(options.scratch / table / '**' / '*.parquet'))}, hive_partitioning = true)")
        for table in TABLES:
            names = live(ours, options.lake, table)
            a, b = size(f"{options.lake}/default/{table}", names), size(options.scratch / table)
            print(f"{table:<28} {len(names):>6} files {a / 2**20:>9.1f} MiB, DuckDB's {b / 2**20:>9.1f} MiB, ratio {a / b:.2f}")
        sessions = some_sessions(ours)
        over = ours.execute("SELECT round(quantile_cont(cost_usd, 0.99), 2) FROM sessions").fetchone()[0]
        for connection in (ours, theirs):
            connection.execute(f"SET VARIABLE over_usd = {over}; SET VARIABLE text = 'parse'")
        for name, sql, of_session in queries():
            a, b = (best_of_sessions(connection, sql, options.runs, sessions if of_session else sessions[:1])
                    for connection in (ours, theirs))
            print(f"{name:<28} {a * 1000:>8.1f} ms, DuckDB's {b * 1000:>8.1f} ms, ratio {a / b:.2f}")


if __name__ == "__main__":
    main()
