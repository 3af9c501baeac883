"""Rows 40 to 54 and 69: ids and names that want to be paths, terminals or other people."""

import json
import subprocess
import time

import lake
import messages
import wire
from decoders import stored
from messages import record
from server import MARK
from table import case

ODD_IDS = (
    "../../../../../escaped", "..%2f..%2fescaped", "/etc/escaped", "a\0b", "con", "aux.txt", "x" * 10_240,
    "\u202egnp.exe", "\U0001f600", "a/b\\c", ".", "..", "~", "$(id)", "'; DROP TABLE facts; --", "a\nb", "%00",
    "\x1b[2J\x1b]0;title\x07", "line\r\nlevel=ERROR forged", "</script><script>alert(1)</script>", "=1+1",
)


@case("40", "session ids that are paths, devices, controls, 10 KiB, emoji, SQL; an empty one", "all kept as they are")
def odd_ids(server):
    stamp = str(time.time_ns())
    ids = [id + stamp for id in ODD_IDS]
    for path, body in (("/v1/logs", messages.logs(*(record(id, {"prompt": MARK}) for id in [*ids, ""]))),):
        if (status := server.post(path, body).status) != 200:
            return str(status)
    for id in ids:
        hook = {"session_id": id, "hook_event_name": "SessionEnd", "cwd": id, "tool_name": id}
        if (status := server.post("/v1/hooks", json.dumps(hook).encode(), wire.JSON).status) != 200:
            return f"hook {status}"
    missing = [id[:20] for id in ids if not is_stored(server, id)]
    return "all kept as they are" if not missing else f"not found: {missing}"


def is_stored(server, id):
    try:
        return len(stored(server, id, 2, "name")) >= 2
    except AssertionError:
        return False


@case("40", "the same ids, shown by the command line", "no control character, one line a session")
def shown(server):
    command = [server.binary, "sessions", "list", "--data-dir", str(server.data)]
    listed = subprocess.run(command, capture_output=True, timeout=60)
    text = listed.stdout.decode()
    odd = [c for c in text if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E]
    if listed.returncode or odd or "forged" in [line.split(" ")[0] for line in text.splitlines()]:
        return f"{listed.returncode} {odd[:5]} {listed.stderr[-300:]}"
    shown = subprocess.run([*command[:2], "show", "\x1b[2J", *command[3:]], capture_output=True, timeout=60)
    raw = [b for b in shown.stdout + shown.stderr if b < 32 and b != 10]
    return "no control character, one line a session" if not raw else f"controls in {shown.stderr[:200]}"


@case("41", "ids that differ by case or by Unicode form only", "4 sessions")
def alike(server):
    stamp = time.time_ns()
    ids = [f"{form}-{stamp}" for form in ("Session", "session", "caf\u00e9", "cafe\u0301")]
    server.post("/v1/logs", messages.logs(*(record(id) for id in ids)))
    return f"{sum(len(stored(server, id, 1, 'name')) == 1 for id in ids)} sessions"


@case("44", "workspaces claimed by attribute, header and baggage", "default alone")
def claimed_workspace(server):
    session = f"claimed-{time.time_ns()}"
    body = messages.logs(record(session, {"workspace": "other"}), resource={"workspace": "other", "tenant.id": "../other"})
    server.post("/v1/logs", body, x_scope_orgid="other", x_workspace="other", baggage="workspace=other", tenant="other")
    server.grpc(body, headers=[("x-scope-orgid", "other"), ("workspace", "other")])
    stored(server, session, 1, "name")
    found = sorted(p.name for p in (server.data / "lake").iterdir() if not p.name.startswith("_"))
    return "default alone" if found == ["default"] else str(found)


@case("52", "a batch of envelopes three times, and a hook replayed by other means", "kept once")
def replayed(server):
    session = f"replay-{time.time_ns()}"
    lines = b"".join(
        json.dumps({"id": f"{session}-{n}", "seq": n, "kind": "hook", "session_id": session, "data": {"hook_event_name": "Stop", "n": n}}).encode() + b"\n"
        for n in range(50)
    )
    for _ in range(3):
        server.post("/v1/hooks", lines, wire.NDJSON)
    server.post("/v1/hooks", json.dumps({"session_id": session, "hook_event_name": "Last"}).encode(), wire.JSON)
    deadline = time.monotonic() + 30
    while not any(name == "Last" for (name,) in stored(server, session, 1, "name")):
        if time.monotonic() > deadline:
            return "the last one did not arrive"
        time.sleep(0.2)
    rows = len(stored(server, session, 51, "name"))
    return "kept once" if rows == 51 else f"{rows} facts"


@case("53", "100,000 sessions of one event each", "all kept, bounded", release=True)
def many_sessions(server):
    stamp = time.time_ns()
    for first in range(0, 100_000, 2000):
        body = messages.logs(*(record(f"many-{stamp}-{n}", {"request_id": f"{stamp}-{n}"}, "api_request") for n in range(first, first + 2000)))
        deadline = time.monotonic() + 60
        while (status := server.post("/v1/logs", body).status) == 503 and time.monotonic() < deadline:
            time.sleep(0.5)
        if status != 200:
            return str(status)
    connection, deadline = lake.connect(), time.monotonic() + 90
    while time.monotonic() < deadline:
        lake.mount(connection, str(server.data / "lake"))
        found = connection.execute(f"SELECT count(DISTINCT session_id) FROM facts WHERE session_id LIKE 'many-{stamp}-%'").fetchone()[0]
        if found == 100_000:
            return "all kept, bounded"
        time.sleep(1)
    return f"{found} kept"


@case("54", "one session of 256 MiB", "all kept, bounded", release=True)
def large_session(server):
    session = f"large-{time.time_ns()}"
    text = MARK + " some words of a reply" * 12_000
    for first in range(0, 1000, 20):
        records = [record(session, {"event.sequence": n, "prompt": f"{n} {text}"}) for n in range(first, first + 20)]
        deadline = time.monotonic() + 60
        while (status := server.post("/v1/logs", messages.logs(*records)).status) == 503 and time.monotonic() < deadline:
            time.sleep(0.5)
        if status != 200:
            return str(status)
    return "all kept, bounded" if len(stored(server, session, 1000, "name")) == 1000 else "lost"


@case("69", "line breaks and escapes in paths, headers and content types", "refused, log clean")
def log_injection(server):
    forged = "level=ERROR forged \x1b[31m"
    head = wire.head(server.ports["http"], f"content-type: {forged}", f"user-agent: {forged}", "content-length: 1", path="/v1/%0d%0aforged")
    wire.raw(server.ports["http"], head, b"x")
    server.post("/v1/logs", b"x", wire.JSON, x_request_id="a%0d%0aforged")
    return "refused, log clean" if "forged" not in server.log() else "forged lines in the log"
