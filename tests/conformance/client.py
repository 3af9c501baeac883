"""Clients of the receiver, each of which says in a few words what it got."""

import contextlib
import http.client
import json
import socket
import struct
import time

import grpc
import h2.config
import h2.connection
import h2.events
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

P, J = "application/x-protobuf", "application/json"
SHORT = {P: "P", J: "J"}
RESPONSES = {
    "logs": logs.ExportLogsServiceResponse,
    "metrics": metrics.ExportMetricsServiceResponse,
    "traces": traces.ExportTraceServiceResponse,
}
METHODS = {
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}
REJECTED = {"logs": "LogRecords", "metrics": "DataPoints", "traces": "Spans"}


def signal_of(path):
    return next((signal for signal in RESPONSES if path.endswith(signal)), "logs")


def connect(port, timeout=60):
    connection = socket.create_connection(("127.0.0.1", port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def post(port, path, content_type, body, method="POST", connection=None, tls=None, **headers):
    """Sends one request; `headers` are written with underscores. (status, headers, body)."""
    client = connection or open_http(port, tls)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type:
        names["content-type"] = content_type
    client.request(method, path, body, names)
    answer = client.getresponse()
    content = answer.read()
    if connection is None:
        client.close()
    return answer.status, {k.lower(): ", ".join(answer.headers.get_all(k)) for k in answer.headers}, content


def open_http(port, tls=None):
    if tls:
        return http.client.HTTPSConnection("localhost", port, timeout=60, context=tls)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def said(reply, path="/v1/logs"):
    """A reply in words: `200 P unset`, `413 J Status 8`, `503 P Status 14 RetryInfo Retry-After`."""
    status, headers, body = reply
    kind = SHORT.get(headers.get("content-type", ""), headers.get("content-type", "-").split(";")[0])
    if kind not in ("P", "J"):
        return f"{status} {kind}"
    meaning = success(kind, body, signal_of(path)) if status == 200 else failure(kind, body)
    return f"{status} {kind} {meaning}" + (" Retry-After" if int(headers.get("retry-after", 0)) > 0 else "")


def success(kind, body, signal):
    if kind == "P":
        response = RESPONSES[signal].FromString(body)
        if not response.HasField("partial_success"):
            return "unset"
        return partial(response.partial_success, signal)
    document = json.loads(body)
    if document.get("partialSuccess") is None:
        return "unset"
    rejected = document["partialSuccess"].get(f"rejected{REJECTED[signal]}", "0")
    message = "message" if document["partialSuccess"].get("errorMessage") else "no message"
    return f"rejected {json.dumps(rejected)} {message}"


def partial(partial_success, signal):
    field = {"logs": "rejected_log_records", "metrics": "rejected_data_points", "traces": "rejected_spans"}[signal]
    message = "message" if partial_success.error_message else "no message"
    return f"rejected {getattr(partial_success, field)} {message}"


def failure(kind, body):
    if kind == "P":
        status = status_pb2.Status.FromString(body)
        names = [detail.TypeName().rsplit(".", 1)[1] for detail in status.details]
        code, message = status.code, status.message
    else:
        status = json.loads(body)
        names = [detail["@type"].rsplit(".", 1)[1] for detail in status.get("details", [])]
        code, message = status["code"], status["message"]
    return " ".join(["Status", str(code), *names]) if message else "no message"


def channel(port, credentials=None):
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    if credentials:
        return grpc.secure_channel(f"localhost:{port}", credentials, options)
    return grpc.insecure_channel(f"127.0.0.1:{port}", options)


def call(port, signal, body, gzip=False, metadata=(), credentials=None, path=None):
    """A unary call in words: `OK unset`, `UNAVAILABLE RetryInfo`."""
    with channel(port, credentials) as open_channel:
        export = open_channel.unary_unary(path or METHODS[signal], bytes, RESPONSES[signal].FromString)
        compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
        return answered(export.future(body, timeout=60, compression=compression, metadata=metadata), signal)


def answered(future, signal):
    try:
        response = future.result()
    except grpc.RpcError as error:
        return " ".join([error.code().name, *details(error.trailing_metadata())])
    set_ = response.HasField("partial_success")
    return "OK " + (partial(response.partial_success, signal) if set_ else "unset")


def details(metadata):
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                name = detail.TypeName().rsplit(".", 1)[1]
                if name == "RetryInfo":
                    retry = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                    name = "RetryInfo" if retry.ToTimedelta().total_seconds() > 0 else "RetryInfo(0)"
                yield name


def frame(message, compressed=False):
    return struct.pack(">BI", compressed, len(message)) + message


class Http2:
    """A connection with prior knowledge, for what grpcio does not do."""

    def __init__(self, port):
        self.port, self.socket = port, connect(port)
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.state.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.state.data_to_send())

    def post(self, path, content_type, body, **headers):
        """(status, headers, body) of one small request; trailers count as headers."""
        stream = self.state.get_next_available_stream_id()
        names = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.state.send_headers(stream, [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"), ("content-type", content_type), *names])
        self.state.send_data(stream, body, end_stream=True)
        self.flush()
        answer, content = {}, b""
        for event in self.events():
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                answer.update(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                content += event.data
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)):
                break
        return int(answer.pop(":status", 0)), answer, content

    def events(self):
        """What the server sends, until it closes."""
        while received := self.socket.recv(65536):
            yield from self.state.receive_data(received)
            with contextlib.suppress(OSError):
                self.flush()

    def close(self):
        self.socket.close()


def closes_within(connection, seconds):
    """Whether the server ends the connection in that time; whatever it says before."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(65536):
                return "closed"
        except TimeoutError:
            break
        except OSError:
            return "closed"
    return "open"
