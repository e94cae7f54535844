"""Identities: what they sign verifies elsewhere, and their secrets do not show."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from icws_secure.errors import IcwsError, MisuseError, Reason
from icws_secure.sign import (
    AnonymousIdentity,
    DelegatedIdentity,
    Ed25519Identity,
    Identity,
    P256Identity,
    Secp256k1Identity,
    expires_at_ns,
    sign_delegation,
)
from icws_secure.wire.envelope import Delegation
from icws_secure.wire.principal import ANONYMOUS, Principal

SECRET = bytes(range(1, 33))
KINDS = [Ed25519Identity, Secp256k1Identity, P256Identity]
NOW = 1_795_000_000_000_000_000


def verify_elsewhere(der: bytes, message: bytes, signature: bytes) -> None:
    key = load_der_public_key(der)
    if isinstance(key, Ed25519PublicKey):
        key.verify(signature, message)
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        asn1 = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        key.verify(asn1, message, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("kind", KINDS)
class TestKeys:
    def test_signature_verifies_with_another_library(self, kind: Any) -> None:
        identity = kind(SECRET)
        signature = identity.sign(b"message")
        assert len(signature) == 64
        verify_elsewhere(identity.public_key_der, b"message", signature)

    def test_signature_is_deterministic(self, kind: Any) -> None:
        assert kind(SECRET).sign(b"message") == kind(SECRET).sign(b"message")

    def test_principal_is_that_of_the_key(self, kind: Any) -> None:
        identity = kind(SECRET)
        assert isinstance(identity, Identity)
        assert identity.principal == Principal.self_authenticating(identity.public_key_der)
        assert identity.delegations == ()
        assert expires_at_ns(identity) is None

    def test_secret_can_be_stored_and_restored(self, kind: Any) -> None:
        identity = kind(SECRET)
        assert identity.export_secret() == SECRET
        assert kind(identity.export_secret()).principal == identity.principal

    @pytest.mark.req("ICWS-LIB-026")
    def test_secret_does_not_show(self, kind: Any) -> None:
        shown = f"{kind(SECRET)!r} {kind(SECRET)}"
        assert SECRET.hex() not in shown
        assert repr(SECRET) not in shown
        assert str(int.from_bytes(SECRET, "big")) not in shown

    @pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
    def test_secret_of_another_length_is_misuse(self, kind: Any, secret: bytes) -> None:
        with pytest.raises(MisuseError) as caught:
            kind(secret)
        assert repr(secret) not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_scalar_out_of_range_is_misuse(kind: Any, secret: bytes) -> None:
    with pytest.raises(MisuseError):
        kind(secret)


def test_ed25519_principal_is_the_known_one() -> None:
    text = "535yc-uxytb-gfk7h-tny7p-vjkoe-i4krp-3qmcl-uqfgr-cpgej-yqtjq-rqe"
    assert Ed25519Identity.from_seed(bytes(32)).principal.to_text() == text


@pytest.mark.parametrize("kind", KINDS[1:])
def test_ecdsa_signatures_have_the_lower_s(kind: Any) -> None:
    order = (ec.SECP256K1() if kind is Secp256k1Identity else ec.SECP256R1()).group_order
    for number in range(16):
        signature = kind(SECRET).sign(bytes([number]))
        assert int.from_bytes(signature[32:], "big") <= order // 2


def test_rfc_6979_vector() -> None:
    # RFC 6979, A.2.5: P-256, SHA-256, message "sample"; s there is in the upper half.
    identity = P256Identity(bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"))
    r = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    s = ec.SECP256R1().group_order - 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    assert identity.sign(b"sample").hex() == r + s.to_bytes(32, "big").hex()


def test_anonymous_identity_signs_nothing() -> None:
    identity = AnonymousIdentity()
    assert isinstance(identity, Identity)
    assert identity.principal == ANONYMOUS
    assert (identity.public_key_der, identity.delegations) == (b"", ())
    with pytest.raises(MisuseError):
        identity.sign(b"message")


class TestDelegated:
    owner = Ed25519Identity(b"\x01" * 32)
    session = Ed25519Identity(b"\x02" * 32)

    def delegate(self, signer: Any, holder: Any, expiration_ns: int = NOW) -> Any:
        return sign_delegation(signer, Delegation(holder.public_key_der, expiration_ns))

    def test_has_the_principal_of_the_root_and_the_signature_of_the_session(self) -> None:
        identity = DelegatedIdentity(
            self.session, self.owner.public_key_der, (self.delegate(self.owner, self.session),)
        )
        assert isinstance(identity, Identity)
        assert identity.principal == self.owner.principal
        assert identity.public_key_der == self.owner.public_key_der
        verify_elsewhere(self.session.public_key_der, b"message", identity.sign(b"message"))

    def test_expires_with_its_first_link(self) -> None:
        middle = Ed25519Identity(b"\x03" * 32)
        links = (self.delegate(self.owner, middle, NOW), self.delegate(middle, self.session, NOW - 5))
        identity = DelegatedIdentity(self.session, self.owner.public_key_der, links)
        assert identity.expires_at_ns == expires_at_ns(identity) == NOW - 5

    def test_can_delegate_further(self) -> None:
        identity = DelegatedIdentity(
            self.session, self.owner.public_key_der, (self.delegate(self.owner, self.session),)
        )
        device = P256Identity(SECRET)
        further = DelegatedIdentity(
            device, identity.public_key_der, (*identity.delegations, self.delegate(identity, device))
        )
        nested = DelegatedIdentity(
            DelegatedIdentity(device, self.session.public_key_der, (self.delegate(self.session, device),)),
            self.owner.public_key_der,
            (self.delegate(self.owner, self.session),),
        )
        assert further.delegations == nested.delegations
        assert further.principal == nested.principal == self.owner.principal

    @pytest.mark.parametrize("case", ["none", "other key", "cycle", "too many"])
    def test_wrong_chain_is_misuse(self, case: str) -> None:
        link = self.delegate(self.owner, self.session)
        back = self.delegate(self.session, self.owner)
        chains = {
            "none": (),
            "other key": (self.delegate(self.owner, P256Identity(SECRET)),),
            "cycle": (link, back, link),
            "too many": (link,) * 21,
        }
        with pytest.raises(MisuseError):
            DelegatedIdentity(self.session, self.owner.public_key_der, chains[case])

    def test_root_that_is_no_key_is_refused(self) -> None:
        with pytest.raises(IcwsError) as caught:
            DelegatedIdentity(self.session, b"junk", (self.delegate(self.owner, self.session),))
        assert caught.value.reason is Reason.BAD_PUBLIC_KEY
