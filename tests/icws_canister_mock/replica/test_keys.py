"""Keys and signatures, judged by pairing libraries that did not make them."""

from __future__ import annotations

import pytest
from nacl.signing import VerifyKey

from icws_canister_mock.replica.keys import NodeKey, SubnetKey, derive
from icws_secure.bls import available_backends, backend
from icws_secure.errors import CertificateError, MisuseError
from icws_secure.wire.principal import Principal


@pytest.mark.parametrize("name", available_backends())
def test_subnet_signature_verifies(name: str) -> None:
    key = SubnetKey(bytes(32), "root")
    backend(name).verify(key.public_key.raw, b"message", key.sign(b"message"))
    with pytest.raises(CertificateError):
        backend(name).verify(key.public_key.raw, b"another", key.sign(b"message"))


def test_node_signature_verifies() -> None:
    key = NodeKey(bytes(32), "root 0")
    VerifyKey(key.public_key.raw).verify(b"message", key.sign(b"message"))


def test_keys_follow_from_seed_and_name() -> None:
    assert SubnetKey(bytes(32), "a").public_key == SubnetKey(bytes(32), "a").public_key
    assert SubnetKey(bytes(32), "a").public_key != SubnetKey(bytes(32), "b").public_key
    assert SubnetKey(bytes(32), "a").public_key != SubnetKey(b"\x01" * 32, "a").public_key


def test_subnet_id_is_that_of_its_key() -> None:
    key = SubnetKey(bytes(32), "root")
    assert key.principal == Principal.self_authenticating(key.public_key.der)


def test_seed_of_another_length_is_refused() -> None:
    with pytest.raises(MisuseError):
        derive(b"short", "purpose")
