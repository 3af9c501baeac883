"""Prepares a statement as the token `reader` of the workspace acme, revokes the token, and asks again until it is refused:
revoked.py PORT TOKEN BINARY DATA_DIR. Prints the SQLSTATE of the refusal."""

import subprocess
import sys
import time

import psycopg

PORT, TOKEN, BINARY, DATA_DIR = sys.argv[1:]


def connect():
    """A token is in force a moment after it was made."""
    until = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(host="127.0.0.1", port=PORT, dbname="acme", user="reader", password=TOKEN, autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


with connect() as connection:
    ask = lambda: connection.execute("SELECT count(*) FROM events WHERE content > %s", ["a"], prepare=True).fetchone()
    assert ask() == (0,) and ask() == (0,)
    subprocess.run([BINARY, "token", "revoke", "reader", "--data-dir", DATA_DIR], check=True, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    try:
        while time.monotonic() < until:
            ask()
            time.sleep(0.05)
        print("still answered")
    except psycopg.Error as error:
        print(error.sqlstate)
