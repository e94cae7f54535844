"""Delegation chains: vectors, every step on its own, the replica's order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import ProtocolViolation, Reason, SignatureError
from icws_secure.sign import (
    DelegatedIdentity,
    Ed25519Identity,
    Identity,
    P256Identity,
    Secp256k1Identity,
    sign_delegation,
)
from icws_secure.verify import verify_delegations
from icws_secure.wire.envelope import Delegation, SignedDelegation
from icws_secure.wire.principal import Principal

pytestmark = pytest.mark.req("ICWS-LIB-018")

NOW = 1_795_000_000_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
OTHER = Principal(bytes.fromhex("00000000003002200101"))
ROOT = Ed25519Identity(b"\x01" * 32)


def identity(number: int) -> Identity:
    schemes = (Ed25519Identity, Secp256k1Identity, P256Identity)
    return schemes[number % 3](number.to_bytes(32, "big"))


def link(signer: Identity, holder: Identity, **fields: Any) -> SignedDelegation:
    defaults: dict[str, Any] = {"pubkey": holder.public_key_der, "expiration_ns": NOW}
    return sign_delegation(signer, Delegation(**(defaults | fields)))


def chain(length: int, **fields: Any) -> list[SignedDelegation]:
    holders = [ROOT, *(identity(number) for number in range(10, 10 + length))]
    return [link(holders[n], holders[n + 1], **fields) for n in range(length)]


def verify(links: list[SignedDelegation], **arguments: Any) -> bytes:
    defaults: dict[str, Any] = {"now": NOW, "canister": CANISTER, "request_type": "call"}
    return verify_delegations(ROOT.public_key_der, links, **(defaults | arguments)).der


def refuse(links: list[SignedDelegation], **arguments: Any) -> Reason:
    with pytest.raises(SignatureError) as caught:
        verify(links, **arguments)
    return caught.value.reason


@pytest.mark.vectors("delegation")
def test_vectors(vector: dict[str, Any]) -> None:
    links = [
        SignedDelegation(
            Delegation(bytes.fromhex(entry["pubkey_hex"]), int(entry["expiration_ns"])),
            bytes.fromhex(entry["signature_hex"]),
        )
        for entry in vector["delegations"]
    ]
    root = bytes.fromhex(vector["root_public_key_der_hex"])

    def check() -> None:
        verify_delegations(root, links, now=None, canister=None, request_type="call")

    if vector.get("expect", "accept") == "accept":
        check()
    else:
        with pytest.raises(ProtocolViolation):
            check()


def test_no_links_lead_to_the_root_key() -> None:
    assert verify([]) == ROOT.public_key_der


@pytest.mark.parametrize("length", [1, 2, 3, 20])
def test_links_lead_to_the_last_key(length: int) -> None:
    assert verify(chain(length)) == identity(9 + length).public_key_der


def test_chain_made_by_a_delegated_identity_is_accepted() -> None:
    first = identity(10)
    delegated = DelegatedIdentity(first, ROOT.public_key_der, (link(ROOT, first),))
    second = identity(11)
    extended = (*delegated.delegations, link(delegated, second))
    assert verify(list(extended)) == second.public_key_der


def test_twenty_one_links_are_refused() -> None:
    assert refuse(chain(21)) is Reason.DELEGATION_TOO_LONG


@pytest.mark.parametrize("position", [0, 1, 2])
def test_any_expired_link_is_refused(position: int) -> None:
    links = chain(3)
    signer = [ROOT, identity(10), identity(11)][position]
    links[position] = link(signer, identity(10 + position), expiration_ns=NOW - 1)
    assert refuse(links) is Reason.DELEGATION_EXPIRED
    verify(links, now=NOW - 1)


def test_key_twice_is_refused() -> None:
    a, b = identity(10), identity(11)
    assert refuse([link(ROOT, a), link(a, b), link(b, a)]) is Reason.DELEGATION_CYCLE


def test_link_back_to_the_root_is_refused() -> None:
    assert refuse([link(ROOT, identity(10)), link(identity(10), ROOT)]) is Reason.DELEGATION_CYCLE
    assert refuse([link(ROOT, ROOT)]) is Reason.DELEGATION_CYCLE


class TestTargets:
    def test_that_include_the_canister_are_accepted(self) -> None:
        verify(chain(2, targets=(OTHER, CANISTER)))

    def test_of_other_canisters_are_refused(self) -> None:
        assert refuse(chain(1, targets=(OTHER,))) is Reason.DELEGATION_TARGET

    def test_none_at_all_are_refused(self) -> None:
        assert refuse(chain(1, targets=())) is Reason.DELEGATION_TARGET

    @pytest.mark.parametrize("position", [0, 1])
    def test_count_in_every_link(self, position: int) -> None:
        targets = [(CANISTER,), (CANISTER,)]
        targets[position] = (OTHER,)
        a, b = identity(10), identity(11)
        links = [link(ROOT, a, targets=targets[0]), link(a, b, targets=targets[1])]
        assert refuse(links) is Reason.DELEGATION_TARGET

    def test_over_a_thousand_are_refused(self) -> None:
        verify(chain(1, targets=(CANISTER,) * 1000))
        assert refuse(chain(1, targets=(CANISTER,) * 1001)) is Reason.DELEGATION_TARGET

    def test_without_a_canister_to_compare_are_refused(self) -> None:
        verify(chain(1), canister=None)
        assert refuse(chain(1, targets=(CANISTER,)), canister=None) is Reason.DELEGATION_TARGET


class TestPermissions:
    @pytest.mark.parametrize("request_type", ["query", "read_state"])
    def test_for_queries_allow_reading(self, request_type: str) -> None:
        verify(chain(2, permissions="queries"), request_type=request_type)

    def test_for_queries_forbid_calls(self) -> None:
        assert refuse(chain(1, permissions="queries")) is Reason.DELEGATION_PERMISSION

    def test_for_queries_cannot_be_lifted_by_a_later_link(self) -> None:
        a, b = identity(10), identity(11)
        links = [link(ROOT, a, permissions="queries"), link(a, b, permissions="all")]
        assert refuse(links) is Reason.DELEGATION_PERMISSION

    def test_for_all_are_as_none(self) -> None:
        verify(chain(2, permissions="all"))

    @pytest.mark.parametrize("request_type", ["call", "query", "read_state"])
    @pytest.mark.parametrize("permissions", ["", "none", "Queries"])
    def test_that_are_not_known_forbid_everything(self, permissions: str, request_type: str) -> None:
        links = chain(1, permissions=permissions)
        assert refuse(links, request_type=request_type) is Reason.DELEGATION_PERMISSION


class TestSignatures:
    def test_of_the_wrong_key_are_refused(self) -> None:
        assert refuse([link(identity(12), identity(10))]) is Reason.BAD_SIGNATURE

    def test_of_the_root_in_the_second_place_are_refused(self) -> None:
        assert refuse([link(ROOT, identity(10)), link(ROOT, identity(11))]) is Reason.BAD_SIGNATURE

    def test_without_separator_are_refused(self) -> None:
        delegation = Delegation(identity(10).public_key_der, NOW)
        assert refuse([SignedDelegation(delegation, ROOT.sign(delegation.hash()))]) is Reason.BAD_SIGNATURE

    @pytest.mark.parametrize(
        "change",
        [
            {"pubkey": identity(13).public_key_der},
            {"expiration_ns": NOW + 1},
            {"targets": None},
            {"targets": (CANISTER,)},
            {"permissions": "all"},
        ],
    )
    def test_cover_every_field(self, change: dict[str, Any]) -> None:
        good = link(ROOT, identity(10), targets=(CANISTER, OTHER))
        verify([good])
        assert refuse([replace(good, delegation=replace(good.delegation, **change))]) is Reason.BAD_SIGNATURE


@pytest.mark.req("ICWS-LIB-003", "ICWS-LIB-023")
@pytest.mark.parametrize("key", [b"", b"\x30", b"\x30\x2a" + bytes(42)])
def test_key_that_is_no_der_key_is_refused(key: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        verify_delegations(key, [], now=NOW, canister=CANISTER, request_type="call")
    good = link(ROOT, identity(10), pubkey=key)
    with pytest.raises(ProtocolViolation):
        verify([good])


def test_cheap_checks_come_before_signatures() -> None:
    forged = [replace(good, signature=bytes(64)) for good in chain(21)]
    assert refuse(forged) is Reason.DELEGATION_TOO_LONG
    assert refuse(forged[:3], now=NOW + 1) is Reason.DELEGATION_EXPIRED
    assert refuse([forged[0], forged[0]]) is Reason.DELEGATION_CYCLE
