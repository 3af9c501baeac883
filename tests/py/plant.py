"""Plants a secret in every place of a request where a string can be; search.py looks for them afterwards.

plant.py DIR: writes request bodies, DIR/requests.json [{file, path, content_type, grpc, refused}], DIR/secrets.json
[{place, core, planted}] (`core` is the secret's random part), and DIR/configs/*.yaml, configurations that are refused.

The OTLP messages are filled by walking their descriptors, so that no field can be forgotten. The secrets come in turn
as they are and encoded.
"""

import base64
import json
import pathlib
import random
import string
import sys

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

from otlp_files import HEX_IDS, REQUESTS

ALNUM = string.ascii_letters + string.digits
IDS = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
DICTIONARY = ("key_strindex", "string_value_strindex")


def plain(text):
    return text


def json_in_json(text):
    return json.dumps({"outer": json.dumps({"inner": [text]})})


def in_base64(text):
    return f"before {base64.b64encode(text.encode()).decode()} after"


def in_hex(text):
    return f"before {text.encode().hex()} after"


def in_percent(text):
    return "https://h.example/?q=" + "".join(f"%{byte:02X}" for byte in text.encode())


def in_escapes(text):
    return '{"text": "%s"}' % "".join(f"\\u{ord(c):04x}" for c in text)


class Planter:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.secrets = []
        self.kinds = [self.aws, self.github, self.jwt, self.bearer, self.anthropic, self.private_key, self.password]
        self.turn = seed
        self.encodings = [plain, json_in_json, in_base64, in_hex, in_percent, in_escapes]

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

    def token(self, place):
        """A secret alone, as it is."""
        secret, core = self.github()
        self.secrets.append({"place": place, "core": core, "planted": secret})
        return secret

    def plant(self, place):
        """A text with a secret of the next kind."""
        kind = self.kinds[self.turn % len(self.kinds)]
        # One time in two as it is: most secrets are.
        encode = self.encodings[self.turn // 2 % len(self.encodings)] if self.turn % 2 else plain
        self.turn += 1
        secret, core = kind()
        planted = encode(f"before {secret} after")
        self.secrets.append({"place": f"{place} ({kind.__name__}, {encode.__name__})", "core": core, "planted": planted})
        return planted

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
    wrong = {"resourceLogs": [{"scopeLogs": [{"logRecords": [planter.plant("a string where an object belongs")]}]}]}
    yield "/v1/logs", "application/json", json.dumps(wrong).encode()
    yield "/v1/logs", "application/x-protobuf", b"\x0a\xff" + planter.plant("broken protobuf").encode()
    yield "/v1/hooks", "application/json", ('{"session_id": ' + planter.plant("broken hook")).encode()
    yield "/v1/hooks", "application/json", json.dumps([planter.plant("a hook that is a list")]).encode()
    yield "/v1/hooks", "application/x-ndjson", ("not json " + planter.plant("broken line") + "\n").encode()
    bad_field = {"id": planter.plant("id of a refused line"), "kind": 5, "data": planter.plant("data of a refused line")}
    yield "/v1/hooks", "application/x-ndjson", json.dumps(bad_field).encode()
    yield "/v1/logs", "text/" + planter.letters(8), planter.plant("wrong content type").encode()
    yield "/v1/" + planter.token("a path"), "application/json", planter.plant("unknown path").encode()


def configs(planter):
    """Configurations that are refused; a secret is written out, and another comes from the environment."""
    storage = "exporters: {lake: {url: s3://b/p, storage: {secret_access_key: '%s', nope: 1}}}\n"
    yield storage % planter.token("a secret key beside an unknown key")
    yield "exporters:\n  lake:\n    url: s3://key:%s@bucket/p\n" % planter.token("credentials in a lake's URL")
    for key in ("processors: {sessions: {idle_timeout: ", "exporters: {lake: {storage: {endpoint: "):
        yield key + "'${env:PLANTED}'" + "}" * key.count("{") + "\n"


def filler(planter):
    """So many records that their file gets bloom filters, with secrets where only ids are expected."""
    request, records = REQUESTS["/v1/logs"](), []
    scope = request.resource_logs.add().scope_logs.add()
    scope.scope.name = "com.anthropic.claude_code.events"
    for n in range(21_000):
        record = scope.log_records.add(time_unix_nano=1_795_346_337_000_000_000 + n, event_name="claude_code.tool_result")
        item = record.attributes.add(key="session.id")
        item.value.string_value = "filler-session"
        for key in ("user.email", "tool_use_id") if n % 300 == 0 else ():
            item = record.attributes.add(key=key)
            item.value.string_value = planter.plant(f"filler {key}")
    return request.SerializeToString()


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
    write("/v1/logs", "application/x-protobuf", filler(planter))
    for path, content_type, body in broken(planter):
        write(path, content_type, body, refused=True)
        write("/v1/logs", "application/x-protobuf", b"\xff" + body, grpc=True, refused=True)
    (folder / "configs").mkdir()
    for n, text in enumerate(configs(planter)):
        (folder / f"configs/{n}.yaml").write_text(text)
    (folder / "configs/environment").write_text(planter.token("the environment"))
    (folder / "requests.json").write_text(json.dumps(requests))
    (folder / "secrets.json").write_text(json.dumps(planter.secrets))


if __name__ == "__main__":
    make(sys.argv[1])
