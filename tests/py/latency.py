"""Measures the time from a session's end to its row being readable by DuckDB.

latency.py [--sessions 1000] [--rate 50] [--binary PATH] [--lake s3://bucket/prefix] [--json] [--set k=v ...]

Starts a server of its own on free ports, lets sessions end at `rate` a second (a few log records and hooks each), polls
`sessions` with DuckDB, and prints p50, p99 and the maximum in seconds. A row counts from the poll that first sees it,
so the polling interval is part of the figure. For S3, the AWS variables must be set.
"""

import argparse
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import duckdb

from lake import connect, mount

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCOPE = {"name": "com.anthropic.claude_code.events"}
LISTENERS = (
    "receivers.otlp.protocols.http.endpoint",
    "receivers.otlp.protocols.grpc.endpoint",
    "extensions.health_check.endpoint",
    "service.telemetry.metrics.address",
    "extensions.sql.endpoint",
)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def parse():
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sessions", type=int, default=1000)
    arguments.add_argument("--rate", type=float, default=50.0)
    arguments.add_argument("--binary", default=f"{target}/release/sessionlake")
    arguments.add_argument("--lake")
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--set", action="append", default=[])
    arguments.add_argument("--deadline", type=float, default=60.0, help="seconds after the last end")
    return arguments.parse_args()


def start(options, folder, ports):
    command = [options.binary, "serve", "--data-dir", f"{folder}/data"]
    for key, port in zip(LISTENERS, ports):
        command += ["--set", f"{key}=127.0.0.1:{port}"]
    for setting in options.set:
        command += ["--set", setting]
    if options.lake:
        command += ["--lake", options.lake]
    log = open(f"{folder}/log", "wb")
    server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", ports[2], timeout=2)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return server
        except OSError:
            pass
        time.sleep(0.05)
    server.kill()
    sys.exit("the server did not get ready:\n" + pathlib.Path(f"{folder}/log").read_text())


def records(session, n):
    """A prompt, a request with its cost and a tool call, as OTLP/JSON."""
    now = time.time_ns()

    def record(sequence, name, **attributes):
        pairs = {"session.id": session, "event.name": name, "prompt.id": f"{session}-p", **attributes}
        listed = [{"key": k, "value": {"stringValue": str(v)}} for k, v in pairs.items()]
        listed.append({"key": "event.sequence", "value": {"intValue": str(sequence)}})
        return {"timeUnixNano": str(now + sequence), "attributes": listed}

    logs = [
        record(0, "user_prompt", prompt=f"prompt {n}"),
        record(1, "api_request", request_id=f"req_{n}", cost_usd_micros=1000 + n, input_tokens=10, output_tokens=20),
        record(2, "tool_result", tool_use_id=f"toolu_{n}", tool_name="Bash", success="true"),
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "claude-code"}}]}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": SCOPE, "logRecords": logs}]}]}


def post(connection, path, body):
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    if reply.status != 200:
        sys.exit(f"{path}: {reply.status}")


def send(options, port, ended):
    """Ends one session after the other; `ended` gets the time at which each end was acknowledged."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    started = time.monotonic()
    for n in range(options.sessions):
        time.sleep(max(0.0, started + n / options.rate - time.monotonic()))
        session = f"latency-{n}"
        post(connection, "/v1/logs", records(session, n))
        common = {"session_id": session, "cwd": "/home/dev/project"}
        post(connection, "/v1/hooks", {**common, "hook_event_name": "UserPromptSubmit", "prompt": f"prompt {n}"})
        post(connection, "/v1/hooks", {**common, "hook_event_name": "SessionEnd", "reason": "other"})
        ended[session] = time.monotonic()


def s3_access():
    host = os.environ.get("AWS_ENDPOINT_URL", "").split("://")[-1]
    return {
        "endpoint": host or "s3.amazonaws.com",
        "key": os.environ["AWS_ACCESS_KEY_ID"],
        "secret": os.environ["AWS_SECRET_ACCESS_KEY"],
        "region": os.environ.get("AWS_REGION", "us-east-1"),
    }


def watch(options, lake, sender, ended):
    """Polls until all sessions are visible; the time at which each was first seen."""
    connection = connect(s3_access() if lake.startswith("s3://") else None)
    seen, deadline = {}, None
    while len(seen) < options.sessions:
        if not sender.is_alive():
            deadline = deadline or time.monotonic() + options.deadline
            if time.monotonic() > deadline:
                break
        try:
            mount(connection, lake)
            rows = connection.execute("SELECT session_id FROM sessions WHERE status = 'ended'").fetchall()
            now = time.monotonic()
            for (session,) in rows:
                seen.setdefault(session, now)
        except duckdb.Error:
            pass
        time.sleep(0.1)
    return {session: seen[session] - ended[session] for session in seen if session in ended}


def main():
    options = parse()
    with tempfile.TemporaryDirectory(prefix="sessionlake-latency-") as folder:
        ports = [free_port() for _ in LISTENERS]
        server = start(options, folder, ports)
        try:
            ended = {}
            sender = threading.Thread(target=send, args=(options, ports[0], ended))
            sender.start()
            latencies = sorted(watch(options, options.lake or f"{folder}/data/lake", sender, ended).values())
            sender.join()
        finally:
            server.terminate()
            server.wait(40)
    if not latencies:
        sys.exit("no session became visible")
    at = lambda share: round(latencies[min(len(latencies) - 1, int(share * len(latencies)))], 3)
    figures = {
        "sessions": options.sessions, "visible": len(latencies), "p50_s": at(0.5), "p99_s": at(0.99),
        "max_s": round(latencies[-1], 3),
    }
    print(json.dumps(figures) if options.json else "  ".join(f"{k} {v}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
