"""Hand-made mutants of payload protection."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant, handmade, patch

__all__ = ["EXCEPTIONS", "MUTANTS"]

MUTANTS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-PAY-002",
        "other-bytes-the-second-time",
        "A message that is sent again has other bytes under its number.",
        "client:payload/sealed-once",
        patch(
            "icws_secure.session.client.sending",
            "if entry.envelope is None or entry.envelope.content.ingress_expiry_ns < core.ic + _REUSE_MARGIN_NS:",
            "if True:",
        ),
        patch(
            "icws_secure.session.client.sending",
            "argument = encode_message_argument(entry.message)",
            "from dataclasses import replace\n"
            "            again = entry.message.content + bytes(entry.attempts)\n"
            "            argument = encode_message_argument(replace(entry.message, content=again))",
        ),
    ),
    handmade(
        "ICWS-PAY-003",
        "reads-what-is-not-sealed",
        "A client takes a message in the clear under an agreed suite.",
        "client:payload/unsealed-from-the-canister",
        patch(
            "icws_secure.session.client.payload",
            "        before = self._keys()\n        self._hop, data",
            "        if content[:1] != b'\\x83':\n            return content\n"
            "        before = self._keys()\n        self._hop, data",
        ),
    ),
    handmade(
        "ICWS-PAY-012",
        "takes-what-is-offered",
        "A client that asked for protection goes on without.",
        "client:payload/nothing-offered",
        patch(
            "icws_secure.session.client.payload",
            "choose_suite(parameters.suites, minimum=self._minimum,",
            "choose_suite(parameters.suites, minimum=SuiteName.NONE,",
        ),
    ),
    handmade(
        "ICWS-PAY-013",
        "keeps-the-key-it-knows",
        "A client does not ask for the canister's new key.",
        "client:payload/key-rotated",
        patch(
            "icws_secure.session.client.opening",
            "if refusal.code == RefusalCode.UNKNOWN_KEY and self._core.is_secure:",
            "if False:",
        ),
    ),
    handmade(
        "ICWS-PAY-002",
        "number-sealed-twice",
        "Seals two texts under one number.",
        "vectors:hop_streams-13",
        patch("icws_secure.payload.hop", "or seq < self._sending.position", "or seq < 0"),
        patch("icws_secure.payload.ratchet", "if number < start:", "if number < 0:"),
    ),
    handmade(
        "ICWS-PAY-004",
        "secret-not-bound-to-attach",
        "Binds the secret of an attach to no attach.",
        "vectors:payloads-1",
        patch(
            "icws_secure.payload.hop",
            "            attach,\n            SuiteName.HPKE.value,",
            "            0,\n            SuiteName.HPKE.value,",
        ),
    ),
    handmade(
        "ICWS-PAY-007",
        "content-not-bound-to-its-number",
        "Seals content for a direction and for no number.",
        "vectors:payloads-1",
        patch("icws_secure.payload.hop", "direction.value, seq])", "direction.value, 0])"),
    ),
    handmade(
        "ICWS-PAY-009",
        "room-key-without-canister-epoch",
        "Asks for a room's key without the epoch of the canister.",
        "vectors:payloads-19",
        patch(
            "icws_secure.payload.room",
            "cbor.encode([canister_epoch, room, room_epoch])",
            "cbor.encode([0, room, room_epoch])",
        ),
    ),
    handmade(
        "ICWS-PAY-010",
        "older-room-epoch",
        "Takes an older epoch of a room for one whose key is not at hand.",
        "vectors:room_streams-10",
        patch(
            "icws_secure.payload.room", "if min(epoch, sealed_epoch) < ours.epoch:", "if min(epoch, sealed_epoch) < 0:"
        ),
    ),
    handmade(
        "ICWS-PAY-013",
        "old-keys-for-ever",
        "Accepts a replaced key for ever.",
        "vectors:key_rings-4",
        patch(
            "icws_secure.payload.hpke",
            "if key.key_id == key_id and (key.forget_at_ns is None or now < key.forget_at_ns):",
            "if key.key_id == key_id:",
        ),
    ),
)

EXCEPTIONS: Final[dict[str, str]] = {}
