"""Rows 57, 58 and 62: redaction rules that would stop the server, hide nothing, or tell what they hide."""

import pathlib
import tempfile
import time

import messages
from config import START_LIMIT_MIB, run
from server import Server
from table import case

RULE = "rules:\n  - {id: own, description: d, severity: high, regex: '%s'}\n"


def checked(server, text):
    """(exit code, output, MiB) of a check of a rule file."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "hostile.yaml")
        path.write_text(text)
        return run(server, "redact", "check", str(path), timeout=60)


def refused(server, *texts, limit=START_LIMIT_MIB):
    for text in texts:
        code, output, peak = checked(server, text)
        if code in (0, None) or peak > limit:
            return f"{text[:60]!r}: exit code {code}, {peak} MiB"
        if "hostile.yaml" not in output:
            return f"{text[:60]!r}: no file named: {output[:200]}"
    return "refused, file named"


@case("57", "patterns that compile to gigabytes", "refused, file named")
def huge_patterns(server):
    patterns = (".{0,1000000}", "(a{1,1000}){1,1000}", r"(\w{1,255}){1,255}", r"\pL{1,100000}", "(" * 5000 + ")" * 5000)
    return refused(server, *(RULE % pattern for pattern in patterns), limit=256)


@case("57", "10,000 rules", "taken or refused, bounded")
def many_rules(server):
    lines = (f"  - {{id: own-{n}, description: d, severity: high, regex: 'own{n}x[0-9]{{8}}'}}" for n in range(10_000))
    code, _, peak = checked(server, "rules:\n" + "\n".join(lines) + "\n")
    return "taken or refused, bounded" if code is not None and peak <= 512 else f"{code}, {peak} MiB"


@case("58", "rules that match the empty text", "refused, file named")
def empty_matches(server):
    patterns = ("a*", "", "x|", r"\b", "^", "(?:)")
    return refused(server, *(RULE % pattern for pattern in patterns))


@case("58", "an action that would write back what it hides", "refused, file named")
def telling_actions(server):
    actions = ("{replace: '$1'}", "{tag: '${secret}'}", "keep", "{mask: {keep_last: -1}}")
    rule = RULE % "own[0-9]{8}"
    return refused(server, *(f"{rule}actions: {{own: {action}}}\n" for action in actions))


@case("58", "a mask that would keep all of it", "at most 4 characters are kept")
def generous_mask(server):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "hostile.yaml")
        path.write_text(RULE % "own[0-9a-z]+" + "actions: {own: {mask: {keep_last: 1000}}}\n")
        text = pathlib.Path(folder, "text")
        text.write_text("own0123456789abcdefghij")
        code, output, _ = run(server, "redact", "--rules", str(path), str(text))
    return "at most 4 characters are kept" if code == 0 and "*ghij" in output and "fghij" not in output else f"{code} {output}"


@case("62", "rules replaced by wrong ones while records arrive", "the old ones hold, counted, said, and none was lost")
def reload_wrong(server):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "rules.yaml")
        path.write_text(RULE % "own-[0-9]{8}")
        config = pathlib.Path(folder, "collector.yaml")
        config.write_text("processors:\n  redaction:\n    rules: [rules.yaml]\n")
        own = Server(server.binary, config=config)
        try:
            return wrong_rules(own, path)
        finally:
            own.stop()
            own.discard()


def wrong_rules(server, path):
    new = path.with_suffix(".new")
    new.write_text(RULE % "(")
    new.rename(path)
    failures = "sessionlake_redaction_reload_failures"
    deadline, session = time.monotonic() + 20, f"reload-{time.time_ns()}"
    while not server.metric(failures):
        if time.monotonic() > deadline:
            return "the reload was not tried"
        if server.post("/v1/logs", messages.logs(messages.record(session, {"prompt": "own-12345678"}))).status != 200:
            return "a record was refused"
        time.sleep(0.1)
    server.post("/v1/logs", messages.logs(messages.record(session, {"prompt": "last own-12345678"})))
    journal = b"".join(p.read_bytes() for p in (server.data / "journal").iterdir() if p.suffix == ".seg")
    if b"own-12345678" in journal or b"REDACTED:own" not in journal:
        return "the old rules do not hold"
    if "wrong" not in server.log():
        return "nothing in the log"
    server.serves_a_good_client()
    return "the old ones hold, counted, said, and none was lost"
