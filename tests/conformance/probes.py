"""What a row of the checklist does beyond one request and its reply. Each returns what it got, in words."""

import concurrent.futures
import contextlib
import http.client
import resource
import select
import time

import client
import messages as m
import zstandard
from client import J, P
from lake import connect as open_lake, mount
from server import Server


def stored(send):
    """With the number of records that were taken."""

    def probe(server):
        before = server.accepted()
        got = send(server)
        return f"{got} stored {server.accepted() - before:.0f}"

    return probe


def status_only(send):
    return lambda server: send(server).split(" ")[0]


def bounded(send):
    """The peak resident size grows by less than twice the largest body (64 MiB): what is kept of it is there once."""

    def probe(server):
        server.peak_mib()
        before = server.peak_mib()
        got = send(server)
        grown = server.peak_mib() - before
        return f"{got}, memory bounded" if grown < 128 else f"{got}, {grown} MiB more"

    return probe


# Facts: what a request became.

# What differs between two sendings of the same, and what the sending's own session id decides.
ITS_OWN = {"fact_id", "session_id", "received_at", "received_date"}


def facts(server, session, count=1):
    """The session's facts as soon as there are so many."""
    deadline = time.monotonic() + 60
    connection = open_lake()
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):
            if not mount(connection, str(server.data / "lake")):
                cursor = connection.execute("SELECT * FROM facts WHERE session_id = ? ORDER BY name, fact_id", [session])
                names = [column[0] for column in cursor.description]
                rows = [dict(zip(names, row)) for row in cursor.fetchall()]
                if len(rows) >= count:
                    return rows
        time.sleep(0.1)
    return []


def comparable(rows, session):
    """Without what is a sending's own: two of the same are equal."""
    return sorted(repr({k: v for k, v in row.items() if k not in ITS_OWN}).replace(session, "SESSION") for row in rows)


def twin(signal, document, count=1):
    """The same in JSON and in protobuf (made by the official classes) gives the same `count` facts."""

    def probe(server):
        as_json, as_protobuf = m.unique(), m.unique()
        replies = [
            server.http(m.PATHS[signal], J, m.as_json(document(as_json))),
            server.http(m.PATHS[signal], P, m.protobuf(signal, document(as_protobuf))),
        ]
        if replies != ["200 J unset", "200 P unset"]:
            return " and ".join(replies)
        one, two = (comparable(facts(server, session, count), session) for session in (as_json, as_protobuf))
        return "same" if one == two and len(one) == count else f"different: {one} and {two}"

    return probe


def same_facts(signal, document):
    """Sent as it stands and as protobuf, it is the same telemetry: nothing is stored the second time."""

    def probe(server):
        victim = Server(server.binary)
        try:
            replies = [
                victim.http(m.PATHS[signal], P, m.protobuf(signal, document)),
                victim.http(m.PATHS[signal], J, m.as_json(document)),
            ]
            if replies != ["200 P unset", "200 J unset"]:
                return " and ".join(replies)
            return "same" if all_facts_twice(victim) else "different"
        finally:
            victim.remove()

    return probe


def all_facts_twice(server):
    """Whether what was accepted, half of it in another encoding, gave half as many facts."""
    expected = server.accepted() / 2
    server.terminate()
    server.process.wait(60)
    connection = open_lake()
    mount(connection, str(server.data / "lake"))
    (count,) = connection.execute("SELECT count(DISTINCT fact_id) FROM facts").fetchone()
    return count == expected > 0


# Connections.


def grpc_zstd(server):
    frame = client.frame(zstandard.compress(m.protobuf("logs", m.SAMPLES["logs"])), compressed=True)
    connection = client.Http2(server.ports["grpc"])
    status, headers, _ = connection.post(client.METHODS["logs"], "application/grpc", frame, grpc_encoding="zstd", te="trailers")
    return f"{status} {'OK' if headers.get('grpc-status') == '0' else headers}"


def keep_alive(server):
    connection = client.open_http(server.ports["http"])
    body = m.protobuf("logs", m.SAMPLES["logs"])
    first = client.said(client.post(0, "/v1/logs", P, body, connection=connection))
    sock = connection.sock
    second = client.said(client.post(0, "/v1/logs", P, body, connection=connection))
    return f"{first}, {second}, {'same connection' if connection.sock is sock else 'another connection'}"


def h2c(server):
    connection = client.Http2(server.ports["http"])
    body = m.protobuf("logs", m.SAMPLES["logs"])
    return ", ".join(client.said(connection.post("/v1/logs", P, body)) for _ in range(2))


def chunked(server):
    body = m.as_json(m.SAMPLES["logs"])
    parts = iter([body[at : at + 7] for at in range(0, len(body), 7)])
    return server.http("/v1/logs", J, parts)


@contextlib.contextmanager
def slow_body(server, length, sent):
    """A request that never sends the last of its bytes."""
    with client.connect(server.ports["http"]) as connection:
        head = f"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: {P}\r\ncontent-length: {length}\r\n\r\n"
        connection.sendall(head.encode() + bytes(sent))
        yield connection


