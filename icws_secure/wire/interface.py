"""The canister's methods for messages, in Candid: arguments and results of both profiles.

The interface is that of ``omnia/1`` with small optional record fields and extra results, which older peers skip.
Where a value has none of the additions its encoding is exactly the older one. The methods of ``icws-secure/1`` alone
are in :mod:`~icws_secure.wire.registration`; ``spec/icws.did`` has all of them.

Each method has ``encode_…`` and ``decode_…`` for its argument and its result. Encoders raise ``MisuseError`` for
values that do not fit, decoders ``DecodeError`` for bytes that do not. A result is the value or a
:class:`~icws_secure.wire.refusal.Refusal`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar

from ..errors import DecodeError, MisuseError, Reason
from .candid import Arguments, Blob, Bool, Nat64, Null, Opt, PrincipalType, Record, Reserved, Text, Variant, Vec
from .principal import Principal
from .refusal import Refusal, RefusalCode, format_refusal, parse_refusal

__all__ = [
    "CLIENT_KEY",
    "OMNIA_PROFILE",
    "POLL_RESULT",
    "REGISTRATION_ID_BYTES",
    "SECURE_PROFILE",
    "CertifiedMessages",
    "ClientKey",
    "CloseArgument",
    "MessageResult",
    "MessageState",
    "MessageStatus",
    "OpenArgument",
    "OutputMessage",
    "Refusal",
    "RefusalCode",
    "SecureOpen",
    "WebsocketMessage",
    "check_bytes",
    "decode_close_argument",
    "decode_close_result",
    "decode_get_messages_argument",
    "decode_get_messages_result",
    "decode_message_argument",
    "decode_message_batch_argument",
    "decode_message_batch_result",
    "decode_message_result",
    "decode_open_argument",
    "decode_open_result",
    "encode_close_argument",
    "encode_close_result",
    "encode_get_messages_argument",
    "encode_get_messages_result",
    "encode_message_argument",
    "encode_message_batch_argument",
    "encode_message_batch_result",
    "encode_message_result",
    "encode_open_argument",
    "encode_open_result",
    "format_refusal",
    "ok_or_refusal",
    "parse_refusal",
    "result_of",
]

_T = TypeVar("_T")

SECURE_PROFILE: Final = "icws-secure/1"
OMNIA_PROFILE: Final = "omnia/1"
REGISTRATION_ID_BYTES: Final = 16
"""Bytes of a registration id [R1]."""


# Values ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True, init=False)
class ClientKey:
    """Names a session at its canister: who signs its envelopes, and a number that the client chose.

    Attributes:
        client_principal: sender of the session's envelopes; in ``icws-secure/1`` the session principal.
        client_nonce: 64 bits, fixed for the life of the session.
    """

    client_principal: Principal
    client_nonce: int

    def __init__(self, client_principal: Principal, client_nonce: int) -> None:
        # the slots themselves, as in Principal: one is made for every message of a poll
        _set_client_principal(self, client_principal)
        _set_client_nonce(self, client_nonce)

    def __hash__(self) -> int:
        return hash((self.client_principal.raw, self.client_nonce))


_set_client_principal: Callable[[ClientKey, Principal], None] = vars(ClientKey)["client_principal"].__set__
_set_client_nonce: Callable[[ClientKey, int], None] = vars(ClientKey)["client_nonce"].__set__


@dataclass(frozen=True, slots=True)
class SecureOpen:
    """What ``icws-secure/1`` adds to ``ws_open`` [R6].

    Attributes:
        registration_id: 16 bytes, from the certified reply to the registration.
        attach: number of this attach, above every one before.
        resume_from: lowest number the client still wants; 1 at the first open.
        suite: name of the payload suite, ``none`` for no protection.
        key_id: id of the canister key that ``enc`` is sealed to.
        enc: the encapsulated session secret.

    Raises:
        MisuseError: ``registration_id`` has another length.
    """

    registration_id: bytes
    attach: int
    resume_from: int
    suite: str
    key_id: bytes | None = None
    enc: bytes | None = None

    def __post_init__(self) -> None:
        check_bytes("registration_id", self.registration_id, REGISTRATION_ID_BYTES)


@dataclass(frozen=True, slots=True)
class OpenArgument:
    """Argument of ``ws_open``. Without ``secure`` it is that of ``omnia/1``.

    Attributes:
        client_nonce: second half of the client key.
        gateway_principal: whose queue the canister's messages go to.
        secure: the fields of ``icws-secure/1``.
    """

    client_nonce: int
    gateway_principal: Principal
    secure: SecureOpen | None = None


@dataclass(frozen=True, slots=True)
class CloseArgument:
    """Argument of ``ws_close``, which a gateway calls when a client leaves.

    Attributes:
        client_key: who left.
        attach: which attach of a secure session is over; one that is not the newest has no effect [R24].
    """

    client_key: ClientKey
    attach: int | None = None


@dataclass(frozen=True, slots=True)
class WebsocketMessage:
    """A message from client to canister.

    Attributes:
        client_key: of the session.
        sequence_num: from 1, each one more than the last.
        timestamp_ns: the client's clock; informative.
        is_service_message: whether ``content`` is a service message rather than the application's.
        content: the message.
    """

    client_key: ClientKey
    sequence_num: int
    timestamp_ns: int
    is_service_message: bool
    content: bytes = field(repr=False)


class MessageState(StrEnum):
    """What has become of a client's message when the canister answers [R15]."""

    EXECUTED = "executed"
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    TRAPPED = "trapped"


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """Second result of ``ws_message`` [R15].

    Attributes:
        accepted_through: all messages up to this number are the canister's.
        executed_through: all messages up to this number have been handled.
        status: of the message of the call; of the last one in a batch.

    Raises:
        MisuseError: ``status`` is not one of :class:`MessageState`.
    """

    accepted_through: int
    executed_through: int
    status: MessageState

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "status", MessageState(self.status))
        except ValueError as error:
            raise MisuseError("unknown status of a message", reason=Reason.INVALID_ARGUMENT) from error


