"""Mutants of what a canister does with sessions: registering, attaching, closing, ending, surviving."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant, Patch, handmade, patch

__all__ = ["SESSIONS"]

_KIT: Final = "icws_canister_mock.canister.kit"


def _in(module: str, old: str, new: str) -> Patch:
    return patch(f"icws_secure.session.canister.{module}", old, new)


SESSIONS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-CAN-001",
        "keyed-by-the-session-alone",
        "A registration takes the place of another owner's of the same session principal.",
        "canister:register/of-another-owner",
        _in(
            "registry",
            "    draft.put_pending(registration)\n    return parameters(draft, registration)",
            "    for other in list(draft.pending_owners.get(pair[1], ())):\n"
            "        draft.forget_pending((other, pair[1]))\n"
            "    draft.put_pending(registration)\n    return parameters(draft, registration)",
        ),
    ),
    handmade(
        "ICWS-CAN-001",
        "bound-sessions-of-others-too",
        "Lets a stranger register the session principal of an open session.",
        "canister:register/of-another-owner",
        _in("registry", "session.registration is None or session.owner != caller", "session.registration is None"),
    ),
    handmade(
        "ICWS-CAN-003",
        "canisters-register",
        "Takes registrations of callers that have no key of their own.",
        "canister:register/past-inspect",
        _in("registry", "    if not caller.is_self_authenticating:\n", "    if False:\n"),
    ),
    handmade(
        "ICWS-CAN-004",
        "shortens",
        "A repeated registration brings the expiry nearer.",
        "canister:register/again",
        _in(
            "registry",
            "registration = replace(session.registration, expires_ns=max(session.registration.expires_ns, expires))",
            "registration = replace(session.registration, expires_ns=expires)",
        ),
    ),
    handmade(
        "ICWS-CAN-004",
        "resets",
        "A repeated registration starts the numbers of a live session again.",
        "canister:register/again",
        _in(
            "registry",
            "    draft.put(replace(session, registration=registration))\n",
            "    draft.put(replace(session, registration=registration, inbound=type(session.inbound)()))\n",
        ),
    ),
    handmade(
        "ICWS-CAN-005",
        "forgets-after-three-minutes",
        "Refuses a revoked pair for half of the time that a withheld call may take.",
        "canister:revoke/six-minutes",
        _in(
            "draft",
            "until = self.now + self.config.refused_ttl_ns",
            "until = self.now + self.config.refused_ttl_ns // 2",
        ),
    ),
    handmade(
        "ICWS-CAN-006",
        "no-cap",
        "Gives a session the expiry that is asked for, however late.",
        "canister:register/expiry",
        _in("registry", "cap if asked_ns is None else min(asked_ns, cap)", "cap if asked_ns is None else asked_ns"),
    ),
    handmade(
        "ICWS-CAN-007",
        "evicts-unasked",
        "Over the owner's limit an open session is pushed out in silence.",
        "canister:register/too-many",
        _in(
            "registry",
            'refuse(RefusalCode.TOO_MANY_SESSIONS, " ".join(principal.to_text() for principal in live))',
            "_revoke_pair(draft, (owner, live[0]))",
        ),
    ),
    handmade(
        "ICWS-CAN-007",
        "no-list",
        "Refuses without the list of sessions.",
        "canister:register/too-many",
        _in("registry", '" ".join(principal.to_text() for principal in live)', '"there are too many"'),
    ),
    handmade(
        "ICWS-CAN-008",
        "strangers-fill-the-table",
        "Takes new owners up to the last place, without the application's consent.",
        "canister:register/global-cap",
        _in("registry", "if not live and 4 * draft.records >= 3 * config.max_sessions:", "if False:"),
    ),
    handmade(
        "ICWS-CAN-008",
        "unopened-for-ever",
        "A registration that is not opened stays.",
        "canister:register/unopened",
        _in(
            "registry",
            "refreshed_ns=draft.now,\n        expires_ns=expires,",
            "refreshed_ns=expires,\n        expires_ns=expires,",
        ),
    ),
    handmade(
        "ICWS-CAN-012",
        "older-attaches-receive",
        "Leaves what is queued for an older attach in its gateway's queue.",
        "canister:open/newest-attach-alone",
        _in("opening", "    if rule.unqueue:\n", "    if False:\n"),
    ),
    handmade(
        "ICWS-CAN-012",
        "equal-attach",
        "Takes an open with the attach number of now.",
        "canister:open/stale-attach",
        _in("opening", "if secure.attach <= session.attach:", "if secure.attach < session.attach:"),
    ),
    handmade(
        "ICWS-CAN-013",
        "hash-of-nothing",
        "The attach message has no hash of the open.",
        "canister:open/attach-message",
        _in("opening", "        open_hash=open_hash,\n", "        open_hash=bytes(32),\n"),
    ),
    handmade(
        "ICWS-CAN-013",
        "attach-message-last",
        "Queues the attach message behind what is retained.",
        "canister:resume/byte-for-byte",
        _in(
            "opening",
            "    session = _queue_attach_message(draft, session, registration, secure.resume_from, open_hash)\n"
            "    session = outbound.queue_again(draft, session)\n",
            "    session = outbound.queue_again(draft, session)\n"
            "    session = _queue_attach_message(draft, session, registration, secure.resume_from, open_hash)\n",
        ),
    ),
    handmade(
        "ICWS-CAN-014",
        "two-first-messages",
        "Queues the OpenMessage of omnia/1 in a secure session as well.",
        "canister:open/attach-message",
        _in(
            "opening",
            "    session = outbound.queue_again(draft, session)\n",
            "    session = outbound.queue_again(draft, session)\n"
            "    if first_open:\n"
            "        session = outbound.send_service(draft, session, OpenMessage(session.client_key))\n",
        ),
    ),
    handmade(
        "ICWS-CAN-015",
        "any-nonce",
        "Takes an open with another client nonce.",
        "canister:open/client-key-and-registration",
        _in("opening", "if argument.client_nonce != session.client_key.client_nonce:", "if False:"),
    ),
    handmade(
        "ICWS-CAN-016",
        "silent-sessions-stay",
        "Keeps an attach that no call of the session key follows.",
        "canister:open/silent",
        _in("liveness", "        return Cause.SILENT_OPEN\n", "        return None\n"),
        _in("deadlines", "            if not session.heard:\n", "            if False:\n"),
    ),
    handmade(
        "ICWS-CAN-027",
        "queues-without-bound",
        "Queues for a gateway whatever there is.",
        "canister:queue/bounded",
        _in("queues", "        len(queue.entries) >= config.queue_messages\n", "        False\n"),
    ),
    handmade(
        "ICWS-CAN-027",
        "gateways-without-bound",
        "Makes a queue for every gateway that is named.",
        "canister:queue/gateways-bounded",
        _in("queues", ">= draft.config.max_gateways", ">= 1 << 62"),
    ),
    handmade(
        "ICWS-CAN-040",
        "only-keep-alives-count",
        "Calls of the session key are no sign of life.",
        "canister:alive/any-call",
        _in("inbound", "heard=True, alive_by_ns=None)", "heard=True)"),
    ),
    handmade(
        "ICWS-CAN-040",
        "never-detaches",
        "Waits for a keep-alive for ever.",
        "canister:alive/no-keep-alive",
        _in("liveness", "        return Cause.NO_KEEP_ALIVE\n", "        return None\n"),
        _in("deadlines", "        if session.alive_by_ns is not None:\n", "        if False:\n"),
    ),
    handmade(
        "ICWS-CAN-041",
        "all-at-once",
        "Handles every session that is due in one run of the timer.",
        "canister:alive/crowd",
        _in("liveness", "    for _ in range(limits.TIMER_SESSIONS):\n", "    for _ in range(1_000_000):\n"),
    ),
    handmade(
        "ICWS-CAN-041",
        "no-jitter",
        "Acknowledges all sessions that were opened together at one time.",
        "canister:alive/jitter",
        _in("liveness", "int(config.ack_interval_ns * config.ack_jitter * part)", "0"),
    ),
    handmade(
        "ICWS-CAN-063",
        "older-attach-too",
        "A close for an older attach detaches the newest.",
        "canister:close/older-attach",
        _in("opening", "argument.attach is not None and argument.attach != session.attach", "False"),
    ),
    handmade(
        "ICWS-CAN-063",
        "anybody-closes",
        "Takes a close from whoever calls.",
        "canister:close/strangers",
        _in("opening", "    if session.gateway != caller:\n", "    if False:\n"),
        patch(_KIT, "return self.ws._sessions.inspect(caller, method, len(arg))", "return True"),
    ),
    handmade(
        "ICWS-CAN-064",
        "queued-stays-queued",
        "A revoked session's messages can still be polled.",
        "canister:revoke/session",
        _in(
            "table",
            '"Revoked", _BY_APPLICATION, unqueue=True, keep_inbox=False',
            '"Revoked", _BY_APPLICATION, keep_inbox=False',
        ),
    ),
    handmade(
        "ICWS-CAN-064",
        "anybody-revokes",
        "Ends a session for whoever names it.",
        "canister:revoke/strangers",
        _in(
            "registry",
            "    pair = caller, argument.session\n",
            "    named = draft.sessions.get(argument.session)\n"
            "    pair = caller if named is None else named.owner, argument.session\n",
        ),
    ),
    handmade(
        "ICWS-CAN-065",
        "forgets-at-upgrades",
        "An upgrade loses the sessions.",
        "canister:upgrade/goes-on",
        _in("machine", "        if data:\n            machine.state", "        if False:\n            machine.state"),
    ),
    handmade(
        "ICWS-CAN-065",
        "one-epoch-for-ever",
        "A state that was lost comes back under the old epoch.",
        "canister:reinstall/epoch",
        _in("machine", "CanisterState(epoch_ns=now, clock_ns=now", "CanisterState(epoch_ns=1, clock_ns=now"),
    ),
    handmade(
        "ICWS-CAN-066",
        "detached-for-ever",
        "A detached session never ends.",
        "canister:end/resume-window",
        _in("liveness", "        return Cause.WINDOW_OVER if over else None\n", "        return None\n"),
        _in("deadlines", "    elif session.detached_ns is not None:\n", "    elif False:\n"),
    ),
    handmade(
        "ICWS-CAN-066",
        "never-expires",
        "Nothing happens at a session's expiry.",
        "canister:end/expiry",
        _in("liveness", "        return Cause.EXPIRE\n", "        return None\n"),
        _in("deadlines", "    if session.registration is not None:\n", "    if False:\n"),
        without=("ICWS-CAN-066",),
    ),
    handmade(
        "ICWS-CAN-070",
        "inspects-nothing",
        "inspect_message takes every call.",
        "canister:methods/early",
        patch(_KIT, "return self.ws._sessions.inspect(caller, method, len(arg))", "return True"),
    ),
    handmade(
        "ICWS-CAN-071",
        "no-timer-after-an-upgrade",
        "post_upgrade sets neither certified data nor timer.",
        "canister:upgrade/timers",
        patch(
            _KIT,
            "        self.ws._changed()\n\n    async def on_timer",
            "        if not saved:\n            self.ws._changed()\n\n    async def on_timer",
        ),
        patch(
            _KIT,
            '        with self.ws.batch():\n            self.on_restore(arg, saved["application"])',
            '        self.on_restore(arg, saved["application"])',
        ),
    ),
    handmade(
        "ICWS-CAN-072",
        "words-alone",
        "Refuses in words, without a code of the list.",
        "canister:methods/refusals",
        _in("refusal", "Refusal(RefusalCode(code).value, words)", 'Refusal("", words)'),
    ),
    handmade(
        "ICWS-CAN-072",
        "codes-of-its-own",
        "Refuses with a code that is on no list.",
        "canister:methods/refusals",
        _in("refusal", "Refusal(RefusalCode(code).value, words)", 'Refusal("Refused", words)'),
    ),
)
"""Rules about sessions."""
