"""Rows 42 to 49: tokens, and what is claimed without one. The server of these rows asks for tokens."""

import base64
import time

import messages
import wire
from decoders import stored
from messages import record
from server import MARK
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


@case("45", "a reader's token on ingest: OTLP, gRPC, hooks", "403 PERMISSION_DENIED 403", door=True)
def reader_sends(server):
    token = f"Bearer {server.token('honest', 'reader')}"
    hook = server.post("/v1/hooks", b'{"session_id":"s"}', wire.JSON, authorization=token).status
    return f"{knock(server, token)} {server.grpc(b'', headers=[('authorization', token)]).status} {hook}"


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
