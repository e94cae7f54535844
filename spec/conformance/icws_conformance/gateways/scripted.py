"""A canister of ``omnia/1`` that does what a case tells it: forget its queues, remove entries, send a lot.

It shares no code with the canister kit of this project, so a mistake of the kit's does not hide a gateway's.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from icws_canister_mock.replica import Canister, Replica, query, update
from icws_secure.wire import cbor
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    MessageResult,
    OutputMessage,
    decode_get_messages_argument,
    decode_message_argument,
    decode_open_argument,
    encode_close_result,
    encode_get_messages_result,
    encode_message_result,
    encode_open_result,
)
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import TOMBSTONE_CLIENT_KEY, CanisterMessage, message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import Refusal

__all__ = ["ScriptedCanister", "tell"]

PAGE: Final = 50
PAGE_BYTES: Final = 1_500_000
_Entry = tuple[int, ClientKey, bytes]


class ScriptedCanister(Canister):
    """Numbers each gateway's queue from 0, as deployed canisters do, and echoes messages."""

    def init(self, arg: bytes) -> None:
        """Nothing is queued."""
        self.queues: dict[Principal, tuple[_Entry, ...]] = {}
        self.next: dict[Principal, int] = {}
        self.gateways: dict[ClientKey, Principal] = {}
        self.numbers: dict[ClientKey, int] = {}
        self.refuses_opens = False
        self._certify()

    def snapshot(self) -> object:
        """The state; entries are never changed, so the maps are copied and no more."""
        return {name: dict(value) if isinstance(value, dict) else value for name, value in vars(self).items()}

    def restore(self, snapshot: object) -> None:
        """Go back to a state."""
        ic = self.ic
        if isinstance(snapshot, dict):
            copies = {name: dict(value) if isinstance(value, dict) else value for name, value in snapshot.items()}
            self.__dict__ = copies
        self.ic = ic

    @update()
    def ws_open(self, arg: bytes) -> bytes:
        """Open, and say so."""
        if self.refuses_opens:
            return encode_open_result(Refusal("CallerNotAllowed", "as the case wants"))
        argument = decode_open_argument(arg)
        key = ClientKey(self.ic.caller, argument.client_nonce)
        self.gateways[key] = argument.gateway_principal
        self._send(key, b"opened")
        self._certify()
        return encode_open_result()

    @update()
    def ws_message(self, arg: bytes) -> bytes:
        """Echo."""
        message = decode_message_argument(arg)
        if message.client_key in self.gateways:
            self._send(message.client_key, message.content)
            self._certify()
        return encode_message_result(MessageResult())

    @update()
    def ws_close(self, arg: bytes) -> bytes:
        """Nothing comes of it."""
        del arg
        return encode_close_result()

    @update()
    def control(self, arg: bytes) -> bytes:
        """Do what :func:`tell` says."""
        wish = cbor.decode(arg, what="control")
        match wish:
            case {"forget": True}:
                self.queues, self.next = {}, {}
            case {"trim": int(first)}:
                self.queues = {g: tuple(e for e in queue if e[0] >= first) for g, queue in self.queues.items()}
            case {"bury": int(nonce)}:
                self.queues = {
                    g: tuple(
                        (n, TOMBSTONE_CLIENT_KEY, b"") if n == nonce else (n, key, content) for n, key, content in q
                    )
                    for g, q in self.queues.items()
                }
            case {"push": [bytes(principal), int(client_nonce), int(count), int(size)]}:
                key = ClientKey(Principal(principal), client_nonce)
                for number in range(count):
                    self._send(key, b"%d" % number if not size else bytes(size))
            case {"refuse_opens": bool(refuses)}:
                self.refuses_opens = refuses
            case _:
                self.ic.trap("the suite asked for something unknown")
        self._certify()
        return b""

    @query()
    def ws_get_messages(self, arg: bytes) -> bytes:
        """The caller's queue from a number on."""
        first, gateway = decode_get_messages_argument(arg), self.ic.caller
        found = [entry for entry in self.queues.get(gateway, ()) if entry[0] >= first]
        page, size = found[:PAGE], 0
        for index, (_, _, content) in enumerate(page):
            size += len(content)
            if index and size > PAGE_BYTES:
                page = page[:index]
                break
        if not page:
            return encode_get_messages_result(CertifiedMessages((), b"", b"", True))
        keys = [message_key(gateway, nonce) for nonce, _, _ in page]
        messages = tuple(OutputMessage(key, name, content) for name, (_, key, content) in zip(keys, page, strict=True))
        witness = self.tree.witness([(b"websocket", name.encode()) for name in keys])
        certificate = self.ic.data_certificate() or b""
        result = CertifiedMessages(messages, certificate, encode_tree(witness), len(page) == len(found))
        return encode_get_messages_result(result)

    def _send(self, key: ClientKey, content: bytes) -> None:
        number = self.numbers[key] = self.numbers.get(key, 0) + 1
        gateway = self.gateways[key]
        nonce = self.next.get(gateway, 0)
        self.next[gateway] = nonce + 1
        message = CanisterMessage(key, number, self.ic.time_ns, False, content).encode()
        self.queues[gateway] = (*self.queues.get(gateway, ()), (nonce, key, message))

    def _certify(self) -> None:
        leaves = {
            message_key(gateway, nonce).encode(): sha256(content).digest()
            for gateway, queue in self.queues.items()
            for nonce, _, content in queue
        }
        self.tree = MerkleMap.from_items({b"websocket": MerkleMap.from_items(leaves)})
        self.ic.set_certified_data(self.tree.digest())


def tell(replica: Replica, canister: Principal, **wish: object) -> None:
    """Tell a scripted canister what to do.

    Args:
        replica: where it is.
        canister: which.
        wish: one of ``forget=True`` (all queues are gone and count from 0), ``trim=N`` (entries below N are gone),
            ``bury=N`` (entry N becomes a tombstone), ``push=[principal, client nonce, count, size]`` (messages to a
            client; size 0: their numbers), ``refuse_opens=True``.
    """
    replica.call(canister, "control", cbor.encode(wish))
