"""Runs every query of the dashboards in examples/grafana against a server, as Grafana's PostgreSQL data source would: the
macros expanded as its Go code does, by the simple and the extended protocol. Arguments: port, database, user, password.
Prints {"queries": n, "empty": [...], "wrong": [...], "cost": [dashboard's, table's], "columns": {panel: [[name, type]]}}."""

import json
import pathlib
import re
import sys

import psycopg

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "examples/grafana/dashboards"
PORT, DATABASE, USER, PASSWORD = sys.argv[1:5]
FROM, TO = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
EPOCH = (1577836800, 4070908800)
# What the data source makes numbers, texts, times and truths of (sqleng's converters, and the driver's own).
KNOWN = {"int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bool", "timestamptz", "timestamp", "date"}
NUMBERS = {"int2", "int4", "int8", "float4", "float8", "numeric"}
TIMES = {"timestamptz", "timestamp", "float8"}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def interval(text):
    text = text.strip().strip("'\"")
    if text == "$__interval":
        return 3600
    number, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()
    return int(number) * SECONDS[unit]


def group(arguments):
    column, width = [part.strip() for part in arguments.split(",")][:2]
    seconds = interval(width)
    return f"floor(extract(epoch from {column})/{seconds})*{seconds}"


# As in pkg/tsdb/grafana-postgresql-datasource/macros.go, without TimescaleDB.
MACROS = {
    "__timeFilter": lambda a: f"{a} BETWEEN '{FROM}' AND '{TO}'",
    "__timeFrom": lambda a: f"'{FROM}'",
    "__timeTo": lambda a: f"'{TO}'",
    "__timeGroup": group,
    "__timeGroupAlias": lambda a: group(a) + ' AS "time"',
    "__time": lambda a: f'{a} AS "time"',
    "__timeEpoch": lambda a: f'extract(epoch from {a}) as "time"',
    "__unixEpochFilter": lambda a: f"{a} >= {EPOCH[0]} AND {a} <= {EPOCH[1]}",
    "__unixEpochFrom": lambda a: str(EPOCH[0]),
    "__unixEpochTo": lambda a: str(EPOCH[1]),
    "__unixEpochGroup": lambda a: f"floor(({a.split(',')[0]})/{interval(a.split(',')[1])})*{interval(a.split(',')[1])}",
}


def expand(sql, variables):
    def variable(match):
        name, how = match.group(1), match.group(2)
        values = variables[name]
        if how == "sqlstring":
            return ",".join("'" + value.replace("'", "''") + "'" for value in values)
        return values[0]

    sql = re.sub(r"\$\{(\w+)(?::(\w+))?\}", variable, sql)
    return re.sub(r"\$(__\w+)\(([^()]*)\)", lambda m: MACROS[m.group(1)](m.group(2)), sql)


def run(connection, sql, simple):
    cursor = psycopg.ClientCursor(connection) if simple else connection.cursor()
    cursor.execute(sql, None, **({} if simple else {"prepare": True}))
    return [[column.name, name_of(column.type_code)] for column in cursor.description], cursor.fetchall()


def name_of(oid):
    known = psycopg.adapters.types.get(oid)
    return known.name if known else str(oid)


def faults(panel, target, columns):
    """What the panel could not show of these columns."""
    names = [name for name, _ in columns]
    yield from (f"{name} is of type {kind}" for name, kind in columns if kind not in KNOWN)
    yield from (f"{name} is there twice" for name in set(names) if names.count(name) > 1)
    if target["format"] == "time_series":
        if names[0] != "time" or columns[0][1] not in TIMES:
            yield f"the first column is {columns[0]}, not a time"
        series = [kind for name, kind in columns[1:] if name != "metric"]
        if not series or not NUMBERS.issuperset(series):
            yield f"the series are {series}, not numbers"
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["id"] == "byName" and override["matcher"]["options"] not in names:
            yield f"an override is of {override['matcher']['options']}, which is not among {names}"


def targets(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel, target


def main():
    connection = psycopg.connect(host="127.0.0.1", port=PORT, dbname=DATABASE, user=USER, password=PASSWORD,
                                 autocommit=True)
    # One that every panel has something of, if there is one.
    asked = "SELECT session_id, coalesce(cost_usd, 0)::text AS cost FROM sessions {} ORDER BY coalesce(cost_usd, 0) DESC LIMIT 1"
    session, cost = (connection.execute(asked.format("WHERE cardinality(gaps) > 0 AND tool_calls > 0 AND cost_usd > 0")).fetchone()
                     or connection.execute(asked.format("")).fetchone())
    count, empty, wrong, shown, shapes = 0, [], [], None, {}
    for path in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(path.read_text())
        variables = {"session": [session]}
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                rows = run(connection, expand(variable["query"], variables), True)[1]
                variables[variable["name"]] = [row[0] for row in rows] or [""]
        for panel, target in targets(dashboard):
            count += 1
            name = f"{path.stem}: {panel['title']}"
            sql = expand(target["rawSql"], variables)
            try:
                both = [run(connection, sql, simple) for simple in (True, False)]
            except psycopg.Error as error:
                wrong.append(f"{name}: {error}\n{sql}")
                continue
            # Rows of the same time have no order.
            if both[0][0] != both[1][0] or sorted(both[0][1], key=repr) != sorted(both[1][1], key=repr):
                wrong.append(f"{name}: the protocols differ: {both}")
            columns, rows = both[0]
            wrong += [f"{name}: {fault}" for fault in faults(panel, target, columns)]
            shapes[name] = columns
            if not rows:
                empty.append(name)
            if name == "session: Cost":
                shown = rows[0][0]
    print(json.dumps({"queries": count, "empty": empty, "wrong": wrong, "cost": [float(shown), float(cost)],
                      "columns": shapes}))


main()
