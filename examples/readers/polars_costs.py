"""Cost by user and day, in Polars: python polars_costs.py LAKE [WORKSPACE]

pip install polars deltalake. LAKE is a directory, or s3://bucket/prefix with the usual AWS variables.
"""

import sys

import polars as pl


def costs(lake: str, workspace: str = "default") -> pl.DataFrame:
    sessions = pl.scan_delta(f"{lake}/{workspace}/sessions")
    cost = pl.col("cost_usd")
    # Polars makes 0 of a sum of nothing; a cost that nobody reported is not 0.
    cost = pl.when(cost.count() > 0).then(cost.sum()).alias("cost_usd")
    by_user = sessions.group_by("user_email", "date").agg(pl.len().alias("sessions"), cost)
    return by_user.sort("date", "user_email").collect()


if __name__ == "__main__":
    print(costs(*sys.argv[1:]).write_json())
