"""The table of hostile inputs: what is sent, what must come back.

A case is a function that sends something to a server and says in words what it got. `expected` is a regular expression
that those words must match, so that the table reads as a table.
"""

import dataclasses
import re
import typing


@dataclasses.dataclass(frozen=True)
class Case:
    row: str
    sent: str
    expected: str
    run: typing.Callable
    # Waits for the server's clock: runs beside the others.
    slow: bool
    # Sent to the server that asks for tokens.
    door: bool
    # Within a bound of time or memory that only an optimised build keeps.
    release: bool
    # What is got instead for now, as a regular expression, and why that is borne.
    gap: str | None

    def judge(self, got):
        """`ok`, `closed` (a known gap that is none any more: remove its mark), `gap` (it still is) or `FAILED`."""
        if re.fullmatch(self.expected, got):
            return "ok" if self.gap is None else "closed"
        if self.gap is not None and re.fullmatch(self.gap, got):
            return "gap"
        return "FAILED"


CASES = []


def case(row, sent, expected, slow=False, door=False, release=False, gap=None):
    """Adds a row. The function takes the server and returns what it got."""

    def add(run):
        CASES.append(Case(row, sent, expected, run, slow, door, release, gap))
        return run

    return add
