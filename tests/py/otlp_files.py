"""Decodes captured OTLP request bodies, protobuf or JSON, with the official protobuf classes."""

import base64
import json

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS = {
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/traces": ExportTraceServiceRequest,
}
# OTLP/JSON writes these as hex; the protobuf JSON mapping expects base64.
HEX_IDS = ("traceId", "spanId", "parentSpanId")


def with_base64_ids(value):
    if isinstance(value, list):
        return [with_base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode()
        if key in HEX_IDS and isinstance(item, str)
        else with_base64_ids(item)
        for key, item in value.items()
    }


def decode(path, body, is_json):
    """The request message of a body that was posted to `path`."""
    request = REQUESTS[path]()
    if is_json:
        json_format.ParseDict(with_base64_ids(json.loads(body)), request, ignore_unknown_fields=True)
    else:
        request.ParseFromString(body)
    return request


def value(any_value):
    """An AnyValue as a Python value."""
    kind = any_value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value(item) for item in any_value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: value(item.value) for item in any_value.kvlist_value.values}
    return getattr(any_value, kind)


def log_records(request):
    """Yields (attributes, record) of a logs request."""
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield {a.key: value(a.value) for a in record.attributes}, record
