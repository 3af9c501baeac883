"""Rows 23 to 39: bodies that arrive whole and are no honest telemetry."""

import json
import struct
import time

import lake
import messages
import wire
from messages import json_logs, json_record, record
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from server import MARK
from table import case
from transport import growth


def rejected(reply):
    """What a reply says of single records: `200`, `200 rejected n`, or the status alone."""
    if reply.status != 200 or not reply.body:
        return str(reply.status)
    if reply.headers.get("content-type", "").startswith("application/json"):
        partial = json.loads(reply.body).get("partialSuccess", {})
        count = next((int(v) for k, v in partial.items() if k.startswith("rejected")), 0)
    else:
        partial = messages.ExportLogsServiceRequest  # The three replies are alike on the wire.
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

        partial = ExportLogsServiceResponse.FromString(reply.body).partial_success
        count = partial.rejected_log_records
    return f"200 rejected {count}" if count else "200"


def hand_record(*fields):
    """A log record by hand: a time, a session and more fields."""
    whole = messages.record("decoders").SerializeToString()
    return whole + b"".join(fields)


def deep(depth):
    """A log record whose body nests."""
    return hand_record(messages.field(5, messages.nested_value(depth)))


@case("23", "protobuf value nested 60 deep; 65; 100,000", "200 then refused")
def nested_protobuf(server):
    good = messages.record("decoders").SerializeToString()
    got = [rejected(server.post("/v1/logs", messages.logs_by_hand(good, deep(depth)))) for depth in (60, 65, 100_000)]
    return "200 then refused" if got[0] == "200" and set(got[1:]) <= {"400", "200 rejected 1"} else str(got)


def nested_json(depth):
    value = '{"arrayValue":{"values":[' * depth + "{}" + "]}}" * depth
    return json_logs(json_record("decoders"), json_record("decoders", f'"body":{value}'))


@case("24", "JSON value nested 60 deep; 65; 200,000; 200,000 in an unknown field", "200 then refused, unknown 200|200 then refused, unknown 400")
def nested_in_json(server):
    got = [rejected(server.post("/v1/logs", nested_json(depth), wire.JSON)) for depth in (60, 65, 200_000)]
    unknown = json_logs(json_record("decoders", '"unknown":' + "[" * 200_000 + "]" * 200_000))
    answer = server.post("/v1/logs", unknown, wire.JSON).status
    refused = got[0] == "200" and set(got[1:]) <= {"400", "200 rejected 1"}
    return f"200 then refused, unknown {answer}" if refused else str(got)


@case("24", "hook JSON nested 200,000 deep, also as a string", "400 200")
def nested_hook(server):
    deep = "[" * 200_000 + "]" * 200_000
    plain = server.post("/v1/hooks", b'{"session_id":"decoders","x":' + deep.encode() + b"}", wire.JSON).status
    inside = json.dumps({"session_id": "decoders", "hook_event_name": "Stop", "x": deep}).encode()
    return f"{plain} {server.post('/v1/hooks', inside, wire.JSON).status}"


def statuses(server, bodies, content_type=wire.PROTOBUF, path="/v1/logs"):
    return {server.post(path, body, content_type).status for body in bodies}


@case("25", "a protobuf request cut at every byte", "no fault of the server's")
def truncated(server):
    whole = messages.logs(record("decoders", {"prompt": MARK, "n": 5, "d": 0.5}, trace_id=bytes(range(16))))
    got = statuses(server, (whole[:n] for n in range(len(whole))))
    return "no fault of the server's" if got <= {200, 400} and 400 in got else str(got)


@case("25", "a JSON request and a hook cut at every byte", "no fault of the server's")
def truncated_json(server):
    whole = json_logs(json_record("decoders", '"body":{"stringValue":"' + MARK + '\\u00e9"}'))
    got = statuses(server, (whole[:n] for n in range(1, len(whole))), wire.JSON)
    hook = json.dumps({"session_id": "decoders", "hook_event_name": "Stop", "x": [1.5, "\u00e9", None]}).encode()
    got |= statuses(server, (hook[:n] for n in range(len(hook))), wire.JSON, "/v1/hooks")
    return "no fault of the server's" if got == {400} else str(got)


