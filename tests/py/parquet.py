"""Whether two Parquet files have the same columns, types and rows: prints `same`, or what differs."""

import sys

import pyarrow.parquet as pq

one, other = [pq.read_table(path) for path in sys.argv[1:]]
if one.schema != other.schema:
    print(f"{one.schema}\n--\n{other.schema}")
else:
    print("same" if one.equals(other) else "rows differ")
