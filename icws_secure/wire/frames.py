"""WebSocket frames between client and gateway: CBOR maps, one a binary message.

Legacy peers know three shapes: the handshake, the client's envelope, and one certified message. The others are sent
only to clients that negotiated :data:`SUBPROTOCOL`. A frame has exactly one of the shapes, or it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias

from ..errors import DecodeError, MisuseError, Reason
from ..limits import MAX_ENVELOPE_BYTES, MAX_FRAME_BYTES, MAX_FRAME_MESSAGES
from . import cbor
from .envelope import Envelope
from .principal import Principal

__all__ = [
    "SUBPROTOCOL",
    "ClientFrame",
    "DrainFrame",
    "GatewayFrame",
    "Handshake",
    "HeadFrame",
    "KeyedContent",
    "MessageFrame",
    "MessagesFrame",
    "ReceiptFrame",
    "ReceiptStatus",
    "decode_client_frame",
    "decode_gateway_frame",
]

SUBPROTOCOL: Final = "icws-secure.1"
"""Value of ``Sec-WebSocket-Protocol``, and of ``version`` in the handshake."""

_REQUIREMENT: Final = "ICWS-LIB-024"
_REQUEST_ID_BYTES: Final = 32
_FRAME_OVERHEAD: Final = 64  # bytes around an envelope


@dataclass(frozen=True, slots=True)
class Handshake:
    """First frame of a gateway.

    Attributes:
        gateway_principal: whose queue a session would use. Not authenticated: it only selects the queue.
        version: :data:`SUBPROTOCOL` where that was negotiated.
    """

    gateway_principal: Principal
    version: str | None = None

    def encode(self) -> bytes:
        """The frame."""
        value: dict[str, object] = {"gateway_principal": self.gateway_principal.raw}
        if self.version is not None:
            value["version"] = self.version
        return cbor.encode_self_described(value)


@dataclass(frozen=True, slots=True)
class ClientFrame:
    """A client's signed call, which the gateway relays."""

    envelope: Envelope

    def encode(self) -> bytes:
        """The frame."""
        return cbor.encode_self_described({"envelope": self.envelope.to_value()})


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """One certified message.

    Attributes:
        key: of the message.
        content: the message, CBOR.
        cert: the certificate, CBOR.
        tree: a witness that shows the key, CBOR.
    """

    key: str
    content: bytes = field(repr=False)
    cert: bytes
    tree: bytes

    def encode(self) -> bytes:
        """The frame."""
        return cbor.encode_self_described(
            {"key": self.key, "content": self.content, "cert": self.cert, "tree": self.tree}
        )


@dataclass(frozen=True, slots=True)
class KeyedContent:
    """A message beside others under one certificate."""

    key: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessagesFrame:
    """Certified messages of one poll under one certificate.

    Attributes:
        messages: at least one, by ascending nonce.
        cert: the certificate, CBOR.
        tree: a witness that shows exactly these keys, CBOR.
    """

    messages: tuple[KeyedContent, ...]
    cert: bytes
    tree: bytes

    def encode(self) -> bytes:
        """The frame.

        Raises:
            MisuseError: no message, or too many.
        """
        if not 1 <= len(self.messages) <= MAX_FRAME_MESSAGES:
            raise MisuseError("a frame has at least one message", limit=MAX_FRAME_MESSAGES, received=len(self.messages))
        messages = [{"key": message.key, "content": message.content} for message in self.messages]
        return cbor.encode_self_described({"messages": messages, "cert": self.cert, "tree": self.tree})


class ReceiptStatus(StrEnum):
    """What a gateway says about a relayed call. Only a certificate proves anything."""

    CERTIFICATE = "certificate"
    PENDING = "pending"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ReceiptFrame:
    """What has become of a relayed call.

    Attributes:
        request_id: 32 bytes, of the call.
        status: which of the fields below are there.
        certificate: for ``certificate``: shows ``/request_status/<request_id>``.
        reject_code: for ``rejected``: the IC's code, of one node's word.
        reject_message: for ``rejected`` and ``failed``: for people.
        error_code: for ``rejected``: the IC's error code, where there is one.

    Raises:
        MisuseError: the fields are not those of the status.
    """

    request_id: bytes
    status: ReceiptStatus
    certificate: bytes | None = None
    reject_code: int | None = None
    reject_message: str | None = None
    error_code: str | None = None

    def __post_init__(self) -> None:
        given = {name for name in _RECEIPT_TYPES if getattr(self, name) is not None}
        required, optional = _RECEIPT_FIELDS[self.status]
        if not required <= given <= required | optional:
            raise MisuseError("fields of a receipt do not go with its status", status=str(self.status))
        if len(self.request_id) != _REQUEST_ID_BYTES:
            raise MisuseError("a request id has 32 bytes", received=len(self.request_id))

    def encode(self) -> bytes:
        """The frame."""
        value: dict[str, object] = {"request_id": self.request_id, "status": str(self.status)}
        value |= {name: getattr(self, name) for name in _RECEIPT_TYPES if getattr(self, name) is not None}
        return cbor.encode_self_described({"receipt": value})


@dataclass(frozen=True, slots=True)
class HeadFrame:
    """The session's certified head, passed on by the gateway.

    Attributes:
        cert: the certificate, CBOR.
        tree: a witness that shows epoch and head, CBOR.
    """

    cert: bytes
    tree: bytes

    def encode(self) -> bytes:
        """The frame."""
        return cbor.encode_self_described({"head": {"cert": self.cert, "tree": self.tree}})


