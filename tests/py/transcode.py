"""Copies a captured session with its OTLP/JSON bodies rewritten as protobuf: transcode.py SOURCE TARGET"""

import json
import pathlib
import shutil
import sys

from otlp_files import REQUESTS, decode


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    shutil.copytree(source, target)
    target.chmod(0o755)
    lines = []
    for line in (source / "index.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["path"] in REQUESTS and entry["file"].endswith(".json"):
            request = decode(entry["path"], (source / entry["file"]).read_bytes(), True)
            entry["file"] = entry["file"].removesuffix(".json") + ".pb"
            (target / entry["file"]).write_bytes(request.SerializeToString())
            entry["headers"] = {"content-type": "application/x-protobuf"}
        lines.append(json.dumps(entry))
    (target / "index.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
