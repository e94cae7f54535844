"""Hand-made mutants of clients."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant, handmade, patch

__all__ = ["EXCEPTIONS", "MUTANTS"]

_SESSION: Final = "icws_secure.session.client"

MUTANTS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-CLT-001",
        "registers-itself",
        "The session key signs its own registration, so that it belongs to nobody.",
        "client:registering/keys-kept-apart",
        patch(
            f"{_SESSION}.registering",
            "self._request = RegistrationRequest(owner.principal,",
            "owner = core.identity\n        self._request = RegistrationRequest(owner.principal,",
        ),
    ),
    handmade(
        "ICWS-CLT-002",
        "takes-the-answer-to-any-call",
        "A certified answer to any call is taken for the one to ws_register.",
        "client:registering/of-another-call",
        patch(
            f"{_SESSION}.calls",
            "status = read_request_status(verified, call.request_id)",
            "from ...wire.hashtree import list_labels\n"
            "        shown = list_labels(verified.tree, (b'request_status',))\n"
            "        wanted = shown[0] if call.strict else call.request_id\n"
            "        status = read_request_status(verified, wanted)",
        ),
        patch(f"{_SESSION}.calls", "request_id=call.request_id\n            )", "request_id=wanted\n            )"),
    ),
    handmade(
        "ICWS-CLT-002",
        "takes-any-subnets-word",
        "The registration's certificate is verified for no canister in particular.",
        "client:registering/by-another-subnet",
        patch(
            "icws_secure.verify.certificate",
            "        if canister_id is not None:\n            verified.require_canister(canister_id)\n",
            "",
        ),
    ),
    handmade(
        "ICWS-CLT-003",
        "forgets-the-delegation",
        "The session is asked for beyond the end of the owner's delegation.",
        "client:registering/delegated-owner",
        patch(
            f"{_SESSION}.registering",
            "chain = None if core.owner is None else expires_at_ns(core.owner)",
            "chain = None",
        ),
    ),
    handmade(
        "ICWS-CLT-006",
        "one-key-for-all",
        "Every session has the same key.",
        "client:manners/fresh-session-keys",
        patch(f"{_SESSION}.restoring", "Ed25519Identity(entropy(_SEED_BYTES))", "Ed25519Identity(bytes(_SEED_BYTES))"),
    ),
    handmade(
        "ICWS-CLT-012",
        "opens-for-five-minutes",
        "The envelope of ws_open lives for five minutes.",
        "client:opening/signature-and-expiry",
        patch(f"{_SESSION}.opening", "argument, core.config.open_ttl_ns)", "argument, 300 * NS_PER_S)"),
    ),
    handmade(
        "ICWS-CLT-013",
        "one-number-for-all-opens",
        "Every open has the attach number 1.",
        "client:opening/numbers-and-key",
        patch(f"{_SESSION}.opening", "core.attach += 1", "core.attach = 1"),
    ),
    handmade(
        "ICWS-CLT-013",
        "a-client-key-for-each-open",
        "Every open draws a client key of its own.",
        "client:opening/numbers-and-key",
        patch(
            f"{_SESSION}.opening",
            "        argument = open_argument(\n            core.client_key,\n",
            "        core.client_key = type(core.client_key)(core.identity.principal, core.attach)\n"
            "        core.outbox.client_key = core.client_key\n"
            "        argument = open_argument(\n            core.client_key,\n",
        ),
    ),
    handmade(
        "ICWS-CLT-020",
        "takes-any-size",
        "Nothing bounds the size of a witness.",
        "client:messages/large-witness",
        patch("icws_secure.limits", "MAX_WITNESS_BYTES: Final = 1 << 20", "MAX_WITNESS_BYTES: Final = 1 << 22"),
    ),
    handmade(
        "ICWS-CLT-021",
        "obeys-before-it-verifies",
        "A close message is obeyed before its frame is verified.",
        "client:messages/close-that-is-not-certified",
        patch(
            f"{_SESSION}.receiving",
            "        # [ICWS-CLT-021] [ICWS-CLT-033]",
            "        from ...wire.message import decode_message\n"
            "        for item in messages:\n"
            "            peeked = decode_message(item.content) if item.content else None\n"
            "            if peeked is not None and peeked.is_service_message and peeked.sequence_num:\n"
            "                word = decode_service_message(peeked.content)\n"
            "                if isinstance(word, CloseMessage):\n"
            "                    raise end_of_close_message(word)\n"
            "        # [ICWS-CLT-021] [ICWS-CLT-033]",
        ),
    ),
    handmade(
        "ICWS-CLT-022",
        "asks-for-no-age",
        "Certificates of messages may be of any time.",
        "client:messages/old-certificate",
        patch(
            "icws_secure.verify.message",
            "verifier.verify(certificate, now=now, canister_id=source.canister_id)",
            "verifier.verify_ignoring_age(certificate, canister_id=source.canister_id)",
        ),
    ),
    handmade(
        "ICWS-CLT-024",
        "looks-elsewhere",
        "Where the key is not in the witness, the leaf at the label is taken.",
        "client:messages/leaf-at-the-label",
        patch(
            "icws_secure.verify.message",
            "        if not isinstance(leaf, Found):\n",
            "        if not isinstance(leaf, Found):\n"
            "            leaf = witness.lookup((MESSAGES_LABEL,))\n"
            "        if not isinstance(leaf, Found):\n",
        ),
    ),
    handmade(
        "ICWS-CLT-032",
        "ends-the-session",
        "A frame that does not verify ends the session.",
        "client:messages/good-after-bad",
        patch(
            f"{_SESSION}.machine",
            "            if isinstance(error, Gone):\n",
            "            if isinstance(error, ProtocolViolation):\n"
            "                self._end(error)\n"
            "                return\n"
            "            if isinstance(error, Gone):\n",
        ),
    ),
    handmade(
        "ICWS-CLT-032",
        "goes-on-after-a-failure",
        "What follows a frame that does not verify is delivered.",
        "client:messages/good-after-bad",
        patch(
            f"{_SESSION}.machine",
            "            if attachment is not None:\n                self._lose(attachment, error, self._evidence(",
            "            if attachment is not None and not isinstance(error, ProtocolViolation):\n"
            "                self._lose(attachment, error, self._evidence(",
        ),
    ),
    handmade(
        "ICWS-CLT-033",
        "delivers-one-by-one",
        "The first message of a frame is delivered before the second is verified.",
        "client:messages/second-of-a-frame",
        patch(
            f"{_SESSION}.receiving",
            "        for item in verified:\n",
            "        for item in (verified[0],) if len(messages) == 1 else map(one, messages):\n",
        ),
        patch(
            f"{_SESSION}.receiving",
            "        verified = verify_messages(messages, cert",
            "        def one(message: KeyedContent) -> VerifiedMessage:\n"
            "            return verify_messages(\n"
            "                [message], cert, tree, verifier=core.verifier, source=source, now=core.ic\n"
            "            )[0]\n\n"
            "        verified = verify_messages(messages[:1], cert",
        ),
    ),
    handmade(
        "ICWS-CLT-036",
        "overlooks-what-it-does-not-expect",
        "A service message that is out of place is passed over.",
        "client:messages/keep-alive-from-the-canister",
        patch(
            f"{_SESSION}.receiving",
            "            # [ICWS-CLT-036]\n            raise _misplaced(incoming.message)",
            "            self._commit(incoming)",
        ),
    ),
    handmade(
        "ICWS-CLT-041",
        "takes-acceptance-for-execution",
        "A message is reported as executed when the canister has accepted it.",
        "client:sending/accepted",
        patch(
            f"{_SESSION}.settlement",
            "            elif entry.seq <= self.executed_through:\n                self._settle_executed(entry)",
            "            else:\n                self._tell(entry, SendExecuted)\n                outbox.drop(entry)",
        ),
    ),
    handmade(
        "ICWS-CLT-042",
        "claims-without-a-head",
        "A message is reported as not executed when its calls are absent, whatever became of its number.",
        "client:sending/given-up-without-a-head",
        patch(f"{_SESSION}.proving", "entry.is_void and not core.is_secure:", "entry.is_void:"),
    ),
    handmade(
        "ICWS-CLT-042",
        "takes-the-end-for-a-proof",
        "When the canister closes, a message that it has accepted is reported as not executed.",
        "client:sending/closed-while-it-runs",
        patch(
            f"{_SESSION}.settlement",
            "entry.was_sent and entry.seq >= head.next_in:",
            "entry.was_sent and entry.seq > head.executed_through:",
        ),
    ),
    handmade(
        "ICWS-CLT-043",
        "sends-for-five-minutes",
        "The envelopes of messages live for five minutes.",
        "client:sending/expiry",
        patch(
            f"{_SESSION}.sending",
            'core.sign_call("ws_message", argument, core.config.message_ttl_ns)',
            'core.sign_call("ws_message", argument, 300 * NS_PER_S)',
        ),
    ),
    handmade(
        "ICWS-CLT-043",
        "other-bytes-the-second-time",
        "A message that is sent again has other content under its number.",
        "client:sending/again-by-the-next-gateway",
        patch(
            f"{_SESSION}.sending",
            "if entry.envelope is None or entry.envelope.content.ingress_expiry_ns < core.ic + _REUSE_MARGIN_NS:",
            "if True:",
        ),
        patch(
            f"{_SESSION}.sending",
            "argument = encode_message_argument(entry.message)",
            "from dataclasses import replace\n"
            "            again = entry.message.content + bytes(entry.attempts)\n"
            "            argument = encode_message_argument(replace(entry.message, content=again))",
        ),
    ),
    handmade(
        "ICWS-CLT-044",
        "blames-without-asking",
        "A gateway is left when a receipt is late, and the IC is not asked.",
        "client:sending/no-receipt",
        patch(
            f"{_SESSION}.receipts",
            "submission.receipt_due <= self._core.now:\n                self._ask(submission)",
            'submission.receipt_due <= self._core.now:\n                raise _stalled("no receipt came in time")',
        ),
    ),
    handmade(
        "ICWS-CLT-046",
        "takes-forgetting-for-absence",
        "A call that the IC may have forgotten counts as one that never ran.",
        "client:sending/given-up-and-forgotten",
        patch(
            f"{_SESSION}.outbox",
            "if time_ns > carrier.sent_ns + STATUS_KEPT_NS - MAX_CLOCK_SKEW_NS:",
            "if False:",
        ),
    ),
    handmade(
        "ICWS-CLT-050",
        "watches-nothing",
        "Silence of acknowledgements and of all else is never noticed.",
        "client:state/nothing-certified",
        patch(
            f"{_SESSION}.watching",
            "        due = self._due()\n        # [ICWS-CLT-050]",
            "        due = None\n        # [ICWS-CLT-050]",
        ),
    ),
    handmade(
        "ICWS-CLT-050",
        "waits-for-the-attach-for-ever",
        "An open that is not answered has no deadline.",
        "client:sending/silence-at-ws-open",
        patch(
            f"{_SESSION}.opening",
            "attachment.deadline = core.now + core.config.attach_timeout_ns",
            "attachment.deadline = None",
        ),
    ),
    handmade(
        "ICWS-CLT-051",
        "covers-what-was-received",
        "A keep-alive covers what was received, whether the application took it or not.",
        "client:state/covers-what-was-taken",
        patch(
            f"{_SESSION}.sending",
            "KeepAliveMessage(core.inbound.taken_through)",
            "KeepAliveMessage(core.inbound.received_through)",
        ),
    ),
    handmade(
        "ICWS-CLT-070",
        "resumes-after-what-was-received",
        "A resume starts after what was received, whether the application took it or not.",
        "client:state/resumes-what-was-not-taken",
        patch(f"{_SESSION}.inbound", "return self.taken_through + 1", "return self.received_through + 1"),
    ),
    handmade(
        "ICWS-CLT-074",
        "a-key-that-everybody-knows",
        "Saved sessions are encrypted under a key that is not the user's.",
        "client:saved/another-key",
        patch("icws_client.persistence", ".derive(self._master_key())", ".derive(bytes(KEY_BYTES))"),
    ),
    handmade(
        "ICWS-CLT-074",
        "plain-text-on-the-disk",
        "Saved sessions are written as they are.",
        "client:saved/nothing-to-read",
        patch(
            "icws_client.persistence",
            "        return header + nonce + ChaCha20Poly1305(self._save_key(header)).encrypt(nonce, state, header)",
            "        return header + nonce + state",
        ),
    ),
)

EXCEPTIONS: Final[dict[str, str]] = {}
