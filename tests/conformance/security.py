"""TLS and tokens: the probes of items 47 and 48."""

import functools
import socket
import ssl
import subprocess
import time

import certificates
import client
import grpc
import messages as m
from client import J, P

CERTIFICATE = (("cert_file", "server.pem"), ("key_file", "server.key"))
BOTH_SIDES = (*CERTIFICATE, ("client_ca_file", "ca.pem"))
BODY = m.protobuf("logs", m.SAMPLES["logs"])


def context(server, identity=None, **versions):
    """What a client trusts and shows; `identity` names its certificate's files."""
    made = ssl.create_default_context(cafile=server.folder / "ca.pem")
    for name, version in versions.items():
        setattr(made, name, version)
    if identity:
        made.load_cert_chain(server.folder / f"{identity}.pem", server.folder / f"{identity}.key")
    return made


def https(identity=None, **versions):
    def probe(server):
        try:
            return server.http("/v1/logs", P, BODY, tls=context(server, identity, **versions))
        except (OSError, ssl.SSLError):
            return "refused"

    return probe


def grpcs(identity=None):
    def probe(server):
        names = (f"{identity}.key", f"{identity}.pem") if identity else ()
        files = [(server.folder / name).read_bytes() for name in ("ca.pem", *names)]
        got = server.grpc("logs", BODY, credentials=grpc.ssl_channel_credentials(*files))
        # What grpcio makes of a handshake that fails.
        return "refused" if got == "UNAVAILABLE" else got

    return probe


def tls_1_1(server):
    """A ClientHello that offers TLS 1.1 at most, by hand: no library of today sends one (RFC 4346)."""
    suites = b"\x00\x04\xc0\x13\x00\x2f"
    body = b"\x03\x02" + bytes(32) + b"\x00" + suites + b"\x01\x00"
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    with client.connect(server.ports["http"], 10) as connection:
        connection.sendall(b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake)
        answer = connection.recv(7)
    # An alert, and nothing else.
    return "refused" if answer[:1] == b"\x15" else f"answered {answer.hex()}"


def reloaded(server):
    """Certificate and key are replaced by those of another authority; the time is what the reload may take."""

    def shown():
        with socket.create_connection(("127.0.0.1", server.ports["http"]), 10) as plain:
            loose = ssl._create_unverified_context()
            with loose.wrap_socket(plain) as secured:
                return secured.getpeercert(binary_form=True)

    before = shown()
    certificates.write(server.folder)
    deadline = time.monotonic() + 15
    while shown() == before and time.monotonic() < deadline:
        time.sleep(0.1)
    return f"another certificate, {https()(server)}" if shown() != before else "the old certificate"


@functools.cache
def token(server, workspace="default", role="ingest"):
    command = [server.binary, "token", "create", "--workspace", workspace, "--role", role, "--data-dir", server.data]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def authorized(header, content_type=P):
    """`header` makes the authorization header of a token, or is None."""

    def probe(server):
        headers = {"authorization": header(token(server))} if header else {}
        body = BODY if content_type == P else m.as_json(m.SAMPLES["logs"])

        def attempt():
            return server.http("/v1/logs", content_type, body, **headers)

        return taken_within_two_seconds(attempt) if header == BEARER else attempt()

    return probe


def taken_within_two_seconds(attempt):
    """A running server picks a new token up within a second."""
    deadline = time.monotonic() + 2
    while not (got := attempt()).startswith(("200", "OK")) and time.monotonic() < deadline:
        time.sleep(0.1)
    return got


def BEARER(secret):
    return f"Bearer {secret}"


def WRONG(secret):
    return f"Bearer {secret[:-1]}{'0' if secret[-1] != '0' else '1'}"


def grpc_authorized(header):
    def probe(server):
        metadata = [("authorization", header(token(server)))] if header else []
        return taken_within_two_seconds(lambda: server.grpc("logs", BODY, metadata=metadata)) if header == BEARER else server.grpc("logs", BODY, metadata=metadata)

    return probe


def challenge(server):
    status, headers, _ = client.post(server.ports["http"], "/v1/logs", J, b"{}")
    return f"{status} {'Bearer' if 'Bearer' in headers.get('www-authenticate', '') else 'no challenge'}"


def wrong_role(server):
    reader = token(server, role="viewer")
    return taken_within_two_seconds(lambda: server.http("/v1/logs", P, BODY, authorization=BEARER(reader)))


def health(server):
    return str(client.post(server.ports["health"], "/ready", None, None, "GET")[0])
