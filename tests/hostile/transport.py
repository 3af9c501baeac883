"""Rows 1 to 13, 19 to 21 and 74: bytes, headers and connections."""

import gzip
import socket
import struct
import threading
import time

import messages
import wire
from server import MARK, Broken
from table import case

BODY_LIMIT = 64 << 20


def bomb():
    """1 GiB of zeros in 1 MiB of gzip."""
    member = gzip.compress(bytes(64 << 20), 9)
    return member * 16


def good(session="transport"):
    return messages.logs(messages.record(session, {"prompt": MARK}))


def growth(server, send):
    """What a request got, and whether memory grew by more than three times the body limit (a buffer that grows is there
    twice) and 32 MiB for everything else."""
    server.forget_peak()
    before = server.status("VmHWM")
    got = send()
    grew = server.status("VmHWM") - before
    return f"{got}, bounded" if grew << 10 <= 3 * BODY_LIMIT + (32 << 20) else f"{got}, grew by {grew >> 10} MiB"


@case("1", "gzip bomb 1:1000 over HTTP", "(413|400), bounded")
def gzip_bomb(server):
    return growth(server, lambda: server.post("/v1/logs", bomb(), content_encoding="gzip").status)


@case("1", "the same as hooks", "(413|400), bounded", release=True)
def gzip_bomb_of_hooks(server):
    return growth(server, lambda: server.post("/v1/hooks", bomb(), wire.NDJSON, content_encoding="gzip").status)


@case("2", "zstd frame with a 2 GiB window", "(413|400), bounded")
def zstd_window(server):
    body = messages.zstd_bomb(31, 8192)
    return growth(server, lambda: server.post("/v1/logs", body, content_encoding="zstd").status)


@case("2", "zstd bomb 1:32768 in a small window", "413, bounded")
def zstd_bomb(server):
    body = messages.zstd_bomb(23, 8192)
    return growth(server, lambda: server.post("/v1/logs", body, content_encoding="zstd").status)


@case("3", "gzip bomb over gRPC", "200 RESOURCE_EXHAUSTED, bounded")
def grpc_gzip_bomb(server):
    return growth(server, lambda: server.grpc(bomb(), compressed=True, headers=[("grpc-encoding", "gzip")]))


@case("3", "zstd frame with a 2 GiB window over gRPC", "200 (RESOURCE_EXHAUSTED|INVALID_ARGUMENT), bounded")
def grpc_zstd_window(server):
    body = messages.zstd_bomb(31, 8192)
    return growth(server, lambda: server.grpc(body, compressed=True, headers=[("grpc-encoding", "zstd")]))


@case("4", "gzip in gzip", "400")
def nested_gzip(server):
    body = gzip.compress(gzip.compress(good()))
    return str(server.post("/v1/logs", body, content_encoding="gzip").status)


@case("5", "unknown content encoding, and a list of two", "415 415")
def encodings(server):
    listed = server.post("/v1/logs", good(), content_encoding="gzip, gzip")
    return f"{server.post('/v1/logs', good(), content_encoding='foo').status} {listed.status}"


def accepted(server):
    return server.metric("otelcol_receiver_accepted_log_records")


def ingested(server, send):
    """What was got, and whether a record got in with it."""
    before = accepted(server)
    got = send()
    return f"{got}, " + ("nothing ingested" if accepted(server) == before else "ingested")


@case("6", "Content-Length longer than the body, then end", "(400|408|closed), nothing ingested")
def length_too_long(server):
    head = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", f"content-length: {len(good()) + 9}")
    return ingested(server, lambda: wire.raw(server.ports["http"], head, good(), then_close=True))


@case("6", "Content-Length shorter than the body", "400, nothing ingested")
def length_too_short(server):
    head = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", f"content-length: {len(good()) - 5}")
    return ingested(server, lambda: wire.raw(server.ports["http"], head, good()))


