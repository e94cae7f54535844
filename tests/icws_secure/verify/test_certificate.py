"""The certificate verifier: vectors, every step on its own, caches."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.bls import available_backends, backend
from icws_secure.errors import CertificateError, DecodeError, MisuseError, ProtocolViolation, Reason
from icws_secure.verify import (
    MAINNET_ROOT_KEY,
    AbsentStatus,
    CertificatePolicy,
    CertificateVerifier,
    Rejected,
    Replied,
    RootKey,
    VerifiedCertificate,
    read_request_status,
    verify_witness,
)
from icws_secure.wire.certificate import CertificateDelegation, decode_certificate, encode_certificate
from icws_secure.wire.der import PublicKey
from icws_secure.wire.hashtree import Found, Leaf, Pruned, prune
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

NOW = 1_795_000_000_000_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
FOREIGN = Principal(bytes.fromhex("00000000004002100101"))


def refuse(verifier: CertificateVerifier, certificate: bytes, **arguments: Any) -> CertificateError:
    defaults: dict[str, Any] = {"now": NOW, "canister_id": CANISTER}
    with pytest.raises(CertificateError) as caught:
        verifier.verify(certificate, **(defaults | arguments))
    return caught.value


def found(result: object) -> str:
    return "found" if isinstance(result, Found) else str(getattr(result, "value", result))


@pytest.mark.req("ICWS-LIB-010", "ICWS-LIB-012", "ICWS-LIB-013", "ICWS-LIB-014")
@pytest.mark.vectors("certificate")
@pytest.mark.parametrize("library", ["pyblst", "blspy"])
def test_vectors(vector: dict[str, Any], library: str) -> None:
    if library not in available_backends():
        pytest.skip(f"{library} is not installed")
    root_key = RootKey.from_der(bytes.fromhex(vector["root_key_der_hex"]))
    verifier = CertificateVerifier(root_key, backend=backend(library))
    canister, subnet = (
        Principal.from_text(vector[name]) if name in vector else None for name in ("canister_id", "subnet_id")
    )

    def verify() -> None:
        certificate = verifier.verify(
            bytes.fromhex(vector["certificate_hex"]), now=int(vector["now_ns"]), canister_id=canister, subnet_id=subnet
        )
        if "time_ns" in vector:
            assert certificate.time_ns == int(vector["time_ns"])
        check_lookups(certificate, vector.get("lookups", []))
        if "request_id_hex" in vector:
            check_status(certificate, bytes.fromhex(vector["request_id_hex"]), vector["name"])
        if "witness_tree_hex" in vector:
            assert canister is not None
            witness = verify_witness(certificate, canister, bytes.fromhex(vector["witness_tree_hex"]))
            check_lookups(witness, vector.get("witness_lookups", []))

    if vector["expect"] == "accept":
        verify()
    else:
        with pytest.raises(ProtocolViolation):
            verify()


def check_lookups(verified: Any, lookups: list[dict[str, Any]]) -> None:
    for expected in lookups:
        result = verified.lookup([bytes.fromhex(label) for label in expected["path_hex"]])
        assert found(result) == expected["result"]
        if "value_hex" in expected:
            assert result.value == bytes.fromhex(expected["value_hex"])


def check_status(certificate: VerifiedCertificate, request_id: bytes, name: str) -> None:
    if "reply pruned" in name:
        with pytest.raises(CertificateError) as caught:
            read_request_status(certificate, request_id)
        assert caught.value.reason is Reason.PATH_UNKNOWN
        return
    kinds = {"replied": Replied, "rejected": Rejected, "reject": Rejected, "absent": AbsentStatus}
    assert isinstance(read_request_status(certificate, request_id), kinds[name.split()[-1]])


def test_verified_certificate_says_who_signed_and_when(issuer: Any) -> None:
    certificate = issuer.verifier().verify(issuer.certificate({b"x": b"1"}), now=NOW, canister_id=CANISTER)
    assert certificate.time_ns == NOW - SECOND
    assert certificate.delegation_time_ns == NOW - DAY
    assert certificate.subnet_id == issuer.subnet.subnet_id
    assert certificate.has_delegation
    assert certificate.lookup([b"x"]) == Found(b"1")


def test_certificate_of_the_root_subnet_speaks_for_every_canister(issuer: Any) -> None:
    certificate = issuer.verifier().verify(issuer.root_certificate(), now=NOW, canister_id=FOREIGN)
    assert certificate.subnet_id == issuer.root_key.subnet_id
    assert certificate.delegation_time_ns is None
    assert not certificate.has_delegation


class TestSignature:
    @pytest.mark.req("ICWS-LIB-010")
    def test_of_another_key_is_refused(self, issuer: Any) -> None:
        error = refuse(issuer.verifier(), issuer.certificate(signed_by=issuer.root))
        assert error.reason is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-LIB-010")
    def test_without_domain_separator_is_refused(self, issuer: Any) -> None:
        tree = issuer.tree()
        certificate = encode_certificate(tree, issuer.root.sign(tree, separator=b""))
        assert refuse(issuer.verifier(), certificate).reason is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-LIB-010")
    def test_is_checked_before_the_tree_is_looked_into(self, issuer: Any) -> None:
        tree = issuer.tree(time_ns=None)
        certificate = encode_certificate(tree, issuer.subnet.sign(tree))
        assert refuse(issuer.verifier(), certificate).reason is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-LIB-010")
    def test_of_a_certificate_does_not_cover_another_tree(self, issuer: Any) -> None:
        signed = decode_certificate(issuer.root_certificate())
        spliced = encode_certificate(issuer.tree({b"x": b"1"}), signed.signature)
        assert refuse(issuer.verifier(), spliced).reason is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-LIB-010")
    def test_covers_pruned_trees_too(self, issuer: Any) -> None:
        whole = decode_certificate(issuer.root_certificate({b"a": b"1", b"b": b"2"}))
        pruned = encode_certificate(prune(whole.tree, [[b"time"], [b"b"]]), whole.signature)
        certificate = issuer.verifier().verify(pruned, now=NOW, canister_id=CANISTER)
        assert found(certificate.lookup([b"a"])) == "unknown"
        assert certificate.lookup([b"b"]) == Found(b"2")


class TestDelegation:
    @pytest.mark.req("ICWS-LIB-011")
    def test_of_a_delegation_is_refused(self, issuer: Any) -> None:
        nested = issuer.delegation(inner=issuer.delegation())
        error = refuse(issuer.verifier(), issuer.certificate(delegation=nested))
        assert error.reason is Reason.NESTED_DELEGATION
        assert error.requirement == "ICWS-LIB-011"

    @pytest.mark.req("ICWS-LIB-012")
    def test_not_signed_by_the_root_key_is_refused(self, issuer: Any) -> None:
        forged = issuer.delegation(signed_by=issuer.subnet)
        assert refuse(issuer.verifier(), issuer.certificate(delegation=forged)).reason is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-LIB-012")
    def test_naming_another_subnet_is_refused(self, issuer: Any) -> None:
        other = CertificateDelegation(issuer.root.subnet_id, issuer.delegation().certificate)
        assert refuse(issuer.verifier(), issuer.certificate(delegation=other)).reason is Reason.SUBNET_KEY_MISSING

    @pytest.mark.req("ICWS-LIB-012")
    @pytest.mark.parametrize(
        "key", [b"", b"\x00" * 133, PublicKey.ed25519(bytes(32)).der], ids=["empty", "zeros", "Ed25519"]
    )
    def test_with_something_else_for_a_key_is_refused(self, issuer: Any, key: bytes) -> None:
        delegation = issuer.delegation(issuer.delegation_tree(public_key=key))
        error = refuse(issuer.verifier(), issuer.certificate(delegation=delegation))
        assert error.reason is Reason.SUBNET_KEY_MISSING

    @pytest.mark.req("ICWS-LIB-009")
    def test_with_infinity_for_a_key_is_refused(self, issuer: Any) -> None:
        der = PublicKey.bls(b"\xc0" + bytes(95)).der
        delegation = issuer.delegation(issuer.delegation_tree(public_key=der))
        tree = issuer.tree()
        certificate = encode_certificate(tree, b"\xc0" + bytes(47), delegation)
        assert refuse(issuer.verifier(), certificate).reason is Reason.BAD_BLS_POINT

    @pytest.mark.req("ICWS-LIB-012")
    def test_is_for_exactly_the_subnet_asked_for(self, issuer: Any) -> None:
        verifier = issuer.verifier()
        certificate = issuer.certificate()
        verifier.verify(certificate, now=NOW, subnet_id=issuer.subnet.subnet_id)
        error = refuse(verifier, certificate, canister_id=None, subnet_id=issuer.root.subnet_id)
        assert error.reason is Reason.SUBNET_MISMATCH

    @pytest.mark.req("ICWS-LIB-012")
    def test_is_needed_for_any_subnet_but_the_root(self, issuer: Any) -> None:
        verifier = issuer.verifier()
        certificate = issuer.root_certificate()
        verifier.verify(certificate, now=NOW, subnet_id=issuer.root.subnet_id)
        error = refuse(verifier, certificate, canister_id=None, subnet_id=issuer.subnet.subnet_id)
        assert error.reason is Reason.SUBNET_MISMATCH

    def test_of_null_counts_as_none(self, issuer: Any) -> None:
        tree = issuer.tree()
        plain = encode_certificate(tree, issuer.root.sign(tree))
        assert plain[3] == 0xA2
        with_null = plain[:3] + b"\xa3" + plain[4:] + b"\x6adelegation\xf6"
        assert not issuer.verifier().verify(with_null, now=NOW, canister_id=CANISTER).has_delegation


class TestAge:
    @pytest.mark.req("ICWS-LIB-014")
    @pytest.mark.parametrize("offset", [-300 * SECOND, 0, 300 * SECOND])
    def test_at_the_bounds_is_accepted(self, issuer: Any, offset: int) -> None:
        issuer.verifier().verify(issuer.certificate(time_ns=NOW + offset), now=NOW, canister_id=CANISTER)

    @pytest.mark.req("ICWS-LIB-014")
    @pytest.mark.parametrize(
        ("offset", "reason"),
        [(-300 * SECOND - 1, Reason.CERTIFICATE_STALE), (300 * SECOND + 1, Reason.CERTIFICATE_FROM_FUTURE)],
    )
    def test_beyond_the_bounds_is_refused(self, issuer: Any, offset: int, reason: Reason) -> None:
        assert refuse(issuer.verifier(), issuer.certificate(time_ns=NOW + offset)).reason is reason

    @pytest.mark.req("ICWS-LIB-014")
    @pytest.mark.parametrize("offset", [-30 * DAY - 1, 300 * SECOND + 1])
    def test_of_the_delegation_beyond_the_bounds_is_refused(self, issuer: Any, offset: int) -> None:
        delegation = issuer.delegation(issuer.delegation_tree(time_ns=NOW + offset))
        error = refuse(issuer.verifier(), issuer.certificate(delegation=delegation))
        assert error.reason is Reason.DELEGATION_STALE

    @pytest.mark.req("ICWS-LIB-014")
    @pytest.mark.parametrize("offset", [-30 * DAY, 300 * SECOND])
    def test_of_the_delegation_at_the_bounds_is_accepted(self, issuer: Any, offset: int) -> None:
        delegation = issuer.delegation(issuer.delegation_tree(time_ns=NOW + offset))
        issuer.verifier().verify(issuer.certificate(delegation=delegation), now=NOW, canister_id=CANISTER)

    @pytest.mark.req("ICWS-LIB-014")
    @pytest.mark.parametrize(
        "value", [None, Leaf(b""), Leaf(b"\x80"), Leaf(encode_unsigned(1 << 64)), Pruned(bytes(32))]
    )
    def test_that_is_not_shown_is_refused(self, issuer: Any, value: object) -> None:
        content = {} if value is None else {b"time": value}
        tree = issuer.build(content)
        certificate = encode_certificate(tree, issuer.root.sign(tree))
        assert refuse(issuer.verifier(), certificate).reason is Reason.TIME_MISSING

    @pytest.mark.req("ICWS-LIB-014")
    def test_of_a_delegation_that_is_not_shown_is_refused(self, issuer: Any) -> None:
        delegation = issuer.delegation(issuer.delegation_tree(time_ns=None))
        error = refuse(issuer.verifier(), issuer.certificate(delegation=delegation))
        assert error.reason is Reason.TIME_MISSING

    @pytest.mark.req("ICWS-LIB-014")
    def test_follows_the_policy(self, issuer: Any) -> None:
        verifier = issuer.verifier(policy=CertificatePolicy(max_age_ns=SECOND))
        verifier.verify(issuer.certificate(time_ns=NOW - SECOND), now=NOW, canister_id=CANISTER)
        error = refuse(verifier, issuer.certificate(time_ns=NOW - SECOND - 1))
        assert error.reason is Reason.CERTIFICATE_STALE

    def test_is_ignored_only_under_a_name_that_says_so(self, issuer: Any) -> None:
        certificate = issuer.certificate(time_ns=1)
        verified = issuer.verifier().verify_ignoring_age(certificate, canister_id=CANISTER)
        assert verified.time_ns == 1


class TestCache:
    @pytest.mark.req("ICWS-LIB-015")
    def test_age_is_checked_at_each_use(self, issuer: Any) -> None:
        verifier, certificate = issuer.verifier(), issuer.certificate()
        verifier.verify(certificate, now=NOW, canister_id=CANISTER)
        assert refuse(verifier, certificate, now=NOW + 400 * SECOND).reason is Reason.CERTIFICATE_STALE

    @pytest.mark.req("ICWS-LIB-015")
    def test_canister_is_checked_at_each_use(self, issuer: Any) -> None:
        verifier, certificate = issuer.verifier(), issuer.certificate()
        verifier.verify(certificate, now=NOW, canister_id=CANISTER)
        error = refuse(verifier, certificate, canister_id=FOREIGN)
        assert error.reason is Reason.CANISTER_NOT_IN_RANGES

    @pytest.mark.req("ICWS-LIB-015")
    def test_delegation_age_is_checked_at_each_use(self, issuer: Any) -> None:
        verifier = issuer.verifier()
        verifier.verify(issuer.certificate(), now=NOW, canister_id=CANISTER)
        later = NOW + 31 * DAY
        error = refuse(verifier, issuer.certificate(time_ns=later), now=later)
        assert error.reason is Reason.DELEGATION_STALE

    @pytest.mark.req("ICWS-LIB-015")
    def test_refusals_are_not_remembered_as_successes(self, issuer: Any) -> None:
        verifier, certificate = issuer.verifier(), issuer.certificate(signed_by=issuer.root)
        for _ in range(3):
            assert refuse(verifier, certificate).reason is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-LIB-015")
    def test_one_verifier_knows_nothing_of_another_root_key(self, issuer: Any) -> None:
        issuer.verifier().verify(issuer.root_certificate(), now=NOW, canister_id=CANISTER)
        other = CertificateVerifier(RootKey(issuer.subnet.raw))
        assert refuse(other, issuer.root_certificate()).reason is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-LIB-015")
    def test_signatures_are_verified_once(self, issuer: Any) -> None:
        counting = CountingBackend()
        verifier = issuer.verifier(backend=counting)
        for _ in range(3):
            verifier.verify(issuer.certificate(), now=NOW, canister_id=CANISTER)
        assert counting.verified == 2
        verifier.verify(issuer.certificate({b"x": b"1"}), now=NOW, canister_id=CANISTER)
        assert counting.verified == 3  # the delegation is known

    @pytest.mark.req("ICWS-LIB-015")
    def test_delegation_verified_for_one_subnet_is_not_taken_for_another(self, issuer: Any) -> None:
        verifier = issuer.verifier()
        verifier.verify(issuer.certificate(), now=NOW, canister_id=CANISTER)
        other = CertificateDelegation(issuer.root.subnet_id, issuer.delegation().certificate)
        error = refuse(verifier, issuer.certificate(delegation=other))
        assert error.reason is Reason.SUBNET_KEY_MISSING

    @pytest.mark.req("ICWS-LIB-015")
    def test_is_bounded(self, issuer: Any) -> None:
        counting = CountingBackend()
        verifier = issuer.verifier(backend=counting, cache_entries=2)
        certificates = [issuer.root_certificate({b"n": bytes([n])}) for n in range(3)]
        for certificate in (*certificates, certificates[2], certificates[1]):
            verifier.verify(certificate, now=NOW, canister_id=CANISTER)
        assert counting.verified == 3
        verifier.verify(certificates[0], now=NOW, canister_id=CANISTER)
        assert counting.verified == 4

    def test_of_no_entries_keeps_nothing(self, issuer: Any) -> None:
        counting = CountingBackend()
        verifier = issuer.verifier(backend=counting, cache_entries=0)
        for _ in range(2):
            verifier.verify(issuer.root_certificate(), now=NOW, canister_id=CANISTER)
        assert counting.verified == 2


class CountingBackend:
    name = "counting"

    def __init__(self) -> None:
        self.verified = 0

    def check_public_key(self, public_key: bytes) -> None:
        backend().check_public_key(public_key)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        self.verified += 1
        backend().verify(public_key, message, signature)


class TestRootKey:
    def test_of_the_main_network_has_the_root_subnets_id(self) -> None:
        text = "tdb26-jop6k-aogll-7ltgs-eruif-6kk7m-qpktf-gdiqx-mxtrf-vb5e6-eqe"
        assert MAINNET_ROOT_KEY.subnet_id.to_text() == text
        assert RootKey.from_der(MAINNET_ROOT_KEY.der) == MAINNET_ROOT_KEY

    @pytest.mark.req("ICWS-LIB-022")
    @pytest.mark.parametrize(
        "der",
        [
            b"",
            MAINNET_ROOT_KEY.raw,
            MAINNET_ROOT_KEY.der + b"\x00",
            PublicKey.ed25519(bytes(32)).der,
            PublicKey.webauthn(MAINNET_ROOT_KEY.raw).der,
        ],
        ids=["empty", "raw", "trailing byte", "Ed25519", "WebAuthn"],
    )
    def test_in_another_form_is_misuse(self, der: bytes) -> None:
        with pytest.raises(MisuseError) as caught:
            RootKey.from_der(der)
        assert caught.value.reason is Reason.BAD_PUBLIC_KEY

    @pytest.mark.req("ICWS-LIB-022")
    @pytest.mark.parametrize("raw", [b"", bytes(96), b"\xc0" + bytes(95)], ids=["empty", "zeros", "infinity"])
    def test_that_is_no_point_is_misuse(self, raw: bytes) -> None:
        with pytest.raises(MisuseError):
            RootKey(raw)

    @pytest.mark.req("ICWS-LIB-009", "ICWS-LIB-022")
    def test_outside_the_subgroup_makes_no_verifier(self) -> None:
        with pytest.raises(CertificateError) as caught:
            CertificateVerifier(RootKey(b"\x80" + bytes(94) + b"\x03"))
        assert caught.value.reason is Reason.BAD_BLS_POINT


def test_verified_certificates_are_made_by_the_verifier_only() -> None:
    with pytest.raises(MisuseError):
        VerifiedCertificate("anything")  # type: ignore[arg-type]  # what a careless caller might do


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize("junk", [b"", b"\xd9\xd9\xf7", b"\xa0", b"\x00", b"\xd9\xd9\xf7\xa3" + bytes(40)])
def test_junk_is_a_decode_error(issuer: Any, junk: bytes) -> None:
    with pytest.raises(DecodeError):
        issuer.verifier().verify(junk, now=NOW, canister_id=CANISTER)
