"""Which canisters a subnet may speak for, in both forms of its delegation."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import CertificateError, Reason
from icws_secure.wire import cbor
from icws_secure.wire.hashtree import EMPTY, Pruned
from icws_secure.wire.principal import Principal

pytestmark = pytest.mark.req("ICWS-LIB-013")

NOW = 1_795_000_000_000_000_000


def canister(number: int) -> Principal:
    return Principal(number.to_bytes(8, "big") + b"\x01\x01")


LOW, MIDDLE, HIGH = canister(100), canister(150), canister(199)


def authorise(issuer: Any, canister_id: Principal, **tree: Any) -> None:
    delegation = issuer.delegation(issuer.delegation_tree(**tree))
    issuer.verifier().verify(issuer.certificate(delegation=delegation), now=NOW, canister_id=canister_id)


def refuse(issuer: Any, canister_id: Principal, **tree: Any) -> None:
    with pytest.raises(CertificateError) as caught:
        authorise(issuer, canister_id, **tree)
    assert caught.value.reason is Reason.CANISTER_NOT_IN_RANGES
    assert caught.value.requirement == "ICWS-LIB-013"


@pytest.mark.parametrize("form", ["sharded", "single", "both"])
class TestEitherForm:
    def test_both_ends_belong_to_a_range(self, issuer: Any, form: str) -> None:
        listed = issuer.ranges((LOW, HIGH))
        for inside in (LOW, MIDDLE, HIGH):
            authorise(issuer, inside, form=form, ranges=listed, shards={LOW.raw: listed})

    def test_neighbours_do_not(self, issuer: Any, form: str) -> None:
        listed = issuer.ranges((LOW, HIGH))
        for outside in (canister(99), canister(200), Principal(b""), Principal(b"\xff" * 29)):
            refuse(issuer, outside, form=form, ranges=listed, shards={LOW.raw: listed})

    def test_gap_between_ranges_is_refused(self, issuer: Any, form: str) -> None:
        listed = issuer.ranges((LOW, canister(120)), (canister(180), HIGH))
        authorise(issuer, canister(180), form=form, ranges=listed, shards={LOW.raw: listed})
        refuse(issuer, MIDDLE, form=form, ranges=listed, shards={LOW.raw: listed})

    def test_empty_list_authorises_nobody(self, issuer: Any, form: str) -> None:
        refuse(issuer, MIDDLE, form=form, ranges=issuer.ranges(), shards={LOW.raw: issuer.ranges()})

    def test_order_is_that_of_byte_strings(self, issuer: Any, form: str) -> None:
        # A longer principal with a smaller first byte lies below a shorter one with a greater.
        listed = issuer.ranges((Principal(b"\x01"), Principal(b"\x02")))
        shards = {b"\x01": listed}
        authorise(issuer, Principal(b"\x01" + b"\xff" * 28), form=form, ranges=listed, shards=shards)
        refuse(issuer, Principal(b"\x02\x00"), form=form, ranges=listed, shards=shards)

    @pytest.mark.parametrize(
        "value",
        [b"", b"\x00", cbor.encode([1]), cbor.encode([[b"a"]]), cbor.encode([["a", "b"]]), cbor.encode({"a": b"b"})],
    )
    def test_what_cannot_be_read_is_refused(self, issuer: Any, form: str, value: bytes) -> None:
        refuse(issuer, MIDDLE, form=form, ranges=value, shards={LOW.raw: value})


class TestShards:
    def test_second_shard_decides_for_its_canisters(self, issuer: Any) -> None:
        shards = {LOW.raw: issuer.ranges((LOW, LOW)), canister(140).raw: issuer.ranges((canister(140), HIGH))}
        authorise(issuer, LOW, shards=shards)
        authorise(issuer, MIDDLE, shards=shards)

    def test_only_the_covering_shard_counts(self, issuer: Any) -> None:
        # The first shard claims canisters that belong to the second.
        shards = {LOW.raw: issuer.ranges((LOW, HIGH)), canister(140).raw: issuer.ranges((canister(140), canister(141)))}
        refuse(issuer, MIDDLE, shards=shards)

    def test_canister_below_every_label_is_refused(self, issuer: Any) -> None:
        refuse(issuer, LOW, shards={MIDDLE.raw: issuer.ranges((LOW, HIGH))})

    def test_pruned_shard_authorises_nobody(self, issuer: Any) -> None:
        refuse(issuer, MIDDLE, shards={LOW.raw: Pruned(bytes(32))})

    def test_pruned_neighbour_does_not_matter(self, issuer: Any) -> None:
        shards = {LOW.raw: issuer.ranges((LOW, HIGH)), canister(500).raw: Pruned(bytes(32))}
        authorise(issuer, MIDDLE, shards=shards)

    def test_all_shards_pruned_authorises_nobody(self, issuer: Any) -> None:
        refuse(issuer, MIDDLE, shards=Pruned(bytes(32)))

    def test_no_shards_authorises_nobody(self, issuer: Any) -> None:
        refuse(issuer, MIDDLE, shards=EMPTY)

    @pytest.mark.parametrize("shards", [EMPTY, Pruned(bytes(32)), {MIDDLE.raw: Pruned(bytes(32))}])
    def test_older_form_does_not_stand_in_for_shards_that_are_shown(self, issuer: Any, shards: Any) -> None:
        refuse(issuer, MIDDLE, form="both", shards=shards, single=issuer.ranges((LOW, HIGH)))

    def test_shards_decide_where_both_forms_differ(self, issuer: Any) -> None:
        shards = {LOW.raw: issuer.ranges((LOW, MIDDLE))}
        authorise(issuer, MIDDLE, form="both", shards=shards, single=issuer.ranges((canister(1), canister(2))))
        refuse(issuer, HIGH, form="both", shards=shards, single=issuer.ranges((LOW, HIGH)))

    def test_shards_of_another_subnet_do_not_count(self, issuer: Any) -> None:
        tree = dict(issuer.delegation_tree())
        tree[b"canister_ranges"] = {issuer.root.subnet_id.raw: {LOW.raw: issuer.ranges((LOW, HIGH))}}
        certificate = issuer.certificate(delegation=issuer.delegation(tree))
        with pytest.raises(CertificateError) as caught:
            issuer.verifier().verify(certificate, now=NOW, canister_id=MIDDLE)
        assert caught.value.reason is Reason.CANISTER_NOT_IN_RANGES


def test_older_form_pruned_authorises_nobody(issuer: Any) -> None:
    refuse(issuer, MIDDLE, form="single", single=Pruned(bytes(32)))


def test_delegation_without_ranges_serves_its_subnet_and_no_canister(issuer: Any) -> None:
    certificate = issuer.certificate(delegation=issuer.delegation(issuer.delegation_tree(form="none")))
    issuer.verifier().verify(certificate, now=NOW, subnet_id=issuer.subnet.subnet_id)
    refuse(issuer, MIDDLE, form="none")
