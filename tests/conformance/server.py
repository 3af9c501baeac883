"""The binary under test, on free ports, with a data directory of its own."""

import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import certificates
import client

LISTENERS = {
    "grpc": "receivers.otlp.protocols.grpc.endpoint",
    "http": "receivers.otlp.protocols.http.endpoint",
    "health": "extensions.health_check.endpoint",
    "metrics": "service.telemetry.metrics.address",
    "sql": "extensions.sql.endpoint",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, binary, settings=()):
        self.binary = binary
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sessionlake-conformance-"))
        certificates.write(self.folder)
        self.settings = [setting.format(folder=self.folder) for setting in settings]
        self.data = self.folder / "data"
        self.ports = {name: free_port() for name in LISTENERS}
        self.start()

    def start(self):
        command = [self.binary, "serve", "--data-dir", self.data]
        for name, key in LISTENERS.items():
            command += ["--set", f"{key}=127.0.0.1:{self.ports[name]}"]
        for setting in ("exporters.lake.flush_interval=200ms", *self.settings):
            command += ["--set", setting]
        with open(self.folder / "log", "ab") as log:
            # `restore_signals`: a write beyond a file size limit is an error as on a full disk, not the end.
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, restore_signals=False
            )
        deadline = time.monotonic() + 60
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the server did not start:\n" + (self.folder / "log").read_text())
            time.sleep(0.05)

    def ready(self):
        try:
            return client.post(self.ports["health"], "/ready", None, None, "GET")[0] == 200
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def http(self, path, content_type, body, **options):
        """One request on a connection of its own, and the reply in words."""
        return client.said(client.post(self.ports["http"], path, content_type, body, **options), path)

    def grpc(self, signal_name, body, **options):
        return client.call(self.ports["grpc"], signal_name, body, **options)

    def accepted(self):
        """Records taken so far, over all signals and transports."""
        page = client.post(self.ports["metrics"], "/metrics", None, None, "GET")[2].decode()
        return sum(float(n) for n in re.findall(r"^otelcol_receiver_accepted_\w+{[^}]*} (\S+)$", page, re.M))

    def peak_mib(self):
        """The largest resident size since the last call, MiB."""
        process = pathlib.Path(f"/proc/{self.process.pid}")
        peak = int(re.search(r"VmHWM:\s+(\d+)", (process / "status").read_text()).group(1)) >> 10
        (process / "clear_refs").write_text("5")
        return peak