@dataclass(frozen=True, slots=True)
class MessageResult:
    """Result of ``ws_message`` and ``ws_message_batch``.

    Attributes:
        refusal: why the canister did not take the message, or None.
        status: how far it is, from canisters of ``icws-secure/1``.
    """

    refusal: Refusal | None = None
    status: MessageStatus | None = None


@dataclass(frozen=True, slots=True, init=False)
class OutputMessage:
    """A certified message in a poll.

    Attributes:
        client_key: whose it is; that of the management canister and nonce 0 for a removed one (tombstone).
        key: gateway and nonce, see :func:`icws_secure.wire.message.parse_message_key`.
        content: CBOR of a :class:`icws_secure.wire.message.CanisterMessage`, of which the hash is certified.
    """

    client_key: ClientKey
    key: str
    content: bytes = field(repr=False)

    def __init__(self, client_key: ClientKey, key: str, content: bytes) -> None:
        # the slots themselves, as in Principal
        _set_client_key(self, client_key)
        _set_key(self, key)
        _set_content(self, content)


_set_client_key: Callable[[OutputMessage, ClientKey], None] = vars(OutputMessage)["client_key"].__set__
_set_key: Callable[[OutputMessage, str], None] = vars(OutputMessage)["key"].__set__
_set_content: Callable[[OutputMessage, bytes], None] = vars(OutputMessage)["content"].__set__


@dataclass(frozen=True, slots=True)
class CertifiedMessages:
    """Result of ``ws_get_messages``.

    Attributes:
        messages: by ascending nonce.
        cert: the certificate, CBOR.
        tree: the witness of all keys, CBOR.
        is_end_of_queue: whether nothing follows.
    """

    messages: tuple[OutputMessage, ...]
    cert: bytes
    tree: bytes
    is_end_of_queue: bool = True


# Candid types ---------------------------------------------------------------------------------------------------------

CLIENT_KEY: Final = Record({"client_principal": PrincipalType, "client_nonce": Nat64}, of=ClientKey)
"""Candid type of a client key."""

_RESULT: Final = Variant({"Ok": Null, "Err": Text})
_SECURE_OPEN: Final = Record(
    {
        "registration_id": Blob,
        "attach": Nat64,
        "resume_from": Nat64,
        "suite": Text,
        "key_id": Opt(Blob),
        "enc": Opt(Blob),
    },
    of=SecureOpen,
)
_WEBSOCKET_MESSAGE: Final = Record(
    {
        "client_key": CLIENT_KEY,
        "sequence_num": Nat64,
        "timestamp": Nat64,
        "is_service_message": Bool,
        "content": Blob,
    },
    of=WebsocketMessage,
)
_MESSAGE_STATUS: Final = Record(
    {"accepted_through": Nat64, "executed_through": Nat64, "status": Text}, of=MessageStatus
)
_OUTPUT_MESSAGE: Final = Record({"client_key": CLIENT_KEY, "key": Text, "content": Blob}, of=OutputMessage)

