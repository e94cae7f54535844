"""Certificates and delegations, in the eyes of the core's verifier."""

from __future__ import annotations

import pytest

from icws_canister_mock.replica import Canister, ManualClock, RangesForm, Replica, Replied, query, update
from icws_canister_mock.replica.limits import RANGES_PER_SHARD
from icws_canister_mock.replica.routing import canister_id
from icws_secure.errors import CertificateError, Reason
from icws_secure.verify.certificate import CertificateVerifier, VerifiedCertificate
from icws_secure.verify.root_key import RootKey
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.hashtree import ABSENT, UNKNOWN, Found
from icws_secure.wire.principal import Principal

DAY_NS = 86_400_000_000_000


class Certifier(Canister):
    def init(self, arg: bytes) -> None:
        self.value = b"first"
        self.ic.set_certified_data(self.value)

    @update("set")
    def set_value(self, arg: bytes) -> bytes:
        self.value = arg
        self.ic.set_certified_data(arg)
        return b""

    @update("set_and_trap")
    def set_and_trap(self, arg: bytes) -> bytes:
        self.value = arg
        self.ic.set_certified_data(arg)
        self.ic.trap("no")

    @update("set_too_much")
    def set_too_much(self, arg: bytes) -> bytes:
        self.ic.set_certified_data(bytes(33))
        return b""

    @query("certificate")
    def certificate(self, arg: bytes) -> bytes:
        return self.value + b"|" + (self.ic.data_certificate() or b"")


def verify(replica: Replica, certificate: bytes, canister: Principal) -> VerifiedCertificate:
    verifier = CertificateVerifier(RootKey.from_der(replica.root_key_der))
    return verifier.verify(certificate, now=replica.time_ns, canister_id=canister)


def ask(replica: Replica, canister: Principal, form: RangesForm = RangesForm.SHARDED) -> tuple[bytes, bytes]:
    """The canister's own value, and a certificate of its certified data."""
    result = replica.query(canister, "certificate", b"", form=form)
    assert isinstance(result, Replied)
    value, _, certificate = result.arg.partition(b"|")
    return value, certificate


def certified_data(certificate: VerifiedCertificate, canister: Principal) -> object:
    return certificate.lookup((b"canister", canister.raw, b"certified_data"))


@pytest.mark.parametrize("form", [RangesForm.FLAT, RangesForm.SHARDED])
@pytest.mark.parametrize("subnet", ["root", "app", "app2"])
def test_data_certificate_verifies_and_shows_the_state_that_the_query_saw(
    replica: Replica, subnet: str, form: RangesForm
) -> None:
    canister = replica.install(Certifier(), subnet=subnet)
    for value in (b"first", b"second"):
        replica.call(canister, "set", value)
        own, certificate = ask(replica, canister, form)
        assert own == value
        assert certified_data(verify(replica, certificate, canister), canister) == Found(value)


def test_certified_data_of_a_trapped_execution_is_not_certified(replica: Replica) -> None:
    canister = replica.install(Certifier())
    replica.call(canister, "set_and_trap", b"never")
    replica.call(canister, "set_too_much", b"")
    own, certificate = ask(replica, canister)
    assert own == b"first"
    assert certified_data(verify(replica, certificate, canister), canister) == Found(b"first")


def test_certificate_of_one_subnet_does_not_speak_for_another(replica: Replica) -> None:
    here, there = replica.install(Certifier()), replica.install(Certifier(), subnet="app2")
    for form in (RangesForm.FLAT, RangesForm.SHARDED):
        with pytest.raises(CertificateError) as refused:
            verify(replica, ask(replica, here, form)[1], there)
        assert refused.value.reason is Reason.CANISTER_NOT_IN_RANGES


@pytest.mark.parametrize("form", [RangesForm.FLAT, RangesForm.SHARDED])
def test_delegation_shows_the_ranges_in_the_form_that_was_asked_for(replica: Replica, form: RangesForm) -> None:
    canister = replica.install(Certifier())
    certificate = verify(replica, ask(replica, canister, form)[1], canister)
    subnet = replica.subnets["app"].id.raw
    flat = certificate.lookup_in_delegation((b"subnet", subnet, b"canister_ranges"))
    first = canister_id(0x8000000000100000).raw
    sharded = certificate.lookup_in_delegation((b"canister_ranges", subnet, first))
    assert isinstance(flat, Found) == (form is RangesForm.FLAT)
    assert isinstance(sharded, Found) == (form is RangesForm.SHARDED)
    assert UNKNOWN in (flat, sharded)
    assert certificate.lookup_in_delegation((b"subnet", subnet, b"type")) == Found(b"application")


def test_root_subnet_needs_no_delegation(replica: Replica) -> None:
    canister = replica.install(Certifier(), subnet="root")
    assert decode_certificate(ask(replica, canister)[1]).delegation is None


def test_ranges_follow_canisters_that_are_placed_by_name_into_the_right_shard(replica: Replica) -> None:
    # enough holes in the subnet's numbers for several shards
    for hole in range(3 * RANGES_PER_SHARD):
        replica.install(Certifier(), canister_id(0x8000000000100000 + 10 * hole + 5), subnet="app2")
    for number in (0, 77, 10_000):
        canister = replica.install(Certifier(), canister_id(0x8000000000100000 + number))
        for form in (RangesForm.FLAT, RangesForm.SHARDED):
            verify(replica, ask(replica, canister, form)[1], canister)
    moved = canister_id(0x8000000000100000 + 15)
    verify(replica, ask(replica, moved)[1], moved)
    with pytest.raises(CertificateError):
        verify(replica, ask(replica, moved)[1], canister_id(0x8000000000100000))


def test_block_is_signed_once_however_many_certificates_are_asked_for(replica: Replica) -> None:
    canister = replica.install(Certifier())
    first, second = (
        decode_certificate(ask(replica, canister, form)[1]) for form in (RangesForm.FLAT, RangesForm.SHARDED)
    )
    assert first.signature == second.signature
    replica.make_blocks()
    assert decode_certificate(ask(replica, canister)[1]).signature != first.signature


def test_delegation_is_made_anew_before_agents_find_it_too_old(replica: Replica, clock: ManualClock) -> None:
    canister = replica.install(Certifier())
    before = verify(replica, ask(replica, canister)[1], canister).delegation_time_ns
    clock.advance(40 * DAY_NS)
    replica.make_blocks()
    after = verify(replica, ask(replica, canister)[1], canister).delegation_time_ns
    assert before is not None
    assert after is not None
    assert after - before > 39 * DAY_NS


def test_state_proves_what_is_not_there(replica: Replica) -> None:
    canister = replica.install(Certifier())
    state = replica.subnets["app"].state
    delegation = replica.delegations.issue(replica.subnets["app"].id, RangesForm.SHARDED, canister)
    unknown = (b"request_status", bytes(32))
    certificate = verify(replica, state.certificate([unknown], delegation), canister)
    assert certificate.lookup(unknown) is ABSENT
    assert certificate.lookup((b"canister", canister.raw, b"certified_data")) is UNKNOWN
