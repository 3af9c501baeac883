"""Asks a server over PostgreSQL's protocol, as JSON on stdin says: host, port, user, password, database, sslmode,
sslrootcert, and `statements`, each a text or [text, parameters]. `simple`: by the simple protocol. Prints for each
{"columns": [[name, type]], "rows": [...]} or {"error": SQLSTATE, "message": ...}; {"login": SQLSTATE} when there is none."""

import json
import sys

import psycopg

request = json.load(sys.stdin)
statements = request.pop("statements")
simple = request.pop("simple", False)
database = request.pop("database", "default")


def connect():
    return psycopg.connect(dbname=database, connect_timeout=20, autocommit=True, **request)


def name_of(oid):
    known = psycopg.adapters.types.get(oid)
    return known.name if known else str(oid)


def ask(connection, statement):
    text, parameters = statement if isinstance(statement, list) else (statement, None)
    cursor = psycopg.ClientCursor(connection) if simple else connection.cursor()
    # Only `prepare` makes psycopg send Parse for a statement without parameters.
    more = {} if simple else {"prepare": True}
    try:
        cursor.execute(text, parameters, **more)
        if cursor.description is None:
            return {"columns": [], "rows": [], "status": cursor.statusmessage}
        columns = [[column.name, name_of(column.type_code)] for column in cursor.description]
        return {"columns": columns, "rows": cursor.fetchall()}
    except psycopg.Error as error:
        return {"error": error.sqlstate, "message": str(error)}


try:
    with connect() as connection:
        answers = []
        for statement in statements:
            if connection.closed:
                connection = connect()
            answers.append(ask(connection, statement))
        print(json.dumps(answers, default=str))
except psycopg.OperationalError as error:
    print(json.dumps({"login": error.sqlstate, "message": str(error)}))