_LEGACY_OPEN: Final = Arguments(Record({"client_nonce": Nat64, "gateway_principal": PrincipalType}))
_OPEN: Final = Arguments(
    Record(
        {"client_nonce": Nat64, "gateway_principal": PrincipalType, "secure": Opt(_SECURE_OPEN)},
        of=OpenArgument,
    )
)
_LEGACY_CLOSE: Final = Arguments(Record({"client_key": CLIENT_KEY}))
_CLOSE: Final = Arguments(Record({"client_key": CLIENT_KEY, "attach": Opt(Nat64)}, of=CloseArgument))
# The second argument publishes the application's type; nobody sends a value, and any is passed over. The deployed
# clients declare it as an opt, so we send the smallest one: null.
_MESSAGE: Final = Arguments(Record({"msg": _WEBSOCKET_MESSAGE}), Null)
_READ_MESSAGE: Final = Arguments(Record({"msg": _WEBSOCKET_MESSAGE}), Reserved)
_BATCH: Final = Arguments(Record({"msgs": Vec(_WEBSOCKET_MESSAGE)}))
_PLAIN_RESULT: Final = Arguments(_RESULT)
_STATUS_RESULT: Final = Arguments(_RESULT, Opt(_MESSAGE_STATUS))
_POLL: Final = Arguments(Record({"nonce": Nat64}))
_MESSAGES: Final = Record({"messages": Vec(_OUTPUT_MESSAGE), "cert": Blob, "tree": Blob, "is_end_of_queue": Bool})
POLL_RESULT: Final = Arguments(Variant({"Ok": _MESSAGES, "Err": Text}))
"""Candid types of the result of ``ws_get_messages``."""

# Kits before 0.3.1 do not send is_end_of_queue.
_READ_MESSAGES: Final = Record(
    {"messages": Vec(_OUTPUT_MESSAGE), "cert": Blob, "tree": Blob, "is_end_of_queue": Opt(Bool)}, of=CertifiedMessages
)
_READ_POLL_RESULT: Final = Arguments(Variant({"Ok": _READ_MESSAGES, "Err": Text}))


def check_bytes(name: str, value: bytes, size: int) -> None:
    """Check the length of a value of fixed length.

    Raises:
        MisuseError: it has another.
    """
    if len(value) != size:
        raise MisuseError(f"{name} has the wrong length", expected=size, received=len(value))


def result_of(value: Any) -> tuple[str, Any]:
    """``("Err", text)`` for a refusal, ``("Ok", value)`` for anything else: the shape of each result."""
    return ("Err", value.text) if isinstance(value, Refusal) else ("Ok", value)


def ok_or_refusal(result: tuple[str, Any]) -> Any:
    """The value of an ``Ok``, or the refusal of an ``Err``."""
    label, value = result
    return Refusal.from_text(value) if label == "Err" else value


# ws_open --------------------------------------------------------------------------------------------------------------


def encode_open_argument(argument: OpenArgument) -> bytes:
    """Argument of ``ws_open``; exactly that of ``omnia/1`` if ``secure`` is None."""
    if argument.secure is None:
        return _LEGACY_OPEN.encode(
            {"client_nonce": argument.client_nonce, "gateway_principal": argument.gateway_principal}
        )
    return _OPEN.encode(argument)


def decode_open_argument(data: bytes) -> OpenArgument:
    """Argument of ``ws_open``. Whether ``secure`` may be None is for the canister's registry to say [R8]."""
    (argument,) = _OPEN.decode(data)
    return _typed(argument, OpenArgument)


def encode_open_result(refusal: Refusal | None = None) -> bytes:
    """Result of ``ws_open``."""
    return _PLAIN_RESULT.encode(result_of(refusal))


def decode_open_result(data: bytes) -> Refusal | None:
    """Result of ``ws_open``: the refusal, or None for success."""
    return _refusal(_PLAIN_RESULT.decode(data)[0])


# ws_close -------------------------------------------------------------------------------------------------------------


