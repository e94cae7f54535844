"""A replica that lies on request: each lie is one that a verifier tells from the truth, for its own reason."""

from __future__ import annotations

from enum import Enum

import pytest

from icws_canister_mock.canister.samples import Echo
from icws_canister_mock.replica import Replica, ReplicaConfig
from icws_canister_mock.replica.forge import forge_for
from icws_secure.errors import CertificateError, MisuseError, Reason
from icws_secure.limits import NS_PER_S
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.request_status import Replied, read_request_status
from icws_secure.verify.root_key import RootKey
from icws_secure.wire.hashtree import Found
from icws_secure.wire.principal import Principal

DATA = bytes(range(32))
DAY_NS = 86_400 * NS_PER_S


class Whose(Enum):
    OWN = "own"
    OTHER = "other"
    NOBODY = "nobody"
    SELF_DELEGATED = "self-delegated"
    UNKNOWN = "unknown"


@pytest.fixture
def replica() -> Replica:
    return Replica(ReplicaConfig(seed=bytes(32)))


@pytest.fixture
def canister(replica: Replica) -> Principal:
    return replica.install(Echo())


def verifier(replica: Replica) -> CertificateVerifier:
    return CertificateVerifier(RootKey.from_der(replica.root_key_der))


def test_the_own_subnet_can_say_anything(replica: Replica, canister: Principal) -> None:
    forge = forge_for(replica)
    raw = forge.certificate(canister_id=canister, certified_data=DATA, time_ns=forge.now(), subnet=Whose.OWN)
    verified = verifier(replica).verify(raw, now=forge.now(), canister_id=canister)
    assert verified.lookup([b"canister", canister.raw, b"certified_data"]) == Found(DATA)


@pytest.mark.parametrize(
    ("whose", "reason"),
    [
        (Whose.OTHER, Reason.CANISTER_NOT_IN_RANGES),
        (Whose.NOBODY, Reason.BAD_BLS_SIGNATURE),
        (Whose.SELF_DELEGATED, Reason.BAD_BLS_SIGNATURE),
    ],
)
def test_others_are_refused(replica: Replica, canister: Principal, whose: Whose, reason: Reason) -> None:
    forge = forge_for(replica)
    raw = forge.certificate(canister_id=canister, certified_data=DATA, time_ns=forge.now(), subnet=whose)
    with pytest.raises(CertificateError) as refused:
        verifier(replica).verify(raw, now=forge.now(), canister_id=canister)
    assert refused.value.reason is reason


def test_an_old_delegation_is_refused_for_its_age(replica: Replica, canister: Principal) -> None:
    forge = forge_for(replica)
    raw = forge.certificate(
        canister_id=canister,
        certified_data=DATA,
        time_ns=forge.now(),
        subnet=Whose.OWN,
        delegation_age_ns=40 * DAY_NS,
    )
    with pytest.raises(CertificateError) as refused:
        verifier(replica).verify(raw, now=forge.now(), canister_id=canister)
    assert refused.value.reason is Reason.DELEGATION_STALE


def test_a_receipt_shows_what_it_is_told(replica: Replica, canister: Principal) -> None:
    forge = forge_for(replica)
    raw = forge.receipt(
        canister_id=canister,
        request_id=DATA,
        status={"status": b"replied", "reply": b"yes"},
        time_ns=forge.now(),
        subnet=Whose.OWN,
    )
    verified = verifier(replica).verify(raw, now=forge.now(), canister_id=canister)
    assert read_request_status(verified, DATA) == Replied(b"yes")


def test_the_same_seed_forges_for_a_replica_elsewhere(replica: Replica, canister: Principal) -> None:
    elsewhere = forge_for(Replica(ReplicaConfig(seed=bytes(32))))
    raw = elsewhere.certificate(canister_id=canister, certified_data=DATA, time_ns=elsewhere.now(), subnet=Whose.OWN)
    verifier(replica).verify(raw, now=elsewhere.now(), canister_id=canister)


def test_what_cannot_be_forged_is_misuse(replica: Replica, canister: Principal) -> None:
    forge = forge_for(replica)
    with pytest.raises(MisuseError):
        forge.certificate(canister_id=canister, certified_data=DATA, time_ns=0, subnet=Whose.UNKNOWN)
    nowhere = Principal(b"\xff" * 8 + b"\x01\x01")
    with pytest.raises(MisuseError):
        forge.certificate(canister_id=nowhere, certified_data=DATA, time_ns=0, subnet=Whose.OWN)