@case("6", "two different Content-Lengths; a negative one; no number", "400 400 400")
def odd_lengths(server):
    kinds = (["content-length: 3", "content-length: 4"], ["content-length: -1"], ["content-length: 0x10"])
    heads = (wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", *lines) for lines in kinds)
    return " ".join(wire.raw(server.ports["http"], head, b"abcd") for head in heads)


@case("7", "Content-Length with Transfer-Encoding, a second request smuggled in", "400, nothing ingested")
def smuggling(server):
    hidden = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", f"content-length: {len(good())}") + good()
    lines = f"content-type: {wire.PROTOBUF}", "content-length: 5", "transfer-encoding: chunked"
    return ingested(server, lambda: wire.raw(server.ports["http"], wire.head(server.ports["http"], *lines), b"0\r\n\r\n", hidden))


@case("7", "Transfer-Encoding that is not chunked; chunked twice", "400|501|closed")
def odd_transfer(server):
    got = set()
    for value in ("identity, foo", "chunked, chunked", "\x0bchunked"):
        head = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", f"transfer-encoding: {value}")
        got.add(wire.raw(server.ports["http"], head, b"0\r\n\r\n"))
    return "|".join(sorted(got))


@case("8", "chunked body without end", "413, bounded")
def endless_body(server):
    head = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", "transfer-encoding: chunked")
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    return growth(server, lambda: wire.raw(server.ports["http"], head, *[chunk] * 160))


@case("8", "chunk sizes that are none, or beyond 64 bits", "400 400")
def odd_chunks(server):
    head = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", "transfer-encoding: chunked")
    return " ".join(wire.raw(server.ports["http"], head, size + b"\r\nab\r\n0\r\n\r\n") for size in (b"zz", b"f" * 17))


def trickled(port, start, most, every=1.0):
    with wire.connect(port) as connection:
        connection.sendall(start)
        took = wire.seconds_until_closed(connection, most, lambda: connection.sendall(b"x"), every)
    return f"open after {most} s" if took is None else f"closed within {most} s"


@case("9", "headers, one byte a second", "closed within 14 s", slow=True)
def slow_headers(server):
    return trickled(server.ports["http"], b"POST /v1/logs HTTP/1.1\r\nx: ", 14)


@case("9", "headers of a second request, one byte a second", "closed within 20 s", slow=True)
def slow_second_headers(server):
    with wire.connect(server.ports["http"]) as connection:
        head = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", f"content-length: {len(good())}")
        connection.sendall(head + good())
        if wire.read_reply(connection) != "200":
            return "the first request was refused"
        connection.sendall(b"POST /v1/logs HTTP/1.1\r\nx: ")
        took = wire.seconds_until_closed(connection, 20, lambda: connection.sendall(b"x"))
    return "open after 20 s" if took is None else "closed within 20 s"


@case("9", "an HTTP/2 preface, one byte a second", "closed within 14 s", slow=True)
def slow_preface(server):
    with wire.connect(server.ports["grpc"]) as connection:
        left = iter(wire.PREFACE[:-1])
        took = wire.seconds_until_closed(connection, 14, lambda: connection.sendall(bytes([next(left)])))
    return "open after 14 s" if took is None else "closed within 14 s"


@case("10", "body, one byte a second", "408", slow=True)
def slow_body(server):
    head = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", "content-length: 1000000")
    with wire.connect(server.ports["http"], 30) as connection:
        connection.sendall(head)
        stop = threading.Event()

        def drip():
            while not stop.wait(1):
                try:
                    connection.sendall(b"\n")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        got = wire.read_reply(connection)
        stop.set()
        thread.join()
    return got


@case("11", "pipelined requests whose replies are never read", "closed within 60 s", slow=True)
def never_reads(server):
    """The server's end counts: a client that takes nothing learns of it when it next asks, which may be a minute later."""
    head = wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", "content-length: 0")
    with wire.connect(server.ports["http"]) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(5)
        began = time.monotonic()
        while time.monotonic() - began < 60:
            try:
                connection.sendall(head * 1000)
            except TimeoutError:
                pass  # Both sides' buffers are full: it is the server's turn to lose patience.
            except OSError:
                return "closed within 60 s"
            if not wire.is_open(server.ports["http"], connection):
                return "closed within 60 s"
    return "open after 60 s"


@case("12", "9,000 connections that say nothing", "a good client is served", release=True)
def idle_connections(server):
    held = []
    try:
        for _ in range(9000):
            connection = socket.socket()
            held.append(connection)
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", server.ports["http"]))
        server.serves_a_good_client()
        return "a good client is served"
    except Broken as broken:
        return str(broken)
    finally:
        for connection in held:
            connection.close()


@case("13", "a header of 128 KiB; 10,000 headers; 10,000 members of baggage", "431 431 431")
def large_headers(server):
    kinds = (["x: " + "a" * (128 << 10)], [f"x-{n}: 1" for n in range(10_000)], ["baggage: a=1"] * 10_000)
    heads = (wire.head(server.ports["http"], f"content-type: {wire.PROTOBUF}", "content-length: 0", *h) for h in kinds)
    return " ".join(wire.raw(server.ports["http"], head) for head in heads)


@case("13", "headers of 1 MiB over gRPC", "refused")
def large_grpc_headers(server):
    try:
        reply = server.grpc(good(), headers=[(f"x-{n}", "a" * 1000) for n in range(1000)])
    except OSError:
        return "refused"
    return "refused" if reply.http != 200 or reply.status != "OK" else str(reply)


@case("19", "TLS hello on the plain ports; HTTP/1.1 on the gRPC port", "closed|400")
def wrong_protocol(server):
    hello = bytes.fromhex("16030100a5010000a10303") + bytes(160)
    got = {wire.raw(server.ports[port], hello, timeout=15) for port in ("http", "grpc", "health", "metrics")}
    got.add(wire.raw(server.ports["grpc"], wire.head(server.ports["grpc"], "content-length: 0"), timeout=15))
    return "closed" if got <= {"closed", "400"} else str(got)


@case("20", "gRPC frame that claims 4 GiB", "200 RESOURCE_EXHAUSTED, bounded")
def grpc_length(server):
    return growth(server, lambda: server.grpc(struct.pack(">BI", 0, 0xFFFF_FFFF) + b"abc", framed=True))


@case("20", "gRPC: two messages; half a header; an unknown flag; compressed without an encoding", "(200 (INVALID_ARGUMENT|CANCELLED|UNIMPLEMENTED|INTERNAL);?){4}")
def grpc_frames(server):
    message = struct.pack(">BI", 0, len(good())) + good()
    kinds = (message * 2, b"\0\0", b"\x07" + message[1:], b"\x01" + message[1:])
    return ";".join(str(server.grpc(body, framed=True)) for body in kinds)


@case("21", "unknown gRPC method and service", "200 UNIMPLEMENTED 200 UNIMPLEMENTED")
def unknown_method(server):
    service = "/opentelemetry.proto.collector.logs.v1.LogsService/"
    return f"{server.grpc(b'', signal=service + 'Drop')} {server.grpc(b'', signal='/a.B/C')}"


@case("38", "no body, and a wrong content type", "200 415 415")
def no_body(server):
    empty = server.post("/v1/logs", b"").status
    return f"{empty} {server.post('/v1/logs', good(), 'text/plain').status} {server.post('/v1/logs', good(), '').status}"


@case("74", "a page's cross-site post, its preflight, and one after DNS rebinding", "no leave to read")
def cross_site(server):
    origin = {"origin": "http://evil.example"}
    replies = [
        server.post("/v1/hooks", b'{"session_id":"x"}', "text/plain", **origin),
        server.post("/v1/hooks", b'{"session_id":"x"}', wire.JSON, host="evil.example:4318", **origin),
        wire.request(server.ports["http"], "OPTIONS", "/v1/hooks", {**origin, "access-control-request-method": "POST"}),
        wire.request(server.ports["metrics"], "GET", "/metrics", origin),
    ]
    allowed = [name for reply in replies for name in reply.headers if name.startswith("access-control-allow")]
    if replies[0].status != 415 or allowed:
        return f"{replies[0].status} {allowed}"
    return "no leave to read"
