"""Rows 55, 56 and 60: secrets in disguise, and content that is dear to scan."""

import base64
import json
import os
import random
import string
import time
import urllib.parse

import messages
import wire
from decoders import stored
from messages import any_value, record
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from table import case

ALNUM = string.ascii_letters + string.digits


def token():
    """A new GitHub-like token and its random part."""
    core = "".join(random.SystemRandom().choice(ALNUM) for _ in range(36))
    return f"ghp_{core}", core


def kept_anywhere(server, core):
    """Files of the data directory, or the log, that hold the random part as it is or in base64."""
    needles = [core.encode(), core.encode().hex().encode()]
    needles += [base64.b64encode(b"\0" * n + core.encode())[4 if n else 0 : -4] for n in range(3)]
    found = []
    for path in [p for p in server.data.rglob("*") if p.is_file()] + [server.log_path]:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # Segments and temporary files come and go.
        if any(needle in content for needle in needles):
            found.append(str(path.relative_to(server.sandbox)))
    return found


def sent(server, hide):
    """Sends a record with a hidden secret, waits until it is stored, and looks for the secret."""
    secret, core = token()
    session = f"hidden-{time.time_ns()}"
    status = server.post("/v1/logs", messages.logs(*hide(session, f"before {secret} after"))).status
    if status != 200:
        return str(status)
    stored(server, session, 1, "name")
    return "not kept" if not kept_anywhere(server, core) else f"kept in {kept_anywhere(server, core)[:2]}"


def value_of(session, value, key="prompt"):
    return [record(session, {key: value})]


HIDING = {
    "a string": lambda session, text: value_of(session, text),
    "bytes": lambda session, text: value_of(session, text.encode()),
    "a name": lambda session, text: value_of(session, "x", key=text),
    "an event name": lambda session, text: [record(session, name=text)],
    "a list in a map in a list": lambda session, text: value_of(session, AnyValue(array_value=ArrayValue(values=[
        AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=text, value=any_value(text))]))]))),
    "the body": lambda session, text: [record(session, body=any_value(text))],
    "JSON in JSON in a string": lambda session, text: value_of(session, json.dumps({"a": json.dumps({"b": [text]})})),
    "JSON with \\u escapes": lambda session, text: value_of(session, '{"a":"%s"}' % "".join(f"\\u{ord(c):04x}" for c in text)),
}


@case("55", "a secret in " + ", ".join(HIDING), "never kept")
def hidden(server):
    got = {name: sent(server, hide) for name, hide in HIDING.items()}
    bad = {name: answer for name, answer in got.items() if answer != "not kept"}
    return "never kept" if not bad else str(bad)


ENCODED = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "percent": lambda text: "".join(f"%{b:02X}" for b in text.encode()),
    "percent in a URL": lambda text: "https://h/?q=" + urllib.parse.quote(text),
    "HTML entities": lambda text: "".join(f"&#{ord(c)};" for c in text),
}


@case("55", "a secret encoded as " + ", ".join(ENCODED), "never kept")
def encoded(server):
    got = {name: sent(server, lambda s, t, encode=encode: value_of(s, encode(t))) for name, encode in ENCODED.items()}
    bad = {name: answer for name, answer in got.items() if answer != "not kept"}
    return "never kept" if not bad else str(bad)


@case("60", "a secret within bytes that are no UTF-8", "not kept")
def in_binary(server):
    return sent(server, lambda session, text: value_of(session, b"\xff\xfe\x00" + text.encode() + b"\x00\xff" + os.urandom(64)))


DEAR = {
    "one letter": "a" * (10 << 20),
    "repeated halves of keys": "ghp_ AKIA sk-ant-api03- password= " * 300_000,
    "open brackets": "[{" * (5 << 20),
    "escapes": "\\" * (10 << 20),
    "quotes": '"' * (10 << 20),
    "begins of key blocks": "-----BEGIN RSA PRIVATE KEY-----\n" * 300_000,
    "digits": "1234567890" * (1 << 20),
    "pairs": "token: x, " * (1 << 20),
    "equals": "password" + "=" * (10 << 20),
    "percent signs": "%25" * (3 << 20),
    "base64 letters": "QUJD" * (2 << 20),
}


def on_the_cpu(server, send):
    """What a request got, and the CPU seconds that the server spent meanwhile: other processes cost no such time."""
    before = server.cpu_seconds()
    return send(), server.cpu_seconds() - before


@case("56", "10 MiB each of " + ", ".join(DEAR), "taken, within 5 s of CPU each", release=True)
def dear(server):
    slow = {}
    for name, text in DEAR.items():
        body = messages.logs(record("dear", {"prompt": text}))
        status, took = on_the_cpu(server, lambda: server.post("/v1/logs", body).status)
        if status != 200 or took > 5:
            slow[name] = f"{status} after {took:.1f} s"
    return "taken, within 5 s of CPU each" if not slow else str(slow)


@case("56", "the same as hooks", "taken, within 5 s of CPU each", release=True)
def dear_hooks(server):
    slow = {}
    for name, text in DEAR.items():
        body = json.dumps({"session_id": "dear", "hook_event_name": "Stop", "x": text[: 4 << 20]}).encode()
        status, took = on_the_cpu(server, lambda: server.post("/v1/hooks", body, wire.JSON).status)
        if status != 200 or took > 5:
            slow[name] = f"{status} after {took:.1f} s"
    return "taken, within 5 s of CPU each" if not slow else str(slow)
