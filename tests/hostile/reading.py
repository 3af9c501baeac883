"""Rows 67, 68, 71 and 75: content on its way to people and dashboards, and files that somebody planted in the lake."""

import csv
import io
import json
import os
import pathlib
import re
import subprocess
import time

import messages
import wire
from config import run
from decoders import stored
from messages import record
from server import MARK, MEMORY_LIMIT_MIB, Server
from table import case

# An escape that clears the screen, one that sets the title, a C1 control, bidi overrides, a carriage return, a beacon.
HOSTILE = (
    "\x1b[2J\x1b]0;title\x07\x9b31m \u202eevil\u2066 line\r\nforged \b\b "
    "<script>alert(1)</script> ![x](http://evil.example/beacon) [y](javascript:alert(1)) "
)
SAFE_ON_TERMINALS = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f]*")


def shown(server, *arguments):
    return run(server, "sessions", *arguments, "--data-dir", str(server.data), timeout=60)


@case("67", "escapes, bidi, scripts and beacons in all that a session says; a message of 40 MiB; shown and listed", "inert, bounded")
def on_a_terminal(server):
    session = f"shown-{time.time_ns()}"
    values = {"prompt": HOSTILE, "tool_name": HOSTILE, "model": HOSTILE, "user.email": HOSTILE, "file_path": HOSTILE, "error": HOSTILE}
    bodies = [messages.logs(record(session, {"event.sequence": n, **values}, name)) for n, name in enumerate(("user_prompt", "tool_result", "api_request", "api_error"))]
    bodies.append(messages.logs(record(session, {"event.sequence": 9, "prompt": HOSTILE * (40 * (1 << 20) // len(HOSTILE.encode()))})))
    end = json.dumps({"session_id": session, "hook_event_name": "SessionEnd", "cwd": HOSTILE, "reason": HOSTILE}).encode()
    got = {server.post("/v1/logs", body).status for body in bodies} | {server.post("/v1/hooks", end, wire.JSON).status}
    if got != {200}:
        return str(got)
    stored(server, session, 6, "name")
    stored(server, session, 1, "status", table="sessions", order="1")
    for arguments in (("show", session), ("show", session, "--full"), ("list",)):
        code, text, peak = shown(server, *arguments)
        if code != 0 or peak > MEMORY_LIMIT_MIB:
            return f"{arguments[0]}: exit code {code}, {peak} MiB: {text[-200:]}"
        if not SAFE_ON_TERMINALS.fullmatch(text):
            return f"{arguments} shows {SAFE_ON_TERMINALS.sub('', text)[:5]!r}"
    _, text, _ = shown(server, "show", session, "--json")
    row = json.loads(text)
    raw = set(re.findall(r"[\x00-\x09\x0b-\x1f]", text))
    return "inert, bounded" if row["session_id"] == session and not raw else f"JSON holds {raw}"


@case("68", "formulas in what a query writes as CSV", "prefixed|this build has no SQL")
def formulas(server):
    session = f"formula-{time.time_ns()}"
    cells = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://evil.example")', "plain", "a=b"]
    body = messages.logs(*(record(session, {"event.sequence": n, "prompt": cell}) for n, cell in enumerate(cells)))
    server.post("/v1/logs", body)
    stored(server, session, len(cells), "name")
    query = f"SELECT content, sequence FROM facts WHERE session_id = '{session}' ORDER BY sequence"
    command = [server.binary, "sql", "--data-dir", str(server.data), "--format", "csv", query]
    done = subprocess.run(command, capture_output=True, timeout=120)
    if b"unrecognized subcommand" in done.stderr:
        return "this build has no SQL"
    rows = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))[1:]
    expected = [["'" + cell if cell not in ("plain", "a=b") else cell, str(n)] for n, cell in enumerate(cells)]
    return "prefixed" if rows == expected else f"{rows} {done.stderr[-200:]}"


@case("71", "1,000 names that want to be labels: of metrics, workspaces, events, models, services, tools", "no name on the page, as many series")
def labels(server):
    before = len(server.metrics().splitlines())
    for n in range(1000):
        name = f'{MARK}"}} 1\nforged{{x="{n}'
        values = {"model": name, "tool_name": name, "workspace": name}
        server.post("/v1/logs", messages.logs(record("labels", values, name), resource={"service.name": name}), x_scope_orgid=name.replace("\n", " "))
    page = server.metrics()
    lines = [line for line in page.splitlines() if not re.fullmatch(r'# .*|[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+.\dA-Za-z]+', line)]
    more = len(page.splitlines()) - before
    # Some series begin with their first sample; they are few and their names are the server's.
    return "no name on the page, as many series" if MARK not in page and not lines and more < 50 else f"{lines[:2]}, {more} more"


def planted(path):
    """What files may be turned into: a Parquet file's last 8 bytes are its footer's length and a magic."""
    whole = path.read_bytes()
    huge = (0x7FFF_FFF0).to_bytes(4, "little") + b"PAR1"
    middle = bytearray(whole)
    middle[len(whole) // 3 : len(whole) // 3 + 64] = os.urandom(64)
    return {"cut": whole[: len(whole) // 2], "empty": b"", "noise": os.urandom(len(whole)), "footer length": whole[:-8] + huge,
            "pages": bytes(middle), "text": b"PAR1" + b"\n" * 1000 + b"PAR1", "footer": whole[:-500] + os.urandom(492) + whole[-8:]}


@case("75", "data files of facts that are cut, empty, noise, lies about the footer, other pages", "survived, the others are kept")
def planted_files(server):
    own = Server(server.binary, ["processors.sessions.idle_timeout=1h"])
    try:
        for kind in range(7):
            own.post("/v1/logs", messages.logs(record(f"victim-{kind}", {"prompt": "x" * 5000})))
            stored(own, f"victim-{kind}", 1, "name")
        files = sorted((own.data / "lake/default/facts").rglob("*.parquet"), key=lambda path: path.stat().st_mtime)
        own.stop()
        for path, kind in zip(files, planted(files[0])):
            pathlib.Path(path).write_bytes(planted(path)[kind])
        own.start()
        end = b'{"session_id":"%s","hook_event_name":"SessionEnd"}'
        for session in ("victim-0", "victim-3", "good"):
            own.post("/v1/hooks", end % session.encode(), wire.JSON)
        deadline = time.monotonic() + 240
        while "good" not in shown(own, "list")[1]:
            if time.monotonic() > deadline:
                return f"a session beside them is not sealed: {own.log()[-300:]}"
            time.sleep(1)
        peak = own.status("VmHWM") // 1024
        code, _, reading = run(own, "sessions", "show", "victim-0", "--data-dir", str(own.data), timeout=60)
        own.log_is_clean()
        own.serves_a_good_client()
        bounded = code is not None and max(peak, reading) <= MEMORY_LIMIT_MIB
        said = own.log().count("facts cannot be read")
        return "survived, the others are kept" if bounded and said else f"{code}, {peak} MiB, {reading} MiB, told {said} times"
    finally:
        own.stop()
        own.discard()
