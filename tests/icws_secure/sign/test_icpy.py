"""Identities of ic-py: the real ones where ic-py is installed, and look-alikes everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import MisuseError
from icws_secure.sign import (
    AnonymousIdentity,
    Ed25519Identity,
    Identity,
    identity_from_icpy,
    sign_call,
    sign_delegation,
)
from icws_secure.verify import verify_envelope
from icws_secure.wire.envelope import Delegation
from icws_secure.wire.principal import Principal

NOW = 1_795_000_000_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
SEED = b"\x02" * 32
OURS, OWNER = Ed25519Identity(SEED), Ed25519Identity(b"\x01" * 32)


class KeyOfIcPy:
    """What ``ic.identity.Identity`` looks like."""

    anonymous = False

    def __init__(self, key: Ed25519Identity = OURS) -> None:
        self.key = key

    @property
    def der_pubkey(self) -> bytes:
        return self.key.public_key_der

    def sign(self, msg: bytes) -> tuple[bytes, bytearray]:
        return self.der_pubkey, bytearray(self.key.sign(msg))  # as the original does

    def __repr__(self) -> str:
        return self.key.export_secret().hex()  # as the original does


class DelegateOfIcPy:
    """What ``ic.identity.DelegateIdentity`` looks like."""

    def __init__(self, **fields: Any) -> None:
        self.identity = KeyOfIcPy()
        targets = (CANISTER,) if "targets" in fields else None
        link = sign_delegation(OWNER, Delegation(OURS.public_key_der, NOW, targets))
        body: dict[str, Any] = {"expiration": NOW, "pubkey": OURS.public_key_der} | fields
        self.delegations = [{"delegation": body, "signature": link.signature}]
        self.der_pubkey = OWNER.public_key_der

    def sign(self, msg: bytes) -> tuple[bytes, bytearray]:
        return self.identity.sign(msg)


def call(identity: Identity) -> Any:
    return sign_call(identity, canister_id=CANISTER, method_name="m", arg=b"", ingress_expiry_ns=NOW, nonce=None)


def test_key_signs_as_ours_does() -> None:
    identity = identity_from_icpy(KeyOfIcPy())
    assert isinstance(identity, Identity)
    assert call(identity) == call(OURS)
    verify_envelope(call(identity), now=NOW)


@pytest.mark.req("ICWS-LIB-026")
def test_secret_that_the_original_prints_does_not_show() -> None:
    assert SEED.hex() not in repr(identity_from_icpy(KeyOfIcPy()))
    assert SEED.hex() not in repr(identity_from_icpy(DelegateOfIcPy()))


class PrincipalOfIcPy:
    """What ``ic.principal.Principal`` looks like."""

    bytes = CANISTER.raw


@pytest.mark.parametrize("fields", [{}, {"targets": [CANISTER.raw]}, {"targets": [PrincipalOfIcPy()]}])
def test_delegated_identity_signs_for_its_owner(fields: dict[str, Any]) -> None:
    verified = verify_envelope(call(identity_from_icpy(DelegateOfIcPy(**fields))), now=NOW)
    assert verified.sender == OWNER.principal


def test_anonymous_identity_is_anonymous() -> None:
    class Anonymous:
        anonymous = True

    assert isinstance(identity_from_icpy(Anonymous()), AnonymousIdentity)


@pytest.mark.parametrize("thing", [None, 5, "text", object()])
def test_something_else_is_misuse(thing: object) -> None:
    with pytest.raises(MisuseError):
        identity_from_icpy(thing)


@pytest.mark.parametrize(
    "links",
    [5, [5], [{}], [{"delegation": {}}], [{"delegation": {"pubkey": "x", "expiration": 1}, "signature": b""}]],
)
def test_delegations_of_another_shape_are_misuse(links: Any) -> None:
    strange = DelegateOfIcPy()
    strange.delegations = links
    with pytest.raises(MisuseError):
        identity_from_icpy(strange)


def test_sign_that_returns_something_else_is_misuse() -> None:
    class Strange(KeyOfIcPy):
        def sign(self, msg: bytes) -> Any:
            return b"signature"

    with pytest.raises(MisuseError):
        identity_from_icpy(Strange()).sign(b"message")


def test_the_real_thing() -> None:
    ic = pytest.importorskip("ic.identity")
    for scheme in ("ed25519", "secp256k1"):
        identity = identity_from_icpy(ic.Identity(privkey=SEED.hex(), type=scheme))
        verify_envelope(call(identity), now=NOW)
