"""Looks for planted secrets in every file under the given paths.

search.py SECRETS PATH...: SECRETS is what plant.py wrote as secrets.json. Prints {secrets, files, found}: the places of
which 8 bytes in a row of the secret's random part are in some file or file name under the paths: as they are, in base64,
hex, percent or character escapes, two of these layers deep, inside zstd frames (the pages of Parquet files) or as values
of Parquet files; and statistics of content in the Delta log.

What is searched repeats a lot, so it is taken apart into words (a secret and all its encodings are one word each), and
each distinct word is looked at once.
"""

import base64
import json
import pathlib
import re
import sys

import pyarrow
import pyarrow.parquet
import zstandard

# Bytes in a row of a secret's random part that must be nowhere.
FRAGMENT = 8
# Layers of encodings that are undone.
LAYERS = 2
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
WORD = re.compile(rb"[!#-~]{%d,}" % FRAGMENT)
RUN = re.compile(rb"[A-Za-z0-9+/]{%d,}" % FRAGMENT)
HEX_RUN = re.compile(rb"[0-9a-fA-F]{%d,}" % (2 * FRAGMENT))
# Base64 of either alphabet.
BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{12,}")
PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")
ESCAPE = re.compile(rb"\\+(?:u00|x)([0-9a-fA-F]{2})|&#(?:[xX]([0-9a-fA-F]{2})|([0-9]{2,3}));")


def fragments(core):
    """Every 8 bytes of a text, and what is left of their base64 at each of the three alignments, without the
    characters that neighbours share."""
    for start in range(len(core) - FRAGMENT + 1):
        piece = core[start : start + FRAGMENT]
        yield piece
        for shift in range(3):
            encoded = base64.b64encode(b"\0" * shift + piece).rstrip(b"=")
            # Characters of 6 bits that lie wholly in the piece.
            yield encoded[-(-8 * shift // 6) : 8 * (shift + FRAGMENT) // 6]


def from_hex(run):
    for start in range(2):
        even = (len(run) - start) // 2 * 2
        yield bytes.fromhex(run[start : start + even].decode())


def from_base64(run):
    run = run.translate(bytes.maketrans(b"-_", b"+/"))
    for start in range(4):
        piece = run[start:]
        yield base64.b64decode(piece[: len(piece) // 4 * 4])


def decoded(word):
    """What a word holds in base64, hex, percent and character escapes."""
    for run in HEX_RUN.findall(word):
        yield from from_hex(run)
    for run in BASE64_RUN.findall(word):
        yield from from_base64(run)
    if b"%" in word:
        yield PERCENT.sub(lambda match: bytes.fromhex(match[1].decode()), word)
    if b"\\" in word or b"&#" in word:
        yield ESCAPE.sub(lambda m: bytes([int(m[1] or m[2], 16) if m[1] or m[2] else int(m[3]) & 0xFF]), word)


class Search:
    def __init__(self, secrets):
        self.needles = {}
        for secret in secrets:
            for needle in fragments(secret["core"].encode()):
                self.needles.setdefault(needle[:FRAGMENT], secret["place"])
        # By layer: words that were looked at.
        self.seen = [set() for _ in range(LAYERS + 1)]
        self.runs = set()
        self.found = set()

    def look(self, data, name, layer=0):
        """Looks at the words of `data` that are new, and at what they encode."""
        words = set(WORD.findall(data)) - self.seen[layer]
        self.seen[layer] |= words
        for word in words:
            for run in RUN.findall(word):
                self.run(run, name)
            if layer < LAYERS:
                for inner in decoded(word):
                    self.look(inner, name, layer + 1)

    def run(self, run, name):
        if run in self.runs:
            return
        self.runs.add(run)
        for at in range(len(run) - FRAGMENT + 1):
            if place := self.needles.get(run[at : at + FRAGMENT]):
                self.found.add(f"{place} in {name}")


def frames(raw):
    """Whatever zstd frames a file holds, decompressed: the pages of a Parquet file, dictionaries among them."""
    at = raw.find(ZSTD_MAGIC)
    while at >= 0:
        try:
            yield zstandard.ZstdDecompressor().decompressobj().decompress(raw[at:])
        except zstandard.ZstdError:
            pass  # The four bytes stood there by chance.
        at = raw.find(ZSTD_MAGIC, at + 4)


def leaves(array):
    """The columns of plain values in a column of any type."""
    if isinstance(array, pyarrow.DictionaryArray):
        yield from leaves(array.dictionary)
    elif pyarrow.types.is_nested(array.type):
        inner = array.flatten()
        for part in inner if isinstance(inner, list) else [inner]:
            yield from leaves(part)
    else:
        yield array


def values(path):
    """The distinct texts and bytes of a Parquet file."""
    for column in pyarrow.parquet.read_table(path).columns:
        for chunk in column.chunks:
            for leaf in leaves(chunk):
                for value in leaf.unique().to_pylist():
                    if isinstance(value, (str, bytes)):
                        yield value.encode() if isinstance(value, str) else value


def parts(path):
    raw = path.read_bytes()
    yield raw
    yield from frames(raw)
    if raw[:4] == b"PAR1":
        yield b"\n".join(values(path))


def content_statistics(path):
    """Columns of which a Delta log entry tells the least and the greatest value, and which hold content: planted texts,
    without their secrets, but for the columns of ids in which secrets were planted on purpose."""
    for line in path.read_text().splitlines():
        statistics = json.loads(json.loads(line).get("add", {}).get("stats") or "{}")
        for bounds in (statistics.get("minValues", {}), statistics.get("maxValues", {})):
            for column, value in bounds.items():
                if column not in ("user_email", "tool_use_id") and ("before" in str(value) or "REDACTED" in str(value)):
                    yield column


def main(secrets, roots):
    secrets = json.loads(pathlib.Path(secrets).read_text())
    search, files = Search(secrets), 0
    for root in map(pathlib.Path, roots):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            files += 1
            name = str(path.relative_to(root))
            search.look(name.encode(), f"the name {name}")
            for part in parts(path):
                search.look(part, name)
            if path.parent.name == "_delta_log" and path.suffix == ".json":
                search.found.update(f"statistics of {column} in {name}" for column in content_statistics(path))
    json.dump({"secrets": len(secrets), "files": files, "found": sorted(search.found)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
