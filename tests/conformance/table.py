"""The conformance checklist as data: item, what is sent, what must come back.

A row's `probe` sends something to a server and says in words what it got; `expected` must be equal to those words. An
item holds when all its rows do. The items are those of the OTLP specification 1.11 (S) and of what the reference
collector does and clients rely on (C).
"""

import dataclasses
import gzip as gzip_module
import ssl
import typing

import messages as m
import probes as p
import security
import zstandard
from client import J, P


@dataclasses.dataclass(frozen=True)
class Row:
    item: int
    sent: str
    expected: str
    probe: typing.Callable
    # Which of the servers in `run.py`.
    server: str = "default"


def http(path, content_type, body, **options):
    return lambda s: s.http(path, content_type, body, **options)


def grpc(signal, body, **options):
    return lambda s: s.grpc(signal, body, **options)


def both(document, path="/v1/logs"):
    """OTLP/JSON as it stands."""
    return http(path, J, m.as_json(document) if not isinstance(document, bytes) else document)


SIGNALS = ("logs", "metrics", "traces")
PB = {signal: m.protobuf(signal, m.SAMPLES[signal]) for signal in SIGNALS}
JS = {signal: m.as_json(m.SAMPLES[signal]) for signal in SIGNALS}
ONE_MIB = 1 << 20
BOMB = gzip_module.compress(bytes(200 << 20))
OK_P, OK_J = "200 P unset", "200 J unset"
BAD_P, BAD_J = "400 P Status 3 BadRequest", "400 J Status 3 BadRequest"


def small(signal):
    """Paths of the server `small`."""
    return "/otlp/traces" if signal == "traces" else f"/v1/{signal}"


def log(**fields):
    return m.logs(m.log_record(**fields))