def many_calls(server):
    body = m.protobuf("logs", m.SAMPLES["logs"])
    with slow_body(server, 100, 1), client.channel(server.ports["grpc"]) as channel:
        export = channel.unary_unary(client.METHODS["logs"], bytes, client.RESPONSES["logs"].FromString)
        calls = [export.future(body, timeout=60) for _ in range(100)]
        answers = [client.answered(call, "logs") for call in calls]
    return f"{answers.count('OK unset')} OK"


def many_connections(server):
    body = m.protobuf("logs", m.SAMPLES["logs"])
    with slow_body(server, 100, 1), concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: server.http("/v1/logs", P, body), range(50)))
    return f"{answers.count(answers[0])} of {answers[0]}"


def slow_head(server):
    with client.connect(server.ports["http"]) as connection:
        connection.sendall(b"POST /v1/logs HTTP/1.1\r\nhost:")
        return client.closes_within(connection, 10)


def falls_idle(server):
    connection = client.open_http(server.ports["http"])
    client.post(0, "/v1/logs", P, b"", connection=connection)
    return client.closes_within(connection.sock, 10)


def pings(server):
    connection = client.Http2(server.ports["grpc"])
    for n in range(50):
        connection.state.ping(n.to_bytes(8, "big"))
        connection.flush()
    frame = client.frame(m.protobuf("logs", m.SAMPLES["logs"]))
    status, headers, _ = connection.post(client.METHODS["logs"], "application/grpc", frame, te="trailers")
    return f"open, {status}" if headers.get("grpc-status") == "0" else f"{status} {headers}"


def aged(server):
    """Whether a GOAWAY frame (type 7, RFC 9113 section 6.8) comes before the end."""
    connection, received = client.Http2(server.ports["grpc"]), b""
    connection.socket.settimeout(10)
    while data := connection.socket.recv(65536):
        received += data
        while len(received) >= 9 and len(received) >= 9 + int.from_bytes(received[:3], "big"):
            if received[3] == 7:
                return "GOAWAY"
            received = received[9 + int.from_bytes(received[:3], "big") :]
    return "closed without GOAWAY"


def preflight(origin):
    def probe(server):
        headers = {"origin": origin, "access_control_request_method": "POST", "access_control_request_headers": "content-type"}
        status, answer, _ = client.post(server.ports["http"], "/v1/logs", None, None, "OPTIONS", **headers)
        allowed, age = (answer.get(f"access-control-{name}", "none") for name in ("allow-origin", "max-age"))
        return f"{status} {allowed} {age if allowed != 'none' else 'none'}"

    return probe


def cross_origin(origin):
    def probe(server):
        status, answer, _ = client.post(server.ports["http"], "/v1/logs", J, b"{}", origin=origin)
        return f"{status} {answer.get('access-control-allow-origin', 'none')}"

    return probe


# Overload.


def overloaded(send):
    """While another request holds all of the budget, which is 16 MiB in `tight` (64 MiB of memory)."""

    def attempt(server):
        with slow_body(server, 16 << 20, (16 << 20) - 1) as holder:
            while (got := send(server)).startswith(("200", "OK")):
                if select.select([holder], [], [], 0)[0]:
                    return "try again"  # A request before it had a part of the budget, so it was refused itself.
            return got

    return lambda server: until(lambda: attempt(server), lambda got: got != "try again", 60)


def until(attempt, satisfied, seconds=20):
    """Tries again until the answer is the one looked for; the last answer."""
    deadline = time.monotonic() + seconds
    while not satisfied(got := attempt()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return got


def over_quota(send):
    """In `quota` a workspace may send 10 records a second."""

    def probe(server):
        server.http("/v1/logs", P, m.protobuf("logs", m.logs(*[m.log_record()] * 100)))
        return send(server)

    return probe


def nothing_writable(send):
    """The journal's disk and the store take nothing any more."""

    def probe(server):
        unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        try:
            return send(server)
        finally:
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)

    return probe


# Stopping.


def survives_kill(server):
    """Acknowledged, killed, started again, and sent again as a client does that never saw the acknowledgement."""
    session = m.unique()
    requests = [m.protobuf("logs", m.logs(m.log_record(session, m.text("n", str(n))))) for n in range(20)]
    for body in requests:
        if (got := server.http("/v1/logs", P, body)) != "200 P unset":
            return got
    server.kill()
    server.start()
    for body in requests:
        server.http("/v1/logs", P, body)
    rows = facts(server, session, 20)
    return f"{len(rows)} stored once" if len({row["fact_id"] for row in rows}) == len(rows) else "stored twice"


def drains(server):
    body = m.protobuf("logs", m.SAMPLES["logs"])
    with slow_body(server, len(body), 0) as connection:
        connection.sendall(body[:-1])
        time.sleep(0.2)
        server.terminate()
        refused = until(lambda: refuses(server.ports["http"]), bool)
        connection.sendall(body[-1:])
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        got = client.said((answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()))
    return f"{got}, new ones {'refused' if refused else 'taken'}, exit {server.process.wait(60)}"


def refuses(port):
    try:
        client.connect(port).close()
        return False
    except OSError:
        return True
