from __future__ import annotations

import pytest

from icws_secure.bls import points
from icws_secure.errors import CertificateError, Reason

pytestmark = pytest.mark.req("ICWS-LIB-009")

G1 = bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
G2 = bytes.fromhex(
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)
P = points.FIELD_MODULUS.to_bytes(48, "big")


def test_generators_are_canonical() -> None:
    points.check_signature_encoding(G1)
    points.check_public_key_encoding(G2)


@pytest.mark.parametrize(
    "encoding",
    [
        pytest.param(b"", id="empty"),
        pytest.param(G1[:-1], id="short"),
        pytest.param(G1 + b"\x00", id="long"),
        pytest.param(G2, id="point of the other group"),
        pytest.param(bytes((G1[0] & 0x7F,)) + G1[1:], id="not flagged as compressed"),
        pytest.param(b"\xc0" + bytes(47), id="infinity"),
        pytest.param(b"\xe0" + bytes(47), id="infinity with a sign"),
        pytest.param(b"\xc0" + bytes(46) + b"\x01", id="infinity with stray bits"),
        pytest.param(bytes((P[0] | 0x80,)) + P[1:], id="x is the modulus"),
        pytest.param(b"\x9f" + b"\xff" * 47, id="x is the largest number"),
    ],
)
def test_signature_encoding_is_refused(encoding: bytes) -> None:
    with pytest.raises(CertificateError) as caught:
        points.check_signature_encoding(encoding)
    assert caught.value.reason is Reason.BAD_BLS_POINT


@pytest.mark.parametrize(
    "encoding",
    [
        pytest.param(b"", id="empty"),
        pytest.param(G2[:-1], id="short"),
        pytest.param(G2 + b"\x00", id="long"),
        pytest.param(bytes((G2[0] & 0x7F,)) + G2[1:], id="not flagged as compressed"),
        pytest.param(b"\xc0" + bytes(95), id="infinity"),
        pytest.param(b"\xe0" + bytes(95), id="infinity with a sign"),
        pytest.param(bytes((P[0] | 0x80,)) + P[1:] + G2[48:], id="imaginary part is the modulus"),
        pytest.param(G2[:48] + P, id="real part is the modulus"),
        pytest.param(G2[:48] + bytes((G2[48] | 0x80,)) + G2[49:], id="flag in the real part"),
    ],
)
def test_public_key_encoding_is_refused(encoding: bytes) -> None:
    with pytest.raises(CertificateError) as caught:
        points.check_public_key_encoding(encoding)
    assert caught.value.reason is Reason.BAD_BLS_POINT
