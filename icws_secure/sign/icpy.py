"""Identities of ``ic-py``, taken as they are.

Nothing of ``ic-py`` is imported: what is used is what its ``Identity`` and ``DelegateIdentity`` look like (``sign``
that returns public key and signature, ``der_pubkey``, ``delegations``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from ..errors import MisuseError, Reason
from ..wire.der import PublicKey
from ..wire.envelope import Delegation, SignedDelegation
from ..wire.principal import Principal
from .identity import AnonymousIdentity, DelegatedIdentity, Identity

__all__ = ["identity_from_icpy"]


class _IcPyIdentity(Protocol):
    @property
    def der_pubkey(self) -> bytes: ...

    def sign(self, msg: bytes) -> tuple[bytes, bytes]: ...


def identity_from_icpy(identity: object) -> Identity:
    """Wraps an identity of ``ic-py``: anonymous, with a key, or delegated.

    ``ic-py`` forgets ``targets`` and ``permissions`` when it reads a stored chain, which makes such chains invalid:
    read those with :class:`icws_secure.sign.DelegationChain`.

    Raises:
        MisuseError: the object does not look like one.
    """
    if getattr(identity, "anonymous", False) is True:
        return AnonymousIdentity()
    if not callable(getattr(identity, "sign", None)) or not isinstance(getattr(identity, "der_pubkey", None), bytes):
        raise MisuseError("this is no identity, neither of this library nor of ic-py", reason=Reason.WRONG_TYPE)
    links = getattr(identity, "delegations", None)
    if links is None:
        return _Adapter(cast(_IcPyIdentity, identity))
    if not isinstance(links, Sequence):
        raise MisuseError("delegations is not a list", reason=Reason.WRONG_TYPE)
    # DelegateIdentity.sign signs with the inner key; its der_pubkey is the root of the chain.
    inner = identity_from_icpy(getattr(identity, "identity", None))
    return DelegatedIdentity(inner, cast(_IcPyIdentity, identity).der_pubkey, tuple(_link(link) for link in links))


class _Adapter:
    """One key of ``ic-py``."""

    __slots__ = ("_der", "_identity", "_principal")

    def __init__(self, identity: _IcPyIdentity) -> None:
        self._identity = identity
        self._der = PublicKey.from_der(identity.der_pubkey).der
        self._principal = Principal.self_authenticating(self._der)

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def public_key_der(self) -> bytes:
        return self._der

    @property
    def delegations(self) -> tuple[SignedDelegation, ...]:
        return ()

    def sign(self, message: bytes) -> bytes:
        answer: object = self._identity.sign(message)
        # Its Ed25519 signatures are a bytearray.
        if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], bytes | bytearray):
            raise MisuseError("sign of an ic-py identity gave no pair of key and signature", reason=Reason.WRONG_TYPE)
        return bytes(answer[1])

    def __repr__(self) -> str:
        # The representation of what is wrapped shows its secret.
        return f"identity_from_icpy({self._principal.to_text()!r})"


def _link(value: object) -> SignedDelegation:
    try:
        link = cast(Mapping[str, object], value)
        body = cast(Mapping[str, object], link["delegation"])
        pubkey, expiration, signature = body["pubkey"], body["expiration"], link["signature"]
        targets, permissions = body.get("targets"), body.get("permissions")
    except (TypeError, KeyError, AttributeError) as error:
        raise MisuseError("not a delegation of ic-py", reason=Reason.MISSING_FIELD) from error
    if not isinstance(pubkey, bytes) or not isinstance(expiration, int) or not isinstance(signature, bytes):
        raise MisuseError("not a delegation of ic-py", reason=Reason.WRONG_TYPE)
    if permissions is not None and not isinstance(permissions, str):
        raise MisuseError("not a delegation of ic-py", reason=Reason.WRONG_TYPE)
    return SignedDelegation(
        delegation=Delegation(
            pubkey=pubkey,
            expiration_ns=expiration,
            targets=None if targets is None else _targets(targets),
            permissions=permissions,
        ),
        signature=signature,
    )


def _targets(value: object) -> tuple[Principal, ...]:
    if not isinstance(value, Sequence):
        raise MisuseError("targets is not a list", reason=Reason.WRONG_TYPE)
    raw = [target if isinstance(target, bytes) else getattr(target, "bytes", None) for target in value]
    if not all(isinstance(target, bytes) for target in raw):
        raise MisuseError("a target is not a principal", reason=Reason.WRONG_TYPE)
    return tuple(Principal(cast(bytes, target)) for target in raw)
