"""Where commits to one Delta table begin to wait for each other: a simulation.

    contention.py [--latencies FILE] [--seconds 300]

Each replica writes a commit (read the log's end, put the next entry if it is absent, and again from where the log is then
when another was faster) once a second at most, and no sooner after the last than that one took, as the collector does.
A request takes one of the recorded latencies (milliseconds, one a line; without a file, a table of what S3 in the same
region takes). Printed by number of replicas: commits a second of all, collisions per commit, and from when a flush is due
until it has landed.
"""

import argparse
import heapq
import random

# Milliseconds of small PUTs and GETs within a region: most are fast, one in a hundred is slow.
PUT = [60, 70, 75, 80, 85, 90, 95, 100, 110, 120, 130, 150, 180, 220, 400]
GET = [12, 14, 15, 16, 18, 20, 22, 25, 28, 30, 35, 40, 50, 60, 120]


def simulate(replicas, gap, seconds, put, get, rng):
    """Events in order of time; a replica reads the log until it meets its end, and then tries to put behind it."""
    version, collisions, landed, waits = 0, 0, 0, []
    events = [(rng.random() * gap, n, "due", 0, 0.0) for n in range(replicas)]
    heapq.heapify(events)
    while events:
        now, n, what, seen, due = heapq.heappop(events)
        if now > seconds:
            break
        if what == "due":
            heapq.heappush(events, (now + rng.choice(get) / 1000, n, "read", version, now))
        elif what == "read":
            # Entries that came while it read are read as well, one request each.
            if seen < version:
                heapq.heappush(events, (now + rng.choice(get) / 1000, n, "read", seen + 1, due))
            else:
                heapq.heappush(events, (now + rng.choice(put) / 1000, n, "put", seen, due))
        elif seen == version:
            version, landed = version + 1, landed + 1
            waits.append(now - due)
            heapq.heappush(events, (max(due + gap, now + (now - due)), n, "due", 0, 0.0))
        else:
            collisions += 1
            heapq.heappush(events, (now + rng.choice(get) / 1000, n, "read", seen + 1, due))
    waits.sort()
    at = lambda share: waits[min(int(share * len(waits)), len(waits) - 1)] if waits else float("nan")
    return landed / seconds, collisions / max(landed, 1), at(0.5), at(0.99)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--latencies", help="milliseconds of puts, one a line")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    put = [float(line) for line in open(options.latencies)] if options.latencies else PUT
    print(f"{'replicas':>8} {'every':>6} {'commits/s':>10} {'collisions/commit':>18} {'median s':>9} {'p99 s':>7}")
    for gap in (1.0, 5.0, 30.0):
        for replicas in (1, 2, 4, 8, 16, 32, 64):
            rng = random.Random(options.seed)
            rate, collisions, median, p99 = simulate(replicas, gap, options.seconds, put, GET, rng)
            print(f"{replicas:>8} {gap:>5.0f}s {rate:>10.2f} {collisions:>18.2f} {median:>9.2f} {p99:>7.2f}")


if __name__ == "__main__":
    main()
