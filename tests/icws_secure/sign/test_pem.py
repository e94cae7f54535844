"""Keys in PEM files, as the usual tools write them."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from icws_secure.errors import MisuseError, Reason
from icws_secure.sign import (
    Ed25519Identity,
    P256Identity,
    Secp256k1Identity,
    identity_from_pem,
    identity_to_pem,
)

SECRET = bytes(range(1, 33))
IDENTITIES: list[Any] = [Ed25519Identity(SECRET), Secp256k1Identity(SECRET), P256Identity(SECRET)]
CURVES: dict[Any, Any] = {Secp256k1Identity: ec.SECP256K1(), P256Identity: ec.SECP256R1()}


def block(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()


def private_key(identity: Any) -> Any:
    if isinstance(identity, Ed25519Identity):
        return ed25519.Ed25519PrivateKey.from_private_bytes(SECRET)
    return ec.derive_private_key(int.from_bytes(SECRET, "big"), CURVES[type(identity)])


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: type(identity).__name__)
class TestEveryScheme:
    @pytest.mark.parametrize("password", [None, b"secret"])
    def test_round_trip(self, identity: Any, password: bytes | None) -> None:
        restored = identity_from_pem(identity_to_pem(identity, password), password)
        assert type(restored) is type(identity)
        assert restored.principal == identity.principal

    def test_pkcs8_is_read(self, identity: Any) -> None:
        pem = private_key(identity).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        assert identity_from_pem(pem).principal == identity.principal
        assert identity_from_pem(pem.decode()).principal == identity.principal

    def test_encrypted_pkcs8_is_read_with_its_password_only(self, identity: Any) -> None:
        encryption = BestAvailableEncryption(b"secret")
        pem = private_key(identity).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        assert identity_from_pem(pem, b"secret").principal == identity.principal
        for password in (None, b"", b"wrong"):
            with pytest.raises(MisuseError):
                identity_from_pem(pem, password)


@pytest.mark.parametrize("identity", IDENTITIES[1:], ids=lambda identity: type(identity).__name__)
@pytest.mark.parametrize("parameters", [True, False])
def test_sec1_is_read_with_and_without_a_block_of_parameters(identity: Any, parameters: bool) -> None:
    pem = private_key(identity).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert pem.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    oid = b"\x06\x05\x2b\x81\x04\x00\x0a"
    assert identity_from_pem((block("EC PARAMETERS", oid) if parameters else b"") + pem).principal == identity.principal


class TestEd25519Version2:
    seed = SECRET
    public = Ed25519Identity(SECRET).public_key_der[-32:]
    forms: ClassVar = [
        pytest.param("3051020101300506032b657004220420", "812100", id="RFC 8410"),
        pytest.param("3053020101300506032b657004220420", "a123032100", id="ring"),
    ]

    @pytest.mark.parametrize(("before_seed", "before_key"), forms)
    def test_is_read(self, before_seed: str, before_key: str) -> None:
        der = bytes.fromhex(before_seed) + self.seed + bytes.fromhex(before_key) + self.public
        assert identity_from_pem(block("PRIVATE KEY", der)).principal == Ed25519Identity(self.seed).principal

    @pytest.mark.parametrize(("before_seed", "before_key"), forms)
    def test_with_keys_that_do_not_belong_together_is_misuse(self, before_seed: str, before_key: str) -> None:
        der = bytes.fromhex(before_seed) + self.seed + bytes.fromhex(before_key) + bytes(32)
        with pytest.raises(MisuseError) as caught:
            identity_from_pem(block("PRIVATE KEY", der))
        assert caught.value.reason is Reason.BAD_PUBLIC_KEY

    def test_cut_short_is_misuse(self) -> None:
        with pytest.raises(MisuseError):
            identity_from_pem(block("PRIVATE KEY", bytes.fromhex("3051020101300506032b657004220420") + b"\x01"))


KEY = identity_to_pem(IDENTITIES[0])


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"no key at all",
        KEY + KEY,
        KEY + block("CERTIFICATE", b"\x30\x00"),
        block("PUBLIC KEY", b"\x30\x00"),
        block("PRIVATE KEY", b""),
        block("PRIVATE KEY", b"\x30\x00"),
        KEY.replace(b"MC4C", b"MC4-"),
        KEY.replace(b"END PRIVATE", b"END EC PRIVATE"),
        KEY + b"x" * 70_000,
    ],
)
def test_other_files_are_misuse(pem: bytes) -> None:
    with pytest.raises(MisuseError):
        identity_from_pem(pem)


def test_text_that_is_no_unicode_is_misuse() -> None:
    with pytest.raises(MisuseError):
        identity_from_pem("\ud800")


@pytest.mark.parametrize("scheme", ["RSA", "P-384", "Ed448"])
def test_other_schemes_are_misuse(scheme: str) -> None:
    keys: dict[str, Any] = {
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
        "P-384": lambda: ec.derive_private_key(5, ec.SECP384R1()),
        "Ed448": lambda: ed448.Ed448PrivateKey.from_private_bytes(bytes(57)),
    }
    pem = keys[scheme]().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(MisuseError) as caught:
        identity_from_pem(pem)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_password_for_a_key_that_is_not_encrypted_is_misuse() -> None:
    with pytest.raises(MisuseError, match="the private key is not encrypted"):
        identity_from_pem(KEY, b"secret")


@pytest.mark.parametrize("identity", IDENTITIES[1:], ids=lambda identity: type(identity).__name__)
def test_sec1_in_the_older_encryption_is_read_with_its_password_only(identity: Any) -> None:
    encryption = BestAvailableEncryption(b"secret")
    pem = private_key(identity).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, encryption)
    assert b"Proc-Type: 4,ENCRYPTED" in pem
    assert identity_from_pem(pem, b"secret").principal == identity.principal
    with pytest.raises(MisuseError, match="the private key is encrypted, and a password is needed"):
        identity_from_pem(pem)
    with pytest.raises(MisuseError, match="wrong password"):
        identity_from_pem(pem, b"wrong")


def test_empty_password_is_misuse() -> None:
    with pytest.raises(MisuseError):
        identity_to_pem(IDENTITIES[0], b"")
