"""A record of what a gateway was caught at, that anyone can check offline.

It proves that these bytes do not satisfy the protocol under these settings. It does not prove who sent them: frames
are not signed by gateways.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

from ...errors import DecodeError, IcwsError, MessageViolation, MisuseError, Reason, ReceiptViolation
from ...verify.certificate import CertificateVerifier
from ...verify.head import verify_head
from ...verify.message import MessageSource, verify_messages
from ...verify.receipt import verify_receipt
from ...verify.root_key import RootKey
from ...wire import cbor
from ...wire.frames import (
    DrainFrame,
    GatewayFrame,
    Handshake,
    HeadFrame,
    KeyedContent,
    MessageFrame,
    MessagesFrame,
    ReceiptFrame,
    decode_gateway_frame,
)
from ...wire.interface import ClientKey
from ...wire.principal import Principal
from ...wire.service import decode_service_message
from .attachment import check_gateway
from .config import GatewayTarget
from .inbound import InboundStream
from .table import Phase

__all__ = ["Evidence", "recheck"]

_MAX_BYTES: Final = 16 << 20
_FORMAT: Final = "icws-evidence/1"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was received, and what was expected of it.

    Args:
        kind: ``frame``, or ``withheld`` for a head that shows messages which did not arrive.
        reason: the error's reason, a value of :class:`icws_secure.errors.Reason`.
        requirement: identifier of the broken requirement, or an empty text.
        text: the error in words.
        received: the bytes received; one frame.
        settings: what the check depends on. ``root_key`` (96 bytes), ``canister``, ``client_principal``,
            ``client_nonce``, ``ic_now``; ``gateway`` and the ``stream_...`` counters where messages are concerned,
            ``pinned`` and ``own`` for handshakes, ``outstanding`` (request ids, joined) for receipts.
    """

    kind: str
    reason: str
    requirement: str
    text: str
    received: tuple[bytes, ...] = field(repr=False)
    settings: dict[str, object] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the record as CBOR, for a file."""
        return cbor.encode_self_described(
            {
                "format": _FORMAT,
                "kind": self.kind,
                "reason": self.reason,
                "requirement": self.requirement,
                "text": self.text,
                "received": list(self.received),
                "settings": self.settings,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Evidence:
        """Read a record.

        Raises:
            DecodeError: ``data`` is not one.
        """
        what = "an evidence record"
        value = cbor.fields(
            cbor.decode(data, what=what, max_bytes=_MAX_BYTES),
            what=what,
            required={
                "format": str,
                "kind": str,
                "reason": str,
                "requirement": str,
                "text": str,
                "received": list,
                "settings": dict,
            },
        )
        received = cast("list[object]", value["received"])
        settings = cast("dict[object, object]", value["settings"])
        plain = all(isinstance(item, bytes) for item in received) and all(isinstance(name, str) for name in settings)
        if value["format"] != _FORMAT or not received or not plain:
            raise DecodeError("this is not an evidence record", reason=Reason.MALFORMED)
        return cls(
            kind=cast(str, value["kind"]),
            reason=cast(str, value["reason"]),
            requirement=cast(str, value["requirement"]),
            text=cast(str, value["text"]),
            received=tuple(cast("list[bytes]", received)),
            settings=cast("dict[str, object]", settings),
        )


def evidence_of(error: IcwsError, kind: str, received: bytes, settings: dict[str, object]) -> Evidence:
    """The record of ``error``, which ``received`` caused under ``settings``."""
    return Evidence(kind, str(error.reason), error.requirement or "", error.message, (received,), settings)


def recheck(evidence: Evidence) -> IcwsError | None:
    """Verify the bytes of ``evidence`` again, offline.

    Returns:
        the error that the bytes cause, or None when they are acceptable (the record proves nothing).

    Raises:
        DecodeError: the record lacks a setting that its check needs.
    """
    settings = _Settings(evidence.settings)
    verifier = CertificateVerifier(_root_key(settings))
    try:
        frame = decode_gateway_frame(evidence.received[0])
        if evidence.kind == "frame" and settings.has("phase"):
            _recheck_place(frame, settings)
        if isinstance(frame, Handshake):
            own = settings.data("own")
            principals = frozenset(Principal(own[at : at + 29]) for at in range(0, len(own), 29))
            pinned = settings.data("pinned")
            check_gateway(frame, GatewayTarget("", Principal(pinned) if pinned else None), principals)
        elif isinstance(frame, MessageFrame):
            _recheck_messages([KeyedContent(frame.key, frame.content)], frame.cert, frame.tree, verifier, settings)
        elif isinstance(frame, MessagesFrame):
            _recheck_messages(list(frame.messages), frame.cert, frame.tree, verifier, settings)
        elif isinstance(frame, ReceiptFrame):
            _recheck_receipt(frame, verifier, settings)
        elif isinstance(frame, HeadFrame):
            _recheck_head(frame, verifier, settings, is_withheld=evidence.kind == "withheld")
    except IcwsError as error:
        if isinstance(error, MisuseError):
            raise DecodeError("the evidence record is not usable", reason=Reason.MALFORMED) from error
        return error
    return None


class _Settings:
    """Typed access to the settings of a record."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values

    def data(self, name: str) -> bytes:
        value = self._values.get(name)
        if not isinstance(value, bytes):
            raise DecodeError("the record lacks a setting", reason=Reason.MISSING_FIELD, setting=name)
        return value

    def number(self, name: str) -> int:
        value = self._values.get(name)
        if not isinstance(value, int):
            raise DecodeError("the record lacks a setting", reason=Reason.MISSING_FIELD, setting=name)
        return value

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str):
            raise DecodeError("the record lacks a setting", reason=Reason.MISSING_FIELD, setting=name)
        return value

    def has(self, name: str) -> bool:
        return name in self._values


