"""Row 22: what must not get through a listener with TLS and a client authority."""

import socket
import ssl
import tempfile
import time

import certificates
import wire
from server import Server
from table import case

# TLS_RSA_WITH_NULL_SHA, TLS_RSA_EXPORT_WITH_RC4_40_MD5, TLS_RSA_WITH_RC4_128_SHA, TLS_RSA_WITH_DES_CBC_SHA,
# TLS_DH_anon_WITH_AES_128_CBC_SHA (RFC 5246, appendix A.5)
WEAK = bytes.fromhex("0002 0003 0005 0009 0034".replace(" ", ""))
# TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_RSA_WITH_AES_128_CBC_SHA
OLD = bytes.fromhex("c013002f")


def hello(server, version, suites):
    """What a ClientHello by hand gets: no library of today sends such a one."""
    body = version + bytes(32) + b"\x00" + len(suites).to_bytes(2, "big") + suites + b"\x01\x00"
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    with wire.connect(server.ports["http"], 10) as connection:
        connection.sendall(b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake)
        try:
            answer = connection.recv(7)
        except OSError:
            answer = b""
    # An alert or nothing.
    return "refused" if answer[:1] in (b"\x15", b"") else f"answered {answer.hex()}"


def export(server, folder, identity, token=None):
    """The status of an empty export by a client with that certificate."""
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if identity:
        context.load_cert_chain(folder / f"{identity}.pem", folder / f"{identity}.key")
    lines = [f"content-type: {wire.PROTOBUF}", "content-length: 0"] + ([f"authorization: Bearer {token}"] if token else [])
    try:
        with socket.create_connection(("127.0.0.1", server.ports["http"]), 10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                connection.sendall(wire.head(server.ports["http"], *lines))
                got = wire.read_reply(connection)
    except OSError:
        return "refused"
    return "refused" if got == "closed" else got


def against(server, attack, *settings):
    """What an attack gets from a server with TLS that asks for a client's certificate."""
    tls = "receivers.otlp.protocols.http.tls"
    files = {"cert_file": "server.pem", "key_file": "server.key", "client_ca_file": "ca.pem"}
    with tempfile.TemporaryDirectory() as name:
        folder = certificates.write(name)
        named = [f"{tls}.{key}={folder / file}" for key, file in files.items()]
        own = Server(server.binary, [*named, *settings], plain=False)
        try:
            got = attack(own, folder)
            own.log_is_clean()
            return got
        finally:
            own.stop()
            own.discard()


@case("22", "TLS 1.0, 1.1; suites NULL, EXPORT, RC4, DES, anonymous; plain HTTP", "refused; a good one 200")
def old_tls(server):
    def attack(own, folder):
        got = {hello(own, b"\x03\x01", OLD), hello(own, b"\x03\x02", OLD), hello(own, b"\x03\x03", WEAK)}
        plain = wire.raw(own.ports["http"], wire.head(own.ports["http"], "content-length: 0"), timeout=10)
        got.add("refused" if plain == "closed" else plain)
        return f"{' '.join(sorted(got))}; a good one {export(own, folder, 'client')}"

    return against(server, attack)


@case("22", "no client certificate, an expired one, one of another authority", "refused; a good one 200")
def wrong_certificates(server):
    def attack(own, folder):
        got = {export(own, folder, identity) for identity in (None, "expired", "other")}
        return f"{' '.join(sorted(got))}; a good one {export(own, folder, 'client')}"

    return against(server, attack)


@case("22", "a good certificate without a token, with a reader's, with the right one", "401 403 200")
def certificate_is_no_token(server):
    def attack(own, folder):
        reader, right = own.new_token("w", "reader"), own.new_token("w", "ingest")
        deadline = time.monotonic() + 20
        while export(own, folder, "client", right) != "200" and time.monotonic() < deadline:
            time.sleep(0.1)
        return " ".join(export(own, folder, "client", token) for token in (None, reader, right))

    return against(server, attack, "auth.enabled=true")
