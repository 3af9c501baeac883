"""Plants a secret in every place of a request where a string can be, and looks for them afterwards.

plant.py make DIR: writes request bodies, DIR/requests.json [{file, path, content_type, grpc}] and DIR/secrets.json.
plant.py check DIR PATH...: prints a JSON list of the places whose secret is in some file under the paths, as it is or
in base64, also inside the pages of Parquet files.

The OTLP messages are filled by walking their descriptors, so that no field can be forgotten.
"""

import base64
import json
import pathlib
import random
import re
import string
import sys

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from otlp_files import HEX_IDS, REQUESTS

ALNUM = string.ascii_letters + string.digits
IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
RUN = re.compile(r"[A-Za-z0-9+/]{12,}")
DICTIONARY = ("key_strindex", "string_value_strindex")


class Planter:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.secrets = []
        self.kinds = [self.aws, self.github, self.jwt, self.bearer, self.anthropic, self.private_key, self.password]
        self.turn = seed

    def letters(self, count, alphabet=ALNUM):
        return "".join(self.random.choice(alphabet) for _ in range(count))

    def aws(self):
        core = self.letters(16, string.ascii_uppercase + "234567")
        return f"AKIA{core}", core

    def github(self):
        core = self.letters(36)
        return f"ghp_{core}", core

    def jwt(self):
        core = self.letters(43)
        payload = base64.urlsafe_b64encode(json.dumps({"sub": self.letters(12)}).encode()).decode().rstrip("=")
        return f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{payload}.{core}", core

    def bearer(self):
        core = self.letters(40)
        return f"Authorization: Bearer {core}", core

    def anthropic(self):
        core = self.letters(93)
        return f"sk-ant-api03-{core}AA", core

    def private_key(self):
        core = self.letters(64)
        return f"-----BEGIN PRIVATE KEY-----\n{core}\n{self.letters(64)}\n-----END PRIVATE KEY-----", core

    def password(self):
        core = self.letters(20)
        return f"password={core}", core

    def plant(self, place):
        """A text with a secret of the next kind."""
        kind = self.kinds[self.turn % len(self.kinds)]
        self.turn += 1
        secret, core = kind()
        self.secrets.append({"place": f"{place} ({kind.__name__})", "core": core})
        return f"before {secret} after"

    def fill(self, message, place, depth=0):
        """Fills every field of a protobuf message; a repeated one gets an element for each member of its oneof."""
        for field in message.DESCRIPTOR.fields:
            at = f"{place}.{field.name}"
            if field.name in DICTIONARY:
                continue
            if field.containing_oneof and not self.is_chosen(message, field):
                continue
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                self.fill_message(message, field, at, depth)
            else:
                self.fill_scalar(message, field, at)

    @staticmethod
    def is_chosen(message, field):
        """`optional` fields always; of a real oneof the first, unless one is set already."""
        oneof = field.containing_oneof
        if oneof.name.startswith("_") or len(oneof.fields) == 1:
            return True
        chosen = message.WhichOneof(oneof.name)
        return field.name == chosen or (chosen is None and field is oneof.fields[0])

    def fill_message(self, message, field, at, depth):
        target = getattr(message, field.name)
        kind = field.message_type
        if kind.name == "AnyValue":
            if depth < 3:
                self.fill_values(target, field, at, depth)
        elif not field.is_repeated:
            target.SetInParent()
            self.fill(target, at, depth + (kind.name in ("ArrayValue", "KeyValueList")))
        elif kind.name == "KeyValue":
            for value in ("string_value", "bytes_value", "array_value", "kvlist_value") if depth < 3 else ():
                item = target.add(key=self.plant(f"{at}[{value}].key"))
                self.fill_value(item.value, value, f"{at}.{value}", depth)
        elif kind.name == "Metric":
            for data in kind.oneofs_by_name["data"].fields:
                item = target.add()
                getattr(item, data.name).SetInParent()
                self.fill(item, f"{at}[{data.name}]", depth)
        else:
            self.fill(target.add(), at, depth)

    def fill_values(self, target, field, at, depth):
        if not field.is_repeated:
            self.fill_value(target, "kvlist_value", at, depth)
            return
        for value in ("string_value", "bytes_value", "array_value", "kvlist_value"):
            self.fill_value(target.add(), value, f"{at}.{value}", depth)

    def fill_value(self, any_value, kind, at, depth):
        if kind == "string_value":
            any_value.string_value = self.plant(at)
        elif kind == "bytes_value":
            any_value.bytes_value = self.plant(at).encode()
        else:
            getattr(any_value, kind).SetInParent()
            self.fill(getattr(any_value, kind), at, depth + 1)

    def fill_scalar(self, message, field, at):
        if field.type == FieldDescriptor.TYPE_STRING:
            value = self.plant(at)
        elif field.name in IDS:
            value = self.random.randbytes(IDS[field.name])
        elif field.type == FieldDescriptor.TYPE_BYTES:
            value = self.plant(at).encode()
        elif field.type in (FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_BOOL):
            value = 1
        elif field.name.endswith("_unix_nano"):
            value = 1_795_346_337_000_000_000
        else:
            value = 1
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def add_session(request):
    """Gives each record a session, so that events are computed from it too."""

    def visit(message):
        name = message.DESCRIPTOR.name
        if name in ("LogRecord", "Span") or name.endswith("DataPoint"):
            item = message.attributes.add(key="session.id")
            item.value.string_value = "canary-session"
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.name != "AnyValue":
                for item in value if field.is_repeated else [value]:
                    visit(item)

    visit(request)


