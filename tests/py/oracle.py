"""What a captured session says, computed from its raw files without any code of sessionlake.

oracle.py DIR: prints JSON with
  session_ids, cost_micros (sum over api_request records, each once),
  requests {request_id: {cost_micros, tokens, model, transcript_text, log_text}},
  sent_texts (every reply text that a hook or a log carried), tools {tool_use_id: {...}}, prompts, ends.
"""

import json
import pathlib
import sys

from otlp_files import decode, log_records

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")


def number(attribute):
    return None if attribute is None else int(attribute)


def api_request(attributes):
    micros = attributes.get("cost_usd_micros")
    if micros is None and attributes.get("cost_usd") is not None:
        micros = round(float(attributes["cost_usd"]) * 1_000_000)
    tokens = {name: number(attributes.get(name)) for name in TOKENS}
    return {"cost_micros": number(micros), "model": attributes.get("model"), "tokens": tokens}


class Oracle:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.requests, self.tools, self.texts, self.displays = {}, {}, [], {}
        self.prompts, self.ends, self.seen = [], 0, set()

    def request(self, request_id):
        return self.requests.setdefault(request_id, {"api_request": None, "log_text": None, "transcript_text": None})

    def tool(self, tool_use_id):
        return self.tools.setdefault(
            tool_use_id, {"name": None, "input": None, "outputs": [], "post": False, "failed": None, "log": False}
        )

    def log(self, attributes):
        key = tuple(str(attributes.get(k)) for k in ("session.id", "event.sequence", "event.timestamp", "event.name"))
        if key in self.seen:
            return
        self.seen.add(key)
        name = attributes.get("event.name")
        if name == "api_request" and attributes.get("request_id"):
            self.request(attributes["request_id"])["api_request"] = api_request(attributes)
        elif name == "assistant_response" and attributes.get("response") not in (None, "<REDACTED>"):
            self.request(attributes["request_id"])["log_text"] = attributes["response"]
            self.texts.append(attributes["response"])
        elif name in ("tool_result", "tool_decision") and attributes.get("tool_use_id"):
            tool = self.tool(attributes["tool_use_id"])
            if name == "tool_result":
                tool["log"] = True
                tool["failed"] = str(attributes.get("success")).lower() != "true"

    def hook(self, data):
        event = data.get("hook_event_name")
        if event in ("PreToolUse", "PostToolUse", "PostToolUseFailure"):
            tool = self.tool(data["tool_use_id"])
            tool["name"], tool["input"] = data["tool_name"], data["tool_input"]
            if event == "PostToolUse":
                tool["post"] = True
                tool["outputs"].append(data["tool_response"])
            elif event == "PostToolUseFailure":
                tool["failed"] = True
        elif event == "PostToolBatch":
            for call in data["tool_calls"]:
                tool = self.tool(call["tool_use_id"])
                tool["name"] = call["tool_name"]
                tool["outputs"].append(call["tool_response"])
        elif event == "MessageDisplay":
            self.displays.setdefault(data["message_id"], {})[data["index"]] = data["delta"]
        elif event in ("Stop", "SubagentStop") and data.get("last_assistant_message"):
            self.texts.append(data["last_assistant_message"])
        elif event == "UserPromptSubmit":
            self.prompts.append(data["prompt"])
        elif event == "SessionEnd":
            self.ends += 1

    def transcript(self, line):
        message = line.get("message") or {}
        if line.get("type") != "assistant" or not line.get("requestId"):
            return
        for block in message.get("content") or []:
            if block.get("type") == "text":
                request = self.request(line["requestId"])
                request["transcript_text"] = (request["transcript_text"] or "") + block["text"]

    def read(self):
        for line in (self.folder / "index.jsonl").read_text().splitlines():
            entry = json.loads(line)
            body = (self.folder / entry["file"]).read_bytes()
            if entry["path"] == "/v1/logs":
                for attributes, _ in log_records(decode(entry["path"], body, entry["file"].endswith(".json"))):
                    self.log(attributes)
            elif entry["path"] == "/v1/hooks":
                self.hook(json.loads(body))
        for path in sorted((self.folder / "transcripts").rglob("*.jsonl")):
            for line in path.read_text().splitlines():
                self.transcript(json.loads(line))
        return self

    def answer(self):
        displayed = ["".join(text for _, text in sorted(parts.items())) for parts in self.displays.values()]
        costs = [r["api_request"]["cost_micros"] for r in self.requests.values() if r["api_request"]]
        return {
            "session_ids": json.loads((self.folder / "truth.json").read_text())["session_ids"],
            "cost_micros": sum(c for c in costs if c is not None) if costs else None,
            "requests": self.requests,
            "sent_texts": self.texts + displayed,
            "tools": self.tools,
            "prompts": self.prompts,
            "ends": self.ends,
        }


if __name__ == "__main__":
    json.dump(Oracle(sys.argv[1]).read().answer(), sys.stdout)
