"""The readers of a usual layout beside the general ones: what the first take, the others take, and as the same.

A difference is a fault whoever is right, and is reported as any error is that is not of the project's family. What a
replica says to a gateway is here, too, whose faults are the gateway's own.
"""

from __future__ import annotations

import hashlib

from seeds import CANISTER, CANISTER_MESSAGE, GATEWAY, KEY, NOW, POLL, REFUSAL, TREE_SEEDS
from target import Target

from icws_gateway.pruned_witness import PrunedWitness
from icws_gateway.reply_check import PollRefused, ReplicaFault, ReplyChecker
from icws_gateway.usual_witness import usual_witness
from icws_secure.errors import IcwsError
from icws_secure.wire import hashtree, interface, message
from icws_secure.wire.certificate import encode_certificate
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal
from icws_secure.wire.usual_reply import read_usual_client, usual_reply

__all__ = ["READERS"]


class Different(Exception):  # noqa: N818 - named for what it is
    """Two readers say different things of the same bytes."""


def _messages(count: int) -> tuple[interface.OutputMessage, ...]:
    return tuple(
        interface.OutputMessage(KEY, message.message_key(GATEWAY, number), CANISTER_MESSAGE) for number in range(count)
    )


def _state(count: int) -> MerkleMap:
    leaf = hashlib.sha256(CANISTER_MESSAGE).digest()
    leaves = {item.key.encode(): leaf for item in _messages(count)}
    return MerkleMap.from_items({b"icws": b"x", b"websocket": MerkleMap.from_items(leaves), b"z": b"y"})


def _witness(held: int, shown: int) -> bytes:
    paths = [message.message_path(item.key) for item in _messages(shown)]
    return hashtree.encode_tree(_state(held).witness(paths))


def _poll() -> bytes:
    certified = {CANISTER.raw: MerkleMap.from_items({b"certified_data": _state(9).digest()})}
    state = MerkleMap.from_items({b"canister": MerkleMap.from_items(certified), b"time": encode_unsigned(NOW)})
    shown = state.witness([(b"time",), (b"canister", CANISTER.raw, b"certified_data")])
    certificate = encode_certificate(shown, bytes(48))
    return interface.encode_get_messages_result(
        interface.CertifiedMessages(_messages(5), certificate, _witness(9, 5), False)
    )


def read_poll_both_ways(data: bytes) -> object:
    """Decode the answer to a poll."""
    usual = usual_reply(data)
    if usual is None:
        return interface.decode_get_messages_result(data)
    try:
        general = interface.decode_get_messages_result(data)
    except IcwsError as error:
        raise Different("one reader takes an answer to a poll, the other does not") from error
    messages = tuple(
        interface.OutputMessage(interface.ClientKey(*read_usual_client(client)), key.decode("ascii"), content)
        for key, content, client in usual.messages
    )
    if interface.CertifiedMessages(messages, usual.cert, usual.tree, usual.is_end_of_queue) != general:
        raise Different("an answer to a poll is read in two ways")
    return general


def read_witness_both_ways(data: bytes) -> object:
    """Read a witness and show parts of it."""
    usual = usual_witness(data)
    try:
        tree = hashtree.decode_tree(data)
        hashtree.check_well_formed(tree)
        general = PrunedWitness(data)
    except IcwsError as error:
        if usual is not None:
            raise Different("one reader takes a witness, the other does not") from error
        raise
    if general.digest != tree.digest or (usual is not None and usual.digest != tree.digest):
        raise Different("a witness has two root hashes")
    if usual is None:
        return general
    if usual.messages.keys() != general.messages.keys():
        raise Different("a witness shows two sets of messages")
    for keys in (*([key] for key in usual.messages), list(usual.messages)):
        part = hashtree.encode_tree(hashtree.prune(tree, [(b"websocket", key) for key in keys]))
        for reader in (usual, general):
            if reader.show_leaves([reader.messages[key][0] for key in keys]) != part:
                raise Different("a part of a witness is shown in two ways")
    return usual


def check_reply(data: bytes) -> object:
    """Check the answer to a poll as the gateway does. Its own errors are refusals as good as any."""
    try:
        return ReplyChecker(CANISTER, GATEWAY).check(data)
    except (ReplicaFault, PollRefused) as error:
        return error


_OTHERS = interface.CertifiedMessages(
    (interface.OutputMessage(interface.ClientKey(Principal(b""), 0), "key", b""),), b"c", b"t"
)
_POLLS = (
    _poll(),
    *map(interface.encode_get_messages_result, (POLL, REFUSAL, _OTHERS)),
)

READERS: tuple[Target, ...] = (
    Target("poll-both-ways", read_poll_both_ways, _POLLS),
    Target("witness-both-ways", read_witness_both_ways, (_witness(9, 5), _witness(3, 3), _witness(60, 2), *TREE_SEEDS)),
    Target("gateway-poll", check_reply, _POLLS),
)
