"""Rows 42 to 49: tokens, and what is claimed without one. The server of these rows asks for tokens."""

import base64
import time

import messages
import wire
from decoders import stored
from messages import record
from server import MARK, Server
from table import case


def knock(server, authorization, **headers):
    """The status of an empty export."""
    return server.post("/v1/logs", b"", authorization=authorization, **headers).status


@case("42", "one session id in two workspaces", "two sessions, apart", door=True)
def two_workspaces(server):
    session = f"shared-{time.time_ns()}"
    for name in ("left", "right"):
        body = messages.logs(record(session, {"prompt": f"{MARK} of {name}"}))
        server.post("/v1/logs", body, authorization=f"Bearer {server.token(name, 'ingest')}")
    texts = [stored(server, session, 1, "content", workspace=name) for name in ("left", "right")]
    apart = texts == [[(f"{MARK} of left",)], [(f"{MARK} of right",)]]
    return "two sessions, apart" if apart else str(texts)


@case("43", "another workspace claimed by attribute, header and baggage", "the token's alone", door=True)
def claimed(server):
    token, session = server.token("honest", "ingest"), f"claimed-{time.time_ns()}"
    body = messages.logs(record(session, {"workspace": "victim"}), resource={"workspace": "victim"})
    headers = {"x_scope_orgid": "victim", "x_workspace": "../victim", "baggage": "workspace=victim"}
    server.post("/v1/logs", body, authorization=f"Bearer {token}", **headers)
    stored(server, session, 1, "name", workspace="honest")
    return "the token's alone" if not (server.data / "lake/victim").exists() else "victim exists"


@case("43", "the same in strict mode: attribute, envelope, header; its own name", "403 403 403 PERMISSION_DENIED 200", door=True)
def claimed_strictly(server):
    strict = Server(server.binary, ["auth.enabled=true", "auth.strict_workspaces=true"])
    try:
        token = f"Bearer {strict.token('honest', 'ingest')}"
        body = messages.logs(record("strict"), resource={"workspace": "victim"})
        envelope = b'{"id":"1","kind":"hook","workspace":"victim","data":{"session_id":"s"}}\n'
        attribute = strict.post("/v1/logs", body, authorization=token).status
        line = strict.post("/v1/hooks", envelope, wire.NDJSON, authorization=token).status
        header = knock(strict, token, x_scope_orgid="victim")
        call = strict.grpc(body, headers=[("authorization", token)]).status
        return f"{attribute} {line} {header} {call} {knock(strict, token, x_scope_orgid='honest')}"
    finally:
        strict.stop()
        strict.discard()


@case("45", "a reader's token on ingest: OTLP, gRPC, hooks", "403 PERMISSION_DENIED 403", door=True)
def reader_sends(server):
    token = f"Bearer {server.token('honest', 'reader')}"
    hook = server.post("/v1/hooks", b'{"session_id":"s"}', wire.JSON, authorization=token).status
    return f"{knock(server, token)} {server.grpc(b'', headers=[('authorization', token)]).status} {hook}"


@case("50", "another's token on a running session: an event, and its end", "both kept, the conflict flagged", door=True)
def another_users_session(server):
    session = f"bound-{time.time_ns()}"
    owner, other = (f"Bearer {server.token('shared', 'ingest')}" for _ in range(2))
    server.post("/v1/logs", messages.logs(record(session, {"prompt": MARK})), authorization=owner)
    end = f'{{"session_id":"{session}","hook_event_name":"SessionEnd"}}'.encode()
    server.post("/v1/hooks", end, wire.JSON, authorization=other)
    stored(server, session, 2, "name", workspace="shared")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        gaps = stored(server, session, 1, "gaps", workspace="shared", table="sessions", order="1")
        if any(gap["kind"] == "principal_conflict" for (row,) in gaps for gap in row or []):
            return "both kept, the conflict flagged"
        time.sleep(0.5)
    return f"gaps {gaps}"


@case("47", "no token, empty, twice, 60 KiB, a prefix, another case, in Basic twice", "401", door=True)
def odd_tokens(server):
    token = server.token("honest", "ingest")
    odd = ("", "Bearer", f"Bearer Bearer {token}", "Bearer " + "x" * 60_000, f"Bearer {token[:-1]}", f"Bearer {token}x",
           f"Bearer {token.upper()}", f"bearer\t{token[:20]}", "Basic !!!", f"Basic {base64.b64encode(b':').decode()}", token)
    got = {knock(server, value) for value in odd} | {server.post("/v1/logs", b"").status}
    right = [knock(server, f"Bearer {token}"), knock(server, f"Basic {base64.b64encode(f'u:{token}'.encode()).decode()}")]
    return " ".join(map(str, sorted(got))) if right == [200, 200] else f"the right one got {right}"


@case("47", "two Authorization headers, one of them right; a body before the answer", "(401|400), nothing read", door=True)
def two_headers(server):
    token = server.token("honest", "ingest")
    lines = [f"authorization: Bearer {token[:-1]}", f"authorization: Bearer {token}"]
    port = server.ports["http"]
    twice = wire.raw(port, wire.head(port, f"content-type: {wire.PROTOBUF}", "content-length: 0", *lines))
    began = time.monotonic()
    unread = wire.raw(port, wire.head(port, f"content-type: {wire.PROTOBUF}", "content-length: 60000000"), timeout=9)
    read = "" if unread == "401" and time.monotonic() - began < 8 else f", but the body was waited for: {unread}"
    return f"{twice}, nothing read{read}"


@case("49", "200 guesses", "refused for a while, the right one passes", door=True)
def guesses(server):
    token = server.token("honest", "ingest")
    got = [knock(server, f"Bearer guess-{n}") for n in range(200)]
    right = knock(server, f"Bearer {token}")
    slowed = set(got) <= {401, 429} and got[-1] == 429
    return "refused for a while, the right one passes" if slowed and right == 200 else f"{got[-1]} {right}"