@case("25", "every byte of a protobuf request changed in 8 ways", "no fault of the server's")
def flipped(server):
    whole = messages.logs(record("decoders", {"prompt": MARK, "n": 5}))
    bodies = (whole[:n] + bytes([whole[n] ^ 1 << bit]) + whole[n + 1 :] for n in range(len(whole)) for bit in range(8))
    got = statuses(server, bodies)
    return "no fault of the server's" if got <= {200, 400} else str(got)


@case("26", "a wrong wire type; unknown fields; a field twice", "refused 200 200")
def wire_types(server):
    unknown = messages.field(5000, b"x") + messages.varint(4999 << 3) + b"\1" + messages.varint(4998 << 3 | 5) + b"abcd"
    twice = messages.field(12, b"first") + messages.field(12, b"second")
    kinds = (b"\x0a\x01x", unknown, twice)
    got = [rejected(server.post("/v1/logs", messages.logs_by_hand(hand_record(kind)))) for kind in kinds]
    got[0] = "refused" if got[0] in ("400", "200 rejected 1") else got[0]
    return " ".join(got)


@case("26", "groups, wire types 6 and 7, field number 0", "400")
def dead_wire_types(server):
    got = statuses(server, (b"\x0b\x0c", b"\x0e", b"\x0f", b"\x02\x00", b"\x00\x00"))
    return " ".join(map(str, sorted(got)))


@case("27", "lengths beyond the message, 2^64-1, and varints of 10 and 11 bytes", "400")
def lengths(server):
    kinds = (b"\x0a\x7f", b"\x0a" + b"\xff" * 9 + b"\x01", b"\x0a" + b"\xff" * 10, b"\x0a" + b"\x80" * 10 + b"\x00", b"\x0a\x80")
    return " ".join(map(str, sorted(statuses(server, kinds))))


@case("28", "a string that is no UTF-8, beside a good record", "400|200 rejected 1")
def no_utf8(server):
    bad = hand_record(messages.field(12, b"\xff\xfe\xc0\x80"))
    return rejected(server.post("/v1/logs", messages.logs_by_hand(hand_record(), bad)))


@case("29", "ids of 15 and 17 bytes, beside a good record", "200 rejected 1 200 rejected 1")
def id_lengths(server):
    bodies = (messages.logs_by_hand(hand_record(), hand_record(messages.field(9, bytes([7]) * n))) for n in (15, 17))
    return " ".join(rejected(server.post("/v1/logs", body)) for body in bodies)


@case("29", "hex ids: upper case; odd; no hex; too long", "200 and refused")
def hex_ids(server):
    ids = ("ABCDEF0123456789ABCDEF0123456789", "a" * 31, "zz" * 16, "ab" * 32)
    got = [rejected(server.post("/v1/logs", json_logs(json_record("decoders"), json_record("decoders", f'"traceId":"{i}"')), wire.JSON)) for i in ids]
    return "200 and refused" if got[0] == "200" and set(got[1:]) <= {"400", "200 rejected 1"} else str(got)


@case("30", "numbers: int64 as string and number, -0, 1e400, NaN, a million digits", "200 200 200 refused")
def json_numbers(server):
    def send(value):
        return rejected(server.post("/v1/logs", json_logs(json_record("decoders", f'"body":{value}')), wire.JSON))

    good = [send('{"intValue":"9223372036854775807"}'), send('{"intValue":-9223372036854775808}'), send('{"doubleValue":-0}')]
    bad = {send(v) for v in ('{"doubleValue":1e400}', '{"doubleValue":NaN}', '{"intValue":%s}' % ("9" * 1_000_000), '{"intValue":9223372036854775808}', '{"intValue":1.5}')}
    return " ".join([*good, "refused" if bad <= {"400", "200 rejected 1"} else str(bad)])


