"""What the quick reader of usual witnesses accepts is what the general one accepts, with the same parts."""

from __future__ import annotations

import tracemalloc
from hashlib import sha256

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from icws_gateway.pruned_witness import PrunedWitness
from icws_gateway.usual_witness import UsualWitness, usual_witness
from icws_secure.wire.hashtree import EMPTY, Fork, HashTree, Labeled, Leaf, Pruned, encode_tree
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import message_key, message_path
from icws_secure.wire.principal import Principal

pytestmark = pytest.mark.req("ICWS-GWY-008")

GATEWAYS = [Principal.self_authenticating(name) for name in (b"gateway", b"another", b"and another")]
EARLY = next(g for n in range(99) if (g := Principal.self_authenticating(b"%d" % n)).to_text() < "websocket")
LATE = next(g for n in range(99) if (g := Principal.self_authenticating(b"%d" % n)).to_text() > "websocket")
HIDDEN = Pruned(bytes(range(32)))


def key_of(nonce: int, gateway: Principal = GATEWAYS[0]) -> bytes:
    return message_key(gateway, nonce).encode()


def hash_of(nonce: int) -> bytes:
    return sha256(b"%d" % nonce).digest()


def message_of(nonce: int, gateway: Principal = GATEWAYS[0]) -> Labeled:
    return Labeled(key_of(nonce, gateway), Leaf(hash_of(nonce)))


def state(held: int, *, others: int = 0, **beside: bytes) -> MerkleMap:
    """A canister with messages in its queue, some for other gateways, and other certified data beside them."""
    leaves = {key_of(nonce): hash_of(nonce) for nonce in range(held)}
    leaves |= {key_of(nonce, gateway): bytes(32) for nonce in range(others) for gateway in GATEWAYS[1:]}
    items = {name.encode(): value for name, value in beside.items()}
    return MerkleMap.from_items({**items, b"websocket": MerkleMap.from_items(leaves)})


def poll(tree: MerkleMap, first: int, count: int) -> bytes:
    return encode_tree(tree.witness([(b"websocket", key_of(nonce)) for nonce in range(first, first + count)]))


def assert_alike(found: UsualWitness, data: bytes) -> None:
    """Root hash, messages and all parts are those of the general reader."""
    general = PrunedWitness(data)
    assert found.digest == general.digest
    assert {key: value for key, (_, value) in found.messages.items()} == {
        key: value for key, (_, value) in general.messages.items()
    }
    keys = sorted(found.messages)
    for wanted in (*([key] for key in keys), keys, keys[::2], keys[1::3], keys[:2]):
        if wanted:
            part = found.show_leaves([found.messages[key][0] for key in wanted])
            assert part == general.show_leaves([general.messages[key][0] for key in wanted])


@pytest.mark.parametrize(
    "beside", [{}, {"assets": b"a"}, {"zebra": b"z"}, {"assets": b"a", "icws": b"i", "zebra": b"z"}]
)
@pytest.mark.parametrize("others", [0, 7])
@pytest.mark.parametrize(
    ("held", "first", "count"), [(1, 0, 1), (50, 0, 50), (300, 0, 50), (300, 113, 50), (300, 250, 50)]
)
def test_every_poll_of_a_canister_is_usual(
    held: int, first: int, count: int, others: int, beside: dict[str, bytes]
) -> None:
    data = poll(state(held, others=others, **beside), first, count)
    found = usual_witness(data)
    assert found is not None
    assert set(found.messages) == {key_of(nonce) for nonce in range(first, first + count)}
    assert_alike(found, data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_messages_of_a_queue_are_shown_alike(data: st.DataObject) -> None:
    tree = state(data.draw(st.integers(1, 120)), others=data.draw(st.integers(0, 3)), icws=b"x")
    nonces = data.draw(st.sets(st.integers(0, 130), min_size=1, max_size=60))  # some of them absent
    witness = encode_tree(
        tree.witness([message_path(key_of(nonce).decode()) for nonce in nonces]),
        self_described=data.draw(st.booleans()),
    )
    found = usual_witness(witness)
    if found is not None:
        assert_alike(found, witness)
        wanted = data.draw(st.lists(st.sampled_from(sorted(found.messages)), min_size=1, unique=True))
        general = PrunedWitness(witness)
        assert found.show_leaves([found.messages[key][0] for key in wanted]) == general.show_leaves(
            [general.messages[key][0] for key in wanted]
        )


USUAL = encode_tree(
    Fork(
        Fork(HIDDEN, Labeled(b"websocket", Fork(Fork(message_of(1), HIDDEN), Fork(message_of(2), message_of(3))))),
        HIDDEN,
    )
)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_no_other_bytes_are_read_in_another_way(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(USUAL)))
    changed = USUAL[:at] + data.draw(st.binary(max_size=3)) + USUAL[at + data.draw(st.integers(0, 2)) :]
    found = usual_witness(changed)
    if found is not None:
        assert_alike(found, changed)


