"""Canister ranges."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_canister_mock.replica.routing import CanisterRange, RoutingTable, canister_id
from icws_secure.errors import MisuseError
from icws_secure.wire.principal import ANONYMOUS, Principal

A = Principal.self_authenticating(b"a")
B = Principal.self_authenticating(b"b")


def table() -> RoutingTable:
    new = RoutingTable()
    new.add_subnet(A, 100, 199)
    new.add_subnet(B, 200, 299)
    return new


def test_canister_ids_have_the_form_of_the_main_network() -> None:
    assert canister_id(0x8000000000100000).to_text() == "bnz7o-iuaaa-aaaaa-qaaaa-cai"


def test_new_ids_count_up_and_pass_over_ids_that_were_asked_for() -> None:
    routing = table()
    routing.place(canister_id(101), B)
    assert [routing.new_id(A) for _ in range(3)] == [canister_id(100), canister_id(102), canister_id(103)]


def test_id_placed_on_another_subnet_is_cut_out_of_the_ranges() -> None:
    routing = table()
    routing.place(canister_id(150), B)
    assert routing.ranges_of(A) == [
        CanisterRange(canister_id(100), canister_id(149)),
        CanisterRange(canister_id(151), canister_id(199)),
    ]
    assert routing.ranges_of(B) == [
        CanisterRange(canister_id(150), canister_id(150)),
        CanisterRange(canister_id(200), canister_id(299)),
    ]


def test_id_placed_back_restores_the_ranges() -> None:
    routing = table()
    before = routing.ranges_of(A), routing.ranges_of(B)
    routing.place(canister_id(150), B)
    routing.place(canister_id(150), A)
    assert (routing.ranges_of(A), routing.ranges_of(B)) == before


def test_id_outside_of_all_ranges_gets_a_range_of_its_own() -> None:
    routing = table()
    odd = Principal(bytes.fromhex("abcd01"))
    routing.place(odd, A)
    assert routing.subnet_of(odd) == A
    assert CanisterRange(odd, odd) in routing.ranges_of(A)


def test_id_between_two_of_another_subnet_is_refused() -> None:
    between = Principal(canister_id(250).raw[:-2] + b"\x01\x01\x01")
    routing = table()
    with pytest.raises(MisuseError):
        routing.place(between, A)
    assert routing.version == table().version


def test_principal_that_is_no_canister_is_refused() -> None:
    with pytest.raises(MisuseError):
        table().place(ANONYMOUS, A)


@given(st.lists(st.tuples(st.integers(90, 310), st.sampled_from([A, B])), max_size=20))
def test_ranges_are_sorted_disjoint_and_agree_with_the_table(placed: list[tuple[int, Principal]]) -> None:
    routing = table()
    for number, subnet in placed:
        routing.place(canister_id(number), subnet)
    everything = sorted(routing.ranges_of(A) + routing.ranges_of(B))
    assert all(first.high < second.low for first, second in itertools.pairwise(everything))
    for number in range(85, 315):
        owners = {s for s in (A, B) if any(canister_id(number) in r for r in routing.ranges_of(s))}
        expected = routing.subnet_of(canister_id(number))
        assert owners == (set() if expected is None else {expected})
