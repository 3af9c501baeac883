"""Clients that keep to the protocols, and the raw sockets of those that do not."""

import dataclasses
import http.client
import select
import socket
import struct
import time

import h2.config
import h2.connection
import h2.events
import hpack
import hyperframe.exceptions
import hyperframe.frame as frames

PROTOBUF, JSON, NDJSON = "application/x-protobuf", "application/json", "application/x-ndjson"
SERVICES = {
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def connect(port, timeout=30):
    connection = socket.create_connection(("127.0.0.1", port), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@dataclasses.dataclass
class Reply:
    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode(errors="replace")


def request(port, method, path, headers=None, body=b"", timeout=60):
    """One well-formed request on a connection of its own."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        client.request(method, path, body, headers or {})
        answer = client.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        client.close()


def head(port, *lines, method="POST", path="/v1/logs"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", *lines, "", ""]).encode("latin-1")


def read_reply(connection):
    """The status of the next reply, or what became of the connection."""
    try:
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        answer.read()
        return str(answer.status)
    except (http.client.HTTPException, ConnectionError):
        return "closed"
    except TimeoutError:
        return "nothing"


def raw(port, *parts, then_close=False, timeout=30):
    """Sends bytes as they are; what comes back."""
    with connect(port, timeout) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if then_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # Refused before everything was sent: the reply is there to read.
        return read_reply(connection)


def is_open(port, connection):
    """Whether the server's end of a connection is established, says the kernel (/proc/net/tcp, state 01)."""
    ends = [f"0100007F:{number:04X}" for number in (port, connection.getsockname()[1])]
    with open("/proc/net/tcp") as table:
        return any(line.split()[1:4] == [*ends, "01"] for line in table)


def seconds_until_closed(connection, most, write=lambda: None, every=1.0):
    """Calls `write` again and again; the seconds until the peer closes, or None after `most`."""
    began = time.monotonic()
    while time.monotonic() - began < most:
        try:
            readable, _, _ = select.select([connection], [], [], every)
            if readable and not connection.recv(65536):
                return time.monotonic() - began
            write()
        except OSError:
            return time.monotonic() - began
    return None


@dataclasses.dataclass
class GrpcReply:
    http: int
    status: str
    message: str

    def __str__(self):
        return f"{self.http} {self.status}"


CODES = "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED".split()


def grpc(port, signal, body, framed=False, compressed=False, headers=(), content_type="application/grpc"):
    """A unary call; `body` is a message, or with `framed` the frames as they are."""
    path = SERVICES.get(signal, signal)
    message = body if framed else struct.pack(">BI", compressed, len(body)) + body
    lines = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", f"127.0.0.1:{port}")]
    lines += [("te", "trailers"), ("content-type", content_type), *headers]
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    answer = {}
    with connect(port) as connection:
        client.send_headers(1, lines)
        while not answer.get("ended"):
            while message and (room := min(client.local_flow_control_window(1), client.max_outbound_frame_size)):
                client.send_data(1, message[:room])
                message = message[room:]
            if not message and not answer.get("sent"):
                answer["sent"] = True
                client.end_stream(1)
            connection.sendall(client.data_to_send())
            received = connection.recv(65536)
            if not received:
                break
            for event in client.receive_data(received):
                take(event, client, answer)
                if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)):
                    answer["ended"] = True
        try:
            connection.sendall(client.data_to_send())
        except OSError:
            pass
    code = answer.get("grpc-status")
    return GrpcReply(int(answer.get(":status", 0)), CODES[int(code)] if code else "none", answer.get("grpc-message", ""))


def take(event, client, answer):
    if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
        answer.update(event.headers)
    elif isinstance(event, h2.events.DataReceived):
        client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)


class Http2:
    """A connection that sends whatever frames it likes."""

    def __init__(self, port, settings=None, timeout=30):
        self.port, self.encoder = port, hpack.Encoder()
        self.connection = connect(port, timeout)
        self.send_bytes(PREFACE + frames.SettingsFrame(0, settings=settings or {}).serialize())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def send_bytes(self, data):
        self.connection.sendall(data)

    def headers(self, stream, path=SERVICES["logs"], extra=(), flags=("END_HEADERS",)):
        lines = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", f"127.0.0.1:{self.port}")]
        lines += [("te", "trailers"), ("content-type", "application/grpc"), *extra]
        return frames.HeadersFrame(stream, self.encoder.encode(lines), flags=flags).serialize()

    def answer(self, most=20.0):
        """How the server ends the connection: `GOAWAY`, `closed`, or `open` when it does not within `most` seconds."""
        began, pending = time.monotonic(), b""
        while time.monotonic() - began < most:
            self.connection.settimeout(max(0.1, most - (time.monotonic() - began)))
            try:
                data = self.connection.recv(1 << 20)
            except TimeoutError:
                break
            except OSError:
                return "closed"
            if not data:
                return "closed"
            pending, kinds = parse(pending + data)
            if frames.GoAwayFrame in kinds:
                return "GOAWAY"
        return "open"

    def flood(self, chunks, most=20.0):
        """Sends all chunks while it can, reading between them, then says how the server ended it."""
        self.connection.settimeout(most)
        pending = b""
        for chunk in chunks:
            try:
                self.connection.sendall(chunk)
                if select.select([self.connection], [], [], 0)[0]:
                    data = self.connection.recv(1 << 20)
                    if not data:
                        return "closed"
                    pending, kinds = parse(pending + data)
                    if frames.GoAwayFrame in kinds:
                        return "GOAWAY"
            except TimeoutError:
                return "open"
            except OSError:
                return self.last_words(pending)
        return self.answer(most)

    def last_words(self, pending):
        """The connection is broken; was there a GOAWAY before?"""
        try:
            _, kinds = parse(pending + self.connection.recv(1 << 20))
        except OSError:
            return "closed"
        return "GOAWAY" if frames.GoAwayFrame in kinds else "closed"


def parse(data):
    """The rest that is no whole frame yet, and the kinds of the frames before it."""
    kinds = set()
    while len(data) >= 9:
        try:
            frame, length = frames.Frame.parse_frame_header(memoryview(data[:9]))
        except hyperframe.exceptions.HyperframeError:
            return b"", kinds
        if len(data) < 9 + length:
            break
        kinds.add(type(frame))
        data = data[9 + length :]
    return data, kinds
