"""Envelopes: vectors, every step on its own, sender_info."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from icws_secure.errors import MisuseError, ProtocolViolation, Reason, SignatureError
from icws_secure.sign import (
    AnonymousIdentity,
    DelegatedIdentity,
    Ed25519Identity,
    P256Identity,
    Secp256k1Identity,
    sign_call,
    sign_content,
    sign_delegation,
    sign_query,
    sign_read_state,
)
from icws_secure.verify import VerifiedEnvelope, verify_envelope
from icws_secure.wire import cbor
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import CallContent, Delegation, Envelope, SignedDelegation
from icws_secure.wire.hashtree import Fork, HashTree, Labeled, Leaf, tree_to_value
from icws_secure.wire.principal import Principal

NOW = 1_795_000_000_000_000_000
SECOND = 1_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
USER = Ed25519Identity(b"\x01" * 32)


def call(identity: Any = USER, expiry: int = NOW + 60 * SECOND) -> Envelope:
    return sign_call(
        identity, canister_id=CANISTER, method_name="m", arg=b"DIDL", ingress_expiry_ns=expiry, nonce=b"nonce"
    )


def query(identity: Any = USER, expiry: int = NOW) -> Envelope:
    return sign_query(identity, canister_id=CANISTER, method_name="m", arg=b"", ingress_expiry_ns=expiry)


def refuse(env: Envelope, **arguments: Any) -> Reason:
    with pytest.raises(SignatureError) as caught:
        verify_envelope(env, **({"now": NOW} | arguments))
    return caught.value.reason


@pytest.mark.req("ICWS-LIB-016", "ICWS-LIB-017", "ICWS-LIB-018")
@pytest.mark.vectors("envelope")
def test_vectors(vector: dict[str, Any]) -> None:
    canister = vector.get("effective_canister_id")

    def verify() -> VerifiedEnvelope:
        return verify_envelope(
            Envelope.decode(bytes.fromhex(vector["envelope_hex"])),
            now=int(vector["now_ns"]),
            request_type=vector["endpoint"],
            effective_canister_id=None if canister is None else Principal.from_text(canister),
        )

    if vector["expect"] == "accept":
        verified = verify()
        assert verified.request_id.hex() == vector["request_id_hex"]
        assert verified.sender.to_text() == vector["sender"]
    else:
        with pytest.raises(ProtocolViolation):
            verify()


@pytest.mark.req("ICWS-LIB-016")
@pytest.mark.parametrize("identity", [USER, Secp256k1Identity(b"\x02" * 32), P256Identity(b"\x03" * 32)])
def test_signed_envelope_is_accepted_after_a_round_trip(identity: Any) -> None:
    env = Envelope.decode(call(identity).encode())
    verified = verify_envelope(env, now=NOW)
    assert verified.sender == identity.principal
    assert verified.request_id == env.content.request_id
    assert verified.signing_key is not None
    assert verified.signing_key.der == identity.public_key_der


@pytest.mark.req("ICWS-LIB-016")
def test_anonymous_envelope_is_accepted_unsigned() -> None:
    verified = verify_envelope(call(AnonymousIdentity()), now=NOW)
    assert verified.sender.is_anonymous
    assert verified.signing_key is None


@pytest.mark.req("ICWS-LIB-016")
@pytest.mark.parametrize(
    "field", [{"sender_pubkey": USER.public_key_der}, {"sender_sig": bytes(64)}, {"sender_delegation": ()}]
)
def test_anonymous_envelope_with_anything_of_a_signature_is_refused(field: dict[str, Any]) -> None:
    assert refuse(replace(call(AnonymousIdentity()), **field)) is Reason.ANONYMOUS_SIGNED


@pytest.mark.req("ICWS-LIB-016")
@pytest.mark.parametrize("field", ["sender_pubkey", "sender_sig"])
def test_missing_key_or_signature_is_refused(field: str) -> None:
    missing: dict[str, Any] = {field: None}
    assert refuse(replace(call(), **missing)) is Reason.SIGNATURE_MISSING


@pytest.mark.req("ICWS-LIB-016")
def test_sender_of_another_key_is_refused() -> None:
    other = Ed25519Identity(b"\x09" * 32)
    env = call()
    content = replace(env.content, sender=other.principal)
    forged = replace(env, content=content, sender_sig=USER.sign(b"\x0aic-request" + content.request_id))
    assert refuse(forged) is Reason.SENDER_MISMATCH


@pytest.mark.req("ICWS-LIB-016")
@pytest.mark.parametrize(
    "change",
    [
        {"canister_id": Principal(b"\x01")},
        {"method_name": "n"},
        {"arg": b"DIDM"},
        {"ingress_expiry_ns": NOW + 61 * SECOND},
        {"nonce": None},
        {"extra": {"more": 1}},
    ],
)
def test_signature_covers_every_field(change: dict[str, Any]) -> None:
    env = call()
    assert refuse(replace(env, content=replace(env.content, **change))) is Reason.BAD_SIGNATURE


@pytest.mark.req("ICWS-LIB-016")
def test_signature_without_separator_is_refused() -> None:
    env = call()
    assert refuse(replace(env, sender_sig=USER.sign(env.content.request_id))) is Reason.BAD_SIGNATURE


@pytest.mark.req("ICWS-LIB-016")
def test_envelope_of_another_kind_is_refused() -> None:
    assert refuse(query(), request_type="call") is Reason.WRONG_REQUEST_TYPE
    assert refuse(call(), request_type="query") is Reason.WRONG_REQUEST_TYPE
    assert refuse(call(), request_type="read_state") is Reason.WRONG_REQUEST_TYPE


class TestExpiry:
    @pytest.mark.req("ICWS-LIB-017")
    @pytest.mark.parametrize("expiry", [NOW, NOW + 330 * SECOND])
    def test_at_the_bounds_is_accepted(self, expiry: int) -> None:
        verify_envelope(call(expiry=expiry), now=NOW)

    @pytest.mark.req("ICWS-LIB-017")
    @pytest.mark.parametrize(
        ("expiry", "reason"),
        [(NOW - 1, Reason.INGRESS_EXPIRED), (NOW + 330 * SECOND + 1, Reason.INGRESS_EXPIRY_TOO_FAR)],
    )
    @pytest.mark.parametrize("identity", [USER, AnonymousIdentity()])
    def test_beyond_the_bounds_is_refused(self, identity: Any, expiry: int, reason: Reason) -> None:
        assert refuse(call(identity, expiry)) is reason

    @pytest.mark.req("ICWS-LIB-017")
    def test_beyond_a_tighter_bound_is_refused(self) -> None:
        verify_envelope(call(expiry=NOW + 90 * SECOND), now=NOW, max_ttl_ns=90 * SECOND)
        late = call(expiry=NOW + 90 * SECOND + 1)
        assert refuse(late, max_ttl_ns=90 * SECOND) is Reason.INGRESS_EXPIRY_TOO_FAR

    def test_of_anonymous_reading_is_not_looked_at(self) -> None:
        verify_envelope(query(AnonymousIdentity(), expiry=1), now=NOW, request_type="query")
        env = sign_read_state(AnonymousIdentity(), paths=[[b"time"]], ingress_expiry_ns=1)
        verify_envelope(env, now=NOW, request_type="read_state")

    @pytest.mark.req("ICWS-LIB-017")
    def test_of_signed_reading_is(self) -> None:
        assert refuse(query(expiry=NOW - 1), request_type="query") is Reason.INGRESS_EXPIRED


class TestDelegated:
    def identity(self, **fields: Any) -> DelegatedIdentity:
        session = Ed25519Identity(b"\x04" * 32)
        defaults: dict[str, Any] = {"pubkey": session.public_key_der, "expiration_ns": NOW}
        delegation = Delegation(**(defaults | fields))
        return DelegatedIdentity(session, USER.public_key_der, (sign_delegation(USER, delegation),))

    @pytest.mark.req("ICWS-LIB-018")
    def test_signs_for_the_root_of_its_chain(self) -> None:
        verified = verify_envelope(call(self.identity()), now=NOW)
        assert verified.sender == USER.principal
        assert verified.signing_key is not None
        assert verified.signing_key.der != USER.public_key_der

    @pytest.mark.req("ICWS-LIB-018")
    def test_root_may_not_sign_in_place_of_the_last_key(self) -> None:
        env = call(self.identity())
        forged = replace(env, sender_sig=USER.sign(b"\x0aic-request" + env.content.request_id))
        assert refuse(forged) is Reason.BAD_SIGNATURE

    @pytest.mark.req("ICWS-LIB-016")
    def test_chain_left_out_is_refused(self) -> None:
        assert refuse(replace(call(self.identity()), sender_delegation=None)) is Reason.BAD_SIGNATURE

    @pytest.mark.req("ICWS-LIB-018")
    def test_targets_are_those_of_the_call(self) -> None:
        verify_envelope(call(self.identity(targets=(CANISTER,))), now=NOW)
        assert refuse(call(self.identity(targets=(Principal(b"\x01"),)))) is Reason.DELEGATION_TARGET

    @pytest.mark.req("ICWS-LIB-018")
    def test_targets_of_reading_state_need_the_effective_canister(self) -> None:
        identity = self.identity(targets=(CANISTER,))
        env = sign_read_state(identity, paths=[[b"time"]], ingress_expiry_ns=NOW)
        verify_envelope(env, now=NOW, request_type="read_state", effective_canister_id=CANISTER)
        assert refuse(env, request_type="read_state") is Reason.DELEGATION_TARGET

    @pytest.mark.req("ICWS-LIB-018")
    def test_effective_canister_does_not_stand_in_for_the_called_one(self) -> None:
        env = call(self.identity(targets=(Principal(b"\x01"),)))
        assert refuse(env, effective_canister_id=Principal(b"\x01")) is Reason.DELEGATION_TARGET


class CanisterSigner:
    """A canister such as Internet Identity, which signs for its users by certifying what they ask for."""

    def __init__(self, issuer: Any) -> None:
        self.issuer = issuer
        self.key = PublicKey.canister_signature(CANISTER, b"user")

    def sign(self, *messages: bytes) -> list[bytes]:
        leaves = sorted(sha256(message).digest() for message in messages)
        nodes: list[HashTree] = [Labeled(leaf, Leaf(b"")) for leaf in leaves]
        level = nodes[0]
        for node in nodes[1:]:
            level = Fork(level, node)
        tree = Labeled(b"sig", Labeled(sha256(b"user").digest(), level))
        certificate = self.issuer.certificate(self.issuer.certified_data(tree))
        signature = cbor.encode_self_described({"certificate": certificate, "tree": tree_to_value(tree)})
        return [signature for _ in messages]

    def call(self, extra: dict[str, Any] | None = None) -> CallContent:
        return CallContent(CANISTER, "m", b"", self.key.principal, NOW, None, extra or {})


@pytest.fixture
def signer(issuer: Any) -> CanisterSigner:
    return CanisterSigner(issuer)


@pytest.mark.req("ICWS-LIB-019")
class TestCanisterSignatures:
    def envelope(self, signer: CanisterSigner, content: CallContent) -> Envelope:
        (signature,) = signer.sign(b"\x0aic-request" + content.request_id)
        return Envelope(content, signer.key.der, signature)

    def test_request_signed_by_a_canister_is_accepted(self, signer: CanisterSigner) -> None:
        env = self.envelope(signer, signer.call())
        verified = verify_envelope(env, now=NOW, root_key=signer.issuer.root_key)
        assert verified.sender == signer.key.principal

    def test_request_without_a_root_key_is_refused(self, signer: CanisterSigner) -> None:
        assert refuse(self.envelope(signer, signer.call())) is Reason.BAD_PUBLIC_KEY

    def test_session_delegated_by_a_canister_is_accepted(self, signer: CanisterSigner) -> None:
        session = Ed25519Identity(b"\x04" * 32)
        delegation = Delegation(session.public_key_der, NOW)
        (signature,) = signer.sign(b"\x1aic-request-auth-delegation" + delegation.hash())
        identity = DelegatedIdentity(session, signer.key.der, (SignedDelegation(delegation, signature),))
        verified = verify_envelope(call(identity), now=NOW, certificates=signer.issuer.verifier())
        assert verified.sender == signer.key.principal

    def info(self, canister: CanisterSigner, *, signed: bytes = b"\x0eic-sender-infoinfo", **wrong: Any) -> Envelope:
        (sig,) = canister.sign(signed)
        info = {"info": b"info", "signer": CANISTER.raw, "sig": sig} | wrong
        return self.envelope(canister, canister.call({"sender_info": info}))

    def test_sender_info_is_accepted(self, signer: CanisterSigner) -> None:
        verify_envelope(self.info(signer), now=NOW, root_key=signer.issuer.root_key)

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"info": b"other"}, Reason.BAD_SIGNATURE),
            ({"signed": b"info"}, Reason.BAD_SIGNATURE),
            ({"signer": b"\x01"}, Reason.BAD_PUBLIC_KEY),
        ],
    )
    def test_sender_info_that_is_not_the_canisters_is_refused(
        self, signer: CanisterSigner, wrong: dict[str, Any], reason: Reason
    ) -> None:
        assert refuse(self.info(signer, **wrong), root_key=signer.issuer.root_key) is reason

    @pytest.mark.parametrize("info", [b"", {}, {"info": b"", "signer": b""}, [1]])
    def test_sender_info_of_another_shape_is_refused(self, signer: CanisterSigner, info: Any) -> None:
        env = self.envelope(signer, signer.call({"sender_info": info}))
        with pytest.raises(ProtocolViolation):
            verify_envelope(env, now=NOW, root_key=signer.issuer.root_key)

    @pytest.mark.parametrize("identity", [USER, AnonymousIdentity()])
    def test_sender_info_of_other_senders_is_refused(self, identity: Any) -> None:
        info = {"info": b"", "signer": CANISTER.raw, "sig": b""}
        content = CallContent(CANISTER, "m", b"", identity.principal, NOW, None, {"sender_info": info})
        expected = Reason.ANONYMOUS_SIGNED if identity.principal.is_anonymous else Reason.BAD_PUBLIC_KEY
        assert refuse(sign_content(identity, content)) is expected


def test_verified_envelopes_are_made_by_the_verifier_only() -> None:
    with pytest.raises(MisuseError):
        VerifiedEnvelope(call(), bytes(32), USER.principal, None, object())
