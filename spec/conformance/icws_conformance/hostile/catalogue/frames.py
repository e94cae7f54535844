"""Entries: frames that are not frames, that may not come, or that only claim something."""

from __future__ import annotations

from typing import Final

from icws_conformance.hostile.attacks import frames
from icws_conformance.hostile.catalogue.entry import DISCARDS, SUBPROTOCOL, AttackEntry
from icws_secure.errors import Reason

__all__ = ["entries"]

_DEEP_CBOR: Final = b"\x81" * 5_000 + b"\x00"
_HUGE_MAP: Final = b"\xbb" + b"\xff" * 8


def entries() -> list[AttackEntry]:
    """The attacks of this kind."""
    return [
        AttackEntry(
            "garbage-frame",
            "Breaks the client.",
            DISCARDS,
            ("ICWS-LIB-001", "ICWS-LIB-023", "ICWS-LIB-024"),
            lambda s: frames.Garbage("garbage frame", b"\x00not a frame"),
            (Reason.TRAILING_BYTES, Reason.MALFORMED, Reason.WRONG_TYPE),
        ),
        AttackEntry(
            "unknown-frame",
            "Has the client skip what it does not know.",
            DISCARDS,
            ("ICWS-LIB-024",),
            lambda s: frames.Garbage("unknown frame", b"\xa1\x64news\x01"),
            (Reason.UNKNOWN_FIELD,),
        ),
        AttackEntry(
            "text-frame",
            "Breaks the client.",
            DISCARDS,
            ("ICWS-LIB-024",),
            lambda s: frames.Garbage("text frame", "hello"),
            (Reason.UNEXPECTED_FRAME,),
        ),
        AttackEntry(
            "deep-frame",
            "Exhausts the client's stack.",
            DISCARDS,
            ("ICWS-LIB-001", "ICWS-CLT-020"),
            lambda s: frames.Garbage("deep frame", _DEEP_CBOR),
            (Reason.TOO_DEEP,),
        ),
        AttackEntry(
            "huge-frame",
            "Exhausts the client's memory.",
            DISCARDS,
            ("ICWS-LIB-001", "ICWS-CLT-020"),
            lambda s: frames.Garbage("huge frame", _HUGE_MAP),
            (Reason.TOO_MANY, Reason.TOO_LARGE, Reason.MALFORMED),
        ),
        AttackEntry(
            "second-handshake",
            "Changes its name in the middle of the conversation.",
            DISCARDS,
            ("ICWS-LIB-024",),
            lambda s: frames.SecondHandshake(),
            (Reason.UNEXPECTED_FRAME,),
        ),
        AttackEntry(
            "invented-drain",
            "Drives clients away from gateway to gateway.",
            "The client goes where it can; no message is lost or doubled by it.",
            ("ICWS-CLT-070",),
            lambda s: frames.InventedDrain(),
            (Reason.CONNECTION_LOST,),
            profiles=SUBPROTOCOL,
        ),
    ]
