"""Runs the table of hostile inputs against a release binary.

run.py [--binary PATH] [--dev] [--row N ...]

Prints each row, what was sent, what was expected and got; exit code 1 when one failed, or when an invariant does not
hold: the process lives within 512 MiB, a good client is served within a second, no content is in the logs, nothing is
written outside the data directory.
"""

import argparse
import concurrent.futures
import os
import pathlib
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/py"))

import config, decoders, door, http2, private, reading, redaction, rules, sessions, tls, transport  # noqa: E401, F401 (each adds its rows)
from server import Broken, Server
from table import CASES


def parse():
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", default=f"{target}/release/sessionlake")
    arguments.add_argument("--row", action="append", default=[], help="only these rows")
    arguments.add_argument("--dev", action="store_true", help="the binary is not optimised: leave out what is about speed")
    return arguments.parse_args()


def attempt(case, server):
    """(verdict, what was got, seconds, peak MiB)."""
    began = time.monotonic()
    try:
        got = str(case.run(server))
    except Exception:
        got = traceback.format_exc().strip().splitlines()[-1]
    verdict, peak = case.judge(got), 0
    try:
        peak = server.check()
    except Broken as broken:
        verdict, got = "BROKEN", f"{got}; then {broken}"
    return verdict, got, time.monotonic() - began, peak


def show(case, verdict, got, seconds, peak):
    print(f"{case.row:>3} {verdict:7} {seconds:5.1f} s {peak:4} MiB  {case.sent[:90]}", flush=True)
    if verdict != "ok":
        print(f"      expected {case.expected}\n      got      {got[:600]}", flush=True)


def main():
    options = parse()
    chosen = [c for c in CASES if (not options.row or c.row in options.row) and not (options.dev and c.release)]
    began, verdicts = time.monotonic(), []
    binary = os.path.abspath(options.binary)
    servers = [Server(binary), Server(binary), Server(binary, ["auth.enabled=true"])]
    try:
        # What waits for the server's clock waits beside the rest, against a server of its own.
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            waiting = {pool.submit(attempt, c, servers[1]): c for c in chosen if c.slow}
            for case in (c for c in chosen if not c.slow):
                server = servers[2] if case.door else servers[0]
                outcome = attempt(case, server)
                show(case, *outcome)
                verdicts.append(outcome[0])
                if server.process.poll() is not None:
                    server.start()
            for done in concurrent.futures.as_completed(waiting):
                show(waiting[done], *done.result())
                verdicts.append(done.result()[0])
    finally:
        for server in servers:
            server.stop()
    bad = sum(v not in ("ok", "closed", "gap") for v in verdicts)
    print(f"{len(verdicts)} cases, {verdicts.count('gap')} known gaps, {bad} failed, {time.monotonic() - began:.0f} s")
    if bad:
        sys.exit(f"the servers' sandboxes are kept: {', '.join(str(s.sandbox) for s in servers)}")
    for server in servers:
        server.discard()


if __name__ == "__main__":
    main()
