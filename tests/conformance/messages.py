"""Requests: in OTLP/JSON as Python values, and the same in protobuf by the official classes."""

import json
import pathlib
import os
import time

from otlp_files import decode

PATHS = {"logs": "/v1/logs", "metrics": "/v1/metrics", "traces": "/v1/traces"}
TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
NOW = 1_795_346_337_000_000_000


def text(key, value):
    return {"key": key, "value": {"stringValue": value}}


def log_record(session="conformance", *attributes, **fields):
    named = [text("session.id", session), text("event.name", "conformance"), *attributes]
    return {"timeUnixNano": str(NOW), "attributes": named, **fields}


def logs(*records, **scope):
    resource = {"attributes": [text("service.name", "conformance")]}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": list(records), **scope}]}]}


def span(session="conformance", **fields):
    times = {"startTimeUnixNano": str(NOW), "endTimeUnixNano": str(NOW + 5_000_000)}
    return {"traceId": TRACE, "spanId": SPAN, "name": "s", "attributes": [text("session.id", session)], **times, **fields}


def traces(*spans):
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def point(session="conformance", **fields):
    return {"timeUnixNano": str(NOW), "attributes": [text("session.id", session)], **fields}


def metrics(*items):
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": list(items)}]}]}


def every_kind(session, integer=str):
    """A metric of each of the five kinds, with one point each; 64-bit integers are written by `integer`."""
    counts = [integer(1), integer(1), integer(1)]
    buckets = {"count": integer(3), "sum": 6.5, "explicitBounds": [1, 2], "bucketCounts": counts, "min": 1, "max": 4}
    positive = {"offset": 1, "bucketCounts": [integer(2)]}
    exponential = {"count": integer(3), "scale": 1, "zeroCount": integer(1), "positive": positive}
    summary = {"count": integer(2), "sum": 5, "quantileValues": [{"quantile": 0.5, "value": 2}]}
    return metrics(
        {"name": "a.gauge", "gauge": {"dataPoints": [point(session, asDouble=1.5)]}},
        {"name": "a.sum", "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [point(session, asInt=integer(7))]}},
        {"name": "a.histogram", "histogram": {"aggregationTemporality": 2, "dataPoints": [point(session, **buckets)]}},
        {"name": "an.exponential", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [point(session, **exponential)]}},
        {"name": "a.summary", "summary": {"dataPoints": [point(session, **summary)]}},
    )


def as_json(document):
    return json.dumps(document).encode()


def protobuf(signal, document):
    """The document's protobuf form, made by the official classes."""
    return decode(PATHS[signal], as_json(document), True).SerializeToString()


SAMPLES = {"logs": logs(log_record()), "traces": traces(span()), "metrics": every_kind("conformance")}


def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def padded(signal, size):
    """A request of exactly `size` bytes: the rest is a field that nobody knows."""
    body = protobuf(signal, SAMPLES[signal])
    tag = varint(100 << 3 | 2)
    for prefix in range(1, 6):
        rest = size - len(body) - len(tag) - prefix
        if len(varint(rest)) == prefix:
            return body + tag + varint(rest) + bytes(rest)
    raise ValueError(size)


def specification_examples():
    """(signal, name, document) of the protocol's own examples, which the build has as a part of opentelemetry-proto."""
    home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    folder = max(home.glob("registry/src/*/opentelemetry-proto-*/src/proto/opentelemetry-proto/examples"))
    for name, signal in (("trace", "traces"), ("metrics", "metrics"), ("logs", "logs"), ("events", "logs")):
        yield signal, name, json.loads((folder / f"{name}.json").read_text())


def unique():
    return f"c{time.time_ns():x}"


def attribute(key, value):
    return {"key": key, "value": value}


def gauge(data_point):
    return {"name": "g", "gauge": {"dataPoints": [data_point]}}


def every_value():
    """An attribute of each kind of AnyValue."""
    nested = {"kvlistValue": {"values": [attribute("inner", {"arrayValue": {"values": [{"intValue": "1"}, {"boolValue": True}]}})]}}
    kinds = {
        "text": {"stringValue": "text"},
        "true": {"boolValue": True},
        "integer": {"intValue": "-7"},
        "double": {"doubleValue": 1.5},
        "bytes": {"bytesValue": "AAEC/w=="},
        "array": {"arrayValue": {"values": [{"stringValue": "a"}, {"doubleValue": 2}]}},
        "list": nested,
    }
    return [attribute(f"kind.{name}", value) for name, value in kinds.items()]


def trace_of(session):
    """A trace id of its own for each session, in upper case."""
    return session.rjust(32, "0").upper()


def with_bad_ids(count):
    """In protobuf, which JSON cannot express: a good record and `count` whose trace id has 3 bytes."""
    request = decode("/v1/logs", as_json(SAMPLES["logs"]), True)
    records = request.resource_logs[0].scope_logs[0].log_records
    for _ in range(count):
        records.add(trace_id=b"abc")
    return request.SerializeToString()


def with_unknown_fields():
    unknown = {"notInTheProto": {"deep": [1, {"er": None}]}, "trace_id": 7}
    value = {"stringValue": "x", **unknown}
    record = log_record("conformance", {"key": "k", "value": value, **unknown}, body=value, **unknown)
    document = logs({**record}, scope={"name": "n", **unknown}, **unknown)
    document["resourceLogs"][0]["resource"].update(unknown)
    document["resourceLogs"][0].update(unknown)
    return {**document, **unknown}


def with_unknown_protobuf():
    """Field 1000, of each wire type, in the request, and in a record."""
    unknown = b"".join(varint(1000 << 3 | kind) + value for kind, value in ((0, b"\x05"), (1, bytes(8)), (2, b"\x02hi"), (5, bytes(4))))
    field = lambda number, content: varint(number << 3 | 2) + varint(len(content)) + content  # noqa: E731
    record = decode("/v1/logs", as_json(SAMPLES["logs"]), True).resource_logs[0].scope_logs[0].log_records[0]
    scope_logs = field(2, record.SerializeToString() + unknown) + unknown
    return field(1, field(2, scope_logs) + unknown) + unknown


def with_rare_fields(session):
    document = logs(log_record(session, eventName="rare", flags=1), schemaUrl="https://opentelemetry.io/schemas/1.40.0")
    document["resourceLogs"][0]["schemaUrl"] = "https://opentelemetry.io/schemas/1.41.0"
    document["resourceLogs"][0]["resource"]["entityRefs"] = [{"type": "service", "idKeys": ["service.name"]}]
    return document