@case("30", "lone surrogate, byte order mark, trailing garbage, a name twice", "400 400 400 200|200 400 400 200")
def json_texts(server):
    whole = json_logs(json_record("decoders"))
    twice = b'{"resourceLogs":[],' + whole[1:]
    kinds = (json_logs(json_record("decoders", '"body":{"stringValue":"\\ud800"}')), b"\xef\xbb\xbf" + whole, whole + b"x", twice)
    return " ".join(str(server.post("/v1/logs", kind, wire.JSON).status) for kind in kinds)


@case("31", "bytesValue that is no base64", "400|200 rejected 1")
def no_base64(server):
    body = json_logs(json_record("decoders"), json_record("decoders", '"body":{"bytesValue":"*%s*"}' % MARK))
    return rejected(server.post("/v1/logs", body, wire.JSON))


def stored(server, session, count, columns, workspace="default", table="facts", order="sequence"):
    """A session's facts or other rows, once `count` of them are there."""
    connection = lake.connect()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if table not in lake.mount(connection, str(server.data / "lake"), workspace):
            rows = connection.execute(f"SELECT {columns} FROM {table} WHERE session_id = ? ORDER BY {order}", [session]).fetchall()
            if len(rows) >= count:
                return rows
        time.sleep(0.2)
    raise AssertionError(f"the facts of {session} did not arrive")


@case("32", "times 0, 1, 2^63, 2^64-1 ns, and the year 2500", "5 kept, sane")
def odd_times(server):
    session = f"times-{time.time_ns()}"
    times = (0, 1, 2**63, 2**64 - 1, 16_725_225_600 * 10**9)
    records = [record(session, {"event.sequence": n}, time_unix_nano=t) for n, t in enumerate(times)]
    if server.post("/v1/logs", messages.logs(*records)).status != 200:
        return "refused"
    rows = stored(server, session, len(times), "epoch(time), epoch(received_at)")
    sane = all(0 <= at <= received + 86_400 * 366 * 300 for at, received in rows)
    return f"{len(rows)} kept, {'sane' if sane else rows}"


@case("32", "a span that ends before it starts", "200, no negative duration")
def negative_duration(server):
    session = f"span-{time.time_ns()}"
    span = Span(trace_id=bytes(range(16)), span_id=bytes(range(8)), name="claude_code.tool", start_time_unix_nano=2**62, end_time_unix_nano=5)
    span.attributes.extend(messages.attributes({"session.id": session}))
    got = server.post("/v1/traces", messages.spans(span)).status
    rows = stored(server, session, 1, "duration_ms")
    return f"{got}, no negative duration" if all(d is None or d >= 0 for (d,) in rows) else f"{got}, {rows}"


@case("33", "100,000 attributes on one record; a name of 1 MiB", "200 200, bounded")
def many_attributes(server):
    many = messages.logs(record("decoders", {f"a{n}": n for n in range(100_000)}))
    long = messages.logs(record("decoders", {"n" * (1 << 20): MARK}))
    return growth(server, lambda: f"{server.post('/v1/logs', many).status} {server.post('/v1/logs', long).status}")


