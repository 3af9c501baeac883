"""Whether times tell what is hidden: timing.py PORT DATABASE USER PASSWORD STATEMENT THERE ABSENT [PAIRS]

Asks a statement with `VALUE` for a value that is there and for one that is not, in pairs whose order alternates by chance,
and prints the medians, the median of the differences and the share of pairs in which the one that is there took longer, with
the probability of a share as far from a half by chance (sign test)."""

import json
import math
import random
import statistics
import sys
import time

import psycopg

PORT, DATABASE, USER, PASSWORD, STATEMENT, THERE, ABSENT = sys.argv[1:8]
PAIRS = int(sys.argv[8]) if len(sys.argv) > 8 else 200


def took(connection, value):
    statement = STATEMENT.replace("VALUE", value)
    started = time.perf_counter()
    connection.execute(statement).fetchall()
    return 1000 * (time.perf_counter() - started)


def chance(wins, pairs):
    """Of a share at least that far from a half, from a normal distribution."""
    return math.erfc(abs(wins - pairs / 2) / math.sqrt(pairs / 4) / math.sqrt(2))


with psycopg.connect(host="127.0.0.1", port=PORT, dbname=DATABASE, user=USER, password=PASSWORD, autocommit=True) as connection:
    for value in [THERE, ABSENT] * 5:
        took(connection, value)
    samples = {THERE: [], ABSENT: []}
    for _ in range(PAIRS):
        for value in random.sample([THERE, ABSENT], 2):
            samples[value].append(took(connection, value))
differences = [a - b for a, b in zip(samples[THERE], samples[ABSENT])]
wins = sum(difference > 0 for difference in differences)
print(json.dumps({"pairs": PAIRS, "there_ms": round(statistics.median(samples[THERE]), 3),
                  "absent_ms": round(statistics.median(samples[ABSENT]), 3),
                  "difference_ms": round(statistics.median(differences), 4), "longer": round(wins / PAIRS, 3),
                  "chance": round(chance(wins, PAIRS), 3)}))
