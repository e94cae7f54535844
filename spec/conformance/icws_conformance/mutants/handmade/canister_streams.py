"""Mutants of what a canister does with messages: certifying, queueing, accepting, handling, retaining."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant, Patch, handmade, patch

__all__ = ["STREAMS"]

_KIT: Final = "icws_canister_mock.canister.kit"


def _in(module: str, old: str, new: str) -> Patch:
    return patch(f"icws_secure.session.canister.{module}", old, new)


STREAMS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-CAN-020",
        "another-leaf",
        "Certifies the hash of a message's key in place of its content's.",
        "canister:messages/certified",
        _in(
            "queues",
            "sha256(content).digest())\n    draft.put_queue",
            "sha256(key.encode()).digest())\n    draft.put_queue",
        ),
    ),
    handmade(
        "ICWS-CAN-021",
        "times-go-back",
        "Each message has an earlier time than the one before.",
        "canister:messages/certified",
        _in("outbound", "        timestamp_ns=draft.now,\n", "        timestamp_ns=draft.now - seq * 10**12,\n"),
    ),
    handmade(
        "ICWS-CAN-021",
        "numbers-from-two",
        "The first message has number 2.",
        "canister:messages/certified",
        _in("outbound", "        sequence_num=seq,\n", "        sequence_num=seq + 1,\n"),
    ),
    handmade(
        "ICWS-CAN-022",
        "from-zero",
        "Every queue begins at nonce 0.",
        "canister:queue/first-nonce",
        _in("queues", "start = max(draft.now, draft.nonce_floor)", "start = 0"),
    ),
    handmade(
        "ICWS-CAN-023",
        "nothing-is-removed",
        "What a detached session was sent can still be polled.",
        "canister:queue/tombstones",
        _in("queues", "if entry is not None and entry.client_key != TOMBSTONE_CLIENT_KEY:", "if False:"),
    ),
    handmade(
        "ICWS-CAN-023",
        "tombstones-with-names",
        "A tombstone tells whose message it was.",
        "canister:queue/tombstones",
        _in("queues", 'replace(entry, client_key=TOMBSTONE_CLIENT_KEY, content=b"")', 'replace(entry, content=b"")'),
    ),
    handmade(
        "ICWS-CAN-024",
        "polls-without-count",
        "A poll has as many messages as there are.",
        "canister:poll/fifty",
        _in("polling", " and len(messages) < config.poll_messages:", ":"),
    ),
    handmade(
        "ICWS-CAN-024",
        "polls-without-size",
        "A poll has fifty messages, however large they are.",
        "canister:poll/bytes",
        _in("polling", "        if messages and size > config.poll_bytes:\n", "        if False:\n"),
    ),
    handmade(
        "ICWS-CAN-024",
        "not-even-one",
        "A message that is larger than a poll may be is never given.",
        "canister:poll/bytes",
        _in("polling", "if messages and size > config.poll_bytes:", "if size > config.poll_bytes // 2:"),
    ),
    handmade(
        "ICWS-CAN-025",
        "any-queue",
        "A caller without a queue is shown the newest one.",
        "canister:poll/own-queue-only",
        _in(
            "polling",
            "    queue = state.queues.get(caller)\n",
            "    newest = max(state.queues.values(), key=lambda each: each.end, default=None)\n"
            "    queue = state.queues.get(caller, newest)\n",
        ),
    ),
    handmade(
        "ICWS-CAN-026",
        "one-salt",
        "All messages have the same salt.",
        "canister:messages/salt",
        _in(
            "outbound",
            'salt=draft.secret(b"salt", SALT_BYTES) if session.secure',
            "salt=b'1' * SALT_BYTES if session.secure",
        ),
    ),
    handmade(
        "ICWS-CAN-030",
        "no-window",
        "Keeps messages however far they are ahead.",
        "canister:send/window",
        _in("inbound", "seq > inbound.executed_through + config.window_messages", "False"),
    ),
    handmade(
        "ICWS-CAN-030",
        "no-window-in-bytes",
        "Keeps as many bytes behind a gap as there are.",
        "canister:send/window-bytes",
        _in("inbound", "(inbound.held_bytes + size > config.window_bytes and not alone)", "False"),
    ),
    handmade(
        "ICWS-CAN-030",
        "gaps-for-ever",
        "What waits behind a gap is never dropped.",
        "canister:send/gap",
        _in("liveness", "        if held.received_ns <= limit:\n", "        if False:\n"),
        _in("deadlines", "    if session.inbound.window:\n", "    if False:\n"),
    ),
    handmade(
        "ICWS-CAN-031",
        "any-content",
        "Takes other content under a number that was used for a duplicate.",
        "canister:send/conflict",
        _in("inbound", "        if known != digest:\n", "        if False:\n"),
    ),
    handmade(
        "ICWS-CAN-031",
        "repeats-are-refused",
        "Refuses a message that comes again as if it were another.",
        "canister:send/duplicate",
        _in("inbound", "        if known != digest:\n", "        if True:\n"),
    ),
    handmade(
        "ICWS-CAN-031",
        "stale-is-a-duplicate",
        "Takes a message that is too old to compare for a duplicate, whatever it says.",
        "canister:send/stale",
        _in(
            "inbound",
            "        if known is None:\n",
            "        if known is None:\n            return session, True\n        if known is None:\n",
        ),
    ),
    handmade(
        "ICWS-CAN-032",
        "traps-block",
        "A message whose handler traps stays next for ever.",
        "canister:send/trap",
        patch(_KIT, "                await self._trapped(key, delivery, error)\n", "                return\n"),
    ),
    handmade(
        "ICWS-CAN-032",
        "traps-in-silence",
        "A handler that trapped is told of to nobody.",
        "canister:send/trap",
        patch(_KIT, "self.ic.time_ns, trapped=True)", "self.ic.time_ns)"),
    ),
    handmade(
        "ICWS-CAN-033",
        "accepted-is-executed",
        "Says that a message is executed which waits behind a gap.",
        "canister:send/out-of-order",
        _in(
            "inbound",
            "MessageStatus(inbound.accepted_through, inbound.executed_through, state)",
            "MessageStatus(max(inbound.accepted_through, seq), max(inbound.executed_through, seq), state)",
        ),
    ),
    handmade(
        "ICWS-CAN-034",
        "all-in-one-execution",
        "Handles everything that waits in one execution.",
        "canister:send/trap-among-others",
        patch(
            _KIT,
            '                self._finished(key, seq)\n                return b""\n',
            "                self._finished(key, seq)\n"
            "                while (following := sessions.next_delivery(key)) is not None:\n"
            "                    sessions.take_delivery(key, self.ic.time_ns)\n"
            "                    self._handle(client, following)\n"
            "                    self._finished(key, following.seq)\n"
            '                return b""\n',
        ),
    ),
    handmade(
        "ICWS-CAN-035",
        "sends-anything",
        "Gives clients messages that are larger than allowed.",
        "canister:messages/largest",
        _in("outbound", "    if len(content) > config.max_content_bytes:\n", "    if False:\n"),
    ),
    handmade(
        "ICWS-CAN-036",
        "gaps-pass",
        "Takes any number from a client of omnia/1.",
        "canister:omnia/wrong-number",
        _in("inbound", "    if seq != inbound.accepted_through + 1:\n", "    if False:\n"),
    ),
    handmade(
        "ICWS-CAN-037",
        "messages-after-the-end",
        "Takes messages of a session that is closed.",
        "canister:revoke/session",
        _in(
            "inbound",
            "    if session.state is SessionState.CLOSED:\n        refuse(RefusalCode.CLOSED",
            "    if False:\n        refuse(RefusalCode.CLOSED",
        ),
        _in("admission", "session is not None and session.state is not SessionState.CLOSED", "session is not None"),
    ),
    handmade(
        "ICWS-CAN-042",
        "acknowledgements-go-back",
        "The certified head shows the last acknowledgement, and not the highest.",
        "canister:ack/cumulative",
        _in(
            "outbound",
            "    if through <= outbound.acked:\n        return session\n",
            "    if through <= outbound.acked:\n"
            "        return replace(session, outbound=replace(outbound, acked=through))\n",
        ),
    ),
    handmade(
        "ICWS-CAN-050",
        "labels-for-all",
        "Lets the application certify under the protocol's labels.",
        "canister:tree/application-label",
        _in("certified", 'if label in (b"", ICWS_LABEL, WEBSOCKET_LABEL):', 'if label == b"":'),
    ),
    handmade(
        "ICWS-CAN-050",
        "no-label-of-its-own",
        "Leaves what the application certifies out of the tree.",
        "canister:tree/application-label",
        _in("certified", "    for label, subtree in draft.application.items():\n", "    for label, subtree in ():\n"),
    ),
    handmade(
        "ICWS-CAN-051",
        "heads-stay",
        "A head that is certified once is not certified anew.",
        "canister:head/every-change",
        _in(
            "draft",
            "        for principal in self._changed:\n            self._certify_head(principal)\n",
            "        for principal in self._changed:\n"
            "            if self.heads.get(principal.raw) is None:\n"
            "                self._certify_head(principal)\n",
        ),
    ),
    handmade(
        "ICWS-CAN-052",
        "audits-for-all",
        "Shows the head of a session to whoever names it.",
        "canister:audit/who",
        _in(
            "polling",
            "if principal == caller or _is_gateway(state, caller, principal)}",
            "}",
        ),
    ),
    handmade(
        "ICWS-CAN-052",
        "no-audit-by-update",
        "Traps where there is no data certificate.",
        "canister:audit/as-an-update",
        _in("polling", "        return Audit(state.epoch_ns, tuple(heads))\n", "        raise ValueError\n"),
    ),
    handmade(
        "ICWS-CAN-060",
        "queues-nothing-again",
        "An attach is not given what was not acknowledged.",
        "canister:resume/byte-for-byte",
        _in(
            "outbound",
            "range(outbound.oldest_retained, outbound.next_out)",
            "range(outbound.next_out, outbound.next_out)",
        ),
    ),
    handmade(
        "ICWS-CAN-060",
        "other-bytes",
        "Encodes retained messages anew, with another salt.",
        "canister:resume/byte-for-byte",
        _in(
            "outbound",
            "        message = retained[seq]\n",
            "        message = retained[seq]\n"
            "        from icws_secure.wire.message import decode_message\n"
            "        again = replace(decode_message(message.content), salt=draft.secret(b'salt', SALT_BYTES))\n"
            "        message = replace(message, content=again.encode())\n",
        ),
    ),
    handmade(
        "ICWS-CAN-061",
        "gaps-at-resume",
        "Resumes from what was acknowledged as if it were there.",
        "canister:resume/gap",
        _in("opening", "if secure.resume_from < session.outbound.oldest_retained:", "if False:"),
    ),
    handmade(
        "ICWS-CAN-062",
        "drops-the-oldest",
        "At the bound the oldest message is dropped, and nobody told.",
        "canister:retention/bound",
        _in(
            "outbound",
            'refuse(RefusalCode.RETENTION_FULL, "the client has too many messages to acknowledge")\n'
            "    session = _next",
            "session = acknowledge(session, outbound.oldest_retained)\n    session = _next",
        ),
    ),
    handmade(
        "ICWS-CAN-062",
        "bytes-without-bound",
        "Retains as many bytes for a client as there are.",
        "canister:retention/bytes",
        _in("outbound", "or size > config.retained_bytes\n", "or False\n"),
    ),
    handmade(
        "ICWS-CAN-073",
        "new-cases-for-old-peers",
        "Sends service messages with all cases to clients of omnia/1.",
        "canister:omnia/types",
        patch(
            "icws_secure.wire.service",
            'Record({"reason": _REASON})})',
            'Record({"reason": _REASON}), "SkipMessage": Null})',
        ),
    ),
)
"""Rules about the two streams."""
