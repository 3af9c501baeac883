"""Looks for markers in every byte below some directories: as they stand, and in what Parquet files hold.

Prints a JSON list of {file, marker}. Arguments: a JSON list of directories, a JSON list of markers.
"""

import json
import os
import re
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
    # One look for all of them: files are large, and markers many. The longest first, where one begins another.
    any_marker = "|".join(re.escape(marker) for marker in sorted(markers, key=len, reverse=True)) or "(?!)"
    in_text, in_bytes = re.compile(any_marker), re.compile(any_marker.encode())
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
                met = {marker.decode() for marker in in_bytes.findall(raw)}
                met.update(in_text.findall(text), in_text.findall(path))
                found.extend({"file": os.path.relpath(path, directory), "marker": marker} for marker in sorted(met))
    print(json.dumps(found))


main()
