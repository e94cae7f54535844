"""Requests to the Internet Computer: content, signature and delegations, as they are sent.

Source: IC interface specification, "Envelope" and "Authentication".

What is decoded here is well formed and bounded; nothing is verified. Numbers of delegations and targets, expiry and
signatures are the verifier's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias, cast

from ..errors import DecodeError, MisuseError, Reason
from ..limits import MAX_ENVELOPE_BYTES, MAX_NONCE_BYTES, MAX_PATH_LABELS, MAX_READ_STATE_PATHS
from . import cbor
from .principal import Principal
from .request_id import Value, hash_of_map, request_id

__all__ = [
    "CallContent",
    "Content",
    "Delegation",
    "Envelope",
    "QueryContent",
    "ReadStateContent",
    "SignedDelegation",
]

_CBOR: Final = "ICWS-LIB-001"
_REQUEST_ID: Final = "ICWS-LIB-004"
_NO_FIELDS: Final[Mapping[str, Value]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Delegation:
    """One link: the right to sign in the place of the key before it.

    Attributes:
        pubkey: DER public key that may sign.
        expiration_ns: nanoseconds since 1970 until which it may.
        targets: the only canisters it may call; None is no restriction, empty is none at all.
        permissions: ``queries`` forbids update calls; None is no restriction.
    """

    pubkey: bytes
    expiration_ns: int
    targets: tuple[Principal, ...] | None = None
    permissions: str | None = None

    def to_map(self) -> dict[str, Value]:
        """The fields as they are sent and hashed."""
        fields: dict[str, Value] = {"pubkey": self.pubkey, "expiration": self.expiration_ns}
        if self.targets is not None:
            fields["targets"] = [target.raw for target in self.targets]
        if self.permissions is not None:
            fields["permissions"] = self.permissions
        return fields

    def hash(self) -> bytes:
        """The representation-independent hash, 32 bytes: what the link before signs."""
        return hash_of_map(self.to_map())

    @classmethod
    def from_value(cls, value: object) -> Delegation:
        """Read a decoded map.

        Raises:
            DecodeError: a field is missing, unknown or of another type.
        """
        found = cbor.fields(
            value,
            what="a delegation",
            required={"pubkey": bytes, "expiration": int},
            optional={"targets": list, "permissions": str},
        )
        targets = found.get("targets")
        return cls(
            pubkey=cast(bytes, found["pubkey"]),
            expiration_ns=cast(int, found["expiration"]),
            targets=None if targets is None else tuple(_principal(item) for item in cast("list[object]", targets)),
            permissions=cast("str | None", found.get("permissions")),
        )


@dataclass(frozen=True, slots=True)
class SignedDelegation:
    """A delegation and the signature of the key before it."""

    delegation: Delegation
    signature: bytes

    def to_value(self) -> dict[str, object]:
        """The map to encode."""
        return {"delegation": self.delegation.to_map(), "signature": self.signature}

    @classmethod
    def from_value(cls, value: object) -> SignedDelegation:
        """Read a decoded map.

        Raises:
            DecodeError: a field is missing, unknown or of another type.
        """
        found = cbor.fields(value, what="a signed delegation", required={"delegation": dict, "signature": bytes})
        return cls(Delegation.from_value(found["delegation"]), cast(bytes, found["signature"]))


class _Content:
    """What the three kinds of request have in common."""

    __slots__ = ()
    sender: Principal
    ingress_expiry_ns: int
    nonce: bytes | None
    extra: Mapping[str, Value]
    _request_id: bytes | None

    def to_map(self) -> dict[str, Value]:
        """The fields as they are sent and hashed."""
        raise MisuseError("use one of the three kinds of content")

    @property
    def request_id(self) -> bytes:
        """The hash of the content, 32 bytes; computed once."""
        known = self._request_id
        if known is None:
            known = request_id(self.to_map())
            object.__setattr__(self, "_request_id", known)
        return known

    def _with_common(self, fields: dict[str, Value]) -> dict[str, Value]:
        fields["sender"] = self.sender.raw
        fields["ingress_expiry"] = self.ingress_expiry_ns
        if self.nonce is not None:
            fields["nonce"] = self.nonce
        for name, item in self.extra.items():
            if name in fields:
                raise MisuseError("an extra field has the name of a field of its own", field=name)
            fields[name] = item
        return fields


@dataclass(frozen=True, slots=True)
class _MethodContent(_Content):
    """What update calls and queries have in common: everything but their kind."""

    canister_id: Principal
    method_name: str
    arg: bytes
    sender: Principal
    ingress_expiry_ns: int
    nonce: bytes | None = None
    extra: Mapping[str, Value] = field(default_factory=lambda: _NO_FIELDS, hash=False)
    _request_id: bytes | None = field(default=None, init=False, repr=False, compare=False)
    request_type: ClassVar[str]

    def to_map(self) -> dict[str, Value]:
        """The fields as they are sent and hashed."""
        return self._with_common(
            {
                "request_type": self.request_type,
                "canister_id": self.canister_id.raw,
                "method_name": self.method_name,
                "arg": self.arg,
            }
        )


@dataclass(frozen=True, slots=True)
class CallContent(_MethodContent):
    """An update call.

    Attributes:
        canister_id: the canister to call.
        method_name: its method.
        arg: the argument, opaque here.
        sender: who calls.
        ingress_expiry_ns: nanoseconds since 1970 after which the request is void.
        nonce: up to 32 bytes that make the request unlike any other.
        extra: further fields, which count for the request id.
    """

    request_type: ClassVar[str] = "call"


@dataclass(frozen=True, slots=True)
class QueryContent(_MethodContent):
    """A query call; the attributes are those of :class:`CallContent`."""

    request_type: ClassVar[str] = "query"


@dataclass(frozen=True, slots=True)
class ReadStateContent(_Content):
    """A request for a certificate.

    Attributes:
        paths: what the certificate shall show; each path is a sequence of labels.
        sender: who asks.
        ingress_expiry_ns: nanoseconds since 1970 after which the request is void.
        nonce: up to 32 bytes.
        extra: further fields, which count for the request id.
    """

    paths: tuple[tuple[bytes, ...], ...]
    sender: Principal
    ingress_expiry_ns: int
    nonce: bytes | None = None
    extra: Mapping[str, Value] = field(default_factory=lambda: _NO_FIELDS, hash=False)
    _request_id: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def to_map(self) -> dict[str, Value]:
        """The fields as they are sent and hashed."""
        return self._with_common({"request_type": "read_state", "paths": [list(path) for path in self.paths]})


Content: TypeAlias = CallContent | QueryContent | ReadStateContent
"""The content of a request, of one of the three kinds."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request as it is sent.

    Attributes:
        content: what is asked; the signature covers its request id.
        sender_pubkey: DER public key of the sender; None for an anonymous request.
        sender_sig: signature with the last delegation's key, or with ``sender_pubkey`` if there is no delegation.
        sender_delegation: links from ``sender_pubkey`` to the key that signed; None if there is no such field.
    """

    content: Content
    sender_pubkey: bytes | None = None
    sender_sig: bytes | None = None
    sender_delegation: tuple[SignedDelegation, ...] | None = None

    @classmethod
    def decode(cls, data: bytes) -> Envelope:
        """Decode the body of a request.

        Raises:
            DecodeError: it is not CBOR, too long, or a field is missing, unknown or of another type.
        """
        # [ICWS-LIB-027]
        return cls.from_value(
            cbor.decode(data, what="an envelope", max_bytes=MAX_ENVELOPE_BYTES, allow_indefinite=True)
        )

    @classmethod
    def from_value(cls, value: object) -> Envelope:
        """Read a map that was decoded already, as it stands in the frames of a gateway.

        Unknown fields of the content are kept in ``extra``, because they count for the request id. Elsewhere they
        are refused. A key, signature or list of delegations of null counts as none: the replica reads it so, and
        deployed clients send it with anonymous requests.

        Raises:
            DecodeError: a field is missing, unknown or of another type.
        """
        found = cbor.fields(
            value,
            what="an envelope",
            required={"content": dict},
            optional={"sender_pubkey": bytes, "sender_sig": bytes, "sender_delegation": list},
            null_is_absent=True,
        )
        links = found.get("sender_delegation")
        return cls(
            content=_content(cast("dict[object, object]", found["content"])),
            sender_pubkey=cast("bytes | None", found.get("sender_pubkey")),
            sender_sig=cast("bytes | None", found.get("sender_sig")),
            sender_delegation=None
            if links is None
            else tuple(SignedDelegation.from_value(link) for link in cast("list[object]", links)),
        )

    def to_value(self) -> dict[str, object]:
        """The map to encode, or to put into a frame."""
        value: dict[str, object] = {"content": self.content.to_map()}
        if self.sender_pubkey is not None:
            value["sender_pubkey"] = self.sender_pubkey
        if self.sender_sig is not None:
            value["sender_sig"] = self.sender_sig
        if self.sender_delegation is not None:
            value["sender_delegation"] = [link.to_value() for link in self.sender_delegation]
        return value

    def encode(self) -> bytes:
        """The body of a request, with the self-describe tag."""
        return cbor.encode_self_described(self.to_value())


_COMMON: Final[dict[str, type]] = {"request_type": str, "sender": bytes, "ingress_expiry": int}
_METHOD: Final[dict[str, type]] = {**_COMMON, "canister_id": bytes, "method_name": str, "arg": bytes}
_FIELDS: Final[dict[object, dict[str, type]]] = {
    "call": _METHOD,
    "query": _METHOD,
    "read_state": {**_COMMON, "paths": list},
}
_OPTIONAL: Final[dict[str, type]] = {"nonce": bytes}


def _content(value: dict[object, object]) -> Content:
    kind = value.get("request_type")
    required = _FIELDS.get(kind) if isinstance(kind, str) else None
    if required is None:
        raise DecodeError(
            "a request is of an unknown type",
            reason=Reason.WRONG_REQUEST_TYPE,
            requirement=_CBOR,
            received=repr(kind)[:40],
        )
    found: dict[str, Any] = cbor.fields(
        value, what="the content of a request", required=required, optional=_OPTIONAL, allow_unknown=True
    )
    nonce = found.get("nonce")
    if nonce is not None and len(nonce) > MAX_NONCE_BYTES:
        raise DecodeError(
            "the nonce of a request is too long", reason=Reason.TOO_LARGE, requirement=_CBOR, limit=MAX_NONCE_BYTES
        )
    extra = {name: item for name, item in found.items() if name not in required and name not in _OPTIONAL}
    # [ICWS-LIB-004] refused now, rather than when the request id is asked for
    _demand_hashable(extra)
    common = {
        "sender": _principal(found["sender"]),
        "ingress_expiry_ns": found["ingress_expiry"],
        "nonce": nonce,
        "extra": MappingProxyType(extra) if extra else _NO_FIELDS,
    }
    if kind == "read_state":
        return ReadStateContent(paths=_paths(found["paths"]), **common)
    method = {"canister_id": _principal(found["canister_id"]), "method_name": found["method_name"], "arg": found["arg"]}
    return CallContent(**method, **common) if kind == "call" else QueryContent(**method, **common)


def _paths(value: list[object]) -> tuple[tuple[bytes, ...], ...]:
    if len(value) > MAX_READ_STATE_PATHS:
        raise DecodeError(
            "a request asks for too many paths", reason=Reason.TOO_MANY, requirement=_CBOR, limit=MAX_READ_STATE_PATHS
        )
    paths: list[tuple[bytes, ...]] = []
    for path in value:
        if type(path) is not list or any(type(label) is not bytes for label in path):
            raise DecodeError("a path is not an array of byte strings", reason=Reason.WRONG_TYPE, requirement=_CBOR)
        if len(path) > MAX_PATH_LABELS:
            raise DecodeError("a path is too long", reason=Reason.TOO_MANY, requirement=_CBOR, limit=MAX_PATH_LABELS)
        paths.append(tuple(path))
    return tuple(paths)


def _principal(value: object) -> Principal:
    if type(value) is not bytes:
        raise DecodeError("a principal is not a byte string", reason=Reason.WRONG_TYPE, requirement=_CBOR)
    return Principal(value)


def _demand_hashable(value: object) -> None:
    kind = type(value)
    if kind is list:
        for item in cast("list[object]", value):
            _demand_hashable(item)
    elif kind is dict:
        for name, item in cast("dict[object, object]", value).items():
            if type(name) is not str:
                raise DecodeError("a field's name is not text", reason=Reason.WRONG_TYPE, requirement=_REQUEST_ID)
            _demand_hashable(item)
    elif kind is not bytes and kind is not str and kind is not int:
        raise DecodeError(
            "a field of a request is of a type that has no hash",
            reason=Reason.WRONG_TYPE,
            requirement=_REQUEST_ID,
            received=kind.__name__,
        )