def otlp_json(request):
    """The OTLP/JSON form: ids in hex, enums as numbers."""

    def hex_ids(value):
        if isinstance(value, list):
            return [hex_ids(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {k: base64.b64decode(v).hex() if k in HEX_IDS else hex_ids(v) for k, v in value.items()}

    return json.dumps(hex_ids(json_format.MessageToDict(request, use_integers_for_enums=True))).encode()


def hook(planter, place):
    """A hook object with secrets at depth, in keys, and in JSON inside strings."""
    inside = {"nested": [{"deep": {"er": planter.plant(f"{place}.tool_input nested")}}]}
    return {
        "session_id": "canary-session",
        "hook_event_name": "PostToolUse",
        "tool_name": planter.plant(f"{place}.tool_name"),
        "tool_use_id": f"toolu_{place}",
        "cwd": planter.plant(f"{place}.cwd"),
        "tool_input": {
            **inside,
            planter.plant(f"{place}.tool_input key"): 1,
            "json": json.dumps({"in": json.dumps({"a string": planter.plant(f"{place} JSON in JSON in a string")})}),
        },
        "tool_response": {"stdout": planter.plant(f"{place}.stdout"), "list": [planter.plant(f"{place}.list")]},
        planter.plant(f"{place} top-level key"): planter.plant(f"{place} unknown field"),
    }


def reply_hooks(planter, place):
    session = {"session_id": "canary-session", "cwd": "/home/dev"}
    yield {**session, "hook_event_name": "UserPromptSubmit", "prompt": planter.plant(f"{place} prompt")}
    yield {**session, "hook_event_name": "Stop", "last_assistant_message": planter.plant(f"{place} Stop")}
    yield {**session, "hook_event_name": planter.plant(f"{place} event name"), "x": planter.plant(f"{place} unknown")}


def transcript(planter, place):
    content = [
        {"type": "thinking", "thinking": planter.plant(f"{place} thinking")},
        {"type": "text", "text": planter.plant(f"{place} text")},
        {"type": "tool_use", "id": "toolu_t", "name": "Bash", "input": {"command": planter.plant(f"{place} input")}},
    ]
    message = {"id": "msg_1", "role": "assistant", "model": planter.plant(f"{place} model"), "content": content}
    return {
        "type": "assistant", "uuid": f"{place}-uuid", "requestId": f"req_{place}", "sessionId": "canary-session",
        "timestamp": "2026-11-22T11:00:00.000Z", "message": message, "gitBranch": planter.plant(f"{place} branch"),
    }


def envelopes(planter, place):
    data = [("hook", hook(planter, place)), ("transcript", transcript(planter, place))]
    data.append((planter.plant(f"{place} kind"), {"free": [planter.plant(f"{place} data")]}))
    data.append(("provenance", {"origin": planter.plant(f"{place} provenance")}))
    for n, (kind, body) in enumerate(data):
        yield {
            "id": f"{place}-{n} {planter.plant(f'{place} id')}", "seq": n, "at": "2026-11-22T11:00:00Z", "kind": kind,
            "session_id": "canary-session", "data": body, planter.plant(f"{place} envelope key"): "x",
        }


def broken(planter):
    """Requests that are refused: what is wrong with them must not be quoted."""
    yield "/v1/logs", "application/json", ('{"resourceLogs":[{"' + planter.plant("broken JSON") + '":').encode()
    yield "/v1/logs", "application/x-protobuf", b"\x0a\xff" + planter.plant("broken protobuf").encode()
    yield "/v1/hooks", "application/json", ('{"session_id": ' + planter.plant("broken hook")).encode()
    yield "/v1/hooks", "application/x-ndjson", ("not json " + planter.plant("broken line") + "\n").encode()
    yield "/v1/logs", "text/" + planter.letters(8), planter.plant("wrong content type").encode()


def make(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    planter, requests = Planter(1), []

    def write(path, content_type, body, grpc=False, refused=False):
        name = f"{len(requests):03}.body"
        (folder / name).write_bytes(body)
        requests.append(
            {"file": name, "path": path, "content_type": content_type, "grpc": grpc, "refused": refused}
        )

    for path, kind in REQUESTS.items():
        for transport in ("protobuf", "json", "grpc"):
            request = kind()
            planter.turn += 1
            planter.fill(request, f"{transport} {kind.DESCRIPTOR.name}")
            add_session(request)
            if transport == "json":
                write(path, "application/json", otlp_json(request))
            else:
                write(path, "application/x-protobuf", request.SerializeToString(), grpc=transport == "grpc")
    for n in range(len(planter.kinds)):
        planter.turn = n
        write("/v1/hooks", "application/json", json.dumps(hook(planter, f"raw{n}")).encode())
        for body in reply_hooks(planter, f"raw{n}"):
            write("/v1/hooks", "application/json", json.dumps(body).encode())
        lines = "".join(json.dumps(e) + "\n" for e in envelopes(planter, f"line{n}"))
        write("/v1/hooks", "application/x-ndjson", lines.encode())
    for path, content_type, body in broken(planter):
        write(path, content_type, body, refused=True)
    (folder / "requests.json").write_text(json.dumps(requests))
    (folder / "secrets.json").write_text(json.dumps(planter.secrets))


def base64_forms(core):
    """What is left of a text's base64 at each of the three alignments, without the characters its neighbours share."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + core.encode()).decode()
        yield encoded[4 if shift else 0 : len(encoded) - 4]


def texts(path):
    raw = path.read_bytes()
    yield raw.decode("latin-1")
    if raw[:4] == b"PAR1":
        import pyarrow.parquet

        yield json.dumps(pyarrow.parquet.read_table(path).to_pylist(), default=str)


def check(folder, paths):
    secrets = json.loads((pathlib.Path(folder) / "secrets.json").read_text())
    # Texts repeat a lot: each distinct run of letters (every needle is one) is searched once.
    runs, files = {}, 0
    for root in map(pathlib.Path, paths):
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                files += 1
                for text in texts(path):
                    for run in set(RUN.findall(text)):
                        runs.setdefault(run, str(path.relative_to(root)))
    everything = "\n".join(runs)
    found = set()
    for secret in secrets:
        for needle in (secret["core"], *base64_forms(secret["core"])):
            if needle in everything:
                where = next(path for run, path in runs.items() if needle in run)
                found.add(f"{secret['place']} in {where}")
    json.dump({"secrets": len(secrets), "files": files, "found": sorted(found)}, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        check(sys.argv[2], sys.argv[3:])