def encode_close_argument(argument: CloseArgument) -> bytes:
    """Argument of ``ws_close``; exactly that of ``omnia/1`` if ``attach`` is None."""
    if argument.attach is None:
        return _LEGACY_CLOSE.encode({"client_key": argument.client_key})
    return _CLOSE.encode(argument)


def decode_close_argument(data: bytes) -> CloseArgument:
    """Argument of ``ws_close``."""
    return _typed(_CLOSE.decode(data)[0], CloseArgument)


def encode_close_result(refusal: Refusal | None = None) -> bytes:
    """Result of ``ws_close``."""
    return _PLAIN_RESULT.encode(result_of(refusal))


def decode_close_result(data: bytes) -> Refusal | None:
    """Result of ``ws_close``: the refusal, or None for success."""
    return _refusal(_PLAIN_RESULT.decode(data)[0])


# ws_message -----------------------------------------------------------------------------------------------------------


def encode_message_argument(message: WebsocketMessage) -> bytes:
    """Arguments of ``ws_message``: the message, and null for the application's type."""
    return _MESSAGE.encode({"msg": message}, None)


def decode_message_argument(data: bytes) -> WebsocketMessage:
    """Arguments of ``ws_message``, of which only the first counts."""
    return _typed(_READ_MESSAGE.decode(data)[0]["msg"], WebsocketMessage)


def encode_message_result(result: MessageResult) -> bytes:
    """Results of ``ws_message``; exactly that of ``omnia/1`` if ``status`` is None."""
    if result.status is None:
        return _PLAIN_RESULT.encode(result_of(result.refusal))
    return _STATUS_RESULT.encode(result_of(result.refusal), result.status)


def decode_message_result(data: bytes) -> MessageResult:
    """Results of ``ws_message`` of either profile."""
    result, status = _STATUS_RESULT.decode(data)
    return MessageResult(_refusal(result), status)


# ws_message_batch -----------------------------------------------------------------------------------------------------


def encode_message_batch_argument(messages: tuple[WebsocketMessage, ...]) -> bytes:
    """Argument of ``ws_message_batch``: messages of consecutive numbers."""
    return _BATCH.encode({"msgs": messages})


def decode_message_batch_argument(data: bytes) -> tuple[WebsocketMessage, ...]:
    """Argument of ``ws_message_batch``."""
    messages: tuple[WebsocketMessage, ...] = _BATCH.decode(data)[0]["msgs"]
    return messages


encode_message_batch_result = encode_message_result
decode_message_batch_result = decode_message_result


# ws_get_messages ------------------------------------------------------------------------------------------------------


def encode_get_messages_argument(nonce: int) -> bytes:
    """Argument of ``ws_get_messages``: the lowest nonce wanted."""
    return _POLL.encode({"nonce": nonce})


def decode_get_messages_argument(data: bytes) -> int:
    """Argument of ``ws_get_messages``: the lowest nonce wanted."""
    return _typed(_POLL.decode(data)[0]["nonce"], int)


def encode_get_messages_result(result: CertifiedMessages | Refusal) -> bytes:
    """Result of ``ws_get_messages``."""
    if isinstance(result, Refusal):
        return POLL_RESULT.encode(result_of(result))
    messages = {
        "messages": result.messages,
        "cert": result.cert,
        "tree": result.tree,
        "is_end_of_queue": result.is_end_of_queue,
    }
    return POLL_RESULT.encode(("Ok", messages))


def decode_get_messages_result(data: bytes) -> CertifiedMessages | Refusal:
    """Result of ``ws_get_messages``; an absent ``is_end_of_queue`` is read as true."""
    label, value = _READ_POLL_RESULT.decode(data)[0]
    if label == "Err":
        return Refusal.from_text(value)
    messages = _typed(value, CertifiedMessages)
    if messages.is_end_of_queue is None:
        return CertifiedMessages(messages.messages, messages.cert, messages.tree, True)
    return messages


def _refusal(result: tuple[str, Any]) -> Refusal | None:
    label, value = result
    return Refusal.from_text(value) if label == "Err" else None


def _typed(value: Any, type_: type[_T]) -> _T:
    """Tell the type checker what the Candid type already says."""
    if not isinstance(value, type_):  # cannot happen: the decoder builds nothing else
        raise DecodeError("not of the expected type", reason=Reason.WRONG_TYPE)
    return value
