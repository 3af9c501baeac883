"""OTLP messages: by the official classes where they are well-formed, by hand where no class would write them."""

import json
import struct
import time

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

SCOPE = "com.anthropic.claude_code.events"


def any_value(value):
    if isinstance(value, AnyValue):
        return value
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", bytes: "bytes_value", str: "string_value"}
    return AnyValue(**{kinds[type(value)]: value})


def attributes(values):
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def record(session, values=None, name="user_prompt", **fields):
    """A log record of a session, as the client sends them."""
    values = {"session.id": session, "event.name": name, **(values or {})}
    return LogRecord(**{"time_unix_nano": time.time_ns(), "attributes": attributes(values), **fields})


def logs(*records, resource=None):
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add()
    scope.resource.attributes.extend(attributes({"service.name": "claude-code", **(resource or {})}))
    scope = scope.scope_logs.add()
    scope.scope.name = SCOPE
    scope.log_records.extend(records)
    return request.SerializeToString()


def spans(*items):
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(items)
    return request.SerializeToString()


def metrics(*items):
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.extend(items)
    return request.SerializeToString()


def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number, content):
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def logs_by_hand(*records):
    """A request whose log records are the given bytes."""
    return field(1, field(2, b"".join(field(2, record) for record in records)))


def nested_value(depth):
    """An AnyValue that holds `depth` others, one in the other."""
    prefixes, length = [], 0
    # AnyValue{array_value = 5 {values = 1}}, written from the inside out.
    for _ in range(depth):
        inner = varint(1 << 3 | 2) + varint(length)
        outer = varint(5 << 3 | 2) + varint(len(inner) + length)
        prefixes.append(outer + inner)
        length += len(outer) + len(inner)
    return b"".join(reversed(prefixes))


def json_logs(*records):
    """OTLP/JSON of records that are JSON texts already."""
    return ('{"resourceLogs":[{"scopeLogs":[{"scope":{"name":"%s"},"logRecords":[%s]}]}]}' % (SCOPE, ",".join(records))).encode()


def json_record(session, extra="", attributes=""):
    named = f'{{"key":"session.id","value":{{"stringValue":{json.dumps(session)}}}}}'
    named += ',{"key":"event.name","value":{"stringValue":"user_prompt"}}' + ("," + attributes if attributes else "")
    return f'{{"timeUnixNano":"{time.time_ns()}","attributes":[{named}]{"," + extra if extra else ""}}}'


def zstd_bomb(window_log, blocks):
    """A frame that asks for a window of 2^window_log bytes and holds 128 KiB of zeros in each of its 4-byte blocks
    (RFC 8878 sections 3.1.1.1.2 and 3.1.1.2)."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0, (window_log - 10) << 3])
    size, run_length = 128 << 10, 1
    block = [struct.pack("<I", size << 3 | run_length << 1 | last)[:3] + b"\0" for last in (0, 1)]
    return header + block[0] * (blocks - 1) + block[1]
