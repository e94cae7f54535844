"""Key file, root key file, TLS files."""

from __future__ import annotations

import base64
import os
import stat

import pytest
from cryptography.hazmat.primitives import serialization

from icws_gateway.config import GatewayConfig
from icws_gateway.identity_file import check_identity, load_or_create_identity
from icws_gateway.tls import reload_certificate, server_context
from icws_gateway.trust import configured_root_key
from icws_secure.errors import MisuseError
from icws_secure.verify.root_key import MAINNET_ROOT_KEY


@pytest.mark.req("ICWS-GWY-015")
def test_key_file_is_created_for_its_owner_only_and_kept(tmp_path):
    path = tmp_path / "deep" / "gateway.pem"
    old = os.umask(0)
    try:
        first = load_or_create_identity(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_identity(path).principal == first.principal
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.req("ICWS-GWY-015")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_key_file_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "gateway.pem"
    load_or_create_identity(path)
    path.chmod(mode)
    with pytest.raises(MisuseError, match="owner"):
        load_or_create_identity(path)


def test_key_file_without_a_key_is_refused(tmp_path):
    path = tmp_path / "gateway.pem"
    path.touch(0o600)
    with pytest.raises(MisuseError):
        load_or_create_identity(path)
    assert path.read_bytes() == b""


def test_key_file_in_an_impossible_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MisuseError):
        load_or_create_identity(tmp_path / "file" / "gateway.pem")


@pytest.mark.parametrize("form", ["der", "hex", "raw hex", "pem"])
def test_root_key_is_read_in_every_form(tmp_path, form):
    der = MAINNET_ROOT_KEY.der
    data = {
        "der": der,
        "hex": der.hex().encode() + b"\n",
        "raw hex": MAINNET_ROOT_KEY.raw.hex().encode(),
        "pem": b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n",
    }[form]
    path = tmp_path / "root"
    path.write_bytes(data)
    assert configured_root_key(GatewayConfig(root_key=str(path))) == MAINNET_ROOT_KEY


@pytest.mark.parametrize("data", [b"", b"no key", b"ab" * 133, b"-----BEGIN PUBLIC KEY-----\n!!\n", bytes(96)])
def test_file_without_a_root_key_is_refused(tmp_path, data):
    path = tmp_path / "root"
    path.write_bytes(data)
    with pytest.raises(MisuseError):
        configured_root_key(GatewayConfig(root_key=str(path)))


def test_root_key_is_built_in_for_the_main_network_only(tmp_path):
    assert configured_root_key(GatewayConfig()) == MAINNET_ROOT_KEY
    assert configured_root_key(GatewayConfig(ic_url="http://127.0.0.1:1")) is None
    with pytest.raises(MisuseError):
        configured_root_key(GatewayConfig(root_key=str(tmp_path / "none")))


def test_bad_tls_files_are_refused_and_leave_a_working_context(tmp_path, write_certificate):
    chain, secret = write_certificate(tmp_path, "one")
    config = GatewayConfig(tls_certificate=chain, tls_key=secret)
    context = server_context(config)
    assert context is not None
    before = secret.read_bytes()
    write_certificate(tmp_path, "two")
    secret.write_bytes(before)
    with pytest.raises(MisuseError):
        reload_certificate(context, config)
    with pytest.raises(MisuseError):
        server_context(config)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no chain", r"tls_certificate: .*chain\.pem cannot be read: No such file"),
        ("no key", r"tls_key: .*key\.pem cannot be read: No such file"),
        ("garbage chain", r"tls_certificate: .* holds no certificate in PEM"),
        ("garbage key", r"tls_key: .* holds no private key in PEM"),
        ("key of another", r"tls_key: .* does not belong to the certificate in"),
        ("encrypted key", r"tls_key: the key is encrypted"),
    ],
)
def test_error_about_tls_files_says_which_and_why(tmp_path, write_certificate, change, words):
    chain, key = write_certificate(tmp_path, "first")
    match change:
        case "no chain":
            chain = tmp_path / "no" / "chain.pem"
        case "no key":
            key = tmp_path / "no" / "key.pem"
        case "garbage chain":
            chain.write_text("garbage")
        case "garbage key":
            key.write_text("garbage")
        case "key of another":
            (tmp_path / "other").mkdir()
            key = write_certificate(tmp_path / "other", "other")[1]
        case "encrypted key":
            loaded = serialization.load_pem_private_key(key.read_bytes(), None)
            how = serialization.BestAvailableEncryption(b"password")
            form = serialization.PrivateFormat.PKCS8
            key.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, form, how))
    with pytest.raises(MisuseError, match=words):
        server_context(GatewayConfig(tls_certificate=chain, tls_key=key))


def test_check_of_a_key_file_makes_none(tmp_path):
    check_identity(tmp_path / "new" / "gateway.pem")
    assert list(tmp_path.iterdir()) == []
    load_or_create_identity(tmp_path / "gateway.pem")
    check_identity(tmp_path / "gateway.pem")
    (tmp_path / "gateway.pem").chmod(0o644)
    with pytest.raises(MisuseError, match="chmod 600"):
        check_identity(tmp_path / "gateway.pem")


def test_without_tls_files_there_is_no_context():
    assert server_context(GatewayConfig()) is None
