"""Row 51: a session that is made private while its content arrives, and replays of what came before."""

import json
import pathlib
import subprocess
import sys
import threading
import time

import messages
import wire
from decoders import stored
from messages import record
from table import case

TRACES = pathlib.Path(__file__).resolve().parents[1] / "py/traces.py"
GONE_WITHIN = 120


def traces(server, *marks):
    """Files that hold a mark, also within Parquet."""
    command = [sys.executable, str(TRACES), json.dumps([str(server.data)]), json.dumps(marks)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def hook(session, prompt):
    asked = {"hook_event_name": "UserPromptSubmit", "session_id": session, "cwd": "/w", "prompt": prompt}
    return json.dumps(asked).encode()


def said(session, mark, n):
    """What a session sends for one prompt: path, body, content type."""
    marked = f"{mark} number {n}"
    batch = messages.logs(record(session, {"event.sequence": n, "prompt": marked}), record(session, {"request_id": marked}, "api_request"))
    return (("/v1/hooks", hook(session, marked), wire.JSON), ("/v1/logs", batch, wire.PROTOBUF))


def send(server, requests):
    return {server.post(*request).status for request in requests}


@case("51", "/private between, during and after content; all of it replayed, and after a kill", "gone, and stays so; others kept")
def private_race(server):
    stamp = time.time_ns()
    session, other, mark = f"race-{stamp}", f"beside-{stamp}", f"mark{stamp}"
    spool = [request for n in range(200) for request in said(session, mark, n)]
    send(server, spool[:100])
    server.post("/v1/logs", messages.logs(record(other, {"prompt": "kept"})))
    stored(server, session, 50, "name")
    codes = set()
    senders = [threading.Thread(target=lambda part=spool[100 + n :: 4]: codes.update(send(server, part))) for n in range(4)]
    for sender in senders:
        sender.start()
    answer = server.post("/v1/hooks", hook(session, "/private please"), wire.JSON)
    for sender in senders:
        sender.join()
    if b'"block"' not in answer.body or codes != {200}:
        return f"{answer.text[:100]}, content got {codes}"
    codes = send(server, spool)
    server.process.kill()
    server.process.wait()
    server.start()
    codes |= send(server, spool)
    if codes != {200}:
        return f"the replay got {codes}"
    deadline = time.monotonic() + GONE_WITHIN
    while (left := traces(server, session, mark)) and time.monotonic() < deadline:
        time.sleep(1)
    # What came last is read by then, and nothing of it was kept.
    server.post("/v1/logs", messages.logs(record(f"late-{stamp}")))
    stored(server, f"late-{stamp}", 1, "name")
    left = left or traces(server, session, mark)
    kept = stored(server, other, 1, "content")
    return "gone, and stays so; others kept" if not left and kept == [("kept",)] else f"{left[:3]} {kept}"
