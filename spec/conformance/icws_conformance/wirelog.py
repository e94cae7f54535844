"""What was sent and received in a case, with a clock of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from icws_conformance.draw import Node, draw

__all__ = ["MAX_ENTRIES", "Entry", "WireLog"]

#: A case that talks more than this is cut in the middle of its log, which says so.
MAX_ENTRIES: Final = 400

#: Bytes of a document that are kept as they came.
_MAX_RAW: Final = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was sent, received or noted.

    Attributes:
        at_s: seconds since the case began.
        source: who sent it.
        target: who was to get it; empty for a note.
        what: in a few words.
        size: bytes; 0 for a note.
        raw: the first 4096 bytes, hexadecimal.
        drawn: the document, decoded.
        blamed: whether this entry shows the failure.
    """

    at_s: float
    source: str
    target: str
    what: str
    size: int = 0
    raw: str = ""
    drawn: Node | None = None
    blamed: bool = False


class WireLog:
    """The log of one case."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._entries: list[Entry] = []
        self._left_out = 0

    def sent(self, source: str, target: str, what: str, data: bytes, *, blamed: bool = False, label: str = "") -> None:
        """Write down a document on its way, and draw it; ``label`` says what it is where that does not show."""
        self._add(Entry(self._now(), source, target, what, len(data), data[:_MAX_RAW].hex(), draw(data, label), blamed))

    def note(self, text: str, *, source: str = "suite", blamed: bool = False) -> None:
        """Write down something that is no document."""
        self._add(Entry(self._now(), source, "", text, blamed=blamed))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The log so far."""
        if not self._left_out:
            return tuple(self._entries)
        cut = Entry(self._now(), "suite", "", f"{self._left_out} more entries were left out")
        return (*self._entries, cut)

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 4)

    def _add(self, entry: Entry) -> None:
        if len(self._entries) < MAX_ENTRIES or entry.blamed:
            self._entries.append(entry)
        else:
            self._left_out += 1
