"""Whatever comes in: a verifier returns or raises an error of the family, nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_secure.errors import IcwsError, ProtocolViolation
from icws_secure.sign import Ed25519Identity, sign_call
from icws_secure.verify import verify_envelope, verify_user_signature, verify_witness
from icws_secure.wire import cbor
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.principal import Principal

pytestmark = pytest.mark.req("ICWS-LIB-023")

NOW = 1_795_000_000_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
EXAMPLES = settings(max_examples=150, deadline=None)

leaves = st.none() | st.booleans() | st.integers(0, 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=10)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
trees = st.recursive(
    st.just([0])
    | st.binary(max_size=8).map(lambda value: [3, value])
    | st.binary(min_size=31, max_size=33).map(lambda digest: [4, digest]),
    lambda inner: (
        st.tuples(st.just(1), inner, inner).map(list)
        | st.tuples(st.just(2), st.sampled_from([b"time", b"canister", b"subnet", b"x"]), inner).map(list)
    ),
    max_leaves=8,
)
signatures = st.binary(min_size=47, max_size=49) | st.just(b"\xc0" + bytes(47))
certificates = st.fixed_dictionaries(
    {"tree": trees | values, "signature": signatures},
    optional={
        "delegation": st.fixed_dictionaries(
            {"subnet_id": st.binary(max_size=31), "certificate": st.binary(max_size=60)}
        )
        | values
    },
)


@given(data=st.binary(max_size=300) | values.map(cbor.encode) | certificates.map(cbor.encode_self_described))
@EXAMPLES
def test_certificates(issuer: Any, data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        issuer.verifier().verify(data, now=NOW, canister_id=CANISTER)


@given(data=st.binary(max_size=300) | trees.map(cbor.encode))
@EXAMPLES
def test_witnesses(issuer: Any, data: bytes) -> None:
    certificate = issuer.verifier().verify(issuer.root_certificate(), now=NOW, canister_id=CANISTER)
    with pytest.raises(ProtocolViolation):
        verify_witness(certificate, CANISTER, data)


KEYS = [
    PublicKey.ed25519(bytes(32)),
    PublicKey.secp256k1(b"\x04" + bytes(64)),
    PublicKey.p256(b"\x04" + b"\x01" * 64),
    PublicKey.webauthn(cbor.encode({1: 2, 3: -7, -1: 1, -2: b"\x01" * 32, -3: b"\x02" * 32})),
    PublicKey.canister_signature(CANISTER, b"seed"),
]
client_data = st.binary(max_size=60) | st.just(b'{"type":"webauthn.get","challenge":""}')
assertions = st.fixed_dictionaries(
    {"authenticator_data": st.binary(max_size=50), "client_data_json": client_data, "signature": st.binary(max_size=80)}
)
canister_signatures = st.fixed_dictionaries({"certificate": certificates.map(cbor.encode), "tree": trees | values})


@given(
    key=st.sampled_from(KEYS) | st.binary(min_size=1, max_size=80).map(PublicKey.webauthn),
    signature=st.binary(max_size=100)
    | st.binary(min_size=64, max_size=64)
    | (assertions | canister_signatures | values).map(cbor.encode_self_described),
)
@EXAMPLES
def test_user_signatures(issuer: Any, key: PublicKey, signature: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        verify_user_signature(key, b"", signature, certificates=issuer.verifier())


GOOD = sign_call(
    Ed25519Identity(b"\x01" * 32), canister_id=CANISTER, method_name="m", arg=b"", ingress_expiry_ns=NOW, nonce=None
).to_value()


@given(path=st.lists(st.integers(0, 9), min_size=1, max_size=3), value=values)
@EXAMPLES
def test_envelopes(path: list[int], value: Any) -> None:
    document: Any = cbor.decode(cbor.encode(GOOD), what="envelope")
    place = document
    for step in path[:-1]:
        names = list(place)
        name = names[step % len(names)]
        if not isinstance(place[name], dict):
            break
        place = place[name]
    names = list(place)
    place[names[path[-1] % len(names)]] = value
    try:
        verify_envelope(Envelope.from_value(document), now=NOW)
    except IcwsError:
        return
    assert document == GOOD or document["content"]["sender"] == b"\x04"
