"""Cost by user and day, in Polars: python polars_costs.py LAKE [WORKSPACE]

pip install polars deltalake. LAKE is a directory, or s3://bucket/prefix with the usual AWS variables.
"""

import sys

import polars as pl


def costs(lake: str, workspace: str = "default") -> pl.DataFrame:
    sessions = pl.scan_delta(f"{lake}/{workspace}/sessions")
    by_user = sessions.group_by("user_email", "date").agg(pl.len().alias("sessions"), pl.col("cost_usd").sum())
    return by_user.sort("date", "user_email").collect()


if __name__ == "__main__":
    print(costs(*sys.argv[1:]).write_json())
