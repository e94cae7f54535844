"""Delegation chains and Ed25519 keys in the JSON of agent-js, which Internet Identity logins are stored in.

A chain is ``{"delegations": [{"delegation": {"expiration", "pubkey", "targets"?, "permissions"?}, "signature"}],
"publicKey"}``, every value hexadecimal (expiration: nanoseconds since the Unix epoch; targets: list of principals'
bytes) except ``permissions``, which is text. A key is ``[public key DER, secret]``, both hexadecimal, the secret being
the seed or the seed and the public key. Fields that are not known are refused: a field left out would change the
signed hash.
"""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass
from typing import Final

from ..errors import DecodeError, MisuseError, Reason
from ..limits import MAX_DELEGATION_TARGETS, MAX_DELEGATIONS
from ..wire.envelope import Delegation, SignedDelegation
from ..wire.principal import Principal
from .identity import DelegatedIdentity, Ed25519Identity, Identity

__all__ = ["DelegationChain", "ed25519_identity_from_json"]

_MAX_JSON_BYTES: Final = 1 << 20
_MAX_UINT64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class DelegationChain:
    """A chain as it is stored, without the key at its end.

    Attributes:
        public_key_der: the key at the root of the chain, which the principal is made of.
        delegations: the links, the root's first.
    """

    public_key_der: bytes
    delegations: tuple[SignedDelegation, ...]

    @classmethod
    def from_json(cls, text: str | bytes) -> DelegationChain:
        """Reads a chain.

        Raises:
            DecodeError: the JSON is not a chain, or has fields that are not known.
        """
        chain = _object(_load(text), required={"delegations", "publicKey"})
        links = chain["delegations"]
        if not isinstance(links, list) or not links:
            raise DecodeError("delegations is not a list of links", reason=Reason.WRONG_TYPE)
        if len(links) > MAX_DELEGATIONS:
            raise DecodeError("too many delegations", reason=Reason.TOO_MANY, limit=MAX_DELEGATIONS)
        return cls(_hex(chain["publicKey"]), tuple(_link(link) for link in links))

    def to_json(self) -> str:
        """The chain as agent-js writes it."""
        return json.dumps(
            {"delegations": [_dump(link) for link in self.delegations], "publicKey": self.public_key_der.hex()}
        )

    def with_key(self, inner: Identity) -> DelegatedIdentity:
        """The identity that signs with ``inner``, whose key the chain's last link must name.

        Raises:
            MisuseError: the chain is for another key, or has a key twice.
        """
        return DelegatedIdentity(inner, self.public_key_der, self.delegations)


def ed25519_identity_from_json(text: str | bytes) -> Ed25519Identity:
    """Reads an Ed25519 key as agent-js stores it.

    Raises:
        DecodeError: the JSON is not such a key.
        MisuseError: public and secret key do not belong together.
    """
    pair = _load(text)
    if not isinstance(pair, list) or len(pair) != 2:
        raise DecodeError("an Ed25519 key is a list of two hexadecimal texts", reason=Reason.WRONG_TYPE)
    public, secret = _hex(pair[0]), _hex(pair[1])
    if len(secret) not in (32, 64):
        raise DecodeError("the secret has 32 or 64 bytes", received=len(secret))
    identity = Ed25519Identity(secret[:32])
    # Old versions store the raw key, newer ones its DER form; both end in the key.
    raw = identity.public_key_der[-32:]
    if public not in (identity.public_key_der, raw) or secret[32:] not in (b"", raw):
        raise MisuseError("public and secret key do not belong together", reason=Reason.BAD_PUBLIC_KEY)
    return identity


def _link(value: object) -> SignedDelegation:
    link = _object(value, required={"delegation", "signature"})
    body = _object(link["delegation"], required={"expiration", "pubkey"}, optional={"targets", "permissions"})
    permissions = body.get("permissions")
    if permissions is not None and not isinstance(permissions, str):
        raise DecodeError("permissions is not a text", reason=Reason.WRONG_TYPE)
    return SignedDelegation(
        delegation=Delegation(
            pubkey=_hex(body["pubkey"]),
            expiration_ns=_hex_number(body["expiration"]),
            targets=_targets(body["targets"]) if body.get("targets") is not None else None,
            permissions=permissions,
        ),
        signature=_hex(link["signature"]),
    )


def _targets(value: object) -> tuple[Principal, ...]:
    if not isinstance(value, list):
        raise DecodeError("targets is not a list", reason=Reason.WRONG_TYPE)
    if len(value) > MAX_DELEGATION_TARGETS:
        raise DecodeError("too many targets", reason=Reason.TOO_MANY, limit=MAX_DELEGATION_TARGETS)
    # The management canister is the empty principal, and so the empty text.
    return tuple(Principal(b"" if target == "" else _hex(target)) for target in value)


def _dump(link: SignedDelegation) -> dict[str, object]:
    body: dict[str, object] = {
        "expiration": f"{link.delegation.expiration_ns:x}",
        "pubkey": link.delegation.pubkey.hex(),
    }
    if link.delegation.targets is not None:
        body["targets"] = [target.raw.hex().upper() for target in link.delegation.targets]
    if link.delegation.permissions is not None:
        body["permissions"] = link.delegation.permissions
    return {"delegation": body, "signature": link.signature.hex()}


def _load(text: str | bytes) -> object:
    if len(text) > _MAX_JSON_BYTES:
        raise DecodeError("JSON is too large", reason=Reason.TOO_LARGE, limit=_MAX_JSON_BYTES, received=len(text))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError("the text is not JSON") from error


def _object(value: object, *, required: Set[str], optional: Set[str] = frozenset()) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DecodeError("not a JSON object", reason=Reason.WRONG_TYPE)
    if missing := required - value.keys():
        raise DecodeError("a field is missing", reason=Reason.MISSING_FIELD, field=min(missing))
    if value.keys() - required - optional:
        raise DecodeError("a field is not known", reason=Reason.UNKNOWN_FIELD)
    return value


def _hex(value: object) -> bytes:
    if not isinstance(value, str) or not value.isascii() or not value.isalnum():
        raise DecodeError("not a hexadecimal text", reason=Reason.WRONG_TYPE)
    try:
        return bytes.fromhex(value)
    except ValueError as error:
        raise DecodeError("not a hexadecimal text") from error


def _hex_number(value: object) -> int:
    if not isinstance(value, str) or not value.isascii() or not value.isalnum():
        raise DecodeError("not a hexadecimal number", reason=Reason.WRONG_TYPE)
    try:
        number = int(value, 16)
    except ValueError as error:
        raise DecodeError("not a hexadecimal number") from error
    if number > _MAX_UINT64:
        raise DecodeError("number does not fit 64 bits", reason=Reason.TOO_LARGE)
    return number
