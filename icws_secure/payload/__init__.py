"""Payload protection: sealed content that gateways, and with vetKD replicas, cannot read.

=================  =================================================================================================
module             what it holds
=================  =================================================================================================
``suites``         names and strengths of the suites, and the choice of one
``container``      COSE_Encrypt0 in its one encoding
``sealing``        one content under one key, with a synthetic nonce
``ratchet``        a key for each message of one direction
``hpke``           the secret of an attach, sealed to a canister's key; that key's rotation
``hop``            the suite ``hpke-x25519``: both directions of a session, across attaches
``room``           the suite ``vetkd-bls12-381``: the members of a room
``room_messages``  what a room's members and their canister say to each other
=================  =================================================================================================
"""

from .hop import HOP_OVERHEAD_BYTES, Direction, HopChannel, HopEnd, HopSession
from .hpke import CanisterKey, KeyRing
from .room import (
    ROOM_OVERHEAD_BYTES,
    Room,
    RoomKeys,
    RoomReceiver,
    RoomSender,
    room_context,
    room_input,
    room_position,
)
from .room_messages import (
    MAX_ROOM_NAME_BYTES,
    RoomDelivery,
    RoomEpoch,
    RoomMessage,
    RoomPost,
    RoomRefusal,
    decode_room_message,
    decode_room_post,
)
from .suites import SuiteName, choose_suite, is_weaker, require_minimum

__all__ = [
    "HOP_OVERHEAD_BYTES",
    "MAX_ROOM_NAME_BYTES",
    "ROOM_OVERHEAD_BYTES",
    "CanisterKey",
    "Direction",
    "HopChannel",
    "HopEnd",
    "HopSession",
    "KeyRing",
    "Room",
    "RoomDelivery",
    "RoomEpoch",
    "RoomKeys",
    "RoomMessage",
    "RoomPost",
    "RoomReceiver",
    "RoomRefusal",
    "RoomSender",
    "SuiteName",
    "choose_suite",
    "decode_room_message",
    "decode_room_post",
    "is_weaker",
    "require_minimum",
    "room_context",
    "room_input",
    "room_position",
]
