"""Rows 61 to 66: configuration files, and what the start refuses."""

import functools
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from table import case

# The commands must stay below that, MiB, whatever the file: above what the program itself takes, which is more than twice as
# much in the tests' build.
START_LIMIT_MIB = 64
CANARY = "env-secret-4f1c9a"


# Runs a command and appends its exit code and peak resident size in MiB. A process of its own, because a child's peak
# begins with the size of the process that it was forked from.
MEASURE = """
import resource, subprocess, sys
try:
    code = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, timeout=float(sys.argv[1])).returncode
except subprocess.TimeoutExpired:
    code = "running"
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
print(f"{code} {peak}", file=sys.stderr)
"""


@functools.cache
def own_size(binary, folder):
    """What the program takes to do nothing, MiB."""
    return measured(binary, folder, "--version")[2]


def run(server, *arguments, env=None, timeout=30):
    """(exit code, or None when it had to be stopped; what it wrote; MiB above the program's own size) of a command."""
    folder = server.data.parent
    code, written, peak = measured(server.binary, folder, *arguments, env=env, timeout=timeout)
    return code, written, peak - own_size(server.binary, folder)


def measured(binary, folder, *arguments, env=None, timeout=30):
    """As `run`, with the whole peak resident size."""
    command = [sys.executable, "-S", "-c", MEASURE, str(timeout), binary, *arguments]
    done = subprocess.run(command, capture_output=True, env={**os.environ, **(env or {})}, cwd=folder)
    *text, last = done.stderr.decode(errors="replace").splitlines()
    code, peak = last.split(" ")
    return None if code == "running" else int(code), "\n".join(text) + done.stdout.decode(errors="replace"), int(peak)


