"""Rows 14 to 19: frames that a peer may send, but not like that."""

import struct

import hyperframe.frame as frames
import messages
import wire
from server import MARK
from table import case
from transport import growth


def ports(server, attack):
    """The attack on both ports that speak HTTP/2; one word when they answer alike."""
    got = {attack(server.ports[port]) for port in ("grpc", "http")}
    return "|".join(sorted(got))


def data(stream, body=b"", end=False):
    return frames.DataFrame(stream, body, flags=["END_STREAM"] if end else []).serialize()


def raw_frame(kind, stream, body):
    """A frame that the library would not make (RFC 9113 section 4.1)."""
    return struct.pack(">I", len(body))[1:] + bytes([kind, 0]) + struct.pack(">I", stream) + body


@case("14", "rapid reset of 100,000 streams", "GOAWAY|closed|GOAWAY.closed")
def rapid_reset(server):
    def attack(port):
        with wire.Http2(port) as peer:
            def chunks():
                for first in range(1, 200_000, 200):
                    yield b"".join(
                        peer.headers(n) + frames.RstStreamFrame(n, error_code=8).serialize()
                        for n in range(first, first + 200, 2)
                    )
            return peer.flood(chunks())

    return ports(server, attack)


@case("14", "streams that are reset for an error of their own (MadeYouReset)", "GOAWAY|closed|GOAWAY.closed")
def made_you_reset(server):
    def attack(port):
        with wire.Http2(port) as peer:
            overflow = lambda n: frames.WindowUpdateFrame(n, window_increment=2**31 - 1).serialize()
            chunks = (
                b"".join(peer.headers(n) + overflow(n) for n in range(first, first + 200, 2))
                for first in range(1, 200_000, 200)
            )
            return peer.flood(chunks)

    return ports(server, attack)


@case("15", "CONTINUATION without end", "GOAWAY|closed|GOAWAY.closed")
def continuation(server):
    def attack(port):
        with wire.Http2(port) as peer:
            peer.send_bytes(peer.headers(1, flags=()))
            # Literal header fields without indexing, a few bytes each.
            fragment = b"\x00\x01a\x01b" * 3000
            frame = frames.ContinuationFrame(1, fragment).serialize()
            return peer.flood(frame for _ in range(4000))

    return ports(server, attack)


@case("15", "empty CONTINUATION frames without end", "GOAWAY|closed|GOAWAY.closed")
def empty_continuation(server):
    def attack(port):
        with wire.Http2(port) as peer:
            peer.send_bytes(peer.headers(1, flags=()))
            return peer.flood(frames.ContinuationFrame(1, b"").serialize() * 10_000 for _ in range(100))

    return ports(server, attack)


@case("16", "a million empty DATA frames", "flooded, bounded")
def empty_data(server):
    return flood_cost(server, lambda peer: peer.headers(1), data(1))


@case("17", "a million SETTINGS frames", "flooded, bounded")
def settings(server):
    return flood_cost(server, lambda peer: b"", frames.SettingsFrame(0, settings={4: 65535}).serialize())


@case("17", "a million PING frames", "flooded, bounded")
def pings(server):
    return flood_cost(server, lambda peer: b"", frames.PingFrame(0, b"12345678").serialize())


@case("17", "a million PRIORITY and WINDOW_UPDATE frames", "flooded, bounded")
def priorities(server):
    priority = frames.PriorityFrame(1, depends_on=3, stream_weight=1).serialize()
    return flood_cost(server, lambda peer: b"", priority + frames.WindowUpdateFrame(0, window_increment=1).serialize())


def flood_cost(server, start, frame):
    """Whether a flood leaves memory alone; the peer may be cut off, or served on at its own cost."""

    def flood():
        with wire.Http2(server.ports["grpc"], timeout=10) as peer:
            peer.send_bytes(start(peer))
            peer.flood((frame * 10_000 for _ in range(100)), most=2)
        return "flooded"

    return growth(server, flood)


@case("17", "SETTINGS and PING whose answers are never read", "flooded, bounded")
def unread_answers(server):
    def flood():
        block = frames.PingFrame(0, b"12345678").serialize() + frames.SettingsFrame(0, settings={1: 4096}).serialize()
        with wire.Http2(server.ports["grpc"], timeout=2) as peer:
            try:
                for _ in range(200):
                    peer.send_bytes(block * 5000)
            except OSError:
                pass  # The server reads no further, or has closed: as it should.
        return "flooded"

    return growth(server, flood)


@case("18", "window of zero, 200 replies that cannot be sent", "closed within 70 s", slow=True)
def zero_window(server):
    body = messages.logs(messages.record("window", {"prompt": MARK}))
    message = struct.pack(">BI", 0, len(body)) + body
    with wire.Http2(server.ports["grpc"], settings={4: 0}) as peer:
        for n in range(1, 401, 2):
            peer.send_bytes(peer.headers(n) + data(n, message, end=True))
        # Neither a window nor an answer to the server's PING.
        return "open after 70 s" if peer.answer(70) == "open" else "closed within 70 s"


@case("18", "1,000 streams at once", "refused beyond the limit")
def too_many_streams(server):
    with wire.Http2(server.ports["grpc"]) as peer:
        peer.send_bytes(b"".join(peer.headers(n) for n in range(1, 2001, 2)))
        peer.connection.settimeout(5)
        seen, pending = set(), b""
        while not seen & {frames.RstStreamFrame, frames.GoAwayFrame}:
            try:
                received = peer.connection.recv(65536)
            except OSError:
                break
            if not received:
                return "refused beyond the limit"
            pending, kinds = wire.parse(pending + received)
            seen |= kinds
    return "refused beyond the limit" if seen & {frames.RstStreamFrame, frames.GoAwayFrame} else "all are open"


@case("19", "frames on stream 0, larger than allowed, of unknown type, in the wrong order", "closed|GOAWAY|closed.GOAWAY|GOAWAY.closed")
def broken_frames(server):
    broken = (
        raw_frame(0, 0, b"x"),
        raw_frame(0, 1, bytes(1 << 20)),
        frames.ContinuationFrame(1, b"x").serialize(),
        frames.WindowUpdateFrame(0, window_increment=2**31 - 1).serialize() * 3,
        raw_frame(4, 0, b"abc"),
    )
    got = set()
    for frame in broken:
        with wire.Http2(server.ports["grpc"]) as peer:
            got.add(peer.flood([frame], most=10))
    return "|".join(sorted(got))
