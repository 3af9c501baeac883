"""Cost by user and day, in ClickHouse (here inside Python, as chDB): python clickhouse_costs.py LAKE [WORKSPACE]

pip install chdb. LAKE is a directory; in a ClickHouse server on S3 it is deltaLake('https://.../prefix/default/sessions',
'key', 'secret').
"""

import os
import sys

import chdb


def costs(lake: str, workspace: str = "default") -> str:
    # ClickHouse reads local files below its working directory alone.
    os.chdir(lake)
    return str(chdb.query(f"""
        SELECT user_email, date, count() AS sessions, sum(cost_usd) AS cost_usd
        FROM deltaLakeLocal('{os.getcwd()}/{workspace}/sessions')
        GROUP BY ALL ORDER BY date, user_email
    """, "JSONEachRow"))


if __name__ == "__main__":
    print(costs(*sys.argv[1:]), end="")
