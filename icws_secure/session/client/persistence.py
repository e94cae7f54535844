"""A session as bytes, for another process to resume.

What is kept is what the protocol cannot give back: the session key, the certified parameters and floors, the attach
number, what the application has taken, and messages that were numbered and are not settled. The bytes hold the secret
session key; whoever stores them seals them first. [ICWS-CLT-074]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

from ...errors import DecodeError, MisuseError, Reason
from ...limits import MAX_FRAME_BYTES
from ...sign.identity import Ed25519Identity
from ...wire import cbor
from ...wire.interface import (
    Refusal,
    WebsocketMessage,
    decode_message_argument,
    encode_message_argument,
)
from ...wire.principal import Principal
from ...wire.registration import Parameters, decode_register_result, encode_register_result
from .certified import COUNTERS

__all__ = ["SavedSession", "decode_saved", "encode_saved"]

_FORMAT: Final = "icws-session/1"
_MAX_BYTES: Final = 16 * MAX_FRAME_BYTES
_SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class SavedSession:
    """What a saved session holds.

    Attributes:
        canister_id: the session's canister.
        seed: 32 secret bytes, the session key.
        client_nonce: second half of the client key.
        parameters: certified.
        registered_at: certified time of the registration.
        attach: highest number that was used.
        was_opened: whether it was ever attached.
        taken_through: last number that the application has.
        taken_timestamp_ns: its timestamp.
        next_seq: next number to the canister.
        unsettled: numbered messages whose outcome is not known, ascending.
        floors: certified floors: counter, value, certified time.
        channel: state of the payload channel, or None.
    """

    canister_id: Principal
    seed: bytes = field(repr=False)
    client_nonce: int
    parameters: Parameters
    registered_at: int
    attach: int
    was_opened: bool
    taken_through: int
    taken_timestamp_ns: int
    next_seq: int
    unsettled: tuple[WebsocketMessage, ...] = field(repr=False)
    floors: tuple[tuple[str, int, int], ...]
    channel: bytes | None = field(repr=False, default=None)

    @property
    def identity(self) -> Ed25519Identity:
        """The session key."""
        return Ed25519Identity(self.seed)


_NUMBERS: Final = (
    "client_nonce",
    "registered_at",
    "attach",
    "taken_through",
    "taken_timestamp_ns",
    "next_seq",
)
_FIELDS: Final[dict[str, type]] = {
    "format": str,
    "canister_id": bytes,
    "seed": bytes,
    "parameters": bytes,
    "was_opened": bool,
    "unsettled": list,
    "floors": list,
    **dict.fromkeys(_NUMBERS, int),
}


def encode_saved(saved: SavedSession) -> bytes:
    """The bytes of a saved session; secret."""
    value: dict[str, object] = {
        "format": _FORMAT,
        "canister_id": saved.canister_id.raw,
        "seed": saved.seed,
        "parameters": encode_register_result(saved.parameters),
        "was_opened": saved.was_opened,
        "unsettled": [encode_message_argument(message) for message in saved.unsettled],
        "floors": [list(floor) for floor in saved.floors],
    }
    value |= {name: getattr(saved, name) for name in _NUMBERS}
    if saved.channel is not None:
        value["channel"] = saved.channel
    return cbor.encode_self_described(value)


def decode_saved(data: bytes) -> SavedSession:
    """Read a saved session.

    Raises:
        DecodeError: ``data`` is not one.
    """
    what = "a saved session"
    value = cbor.fields(
        cbor.decode(data, what=what, max_bytes=_MAX_BYTES), what=what, required=_FIELDS, optional={"channel": bytes}
    )
    seed = cast(bytes, value["seed"])
    parameters = decode_register_result(cast(bytes, value["parameters"]))
    if value["format"] != _FORMAT or len(seed) != _SEED_BYTES or isinstance(parameters, Refusal):
        raise _malformed()
    numbers = {name: cast(int, value[name]) for name in _NUMBERS}
    unsettled = tuple(_message(item) for item in cast("list[object]", value["unsettled"]))
    if any(not 0 < message.sequence_num < numbers["next_seq"] for message in unsettled):
        raise _malformed()
    return SavedSession(
        canister_id=Principal(cast(bytes, value["canister_id"])),
        seed=seed,
        parameters=parameters,
        was_opened=cast(bool, value["was_opened"]),
        unsettled=unsettled,
        floors=tuple(_floor(item) for item in cast("list[object]", value["floors"])),
        channel=cast("bytes | None", value.get("channel")),
        **numbers,
    )


def _message(item: object) -> WebsocketMessage:
    if not isinstance(item, bytes):
        raise _malformed()
    try:
        return decode_message_argument(item)
    except MisuseError as error:
        raise _malformed() from error


def _floor(item: object) -> tuple[str, int, int]:
    if not isinstance(item, list) or len(item) != 3 or item[0] not in COUNTERS:
        raise _malformed()
    name, value, time_ns = item
    if not isinstance(value, int) or not isinstance(time_ns, int):
        raise _malformed()
    return cast(str, name), value, time_ns


def _malformed() -> DecodeError:
    return DecodeError("this is not a saved session", reason=Reason.MALFORMED)
