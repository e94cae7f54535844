"""Signatures of users, scheme by scheme."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from icws_secure.errors import IcwsError, ProtocolViolation, Reason, SignatureError
from icws_secure.sign import Ed25519Identity, P256Identity, Secp256k1Identity
from icws_secure.verify import CertificateVerifier, RootKey, verify_user_signature
from icws_secure.wire import cbor
from icws_secure.wire.der import PublicKey
from icws_secure.wire.principal import Principal

MESSAGE = b"\x0aic-request" + bytes(range(32))
IDENTITIES: list[Any] = [Ed25519Identity(b"\x01" * 32), Secp256k1Identity(b"\x02" * 32), P256Identity(b"\x03" * 32)]
ORDERS = {
    "Secp256k1Identity": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    "P256Identity": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
}


def refuse(key: PublicKey, message: bytes, signature: bytes) -> IcwsError:
    with pytest.raises(ProtocolViolation) as caught:
        verify_user_signature(key, message, signature)
    return caught.value


@pytest.mark.req("ICWS-LIB-016")
@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: type(identity).__name__)
class TestPlainKeys:
    def test_good_signature_is_accepted(self, identity: Any) -> None:
        verify_user_signature(PublicKey.from_der(identity.public_key_der), MESSAGE, identity.sign(MESSAGE))

    def test_other_message_is_refused(self, identity: Any) -> None:
        error = refuse(PublicKey.from_der(identity.public_key_der), MESSAGE[1:], identity.sign(MESSAGE))
        assert error.reason is Reason.BAD_SIGNATURE

    def test_other_key_is_refused(self, identity: Any) -> None:
        other = type(identity)(b"\x07" * 32)
        error = refuse(PublicKey.from_der(other.public_key_der), MESSAGE, identity.sign(MESSAGE))
        assert error.reason is Reason.BAD_SIGNATURE

    def test_every_flipped_byte_is_refused(self, identity: Any) -> None:
        key, good = PublicKey.from_der(identity.public_key_der), identity.sign(MESSAGE)
        for position in range(len(good)):
            bad = bytearray(good)
            bad[position] ^= 0x40
            assert refuse(key, MESSAGE, bytes(bad)).reason is Reason.BAD_SIGNATURE

    @pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
    def test_junk_is_refused(self, identity: Any, signature: bytes) -> None:
        key = PublicKey.from_der(identity.public_key_der)
        assert refuse(key, MESSAGE, signature).reason is Reason.BAD_SIGNATURE


@pytest.mark.req("ICWS-LIB-016")
@pytest.mark.parametrize("identity", IDENTITIES[1:], ids=lambda identity: type(identity).__name__)
def test_ecdsa_signature_in_asn1_is_refused(identity: Any) -> None:
    key = PublicKey.from_der(identity.public_key_der)
    curve = ec.SECP256K1() if "Secp" in type(identity).__name__ else ec.SECP256R1()
    private = ec.derive_private_key(int.from_bytes(identity.export_secret(), "big"), curve)
    asn1 = private.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    assert refuse(key, MESSAGE, asn1).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("identity", IDENTITIES[1:], ids=lambda identity: type(identity).__name__)
def test_ecdsa_signature_with_the_other_s_is_accepted(identity: Any) -> None:
    # The IC accepts both; signatures are not part of any id.
    good = identity.sign(MESSAGE)
    order = ORDERS[type(identity).__name__]
    other = good[:32] + (order - int.from_bytes(good[32:], "big")).to_bytes(32, "big")
    verify_user_signature(PublicKey.from_der(identity.public_key_der), MESSAGE, other)


@pytest.mark.req("ICWS-LIB-003")
@pytest.mark.parametrize("make", [PublicKey.secp256k1, PublicKey.p256])
def test_key_off_the_curve_is_refused(make: Any) -> None:
    key = make(b"\x04" + (5).to_bytes(32, "big") + (7).to_bytes(32, "big"))
    error = refuse(key, MESSAGE, b"\x01" * 64)
    assert error.reason is Reason.BAD_PUBLIC_KEY
    assert error.requirement == "ICWS-LIB-003"


@pytest.mark.req("ICWS-LIB-016")
@pytest.mark.parametrize(
    "raw", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f", b"\xee" + b"\xff" * 30 + b"\x7f"]
)
def test_ed25519_key_of_small_order_is_refused(raw: bytes) -> None:
    # Under such a key this signature (R of small order, s = 0) would fit many messages.
    assert refuse(PublicKey.ed25519(raw), MESSAGE, b"\x01" + bytes(63)).reason is Reason.BAD_SIGNATURE


@pytest.mark.req("ICWS-LIB-016")
def test_ed25519_signature_with_s_over_the_order_is_refused() -> None:
    identity = IDENTITIES[0]
    good = identity.sign(MESSAGE)
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(good[32:], "little") + order
    error = refuse(PublicKey.from_der(identity.public_key_der), MESSAGE, good[:32] + s.to_bytes(32, "little"))
    assert error.reason is Reason.BAD_SIGNATURE


@pytest.mark.req("ICWS-LIB-016")
def test_bls_keys_are_not_for_users() -> None:
    error = refuse(PublicKey.bls(b"\x80" + bytes(95)), MESSAGE, bytes(48))
    assert error.reason is Reason.BAD_PUBLIC_KEY


@pytest.mark.req("ICWS-LIB-019")
def test_canister_signature_without_root_key_is_refused() -> None:
    key = PublicKey.canister_signature(Principal(b"\x00\x01"), b"seed")
    assert refuse(key, MESSAGE, b"\xd9\xd9\xf7\xa0").reason is Reason.BAD_PUBLIC_KEY


@pytest.mark.req("ICWS-LIB-016")
@pytest.mark.vectors("webauthn")
def test_webauthn_vectors(vector: dict[str, Any]) -> None:
    key = PublicKey.from_der(bytes.fromhex(vector["public_key_der_hex"]))
    message, signature = bytes.fromhex(vector["message_hex"]), bytes.fromhex(vector["signature_hex"])
    if vector["expect"] == "accept":
        verify_user_signature(key, message, signature)
    else:
        assert isinstance(refuse(key, message, signature), SignatureError)


class Authenticator:
    """A WebAuthn authenticator; each argument is something it gets wrong."""

    def __init__(self, scheme: str) -> None:
        self.scheme = scheme
        if scheme == "ES256":
            self.ec = ec.derive_private_key(12345, ec.SECP256R1())
            numbers = self.ec.public_key().public_numbers()
            x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
            self.cose: dict[int, Any] = {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        elif scheme == "EdDSA":
            self.ed = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
            self.cose = {1: 1, 3: -8, -1: 6, -2: self.ed.public_key().public_bytes_raw()}
        else:
            self.rsa = rsa.generate_private_key(65537, 1024 if scheme == "small RSA" else 2048)
            modulus = self.rsa.public_key().public_numbers().n
            self.cose = {1: 3, 3: -257, -1: modulus.to_bytes(modulus.bit_length() // 8, "big"), -2: b"\x01\x00\x01"}

    @property
    def key(self) -> PublicKey:
        return PublicKey.webauthn(cbor.encode(self.cose))

    def assertion(self, message: bytes, **wrong: Any) -> dict[str, Any]:
        challenge = base64.urlsafe_b64encode(message).rstrip(b"=").decode()
        client = {"type": "webauthn.get", "challenge": challenge, "origin": "https://example.org"} | wrong
        data, flags = json.dumps(client).encode(), sha256(b"example.org").digest() + b"\x05" + bytes(4)
        return {"authenticator_data": flags, "client_data_json": data, "signature": self.sign(flags, data)}

    def sign(self, authenticator_data: bytes, client_data: bytes) -> bytes:
        signed = authenticator_data + sha256(client_data).digest()
        if self.scheme == "ES256":
            return self.ec.sign(signed, ec.ECDSA(hashes.SHA256()))
        if self.scheme == "EdDSA":
            return self.ed.sign(signed)
        return self.rsa.sign(signed, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.req("ICWS-LIB-016")
class TestWebAuthn:
    @pytest.mark.parametrize("scheme", ["ES256", "EdDSA", "RS256"])
    def test_assertion_is_accepted(self, scheme: str) -> None:
        device = Authenticator(scheme)
        verify_user_signature(device.key, MESSAGE, cbor.encode_self_described(device.assertion(MESSAGE)))

    @pytest.mark.parametrize("scheme", ["ES256", "EdDSA", "RS256"])
    def test_each_part_is_covered(self, scheme: str) -> None:
        device = Authenticator(scheme)
        good = device.assertion(MESSAGE)
        for part, value in good.items():
            for position in (0, len(value) // 2, len(value) - 1):
                changed = value[:position] + bytes((value[position] ^ 1,)) + value[position + 1 :]
                refuse(device.key, MESSAGE, cbor.encode_self_described(good | {part: changed}))

    def test_client_data_as_text_is_accepted(self) -> None:
        device = Authenticator("ES256")
        assertion = device.assertion(MESSAGE)
        assertion["client_data_json"] = assertion["client_data_json"].decode()
        verify_user_signature(device.key, MESSAGE, cbor.encode_self_described(assertion))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"challenge": "AAAA"},
            {"challenge": 5},
            {"challenge": None},
            {"type": "webauthn.create"},
            {"type": None},
        ],
    )
    def test_wrong_client_data_is_refused(self, wrong: dict[str, Any]) -> None:
        device = Authenticator("ES256")
        error = refuse(device.key, MESSAGE, cbor.encode_self_described(device.assertion(MESSAGE, **wrong)))
        assert error.reason is Reason.BAD_SIGNATURE

    @pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000 + b"]" * 100_000, b"1" * 5000])
    def test_client_data_that_is_no_json_map_is_refused(self, data: bytes) -> None:
        device = Authenticator("ES256")
        flags = bytes(37)
        assertion = {"authenticator_data": flags, "client_data_json": data, "signature": device.sign(flags, data)}
        refuse(device.key, MESSAGE, cbor.encode_self_described(assertion))

    def test_short_authenticator_data_is_refused(self) -> None:
        device = Authenticator("ES256")
        data = device.assertion(MESSAGE)["client_data_json"]
        assertion = {"authenticator_data": b"", "client_data_json": data, "signature": device.sign(b"", data)}
        assert refuse(device.key, MESSAGE, cbor.encode(assertion)).reason is Reason.BAD_SIGNATURE

    @pytest.mark.parametrize(
        "change",
        [
            {1: 5},
            {3: -35},
            {-1: 2},
            {-2: b"\x00" * 31},
            {-2: "text"},
            {-3: None},
            {-2: b"\xff" * 32},
            {1: True},
        ],
    )
    def test_other_cose_keys_are_refused(self, change: dict[int, Any]) -> None:
        device = Authenticator("ES256")
        assertion = cbor.encode(device.assertion(MESSAGE))
        device.cose |= change
        assert refuse(device.key, MESSAGE, assertion).reason is Reason.BAD_PUBLIC_KEY

    def test_small_rsa_key_is_refused(self) -> None:
        device = Authenticator("small RSA")
        error = refuse(device.key, MESSAGE, cbor.encode(device.assertion(MESSAGE)))
        assert error.reason is Reason.BAD_PUBLIC_KEY

    @pytest.mark.parametrize("key", [b"\x00", b"\x80", b"\xff", b"\xa1\x01"])
    def test_key_that_is_no_cose_key_is_refused(self, key: bytes) -> None:
        device = Authenticator("ES256")
        refuse(PublicKey.webauthn(key), MESSAGE, cbor.encode(device.assertion(MESSAGE)))

    @pytest.mark.parametrize("junk", [b"", b"\xa0", b"\xd9\xd9\xf7", cbor.encode({"signature": b""})])
    def test_junk_is_refused(self, junk: bytes) -> None:
        refuse(Authenticator("ES256").key, MESSAGE, junk)


@pytest.mark.req("ICWS-LIB-019")
@pytest.mark.vectors("canister_signature")
def test_canister_signature_vectors(vector: dict[str, Any]) -> None:
    verifier = CertificateVerifier(RootKey.from_der(bytes.fromhex(vector["root_key_der_hex"])))
    key = PublicKey.from_der(bytes.fromhex(vector["public_key_der_hex"]))
    message, signature = bytes.fromhex(vector["message_hex"]), bytes.fromhex(vector["signature_hex"])
    if vector["expect"] == "accept":
        verify_user_signature(key, message, signature, certificates=verifier)
    else:
        with pytest.raises(ProtocolViolation):
            verify_user_signature(key, message, signature, certificates=verifier)