NODES = st.recursive(
    st.integers(0, 5).map(message_of)
    | st.integers(0, 5).map(lambda nonce: Labeled(key_of(nonce), HIDDEN))
    | st.just(HIDDEN)
    | st.sampled_from([EMPTY, Leaf(bytes(32)), Labeled(b"websocket", Leaf(bytes(32)))]),
    lambda below: st.builds(Fork, below, below) | st.builds(Labeled, st.sampled_from([b"websocket", b"other"]), below),
    max_leaves=10,
)


@settings(max_examples=1_000, deadline=None)
@given(NODES)
@example(Fork(Labeled(b"websocket", message_of(1)), Labeled(b"websocket", message_of(2))))  # twice
@example(Labeled(b"websocket", Fork(message_of(2), message_of(1))))  # out of order
@example(Labeled(b"websocket", Fork(message_of(1), message_of(1))))
@example(Labeled(b"websocket", Labeled(b"websocket", message_of(1))))
@example(Labeled(b"websocket", Fork(Fork(message_of(1), message_of(3)), message_of(2))))
@example(Labeled(b"websocket", Fork(message_of(2), Fork(message_of(1), message_of(3)))))
@example(Fork(message_of(1, EARLY), Labeled(b"websocket", message_of(2))))  # outside, to either side
@example(Fork(Labeled(b"websocket", message_of(2)), Fork(HIDDEN, message_of(1, LATE))))
@example(Fork(Labeled(b"websocket", HIDDEN), message_of(1, LATE)))
@example(Fork(Fork(Labeled(b"websocket", message_of(1)), HIDDEN), Pruned(bytes(32))))
@example(Labeled(b"websocket", Fork(Labeled(key_of(1), HIDDEN), message_of(2))))
@example(Labeled(b"websocket", Fork(HIDDEN, HIDDEN)))
@example(message_of(1))
def test_whatever_tree_is_accepted_is_read_as_generally(tree: HashTree) -> None:
    data = encode_tree(tree)
    found = usual_witness(data)
    if found is not None:
        assert found.messages
        assert_alike(found, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x83\x01",
        b"\x83\x02\x49websocket",
        USUAL + b"\x82\x04\x58\x20" + bytes(32),
        USUAL[:-1],
        USUAL[3:-36],
        b"\xd9\xd9\xf7\x83\x01" + USUAL[3:],
        b"\x83\x01" * 300_000,
        (b"\x83\x02\x58\x54" + bytes(84)) * 5_000,
        encode_tree(Labeled(b"websocket", Leaf(bytes(32)))),
        encode_tree(Labeled(b"websocket", EMPTY)),
    ],
)
def test_what_is_no_usual_witness_is_left_to_the_general_reader(data: bytes) -> None:
    assert usual_witness(data) is None


def test_a_flood_of_nodes_takes_no_memory() -> None:
    flood = b"\x83\x01" * 300_000
    tracemalloc.start()
    try:
        assert usual_witness(flood) is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_tree_of_many_nodes_is_left_to_the_general_reader() -> None:
    assert usual_witness(poll(state(400), 0, 200)) is not None
    assert usual_witness(poll(state(400), 0, 300)) is None


def test_the_deepest_tree_that_it_reads() -> None:
    tree: HashTree = message_of(1)
    for _ in range(255):
        tree = Fork(HIDDEN, tree)
    data = encode_tree(Labeled(b"websocket", tree))
    found = usual_witness(data)
    assert found is not None
    assert_alike(found, data)
