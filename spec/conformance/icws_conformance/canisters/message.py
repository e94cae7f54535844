"""What a poll gives: messages that were verified, and tombstones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icws_conformance.canisters.candid import CandidError, Case, Type, decode
from icws_conformance.canisters.interface import NAMES

__all__ = ["Message", "Poll"]


@dataclass(frozen=True, slots=True)
class Message:
    """A polled message, verified: certificate, witness, leaf, form.

    Attributes:
        nonce: of the queue.
        key: as it stands in the tree.
        raw: its bytes, as certified; empty for a tombstone.
        outer: the client key that came beside it.
        fields: its CBOR; empty for a tombstone.
        certified_ns: time of the certificate.
    """

    nonce: int
    key: str
    raw: bytes
    outer: tuple[bytes, int]
    fields: Mapping[str, Any]
    certified_ns: int

    @property
    def is_tombstone(self) -> bool:
        """Whether something stood here that was removed."""
        return not self.raw

    @property
    def seq(self) -> int:
        """Its sequence number; -1 for a tombstone."""
        return int(self.fields.get("sequence_num", -1))

    @property
    def content(self) -> bytes:
        """What it holds."""
        return bytes(self.fields.get("content", b""))

    @property
    def service(self) -> Case | None:
        """The service message that it is; None for others and for what cannot be read."""
        if not self.fields.get("is_service_message"):
            return None
        try:
            value = decode(self.content, NAMES)[0][0]
        except (CandidError, IndexError):
            return None
        return value if isinstance(value, Case) else None

    @property
    def service_type(self) -> Type | None:
        """The type that a service message was sent with."""
        try:
            return decode(self.content, NAMES)[1][0]
        except (CandidError, IndexError):
            return None


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll gave.

    Attributes:
        messages: in the order in which they came.
        end: whether the canister says that the queue ends here.
        size: bytes of the answer.
    """

    messages: tuple[Message, ...]
    end: bool
    size: int
