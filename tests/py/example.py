"""Runs example SQL files on a lake: example.py LAKE [NAME=SQL]... FILE... ; prints the last statement's rows as JSON.

NAME=SQL sets a variable before the files are read. `INSTALL` finds the extensions that pip installed, so that nothing is downloaded.
"""

import json
import sys
import tempfile

import duckdb

from lake import extension, quote
from query import plain


def main():
    lake, *files = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        connection = duckdb.connect(config={"extension_directory": folder})
        for name in ("delta", "httpfs"):
            connection.execute(f"INSTALL {quote(extension(name))}")
        connection.execute(f"SET VARIABLE lake = {quote(lake)}")
        for file in files:
            name, equals, value = file.partition("=")
            if equals:
                connection.execute(f"SET VARIABLE {name} = {value}")
                continue
            with open(file, encoding="utf-8") as sql:
                cursor = connection.execute(sql.read())
        names = [column[0] for column in cursor.description]
        json.dump([dict(zip(names, map(plain, row))) for row in cursor.fetchall()], sys.stdout)


if __name__ == "__main__":
    main()
