"""The server under attack, and what must hold after each attack."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import messages
import wire

MEMORY_LIMIT_MIB = 512
# Stands in all hostile content: it must never be in a log or a metric.
MARK = "HOSTILE-CONTENT"
LISTENERS = {
    "grpc": "receivers.otlp.protocols.grpc.endpoint",
    "http": "receivers.otlp.protocols.http.endpoint",
    "health": "extensions.health_check.endpoint",
    "metrics": "service.telemetry.metrics.address",
    "sql": "extensions.sql.endpoint",
}
# What may stand in the data directory; everything else was written where it must not be.
KEPT = re.compile(
    r"(journal|auth|sql-spill|lake/_sessionlake|lake/[a-z0-9][a-z0-9_-]{0,62}/(facts|events|sessions|audit))(/[A-Za-z0-9_.=%#-]+)*"
    r"|lake(/[a-z0-9][a-z0-9_-]{0,62})?|[a-z0-9_.-]+"
)


class Broken(Exception):
    """An invariant does not hold."""


class Server:
    """The release binary in a sandbox of its own. The data lies deep in it, so that `../..` stays visible."""

    def __init__(self, binary, settings=(), config=None, plain=True):
        """`plain`: OTLP/HTTP is without TLS."""
        self.binary, self.config = binary, config
        self.sandbox = pathlib.Path(tempfile.mkdtemp(prefix="sessionlake-hostile-"))
        self.data = self.sandbox / "a/b/c/data"
        self.data.parent.mkdir(parents=True)
        self.settings = [f"memory_limit_mib={MEMORY_LIMIT_MIB}", "exporters.lake.flush_interval=200ms", "journal.max_disk_percent=99", *settings]
        self.log_path = self.sandbox / "log"
        self.sent = 0
        self.good_client = {}
        self.start()
        if plain and "auth.enabled=true" in settings:
            self.good_client = {"authorization": f"Bearer {self.token('good', 'ingest')}"}

    def start(self):
        self.ports = {name: wire.free_port() for name in LISTENERS}
        command = [self.binary, "serve", "--data-dir", str(self.data)]
        for name, key in LISTENERS.items():
            command += ["--set", f"{key}=127.0.0.1:{self.ports[name]}"]
        for setting in self.settings:
            command += ["--set", setting]
        if self.config:
            command += ["--config", str(self.config)]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.data.parent
            )
        deadline = time.monotonic() + 60
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Broken("the server did not start:\n" + self.log())
            time.sleep(0.05)

    def ready(self):
        try:
            return wire.request(self.ports["health"], "GET", "/ready").status == 200
        except OSError:
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def discard(self):
        """Removes what it has written."""
        shutil.rmtree(self.sandbox)

    def new_token(self, workspace, role):
        command = [self.binary, "token", "create", "--workspace", workspace, "--role", role, "--json"]
        made = subprocess.run([*command, "--data-dir", str(self.data)], capture_output=True, check=True)
        return json.loads(made.stdout)["token"]

    def token(self, workspace, role):
        """A new token, once the server knows it."""
        token, deadline = self.new_token(workspace, role), time.monotonic() + 20
        while self.post("/v1/logs", b"", authorization=f"Bearer {token}").status in (401, 429):
            if time.monotonic() > deadline:
                raise Broken("the server does not see new tokens")
            time.sleep(0.1)
        return token

    def log(self):
        return self.log_path.read_text(errors="replace")

    def metrics(self):
        return wire.request(self.ports["metrics"], "GET", "/metrics").text

    def metric(self, name):
        """The sum of a metric over its labels."""
        lines = (line.rsplit(" ", 1) for line in self.metrics().splitlines() if re.match(rf"{name}(_total)?[ {{]", line))
        return sum(float(value) for _, value in lines)

    def post(self, path, body, content_type=wire.PROTOBUF, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return wire.request(self.ports["http"], "POST", path, {"content-type": content_type, **headers}, body)

    def grpc(self, body, signal="logs", **options):
        return wire.grpc(self.ports["grpc"], signal, body, **options)

    def status(self, field):
        """A figure of /proc/PID/status, KiB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M).group(1))

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self):
        """The peak of the resident size starts anew."""
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def check(self):
        """What holds after every case; the peak resident size since the last look, MiB."""
        if self.process.poll() is not None:
            raise Broken(f"the process ended with {self.process.returncode}:\n{self.log()[-2000:]}")
        peak = self.status("VmHWM") // 1024
        self.forget_peak()
        if peak > MEMORY_LIMIT_MIB:
            raise Broken(f"resident size was {peak} MiB")
        self.serves_a_good_client()
        self.log_is_clean()
        self.nothing_outside()
        return peak

    def serves_a_good_client(self):
        """Within one second. A second try, because a shared machine itself may stand still for a moment."""
        for last in (False, True):
            self.sent += 1
            body = messages.logs(messages.record("good-client", {"event.sequence": self.sent}))
            try:
                headers = {"content-type": wire.PROTOBUF, **self.good_client}
                answer = wire.request(self.ports["http"], "POST", "/v1/logs", headers, body, timeout=1).status
            except OSError as error:
                answer = repr(error)
            if answer == 200:
                return
            if last:
                raise Broken(f"a good client got {answer}")

    def log_is_clean(self):
        log = self.log()
        if MARK in log or MARK in self.metrics():
            raise Broken("content is in the log or in a metric")
        if "panic" in log:
            raise Broken("the server panicked:\n" + "\n".join(l for l in log.splitlines() if "panic" in l))
        odd = re.search(r"[^\x20-\x7e\n]", log)
        if odd:
            raise Broken(f"the log holds {odd.group()!r}")

    def nothing_outside(self):
        strangers = [path for path in self.sandbox.rglob("*") if not self.belongs(path)]
        if strangers:
            raise Broken(f"written outside: {strangers[:3]}")

    def belongs(self, path):
        if self.data in path.parents:
            return KEPT.fullmatch(str(path.relative_to(self.data))) is not None
        return path == self.data or path in self.data.parents or path == self.log_path
