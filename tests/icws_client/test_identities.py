from __future__ import annotations

import json
from pathlib import Path

import pytest

from icws_client.identities import as_identity, generate, load_delegation, load_ed25519_json, load_pem
from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.sign import Ed25519Identity, P256Identity, Secp256k1Identity, identity_to_pem, sign_delegation
from icws_secure.sign.delegation_json import DelegationChain
from icws_secure.wire.envelope import Delegation

SECRET = bytes(range(1, 33))


def test_generated_identities_differ() -> None:
    assert generate().principal != generate().principal


@pytest.mark.parametrize("kind", [Ed25519Identity, Secp256k1Identity, P256Identity])
@pytest.mark.parametrize("password", [None, b"password"])
def test_pem_files_are_read(tmp_path: Path, kind: type[Ed25519Identity], password: bytes | None) -> None:
    path = tmp_path / "identity.pem"
    path.write_bytes(identity_to_pem(kind(SECRET), password))
    assert load_pem(path, password).principal == kind(SECRET).principal


def test_delegation_chains_are_read(tmp_path: Path) -> None:
    owner, inner = generate(), generate()
    link = sign_delegation(owner, Delegation(inner.public_key_der, 1 << 60, None, None))
    path = tmp_path / "chain.json"
    path.write_text(DelegationChain(owner.public_key_der, (link,)).to_json())
    loaded = load_delegation(path, inner)
    assert loaded.principal == owner.principal
    with pytest.raises(MisuseError):
        load_delegation(path, generate())


def test_a_key_as_browsers_keep_it_is_read(tmp_path: Path) -> None:
    identity = Ed25519Identity(SECRET)
    path = tmp_path / "key.json"
    path.write_text(json.dumps([identity.public_key_der.hex(), SECRET.hex()]))
    assert load_ed25519_json(path).principal == identity.principal


def test_identities_are_taken_as_they_are_and_none_is_a_new_one() -> None:
    identity = generate()
    assert as_identity(identity) is identity
    assert as_identity(None).principal != identity.principal


def test_identities_of_ic_py_are_taken_over() -> None:
    class IcPyIdentity:
        def __init__(self, inner: Ed25519Identity) -> None:
            self._inner = inner
            self.der_pubkey = inner.public_key_der
            self.anonymous = False

        def sign(self, message: bytes) -> tuple[bytes, bytes]:
            return self.der_pubkey, self._inner.sign(message)

    ours = Ed25519Identity(SECRET)
    taken = as_identity(IcPyIdentity(ours))
    assert taken.principal == ours.principal
    assert taken.sign(b"message") == ours.sign(b"message")


@pytest.mark.parametrize("value", ["aaaaa-aa", 3, object()])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(MisuseError):
        as_identity(value)


def test_files_that_hold_no_identity_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(MisuseError):
        load_pem(path)
    path.write_bytes(bytes(2 << 20))
    with pytest.raises(MisuseError) as caught:
        load_pem(path)
    assert caught.value.reason is Reason.TOO_LARGE
    path.write_text("nothing")
    with pytest.raises(MisuseError):
        load_pem(path)
    with pytest.raises(DecodeError):
        load_delegation(path, generate())
    with pytest.raises(DecodeError):
        load_ed25519_json(path)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    path.write_text("no chain")
    for read in (lambda: load_pem(path), lambda: load_delegation(path, generate()), lambda: load_ed25519_json(path)):
        with pytest.raises((MisuseError, DecodeError), match=r"file chain\.json"):
            read()
    with pytest.raises(MisuseError, match="cannot read the file"):
        load_pem("a name that no file can have\0")
