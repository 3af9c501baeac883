"""Opens a sessionlake lake in DuckDB, with the extensions that pip installed (no download)."""

import importlib
import os
import duckdb

TABLES = ("facts", "events", "sessions")


def extension(name):
    """Path of an extension file inside its PyPI package."""
    package = importlib.import_module(f"duckdb_extension_{name}")
    root = os.path.dirname(package.__file__)
    for folder, _, files in os.walk(root):
        if f"{name}.duckdb_extension" in files:
            return os.path.join(folder, f"{name}.duckdb_extension")
    raise FileNotFoundError(f"{name}.duckdb_extension under {root}")


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def connect(s3=None):
    """A connection that can read Delta tables; `s3` holds endpoint, key, secret, region."""
    connection = duckdb.connect()
    connection.execute("SET autoinstall_known_extensions=false; SET TimeZone='UTC'")
    connection.execute(f"LOAD {quote(extension('delta'))}")
    if s3:
        connection.execute(f"LOAD {quote(extension('httpfs'))}")
        connection.execute(
            "CREATE SECRET lake (TYPE s3, KEY_ID {key}, SECRET {secret}, REGION {region}, ENDPOINT {endpoint}, "
            "URL_STYLE 'path', USE_SSL false)".format(**{k: quote(v) for k, v in s3.items()})
        )
    return connection


def mount(connection, lake, workspace="default"):
    """Creates a view for each table that exists; returns the names of those that do not."""
    missing = []
    for table in TABLES:
        url = quote(f"{lake}/{workspace}/{table}")
        try:
            connection.execute(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM delta_scan({url})")
        except duckdb.Error:
            missing.append(table)
    return missing
