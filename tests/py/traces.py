"""Looks for markers in every byte below some directories: as they stand, and in what Parquet files hold.

Prints a JSON list of {file, marker}. Arguments: a JSON list of directories, a JSON list of markers.
"""

import json
import os
import sys

import duckdb


def texts(path):
    """A Parquet file's rows as text; a file that is gone meanwhile, or is none, holds nothing."""
    try:
        cursor = duckdb.connect().execute("select * from read_parquet(?, hive_partitioning = false)", [path])
        return "\n".join(repr(row) for row in cursor.fetchall())
    except duckdb.Error:
        return ""


def main():
    directories, markers = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    found = []
    for directory in directories:
        for folder, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    with open(path, "rb") as file:
                        raw = file.read()
                except FileNotFoundError:
                    continue
                text = texts(path) if raw[:4] == b"PAR1" else ""
                for marker in markers:
                    if marker.encode() in raw or marker in text or marker in path:
                        found.append({"file": os.path.relpath(path, directory), "marker": marker})
    print(json.dumps(found))


main()