@dataclass(frozen=True, slots=True)
class DrainFrame:
    """The gateway will close; go to another.

    Attributes:
        seconds: until it does.
    """

    seconds: int

    def encode(self) -> bytes:
        """The frame."""
        return cbor.encode_self_described({"drain": {"seconds": self.seconds}})


GatewayFrame: TypeAlias = Handshake | MessageFrame | MessagesFrame | ReceiptFrame | HeadFrame | DrainFrame
"""Any frame from gateway to client."""

_RECEIPT_TYPES: Final[dict[str, type]] = {
    "certificate": bytes,
    "reject_code": int,
    "reject_message": str,
    "error_code": str,
}
_RECEIPT_FIELDS: Final[dict[ReceiptStatus, tuple[frozenset[str], frozenset[str]]]] = {
    ReceiptStatus.CERTIFICATE: (frozenset({"certificate"}), frozenset()),
    ReceiptStatus.PENDING: (frozenset(), frozenset()),
    ReceiptStatus.REJECTED: (frozenset({"reject_code", "reject_message"}), frozenset({"error_code"})),
    ReceiptStatus.FAILED: (frozenset({"reject_message"}), frozenset()),
}


# Decoding -------------------------------------------------------------------------------------------------------------


def decode_client_frame(data: bytes) -> ClientFrame:
    """Decode a frame from a client.

    Raises:
        DecodeError: not CBOR, too large, of another shape, or the envelope is malformed.
    """
    value = cbor.decode(data, what="a client frame", max_bytes=MAX_ENVELOPE_BYTES + _FRAME_OVERHEAD)
    frame = _fields(value, "a client frame", {"envelope": dict})
    return ClientFrame(Envelope.from_value(frame["envelope"]))


def decode_gateway_frame(data: bytes) -> GatewayFrame:
    """Decode a frame from a gateway. Whether it may come now, or at all on this connection, is for the session to say.

    Raises:
        DecodeError: not CBOR, too large, or of another shape.
    """
    value = cbor.decode(data, what="a gateway frame", max_bytes=MAX_FRAME_BYTES)
    # [ICWS-LIB-024] the shape is told by the one field that no other has; all fields are then checked
    if type(value) is dict:
        for name, read in _SHAPES.items():
            if name in value:
                return read(value)
    raise DecodeError("a gateway frame of no known shape", reason=Reason.UNKNOWN_FIELD, requirement=_REQUIREMENT)


def _fields(
    value: object, what: str, required: dict[str, type], optional: dict[str, type] | None = None
) -> dict[str, Any]:
    return cbor.fields(value, what=what, required=required, optional=optional, requirement=_REQUIREMENT)


def _handshake(value: object) -> Handshake:
    frame = _fields(value, "a handshake", {"gateway_principal": bytes}, {"version": str})
    version = frame.get("version")
    if version is not None and version != SUBPROTOCOL:
        raise DecodeError("a handshake of an unknown version", requirement=_REQUIREMENT)
    return Handshake(Principal(frame["gateway_principal"]), version)


def _message(value: object) -> MessageFrame:
    frame = _fields(value, "a message frame", {"key": str, "content": bytes, "cert": bytes, "tree": bytes})
    return MessageFrame(frame["key"], frame["content"], frame["cert"], frame["tree"])


def _messages(value: object) -> MessagesFrame:
    frame = _fields(value, "a messages frame", {"messages": list, "cert": bytes, "tree": bytes})
    count = len(frame["messages"])
    if not 1 <= count <= MAX_FRAME_MESSAGES:
        raise DecodeError(
            "a messages frame is empty or too long",
            reason=Reason.TOO_MANY,
            requirement=_REQUIREMENT,
            limit=MAX_FRAME_MESSAGES,
            received=count,
        )
    messages = []
    for item in frame["messages"]:
        message = _fields(item, "a message", {"key": str, "content": bytes})
        messages.append(KeyedContent(message["key"], message["content"]))
    return MessagesFrame(tuple(messages), frame["cert"], frame["tree"])


def _receipt(value: object) -> ReceiptFrame:
    frame = _fields(value, "a receipt frame", {"receipt": dict})
    receipt = _fields(frame["receipt"], "a receipt", {"request_id": bytes, "status": str}, _RECEIPT_TYPES)
    try:
        receipt["status"] = ReceiptStatus(receipt["status"])
        return ReceiptFrame(**receipt)
    except (ValueError, MisuseError) as error:
        raise DecodeError("a receipt of no known shape", requirement=_REQUIREMENT) from error


def _head(value: object) -> HeadFrame:
    frame = _fields(value, "a head frame", {"head": dict})
    head = _fields(frame["head"], "a head", {"cert": bytes, "tree": bytes})
    return HeadFrame(head["cert"], head["tree"])


def _drain(value: object) -> DrainFrame:
    frame = _fields(value, "a drain frame", {"drain": dict})
    return DrainFrame(_fields(frame["drain"], "a drain notice", {"seconds": int})["seconds"])


_SHAPES: Final[dict[str, Callable[[object], GatewayFrame]]] = {
    "gateway_principal": _handshake,
    "key": _message,
    "messages": _messages,
    "receipt": _receipt,
    "head": _head,
    "drain": _drain,
}