def validated(server, text, env=None):
    """Writes a file and validates it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "hostile.yaml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return run(server, "validate", "--config", str(path), env=env)


def refused(server, *texts):
    """`refused with a line` when every file is, within the limit."""
    for text in texts:
        code, errors, peak = validated(server, text)
        if code != 64:
            return f"exit code {code}: {errors[-200:]}"
        if peak > START_LIMIT_MIB:
            return f"{peak} MiB"
        if not re.search(r"hostile\.yaml:\d+", errors) and not re.search(r"^\s*\d+ \|", errors, re.M):
            return f"no line: {errors[:300]}"
    return "refused with a line"


def laughs():
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines)


@case("61", "billion laughs, in unknown keys and in known ones", "refused with a line")
def billion_laughs(server):
    inside = laughs().replace("\n", "\n  ")
    return refused(server, laughs(), f"service:\n  extensions:\n    - &a x\n  pipelines:\n  {inside}")


@case("61", "a file of 2 MiB; /dev/zero; a directory; binary", "refused")
def odd_files(server):
    got = [validated(server, "# x\n" * (1 << 19)), validated(server, bytes(range(256)) * 100)]
    got += [run(server, "validate", "--config", path, timeout=20) for path in ("/dev/zero", "/")]
    codes = [code for code, _, _ in got]
    peak = max(peak for _, _, peak in got)
    return "refused" if all(code not in (0, None) for code in codes) and peak <= START_LIMIT_MIB else f"{codes} {peak} MiB"


@case("61", "a file of 1 GiB", "refused")
def huge_file(server):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "huge.yaml")
        with open(path, "wb") as file:
            file.write(b"receivers: {}\n")
            file.truncate(1 << 30)
        code, _, peak = run(server, "validate", "--config", str(path))
    return "refused" if code not in (0, None) and peak <= START_LIMIT_MIB else f"{code} {peak} MiB"


@case("61", "nested 10,000 deep, as lists, maps and indentation", "refused with a line")
def deep_files(server):
    indented = "\n".join(" " * n + f"k{n}:" for n in range(1000))
    return refused(server, "receivers: " + "[" * 10_000, "receivers: " + "{a: " * 10_000, indented)


@case("61", "a key twice; tags; an unknown key; two documents; a tab", "refused with a line")
def odd_yaml(server):
    return refused(
        server,
        "data_dir: a\ndata_dir: b\n",
        "data_dir: !!python/object/apply:os.system [id]\n",
        "receivers:\n  otlp:\n    protocols:\n      http:\n        endpont: 127.0.0.1:1\n",
        "data_dir: a\n---\ndata_dir: b\n",
        "receivers:\n\totlp: {}\n",
    )


@case("61", "numbers beyond their range", "refused with a line")
def odd_numbers(server):
    return refused(
        server,
        "memory_limit_mib: 99999999999999999999\n",
        "memory_limit_mib: -1\n",
        "processors: {sessions: {idle_timeout: 99999999999999999999h}}\n",
        "receivers: {otlp: {protocols: {http: {max_request_body_size: 1e99}}}}\n",
    )


SETTINGS = (
    "receivers.otlp.protocols.http.endpoint", "receivers.otlp.protocols.http.max_request_body_size",
    "receivers.otlp.protocols.grpc.max_recv_msg_size_mib", "processors.sessions.idle_timeout", "exporters.lake.url",
    "exporters.lake.flush_interval", "exporters.lake.storage.endpoint", "exporters.lake.storage.secret_access_key",
    "exporters.lake.storage.path_style", "auth.enabled", "memory_limit_mib", "service.telemetry.logs.level",
)


@case("63", "a secret from the environment in every setting", "never shown")
def secret_from_environment(server):
    shown = []
    for setting in SETTINGS:
        keys = setting.split(".")
        text = "\n".join("  " * depth + f"{key}:" for depth, key in enumerate(keys)) + " ${env:HOSTILE_SECRET}\n"
        for value in (CANARY, f"s3://user:{CANARY}@bucket", f"http://x:{CANARY}@h"):
            _, errors, _ = validated(server, text, env={"HOSTILE_SECRET": value})
            if CANARY in errors:
                shown.append(setting)
    return "never shown" if not shown else f"shown for {sorted(set(shown))}"


@case("64", "stores where clouds keep credentials, in files, or behind other schemes", "refused with a line")
def odd_stores(server):
    hosts = ("http://169.254.169.254", "http://169.254.169.254:80/latest", "http://[fe80::1]", "http://2852039166", "http://0xa9fea9fe",
             "http://[::ffff:169.254.169.254]", "file:///etc/passwd", "gopher://127.0.0.1", "http://")
    texts = [f"exporters:\n  lake:\n    storage:\n      endpoint: '{host}'\n" for host in hosts]
    lakes = ("gs://bucket", "http://127.0.0.1/x", "s3://user:secret@bucket", "file://host/x", "s3://")
    return refused(server, *texts, *(f"exporters:\n  lake:\n    url: '{lake}'\n" for lake in lakes))


@case("65", "listeners on all addresses without protection", "refused, says what to write")
def exposed(server):
    listeners = ("receivers.otlp.protocols.grpc.endpoint", "receivers.otlp.protocols.http.endpoint",
                 "extensions.health_check.endpoint", "service.telemetry.metrics.address", "extensions.sql.endpoint")
    for listener in listeners:
        for address in ("0.0.0.0:0", '"[::]:0"'):
            code, errors, _ = run(server, "serve", "--set", f"{listener}={address}", timeout=10)
            if code in (0, None) or "insecure" not in errors:
                return f"{listener}={address}: {code} {errors[-200:]}"
    return "refused, says what to write"


@case("66", "the data directory's mode, and that of its journal", "0700 and nobody else's")
def modes(server):
    mode = server.data.stat().st_mode & 0o777
    readable = [p for p in (server.data / "journal").iterdir() if p.stat().st_mode & 0o077]
    return "0700 and nobody else's" if mode == 0o700 and not readable else f"{mode:04o}, {len(readable)} files of others"


@case("66", "a data directory that is a symbolic link", "refused")
def linked(server):
    link = server.data.parent / "link"
    link.symlink_to("/tmp")
    try:
        code, errors, _ = run(server, "serve", "--data-dir", str(link), *ports(), timeout=10)
    finally:
        link.unlink()
    return "refused" if code not in (0, None) else errors[-200:]


def ports():
    names = ("receivers.otlp.protocols.grpc.endpoint", "receivers.otlp.protocols.http.endpoint",
             "extensions.health_check.endpoint", "service.telemetry.metrics.address", "extensions.sql.endpoint")
    return [part for name in names for part in ("--set", f"{name}=127.0.0.1:0")]