@case("34", "one attribute of 60 MiB; one that exceeds the limit", "200 413")
def huge_attribute(server):
    small, large = (messages.logs(record("huge", {"prompt": MARK + "x y" * (n // 3)})) for n in (60 << 20, 65 << 20))
    return f"{server.post('/v1/logs', small).status} {server.post('/v1/logs', large).status}"


@case("35", "a million empty log records in 2 MiB", "413 within 1 s of CPU, bounded")
def empty_records(server):
    body = messages.field(1, messages.field(2, b"\x12\x00" * 1_000_000))
    before = server.cpu_seconds()
    got = growth(server, lambda: f"{server.post('/v1/logs', body).status} within 1 s of CPU")
    took = server.cpu_seconds() - before
    return got if took <= 1 else f"{got}, but {took:.1f} s"


@case("35", "60 MiB of empty records, attributes, values, bucket counts", "413 413 413 413, bounded", release=True)
def tiny_items(server):
    size = 30 << 20
    record = messages.record("tiny").SerializeToString()
    list_of_nothing = messages.field(5, messages.field(5, b"\x0a\x00" * size))
    point = messages.field(6, b"\x01" * (2 * size))
    kinds = (
        ("/v1/logs", messages.field(1, messages.field(2, b"\x12\x00" * size))),
        ("/v1/logs", messages.logs_by_hand(record + b"\x32\x00" * size)),
        ("/v1/logs", messages.logs_by_hand(record + list_of_nothing)),
        # Metric{histogram = 9 {data_points = 1 {bucket_counts = 6, packed}}}, a byte each.
        ("/v1/metrics", messages.field(1, messages.field(2, messages.field(2, messages.field(9, messages.field(1, point)))))),
    )
    return growth(server, lambda: " ".join(str(server.post(path, body).status) for path, body in kinds))


@case("36", "100,000 data points with as many label sets", "200, metrics page bounded", release=True)
def label_sets(server):
    points = [NumberDataPoint(as_int=1, attributes=messages.attributes({"k": f"{MARK}{n}"})) for n in range(100_000)]
    got = server.post("/v1/metrics", messages.metrics(Metric(name="m", gauge=Gauge(data_points=points)))).status
    size = len(server.metrics())
    return f"{got}, metrics page {'bounded' if size < 100_000 else size}"


@case("37", "histograms whose counts, bounds and scale contradict each other", "200|200 rejected 1")
def odd_histograms(server):
    histogram = HistogramDataPoint(count=1, bucket_counts=[2**63, 5, 7], explicit_bounds=[3.0, 1.0, float("nan")], sum=float("-inf"))
    exponential = ExponentialHistogramDataPoint(count=2**64 - 1, scale=2**31 - 1, zero_count=2**63)
    exponential.positive.offset, exponential.negative.offset = 2**31 - 1, -(2**31)
    exponential.positive.bucket_counts.extend([2**64 - 1] * 100)
    body = messages.metrics(
        Metric(name="h", histogram=Histogram(data_points=[histogram])),
        Metric(name="e", exponential_histogram=ExponentialHistogram(data_points=[exponential])),
    )
    return rejected(server.post("/v1/metrics", body))


@case("39", "costs inf, NaN, -1, 1e308; tokens 2^63-1, -5; a good one", "7 kept, only the good cost")
def odd_costs(server):
    session = f"cost-{time.time_ns()}"
    costs = (float("inf"), float("nan"), -1.0, 1e308, "1e308", 0.0, 0.25)
    tokens = (2**63 - 1, -5, 2**63 - 1, 1, 1, 1, 10)
    values = [{"event.sequence": n, "cost_usd": c, "input_tokens": t, "request_id": f"{session}-{n}"} for n, (c, t) in enumerate(zip(costs, tokens))]
    got = server.post("/v1/logs", messages.logs(*(record(session, v, "api_request") for v in values))).status
    rows = stored(server, session, len(costs), "cost_usd")
    kept = [None if cost is None else float(cost) for (cost,) in rows]
    return f"{len(kept)} kept, only the good cost" if got == 200 and kept == [None] * 5 + [0.0, 0.25] else f"{got} {kept}"


@case("38", "hooks: no JSON, an array, a number, bad lines between good ones", "400 400 400 200")
def odd_hooks(server):
    kinds = (b"nothing", b"[1]", b"7")
    got = [server.post("/v1/hooks", kind, wire.JSON).status for kind in kinds]
    line = json.dumps({"id": f"line-{time.time_ns()}", "kind": "hook", "session_id": "decoders", "data": {"x": MARK}}).encode()
    got.append(server.post("/v1/hooks", b"\x00\xff\n" + line + b'\n{"id":5}\n', wire.NDJSON).status)
    return " ".join(map(str, got))


@case("38", "64 MiB of bad lines", "400|413, bounded|400, bounded")
def bad_lines(server):
    return growth(server, lambda: server.post("/v1/hooks", b"x\n" * (30 << 20), wire.NDJSON).status)


@case("35", "hook JSON whose tree is forty times its text", "(200|413|503), bounded")
def wide_tree(server):
    body = b'{"session_id":"decoders","x":[' + b"[]," * (1 << 20) + b"[]]}"
    return growth(server, lambda: server.post("/v1/hooks", body, wire.JSON).status)
