"""Cost by user and day, with delta-rs and pyarrow: python deltalake_costs.py LAKE [WORKSPACE]

pip install deltalake pyarrow. LAKE is a directory, or s3://bucket/prefix with the usual AWS variables.
"""

import json
import sys

import pyarrow as pa
from deltalake import DeltaTable


def costs(lake: str, workspace: str = "default") -> pa.Table:
    table = DeltaTable(f"{lake}/{workspace}/sessions")
    sessions = pa.table(table.to_pyarrow_table(columns=["user_email", "date", "cost_usd"]))
    by_user = sessions.group_by(["user_email", "date"]).aggregate([([], "count_all"), ("cost_usd", "sum")])
    by_user = by_user.rename_columns({"count_all": "sessions", "cost_usd_sum": "cost_usd"})
    return by_user.sort_by([("date", "ascending"), ("user_email", "ascending")])


if __name__ == "__main__":
    print(json.dumps(costs(*sys.argv[1:]).to_pylist(), default=str))
