"""The backends against vectors, against each other, and against a third library."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from py_arkworks_bls12381 import GT, G1Point, G2Point, Scalar

from icws_secure.bls import Backend, available_backends, backend, points
from icws_secure.errors import CertificateError, MisuseError, Reason

G1_INFINITY = b"\xc0" + bytes(47)
G2_INFINITY = b"\xc0" + bytes(95)
ORDER_3 = b"\x80" + bytes(47)  # (0, 2) and (0, -2) are points of order 3
MESSAGE = b"\x0dic-state-root" + bytes(32)


@pytest.fixture(params=["pyblst", "blspy"])
def library(request: pytest.FixtureRequest) -> Backend:
    if request.param not in available_backends():
        pytest.skip(f"{request.param} is not installed")
    return backend(request.param)


def scalar(seed: int) -> Scalar:
    return Scalar(random.Random(seed).randrange(1, points.GROUP_ORDER))


def key_pair(seed: int) -> tuple[Scalar, bytes]:
    secret = scalar(seed)
    return secret, (G2Point() * secret).to_compressed_bytes()


def sign(secret: Scalar, message: bytes = MESSAGE) -> bytes:
    return (G1Point.hash_to_curve(message, points.DST) * secret).to_compressed_bytes()


def outside_g1() -> bytes:
    return on_curve(G1Point, 48)


def outside_g2() -> bytes:
    return on_curve(G2Point, 96)


def on_curve(group: Any, length: int) -> bytes:
    """A point of the curve that is not in the subgroup of prime order: almost every point is one."""
    x = 5
    while True:
        x += 1
        try:
            point = group.from_compressed_bytes_unchecked(b"\x80" + x.to_bytes(length - 1, "big"))
        except ValueError:  # no point of the curve has this x
            continue
        if not point.is_in_subgroup():
            return bytes(point.to_compressed_bytes())


def verdict(verify: Callable[[], None]) -> str:
    try:
        verify()
    except CertificateError as error:
        return str(error.reason)
    return "accept"


@pytest.mark.req("ICWS-LIB-009", "ICWS-LIB-010")
@pytest.mark.vectors("bls")
def test_vectors(library: Backend, vector: dict[str, str]) -> None:
    key, message, signature = (
        bytes.fromhex(vector[name]) for name in ("public_key_hex", "message_hex", "signature_hex")
    )
    reason = verdict(lambda: library.verify(key, message, signature))
    assert (reason == "accept") == (vector["expect"] == "accept")


@pytest.mark.req("ICWS-LIB-010")
@pytest.mark.parametrize("seed", range(8))
def test_signature_of_another_library_is_accepted(library: Backend, seed: int) -> None:
    secret, key = key_pair(seed)
    library.check_public_key(key)
    library.verify(key, MESSAGE, sign(secret))


@pytest.mark.req("ICWS-LIB-010")
@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("of another key", sign(scalar(2))),
        ("of another message", sign(scalar(1), b"other")),
        ("negated", (-G1Point.from_compressed_bytes(sign(scalar(1)))).to_compressed_bytes()),
        ("with the sign flag flipped", bytes((sign(scalar(1))[0] ^ 0x20,)) + sign(scalar(1))[1:]),
        ("the generator", G1Point().to_compressed_bytes()),
    ],
)
def test_wrong_signature_is_refused(library: Backend, name: str, signature: bytes) -> None:
    _, key = key_pair(1)
    assert verdict(lambda: library.verify(key, MESSAGE, signature)) == Reason.BAD_BLS_SIGNATURE


@pytest.mark.req("ICWS-LIB-009")
def test_signature_with_a_point_of_small_order_added_is_refused(library: Backend) -> None:
    secret, key = key_pair(1)
    good = G1Point.from_compressed_bytes(sign(secret))
    small = G1Point.from_compressed_bytes_unchecked(ORDER_3)
    shifted = (good + small).to_compressed_bytes()
    # The pairing does not see the addition: without the check of the subgroup there would be many signatures.
    hashed = G1Point.hash_to_curve(MESSAGE, points.DST)
    assert GT.pairing(good + small, G2Point()) == GT.pairing(hashed, G2Point.from_compressed_bytes(key))
    assert verdict(lambda: library.verify(key, MESSAGE, shifted)) == Reason.BAD_BLS_POINT


@pytest.mark.req("ICWS-LIB-009")
@pytest.mark.parametrize("signature", [ORDER_3, outside_g1(), G1_INFINITY], ids=["order 3", "outside", "infinity"])
def test_signature_point_is_refused(library: Backend, signature: bytes) -> None:
    _, key = key_pair(1)
    assert verdict(lambda: library.verify(key, MESSAGE, signature)) == Reason.BAD_BLS_POINT


@pytest.mark.req("ICWS-LIB-009")
@pytest.mark.parametrize("key", [outside_g2(), G2_INFINITY], ids=["outside", "infinity"])
def test_public_key_point_is_refused(library: Backend, key: bytes) -> None:
    assert verdict(lambda: library.check_public_key(key)) == Reason.BAD_BLS_POINT
    assert verdict(lambda: library.verify(key, MESSAGE, sign(scalar(1)))) == Reason.BAD_BLS_POINT


@pytest.mark.req("ICWS-LIB-009")
def test_infinity_as_key_and_signature_is_refused(library: Backend) -> None:
    assert verdict(lambda: library.verify(G2_INFINITY, MESSAGE, G1_INFINITY)) == Reason.BAD_BLS_POINT


@pytest.mark.req("ICWS-LIB-009", "ICWS-LIB-010")
def test_backends_agree_on_mutations() -> None:
    if len(available_backends()) < 2:
        pytest.skip("only one backend is installed")
    choose = random.Random(0)
    secret, key = key_pair(1)
    good = sign(secret)
    for _ in range(150):
        mutated_key, mutated = bytearray(key), bytearray(good)
        target = choose.choice([mutated_key, mutated])
        target[choose.randrange(len(target))] ^= 1 << choose.randrange(8)
        arguments = (bytes(mutated_key), MESSAGE, bytes(mutated))
        verdicts = {verdict(partial(backend(name).verify, *arguments)) for name in available_backends()}
        assert len(verdicts) == 1
        assert verdicts != {"accept"}


@pytest.mark.req("ICWS-LIB-015")
def test_refused_key_is_not_remembered(library: Backend) -> None:
    key = outside_g2()
    for _ in range(2):
        assert verdict(lambda: library.check_public_key(key)) == Reason.BAD_BLS_POINT


def test_default_is_the_preferred_backend() -> None:
    assert backend().name == available_backends()[0]


def test_unknown_backend_is_misuse() -> None:
    with pytest.raises(MisuseError) as caught:
        backend("milagro")
    assert caught.value.reason is Reason.UNSUPPORTED
