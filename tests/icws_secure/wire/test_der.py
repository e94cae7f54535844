from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.limits import MAX_PUBLIC_KEY_BYTES
from icws_secure.wire.der import KeyScheme, PublicKey
from icws_secure.wire.principal import Principal

POINT = b"\x04" + bytes(range(64))
CANISTER = Principal.from_text("rdmx6-jaaaa-aaaaa-aaadq-cai")
KEYS = {
    KeyScheme.ED25519: PublicKey.ed25519(bytes(32)),
    KeyScheme.SECP256K1: PublicKey.secp256k1(POINT),
    KeyScheme.P256: PublicKey.p256(POINT),
    KeyScheme.BLS12_381: PublicKey.bls(bytes(96)),
    KeyScheme.WEBAUTHN: PublicKey.webauthn(bytes(77)),
    KeyScheme.CANISTER_SIGNATURE: PublicKey.canister_signature(CANISTER, b"seed"),
}
EACH = pytest.mark.parametrize("key", KEYS.values(), ids=[scheme.name for scheme in KEYS])


def reason_of(der: bytes) -> Reason:
    with pytest.raises(DecodeError) as caught:
        PublicKey.from_der(der)
    assert caught.value.requirement == "ICWS-LIB-003"
    return caught.value.reason


@EACH
def test_der_leads_back_to_the_key(key: PublicKey) -> None:
    assert PublicKey.from_der(key.der) == key
    assert key.principal == Principal.self_authenticating(key.der)


def test_schemes_are_told_apart() -> None:
    assert [PublicKey.from_der(key.der).scheme for key in KEYS.values()] == list(KEYS)


def test_another_library_writes_the_same_keys() -> None:
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    raw = edwards.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert PublicKey.ed25519(raw).der == edwards.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    curves: list[tuple[ec.EllipticCurve, Callable[[bytes], PublicKey]]] = [
        (ec.SECP256K1(), PublicKey.secp256k1),
        (ec.SECP256R1(), PublicKey.p256),
    ]
    for curve, make in curves:
        key = ec.derive_private_key(7, curve).public_key()
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        assert make(point).der == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.req("ICWS-LIB-003")
def test_compressed_point_is_refused() -> None:
    key = ec.derive_private_key(7, ec.SECP256K1()).public_key()
    compressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    # a well-formed SubjectPublicKeyInfo, with the shorter point
    assert reason_of(bytes.fromhex("3036301006072a8648ce3d020106052b8104000a032200") + compressed)
    for form in (2, 3, 6, 7):
        with pytest.raises(DecodeError):
            PublicKey.secp256k1(bytes((form,)) + POINT[1:])
        der = KEYS[KeyScheme.P256].der
        assert reason_of(der.replace(POINT, bytes((form,)) + POINT[1:])) is Reason.BAD_PUBLIC_KEY


@pytest.mark.req("ICWS-LIB-003")
@EACH
def test_key_cut_short_or_followed_by_bytes_is_refused(key: PublicKey) -> None:
    for der in (key.der[:-1], key.der + b"\x00", key.der[:12], b"\x00" + key.der):
        assert reason_of(der) is Reason.BAD_PUBLIC_KEY


@pytest.mark.req("ICWS-LIB-003")
@EACH
@given(data=st.data())
def test_any_other_byte_before_the_key_is_refused(key: PublicKey, data: st.DataObject) -> None:
    head = len(key.der) - len(key.raw)
    at = data.draw(st.integers(0, head - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != key.der[at]))
    changed = key.der[:at] + bytes((byte,)) + key.der[at + 1 :]
    try:
        other = PublicKey.from_der(changed)
    except DecodeError:
        return
    # the object identifiers of two schemes differ in one byte
    assert other.scheme is not key.scheme


@pytest.mark.req("ICWS-LIB-003")
@pytest.mark.parametrize(
    "der",
    [
        "",
        "30",
        "3000",
        "308119300c060a2b0601040183b84301010309000102030405060708",  # long form of a short length
        "3080300c060a2b0601040183b843010103090001020304050607080000",  # indefinite length
        "308400000019300c060a2b0601040183b84301010309000102030405060708",  # long form, with zeros in front
        "3017300c060a2b0601040183b8430101030701020304050607",  # unused bits
        "3010300c060a2b0601040183b84301010300",  # no bits at all
        "3011300c060a2b0601040183b8430101030100",  # no key
        "3017300e060a2b0601040183b8430101050003050001020304",  # parameters where there are none
        "302a300506032b6571032100" + "00" * 32,  # the object identifier of X448's neighbour
    ],
)
def test_other_forms_are_refused(der: str) -> None:
    assert reason_of(bytes.fromhex(der)) is Reason.BAD_PUBLIC_KEY


@pytest.mark.req("ICWS-LIB-003")
def test_length_is_bounded() -> None:
    longest = PublicKey.webauthn(bytes(MAX_PUBLIC_KEY_BYTES - 23))
    assert PublicKey.from_der(longest.der) == longest
    with pytest.raises(DecodeError) as caught:
        PublicKey.webauthn(bytes(MAX_PUBLIC_KEY_BYTES))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.req("ICWS-LIB-003")
def test_wrong_lengths_of_raw_keys_are_refused() -> None:
    for make in (PublicKey.ed25519, PublicKey.secp256k1, PublicKey.p256, PublicKey.bls):
        for length in (0, 31, 33, 64, 66, 95, 97):
            with pytest.raises(DecodeError):
                make(b"\x04" * length)


def test_key_for_canister_signatures_names_canister_and_seed() -> None:
    key = PublicKey.from_der(KEYS[KeyScheme.CANISTER_SIGNATURE].der)
    assert (key.canister_id, key.seed) == (CANISTER, b"seed")
    assert PublicKey.canister_signature(CANISTER, b"").seed == b""
    for name in ("canister_id", "seed"):
        with pytest.raises(MisuseError):
            getattr(KEYS[KeyScheme.ED25519], name)


@pytest.mark.req("ICWS-LIB-003")
@pytest.mark.parametrize("raw", [b"\x0a" + bytes(9), b"\x1e" + bytes(30)], ids=["cut short", "too long"])
def test_key_for_canister_signatures_without_a_canister_is_refused(raw: bytes) -> None:
    bits = b"\x03" + bytes((len(raw) + 1,)) + b"\x00" + raw
    body = bytes.fromhex("300c060a2b0601040183b8430102") + bits
    assert reason_of(b"\x30" + bytes((len(body),)) + body) is Reason.BAD_PUBLIC_KEY
