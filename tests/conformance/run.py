"""Runs the conformance checklist of the OTLP receiver against a binary: run.py [--item N]... BINARY

Prints each row: item, what was sent, expected, got; then `50 of 50`. Exit code 1 if an item does not hold.
"""

import argparse
import pathlib
import sys
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/py"))

import security  # noqa: E402
from server import Server  # noqa: E402
from table import ROWS  # noqa: E402

ITEMS = range(1, 51)

GRPC, HTTP = "receivers.otlp.protocols.grpc", "receivers.otlp.protocols.http"
SERVERS = {
    # Nothing is configured.
    "default": [],
    "small": [
        f"{HTTP}.max_request_body_size=1MiB",
        f"{GRPC}.max_recv_msg_size_mib=1",
        f"{HTTP}.read_header_timeout=1s",
        f"{HTTP}.idle_timeout=2s",
        f"{HTTP}.traces_url_path=/otlp/traces",
        f"{HTTP}.cors.allowed_origins=[https://*.example]",
        f"{HTTP}.cors.max_age=600",
        f"{GRPC}.keepalive.server_parameters.max_connection_age=1s",
    ],
    "tight": ["memory_limit_mib=64", "limits.workspace.in_flight_percent=100"],
    "quota": ["limits.workspace.records_per_second=10"],
    "outage": [],
    # Killed and stopped; rows leave it running or not.
    "victim": [],
    # {folder}: the server's own, with the certificates of tests/py/certificates.py in it.
    "tls": [f"{at}.tls.{key}={{folder}}/{file}" for at in (GRPC, HTTP) for key, file in security.CERTIFICATE],
    "mtls": [f"{at}.tls.{key}={{folder}}/{file}" for at in (GRPC, HTTP) for key, file in security.BOTH_SIDES],
    "auth": ["auth.enabled=true"],
}


def attempt(row, binary, running):
    try:
        server = running.get(row.server)
        if server is None or server.process.poll() is not None:
            running[row.server] = server = Server(binary, SERVERS[row.server])
        return row.probe(server)
    except Exception:
        return traceback.format_exc().strip().splitlines()[-1]


def check(rows, binary):
    """Runs rows and prints them; the items that do not hold."""
    running, broken = {}, set()
    try:
        for row in rows:
            got = attempt(row, binary, running)
            holds = got == row.expected
            print(f"{row.item:>2} {'ok  ' if holds else 'FAIL'} {row.sent}: expected {row.expected!r}, got {got!r}", flush=True)
            if not holds:
                broken.add(row.item)
    finally:
        for server in running.values():
            server.remove()
    return broken


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--item", type=int, action="append", help="only these items")
    arguments.add_argument("binary")
    options = arguments.parse_args()
    chosen = options.item or list(ITEMS)
    rows = [row for row in ROWS if row.item in chosen]
    missing = set(chosen) - {row.item for row in rows}
    broken = check(rows, str(pathlib.Path(options.binary).resolve())) | missing
    if broken:
        print("items that do not hold: " + ", ".join(map(str, sorted(broken))))
    print(f"{len(chosen) - len(broken)} of {len(chosen)}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
