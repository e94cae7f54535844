"""The certified head of a session: where it stands, as a leaf of its canister's tree.

``["icws", "epoch"]`` is when the canister's session state was made, in ns, as unsigned LEB128. ``["icws", "head",
S]`` is the CBOR head of the session of principal ``S``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

from ..errors import DecodeError, MisuseError, Reason
from . import cbor
from .interface import REGISTRATION_ID_BYTES, check_bytes
from .leb128 import decode_unsigned_exact, encode_unsigned
from .principal import Principal
from .registration import SessionState

__all__ = [
    "EPOCH_PATH",
    "MAX_HEAD_BYTES",
    "MAX_TRAPPED",
    "SessionHead",
    "decode_epoch",
    "decode_head",
    "encode_epoch",
    "head_path",
]

EPOCH_PATH: Final = (b"icws", b"epoch")
"""Where the epoch stands in a canister's tree."""

MAX_TRAPPED: Final = 32
"""Numbers of trapped messages that a head lists; older ones are dropped."""

MAX_HEAD_BYTES: Final = 1024
"""Bytes of an encoded head; one with a full list has under 700."""

_REQUIREMENT: Final = "ICWS-LIB-024"
_U64: Final = 1 << 64


def head_path(session: Principal) -> tuple[bytes, bytes, bytes]:
    """Where the head of a session stands in its canister's tree."""
    return b"icws", b"head", session.raw


def encode_epoch(epoch: int) -> bytes:
    """The leaf for an epoch."""
    return encode_unsigned(epoch)


def decode_epoch(leaf: bytes) -> int:
    """The epoch of a leaf.

    Raises:
        DecodeError: not one number of 64 bits.
    """
    epoch = decode_unsigned_exact(leaf, what="the epoch", max_bytes=10, requirement=_REQUIREMENT)
    if epoch >= _U64:
        raise DecodeError("an epoch has 64 bits", reason=Reason.TOO_LARGE, requirement=_REQUIREMENT)
    return epoch


@dataclass(frozen=True, slots=True)
class SessionHead:
    """Where a session stands.

    Attributes:
        registration_id: 16 bytes.
        attach: number of the newest attach, 0 before the first.
        state: open, detached and so on.
        next_out: next number the canister will give.
        next_in: next number the canister will take.
        executed_through: all messages up to this number have been handled.
        acked: highest number the client has acknowledged.
        oldest_retained: lowest number the canister can still send again.
        timestamp_ns: canister time of the last change; never decreases.
        expires_at_ns: end of the session.
        close_code: why it is over, if it is.
        trapped: numbers of messages whose handlers trapped, the last 32, ascending.

    Raises:
        MisuseError: the registration id has another length, or too many trapped numbers.
    """

    registration_id: bytes
    attach: int
    state: SessionState
    next_out: int
    next_in: int
    executed_through: int
    acked: int
    oldest_retained: int
    timestamp_ns: int
    expires_at_ns: int
    close_code: str | None = None
    trapped: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_bytes("registration_id", self.registration_id, REGISTRATION_ID_BYTES)
        if len(self.trapped) > MAX_TRAPPED:
            raise MisuseError("too many trapped numbers", limit=MAX_TRAPPED, received=len(self.trapped))

    def encode(self) -> bytes:
        """The leaf: CBOR, always with these fields in this order."""
        value: dict[str, object] = {
            "registration_id": self.registration_id,
            "attach": self.attach,
            "state": str(self.state),
            "next_out": self.next_out,
            "next_in": self.next_in,
            "executed_through": self.executed_through,
            "acked": self.acked,
            "oldest_retained": self.oldest_retained,
            "timestamp": self.timestamp_ns,
            "expires_at": self.expires_at_ns,
        }
        if self.close_code is not None:
            value["close_code"] = self.close_code
        value["trapped"] = list(self.trapped)
        return cbor.encode(value)


_NUMBERS: Final = (
    "attach",
    "next_out",
    "next_in",
    "executed_through",
    "acked",
    "oldest_retained",
    "timestamp",
    "expires_at",
)
_FIELDS: Final[dict[str, type]] = {
    "registration_id": bytes,
    "state": str,
    "trapped": list,
    **dict.fromkeys(_NUMBERS, int),
}


def decode_head(data: bytes) -> SessionHead:
    """Decode a head. Unknown fields are passed over [R33].

    Raises:
        DecodeError: not CBOR, too large, or a field missing or out of range.
    """
    value = cbor.decode(data, what="a session head", max_bytes=MAX_HEAD_BYTES)
    head = cbor.fields(
        value,
        what="a session head",
        required=_FIELDS,
        optional={"close_code": str},
        allow_unknown=True,
        requirement=_REQUIREMENT,
    )
    trapped = tuple(cast("list[object]", head["trapped"]))
    if any(type(number) is not int or not 0 <= number < _U64 for number in trapped):
        raise DecodeError("a trapped number has 64 bits", reason=Reason.WRONG_TYPE, requirement=_REQUIREMENT)
    numbers: dict[str, Any] = {name: head[name] for name in _NUMBERS}
    try:
        return SessionHead(
            registration_id=cast(bytes, head["registration_id"]),
            state=SessionState(cast(str, head["state"])),
            timestamp_ns=numbers.pop("timestamp"),
            expires_at_ns=numbers.pop("expires_at"),
            close_code=cast("str | None", head.get("close_code")),
            trapped=cast("tuple[int, ...]", trapped),
            **numbers,
        )
    except (MisuseError, ValueError) as error:
        raise DecodeError("a session head is out of range", requirement=_REQUIREMENT) from error