def _root_key(settings: _Settings) -> RootKey:
    try:
        return RootKey(settings.data("root_key"))
    except MisuseError as error:
        raise DecodeError("the record has no usable root key", reason=Reason.MALFORMED) from error


def _recheck_place(frame: GatewayFrame, settings: _Settings) -> None:
    """Whether such a frame may come at all in this phase of an attachment, and on this kind of connection."""
    is_first = settings.text("phase") == Phase.HANDSHAKE
    is_modern = isinstance(frame, MessagesFrame | ReceiptFrame | HeadFrame | DrainFrame)
    if isinstance(frame, Handshake) is not is_first or (is_modern and not settings.number("subprotocol")):
        raise DecodeError("the frame may not come here", reason=Reason.UNEXPECTED_FRAME, requirement="ICWS-LIB-024")


def _recheck_messages(
    messages: list[KeyedContent], cert: bytes, tree: bytes, verifier: CertificateVerifier, settings: _Settings
) -> None:
    client_key = ClientKey(Principal(settings.data("client_principal")), settings.number("client_nonce"))
    source = MessageSource(Principal(settings.data("canister")), Principal(settings.data("gateway")), client_key)
    now = settings.number("ic_now")
    verified = verify_messages(messages, cert, tree, verifier=verifier, source=source, now=now)
    if not settings.has("stream_next"):
        return  # the attachment was being opened: order did not count yet
    stream = InboundStream.from_counters({name: settings.number(name) for name in InboundStream.COUNTERS})
    for item in verified:
        incoming = stream.check(item, now)
        if incoming is not None:
            if incoming.message.is_service_message:
                decode_service_message(incoming.message.content)
            stream.commit(incoming)


def _recheck_receipt(frame: ReceiptFrame, verifier: CertificateVerifier, settings: _Settings) -> None:
    outstanding = settings.data("outstanding")
    known = {outstanding[at : at + 32] for at in range(0, len(outstanding), 32)}
    if frame.request_id not in known:
        raise ReceiptViolation(
            "the receipt belongs to no call of this session",
            reason=Reason.RECEIPT_UNMATCHED,
            requirement="ICWS-CLT-045",
        )
    if frame.certificate is not None:
        canister = Principal(settings.data("canister"))
        verify_receipt(frame.certificate, verifier=verifier, canister_id=canister, request_id=frame.request_id)


def _recheck_head(frame: HeadFrame, verifier: CertificateVerifier, settings: _Settings, *, is_withheld: bool) -> None:
    verified = verify_head(
        frame.cert,
        frame.tree,
        verifier=verifier,
        canister_id=Principal(settings.data("canister")),
        session=Principal(settings.data("client_principal")),
        now=settings.number("ic_now"),
    )
    received = settings.number("stream_received_through") if is_withheld else 0
    if is_withheld and verified.head is not None and verified.head.next_out - 1 > received:
        raise MessageViolation(
            "the canister has sent messages that did not arrive",
            reason=Reason.MESSAGES_WITHHELD,
            requirement="ICWS-CLT-061",
            received_through=received,
            sent_through=verified.head.next_out - 1,
        )