def checklist():
    rows = []

    def add(*row, **options):
        rows.append(Row(*row, **options))

    for s in SIGNALS:
        add(1, f"POST /v1/{s}, protobuf", OK_P, http(f"/v1/{s}", P, PB[s]))
        add(2, f"POST /v1/{s}, JSON", OK_J, http(f"/v1/{s}", J, JS[s]))
        add(3, f"gRPC Export of {s}", "OK unset", grpc(s, PB[s]))
        add(4, f"/v1/{s}: no byte of protobuf", OK_P, http(f"/v1/{s}", P, b""))
        add(4, f"/v1/{s}: {{}}", OK_J, http(f"/v1/{s}", J, b"{}"))
        add(4, f"gRPC {s}: an empty message", "OK unset", grpc(s, b""))
    add(4, '{"resourceLogs":[]}', OK_J, http("/v1/logs", J, b'{"resourceLogs":[]}'))
    for what, body in (("resource without scopes", {"resourceLogs": [{}]}), ("scope without records", {"resourceLogs": [{"scopeLogs": [{}]}]})):
        add(5, what, f"{OK_J} stored 0", p.stored(http("/v1/logs", J, m.as_json(body))))
        add(5, f"{what}, protobuf", f"{OK_P} stored 0", p.stored(http("/v1/logs", P, m.protobuf("logs", body))))
    for content_type, ok, bodies in ((P, OK_P, PB), (J, OK_J, JS)):
        add(6, f"Content-Encoding: gzip, {content_type}", ok, http("/v1/logs", content_type, gzip_module.compress(bodies["logs"]), content_encoding="gzip"))
        add(7, f"Content-Encoding: zstd, {content_type}", ok, http("/v1/logs", content_type, zstandard.compress(bodies["logs"]), content_encoding="zstd"))
        for name in ("identity", "none"):
            add(8, f"Content-Encoding: {name}, {content_type}", ok, http("/v1/logs", content_type, bodies["logs"], content_encoding=name))
        bad = BAD_P if content_type == P else BAD_J
        add(9, f"Content-Encoding: gzip over no gzip, {content_type}", bad, http("/v1/logs", content_type, bodies["logs"], content_encoding="gzip"))
        unknown = f"415 {'P' if content_type == P else 'J'} Status 12"
        add(10, f"Content-Encoding: invalid, {content_type}", unknown, http("/v1/logs", content_type, bodies["logs"], content_encoding="invalid"))
    add(6, "grpc-encoding: gzip", "OK unset", grpc("logs", PB["logs"], gzip=True))
    add(7, "grpc-encoding: zstd", "200 OK", p.grpc_zstd)
    add(11, "two requests on one HTTP/1.1 connection", f"{OK_P}, {OK_P}, same connection", p.keep_alive)
    add(11, "two requests on one h2c connection to the HTTP port", f"{OK_P}, {OK_P}", p.h2c)
    add(12, "Transfer-Encoding: chunked without Content-Length", OK_J, p.chunked)
    for sent, content_type in (("no content type", None), ("text/plain", "text/plain"), ("application/xml", "application/xml")):
        add(13, sent, "415 text/plain", http("/v1/logs", content_type, PB["logs"]))
    for content_type in ("application/json; charset=utf-8", "Application/JSON"):
        add(14, content_type, "200", p.status_only(http("/v1/logs", content_type, JS["logs"])))
    for method in ("GET", "PUT", "DELETE"):
        add(15, f"{method} /v1/logs", "405 J Status 12", http("/v1/logs", J, b"", method=method))
    add(16, "POST /v1/nothing", "404 J Status 12", http("/v1/nothing", J, b"{}"))
    add(17, "bytes that are no protobuf", BAD_P, http("/v1/logs", P, b"\xff\xff\xff"))
    add(17, "protobuf that ends early", BAD_P, http("/v1/logs", P, PB["logs"][:-1]))
    for body in (b"{", b"[]", b"nonsense", b'{"resourceLogs":7}'):
        add(18, body.decode(), BAD_J, http("/v1/logs", J, body))
    add(19, "gRPC: bytes that are no protobuf", "INVALID_ARGUMENT BadRequest", grpc("logs", b"\xff\xff\xff"))
    add(20, "a malformed body: BadRequest detail, protobuf", BAD_P, http("/v1/metrics", P, b"\x0a\xff"))
    add(20, "a malformed body: BadRequest detail, JSON", BAD_J, http("/v1/metrics", J, b'{"resourceMetrics":[7]}'))
    add(20, "an unknown path", "404 P Status 12", http("/v1/nothing", P, b""))

    for s in SIGNALS:
        add(21, f"{s}: a body of the limit (1 MiB)", OK_P, http(small(s), P, m.padded(s, ONE_MIB)), server="small")
        add(21, f"{s}: a body of the limit and one byte", "413 P Status 8", http(small(s), P, m.padded(s, ONE_MIB + 1)), server="small")
    add(21, "JSON of the limit and one byte", "413 J Status 8", http("/v1/logs", J, JS["logs"].ljust(ONE_MIB + 1)), server="small")
    add(22, "a gzip bomb: 200 KiB for 200 MiB", "413 P Status 8, memory bounded", p.bounded(http("/v1/logs", P, BOMB, content_encoding="gzip")))
    add(23, "gRPC: a message of the limit (1 MiB)", "OK unset", grpc("logs", m.padded("logs", ONE_MIB)), server="small")
    add(23, "gRPC: a message of the limit and one byte", "RESOURCE_EXHAUSTED", grpc("logs", m.padded("logs", ONE_MIB + 1)), server="small")
    add(24, "gRPC: a gzip bomb", "RESOURCE_EXHAUSTED, memory bounded", p.bounded(grpc("logs", bytes(200 << 20), gzip=True)))
    add(25, "the default limit: 64 MiB over HTTP", OK_P, http("/v1/logs", P, m.padded("logs", 64 << 20)))
    add(25, "64 MiB and one byte", "413 P Status 8", http("/v1/logs", P, m.padded("logs", (64 << 20) + 1)))
    add(25, "the default limit: 64 MiB over gRPC", "OK unset", grpc("logs", m.padded("logs", 64 << 20)))
    add(25, "max_request_body_size and max_recv_msg_size_mib are set (items 21 and 23)", "413 P Status 8", http("/v1/logs", P, m.padded("logs", ONE_MIB + 1)), server="small")

    add(26, "a full budget of bytes in flight, protobuf", "503 P Status 14 RetryInfo Retry-After", p.overloaded(http("/v1/logs", P, PB["logs"])), server="tight")
    add(26, "a full budget of bytes in flight, JSON", "503 J Status 14 RetryInfo Retry-After", p.overloaded(http("/v1/logs", J, JS["logs"])), server="tight")
    add(26, "a workspace over its quota", "429 P Status 14 RetryInfo Retry-After", p.over_quota(http("/v1/logs", P, PB["logs"])), server="quota")
    add(27, "gRPC: a full budget of bytes in flight", "UNAVAILABLE RetryInfo", p.overloaded(grpc("logs", PB["logs"])), server="tight")
    add(27, "gRPC: a workspace over its quota", "UNAVAILABLE RetryInfo", p.over_quota(grpc("logs", PB["logs"])), server="quota")
    add(28, "never 500 for a transient fault: overload", "503", p.status_only(p.overloaded(http("/v1/logs", P, PB["logs"]))), server="tight")
    add(28, "never 500 for a transient fault: quota", "429", p.status_only(p.over_quota(http("/v1/logs", P, PB["logs"]))), server="quota")
    add(28, "never 500 for a transient fault: a disk that takes nothing", "503", p.status_only(p.nothing_writable(http("/v1/logs", P, PB["logs"]))), server="outage")
    add(29, "neither store nor journal can be written", "503 P Status 14 RetryInfo Retry-After", p.nothing_writable(http("/v1/logs", P, PB["logs"])), server="outage")
    add(29, "the same over gRPC", "UNAVAILABLE RetryInfo", p.nothing_writable(grpc("logs", PB["logs"])), server="outage")

    mixed = m.logs(m.log_record(), m.log_record(traceId="00"), m.log_record(spanId="zz"))
    mixed_pb = m.with_bad_ids(3)
    add(30, "one good record and three with bad ids, protobuf", "200 P rejected 3 message", http("/v1/logs", P, mixed_pb))
    add(30, "the same over gRPC", "OK rejected 3 message", grpc("logs", mixed_pb))
    add(30, "a good span beside a bad one", '200 J rejected "1" message', http("/v1/traces", J, m.as_json(m.traces(m.span(), m.span(spanId="00")))))
    long = log(body={"stringValue": "x" * (5 << 20)})
    add(31, "a text that is cut: a warning", "200 P rejected 0 message", http("/v1/logs", P, m.protobuf("logs", long)))
    add(31, "the same in JSON", '200 J rejected "0" message', both(long))
    add(31, "the same over gRPC", "OK rejected 0 message", grpc("logs", m.protobuf("logs", long)))
    add(32, "rejectedLogRecords is a string", '200 J rejected "2" message', both(mixed))

    ids = {"traceId": m.TRACE.upper(), "spanId": m.SPAN.upper()}
    exemplar = m.point(asInt=1, exemplars=[{"timeUnixNano": m.NOW, "asInt": "3", **ids}])
    add(33, "ids in upper-case hex: log", "same", p.twin("logs", lambda s: m.logs(m.log_record(s, **ids))))
    add(33, "ids in upper-case hex: span and link", "same", p.twin("traces", lambda s: m.traces(m.span(s, traceId=m.trace_of(s), links=[ids]))))
    add(33, "ids in upper-case hex: exemplar", "same", p.twin("metrics", lambda s: m.metrics(m.gauge({**exemplar, "attributes": [m.text("session.id", s)]}))))
    add(34, "a base64 trace id", BAD_J, both(log(traceId="W47/95gDgQPSabYzgT/GDA==")))
    add(34, "a trace id of 15 bytes", BAD_J, both(log(traceId=m.TRACE[2:])))
    add(34, "a span id of an odd number of digits", BAD_J, both(log(spanId=m.SPAN[1:])))
    add(34, "empty ids are unset", OK_J, both(log(traceId="", spanId="")))
    add(35, "unknown fields at every level, also in values", OK_J, both(m.with_unknown_fields()))
    add(36, "snake_case names are unknown", f"{OK_J} stored 0", p.stored(both({"resource_logs": m.SAMPLES["logs"]["resourceLogs"]})))
    add(37, "enums as integers", OK_J, both(m.traces(m.span(kind=2, status={"code": 2})), "/v1/traces"))
    add(37, "enums as integers: severity", "same", p.twin("logs", lambda s: m.logs(m.log_record(s, severityNumber=9))))
    add(37, "an enum's name", BAD_J, both(m.traces(m.span(kind="SPAN_KIND_SERVER")), "/v1/traces"))
    add(37, "an enum's name: temporality", BAD_J, both(m.metrics({"name": "x", "sum": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA"}}), "/v1/metrics"))
    for form in (str, int):
        add(38, f"64-bit integers as {form.__name__}", "same", p.twin("logs", lambda s, form=form: m.logs(m.log_record(s, m.attribute("i", {"intValue": form(2**62)}), timeUnixNano=form(m.NOW)))))
        add(38, f"64-bit integers as {form.__name__}: points", "same", p.twin("metrics", lambda s, form=form: m.every_kind(s, form), count=5))
    add(39, "every kind of value", "same", p.twin("logs", lambda s: m.logs(m.log_record(s, *m.every_value()))))
    add(39, "doubles as text", "same", p.twin("logs", lambda s: m.logs(m.log_record(s, m.attribute("d", {"doubleValue": "1.5"}), m.attribute("n", {"doubleValue": "NaN"}), m.attribute("f", {"doubleValue": "Infinity"})))))
    add(39, "empty value, null value, empty lists", OK_J, both(m.logs(m.log_record("c", m.attribute("e", {}), m.attribute("n", None), m.attribute("a", {"arrayValue": {}}), m.attribute("k", {"kvlistValue": {}})))))
    add(40, "null for every default", OK_J, both(log(severityText=None, body=None, attributes=None, flags=None, traceId=None)))
    add(40, "nothing but a body", OK_J, both(m.logs({"body": {"stringValue": "x"}})))
    for signal, name, document in m.specification_examples():
        add(41, f"the protocol's example {name}.json", "same", p.same_facts(signal, document))
    add(42, "all five kinds of metrics", "same", p.twin("metrics", m.every_kind, count=5))
    add(43, "eventName, flags, schemaUrl, entityRefs", "same", p.twin("logs", m.with_rare_fields))
    add(43, "an unknown protobuf field at every level", "200 P unset stored 1", p.stored(http("/v1/logs", P, m.with_unknown_protobuf())))

    add(44, "100 calls at once on one HTTP/2 connection", "100 OK", p.many_calls)
    add(44, "50 connections at once, beside a slow body", "50 of 200 P unset", p.many_connections)
    add(45, "a head that never ends (read_header_timeout 1s)", "closed", p.slow_head, server="small")
    add(45, "a connection that falls idle (idle_timeout 2s)", "closed", p.falls_idle, server="small")
    add(45, "gRPC: 50 pings in a row", f"open, {OK_P[:3]}", p.pings)
    add(45, "gRPC: max_connection_age 1s", "GOAWAY", p.aged, server="small")
    for origin, expected in (("https://app.example", "204 https://app.example 600"), ("https://app.test", "204 none none")):
        add(46, f"preflight from {origin}, allowed: https://*.example", expected, p.preflight(origin), server="small")
    add(46, "preflight, CORS off", "405 none none", p.preflight("https://app.example"))
    add(46, "POST from an allowed origin", "200 https://app.example", p.cross_origin("https://app.example"), server="small")
    add(47, "HTTPS, a certificate of a CA that the client trusts", OK_P, security.https(), server="tls")
    add(47, "gRPC over TLS", "OK unset", security.grpcs(), server="tls")
    add(47, "TLS 1.2", OK_P, security.https(maximum_version=ssl.TLSVersion.TLSv1_2), server="tls")
    add(47, "TLS 1.1", "refused", security.tls_1_1, server="tls")
    for identity, http_reply, grpc_reply in ((None, "refused", "refused"), ("other", "refused", "refused"), ("client", OK_P, "OK unset")):
        add(47, f"client_ca_file: HTTPS with the certificate of {identity}", http_reply, security.https(identity), server="mtls")
        add(47, f"client_ca_file: gRPC with the certificate of {identity}", grpc_reply, security.grpcs(identity), server="mtls")
    add(47, "certificate and key are replaced", f"another certificate, {OK_P}", security.reloaded, server="tls")
    add(48, "no token, protobuf", "401 P Status 16", security.authorized(None), server="auth")
    add(48, "no token, JSON", "401 J Status 16", security.authorized(None, J), server="auth")
    add(48, "no token: the challenge", "401 Bearer", security.challenge, server="auth")
    add(48, "a bearer token", OK_P, security.authorized(security.BEARER), server="auth")
    add(48, "a wrong bearer token", "401 P Status 16", security.authorized(security.WRONG), server="auth")
    add(48, "gRPC without token", "UNAUTHENTICATED", security.grpc_authorized(None), server="auth")
    add(48, "gRPC with a bearer token", "OK unset", security.grpc_authorized(security.BEARER), server="auth")
    add(48, "gRPC with a wrong token", "UNAUTHENTICATED", security.grpc_authorized(security.WRONG), server="auth")
    add(48, "a token that may not send", "403 P Status 7", security.wrong_role, server="auth")
    add(48, "health without token", "200", security.health, server="auth")
    add(49, "acknowledged, then kill -9, then a restart, and sent again", "20 stored once", p.survives_kill, server="victim")
    add(50, "traces_url_path: /otlp/traces", OK_P, http("/otlp/traces", P, PB["traces"]), server="small")
    add(50, "the default path is gone", "404 P Status 12", http("/v1/traces", P, PB["traces"]), server="small")
    add(50, "/v1development/profiles", "404 P Status 12", http("/v1development/profiles", P, b""))
    add(50, "SIGTERM with a request in flight", "200 P unset, new ones refused, exit 0", p.drains, server="victim")
    return rows


ROWS = checklist()
