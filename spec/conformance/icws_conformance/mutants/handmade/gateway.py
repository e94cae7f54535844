"""Hand-made mutants of gateways: the weaknesses that gateways have been seen to have, and rules that are no check."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant, handmade, patch

__all__ = ["EXCEPTIONS", "MUTANTS"]

_OPENS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-GWY-001",
        "waits-for-the-client",
        "Sends no handshake before the client has spoken.",
        "gateway:opening/greets",
        patch(
            "icws_gateway.connection",
            'self.post(Handshake(self._services.identity.principal, version).encode(), "handshake")',
            "del version",
        ),
    ),
    handmade(
        "ICWS-GWY-002",
        "acts-before-the-signature",
        "Relays an open and registers its client without a look at the signature.",
        "gateway:opening/forged",
        patch(
            "icws_gateway.open_check",
            "return verify_envelope(request.envelope, now=now, certificates=certificates).request_id",
            "return request.envelope.content.request_id",
        ),
    ),
    handmade(
        "ICWS-GWY-002",
        "serves-anothers-clients",
        "Takes opens that name another gateway.",
        "gateway:opening/for-another-gateway",
        patch("icws_gateway.open_check", "if argument.gateway_principal != gateway:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-003",
        "replaces-whoever-is-there",
        "An omnia/1 open takes the place of a connected client.",
        "gateway:attach/connected-key",
        patch("icws_gateway.directory", "if not (session.secure and present.session.secure):", "if False:"),
        patch("icws_gateway.directory", "if session.attach <= present.session.attach:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-003",
        "takes-an-equal-attach",
        "An open with the same attach takes the connection's place.",
        "gateway:attach/equal",
        patch("icws_gateway.directory", "if session.attach <= present.session.attach:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-003",
        "keeps-the-old-connection",
        "Refuses a higher attach while the old connection lasts.",
        "gateway:attach/higher",
        patch("icws_gateway.directory", "if not (session.secure and present.session.secure):", "if True:"),
    ),
    handmade(
        "ICWS-GWY-005",
        "registers-after-the-answer",
        "Registers a client for delivery when its open has been answered.",
        "gateway:opening/registered-first",
        patch("icws_gateway.connection", "superseded = services.directory.put(self)", "superseded = None"),
        patch(
            "icws_gateway.connection",
            "refusal = open_refusal(request_id, outcome)",
            "refusal = open_refusal(request_id, outcome)\n        services.directory.put(self)",
        ),
    ),
    handmade(
        "ICWS-GWY-020",
        "verifies-chains-first",
        "Verifies the delegations of a secure open before it refuses them.",
        "gateway:attach/delegated-forged",
        patch(
            "icws_gateway.open_check",
            "if secure is not None and envelope.sender_delegation is not None:",
            "if secure is not None and envelope.sender_delegation is not None:\n"
            "        try:\n"
            "            verify_envelope(envelope, now=now, certificates=None)\n"
            "        except IcwsError as error:\n"
            "            raise refusal_of(error, signature=True) from error",
        ),
    ),
)

_CALLS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-GWY-004",
        "open-relay",
        "Relays calls to any canister.",
        "gateway:calls/to-another-canister",
        patch("icws_gateway.call_check", "if content.canister_id != session.canister:", "if False:"),
        patch(
            "icws_gateway.connection",
            "services.relay.submit(canister, body,",
            "services.relay.submit(\n"
            '                __import__("icws_secure").wire.envelope.Envelope.decode(body).content.canister_id, body,',
        ),
    ),
    handmade(
        "ICWS-GWY-004",
        "relays-any-method",
        "Relays calls of any method.",
        "gateway:calls/of-another-method",
        patch(
            "icws_gateway.call_check",
            "if content.method_name not in (SECURE_METHODS if session.secure else OMNIA_METHODS):",
            "if False:",
        ),
    ),
    handmade(
        "ICWS-GWY-004",
        "relays-for-anybody",
        "Relays calls of any sender.",
        "gateway:calls/of-another-sender",
        patch("icws_gateway.call_check", "if content.sender != session.client_key.client_principal:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-009",
        "relays-in-parallel",
        "Has several calls of an omnia/1 client under way.",
        "gateway:calls/one-at-a-time",
        patch("icws_gateway.connection", "if session.secure else 1\n", "if True else 1\n"),
    ),
    handmade(
        "ICWS-GWY-010",
        "cuts-certificates",
        "Passes on a receipt's certificate without its tag.",
        "gateway:receipts/certificate",
        patch("icws_gateway.receipts", "certificate=certificate)", "certificate=certificate[3:])"),
    ),
    handmade(
        "ICWS-GWY-010",
        "calls-202-a-failure",
        "Reports a call that the IC has accepted as failed.",
        "gateway:receipts/pending",
        patch("icws_gateway.receipts", "ReceiptStatus.PENDING)", 'ReceiptStatus.FAILED, reject_message="late")'),
    ),
    handmade(
        "ICWS-GWY-021",
        "relays-expired-calls",
        "Does not look at the expiry of a call.",
        "gateway:calls/expired",
        patch(
            "icws_gateway.call_check",
            "verified = verify_envelope(envelope, now=now, certificates=certificates)",
            "verified = verify_envelope(envelope, now=content.ingress_expiry_ns, certificates=certificates)",
        ),
        patch("icws_gateway.relay", "if time.time_ns() > expires_ns:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-021",
        "relays-duplicates",
        "Relays an envelope that is in flight once more.",
        "gateway:calls/duplicates",
        patch("icws_gateway.connection", "if call.request_id in self._lane:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-011",
        "closes-without-saying-why",
        "Closes every connection with 1008 and no reason.",
        "gateway:codes/open-with-junk",
        patch(
            "icws_gateway.client_socket",
            "self.protocol.send_close(int(why.code), why.reason)",
            "self.protocol.send_close(1008)",
        ),
    ),
    handmade(
        "ICWS-GWY-011",
        "words-of-its-own",
        "Closes with the right code and a reason that has no name.",
        "gateway:codes/call-of-another-method",
        patch(
            "icws_gateway.client_socket",
            "self.protocol.send_close(int(why.code), why.reason)",
            "self.protocol.send_close(int(why.code), why.words)",
        ),
    ),
    handmade(
        "ICWS-GWY-012",
        "dies-at-a-malformed-frame",
        "Its process ends when a client's first frame cannot be read.",
        "gateway:opening/with-junk",
        patch(
            "icws_gateway.connection",
            "        except ClientRefused as why:\n",
            "        except ClientRefused as why:\n"
            "            if why.code == CloseCode.MALFORMED_FRAME:\n"
            "                raise SystemExit(101)\n",
        ),
    ),
)

_POLLS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-GWY-006",
        "believes-a-gap-at-once",
        "Skips messages when one node leaves them out.",
        "gateway:polls/skipping",
        patch("icws_gateway.queue_cursor", "_GAP_ANSWERS: Final = 2", "_GAP_ANSWERS: Final = 1"),
    ),
    handmade(
        "ICWS-GWY-006",
        "delivers-what-has-come",
        "Delivers the messages that an answer has, though some are missing between them.",
        "gateway:polls/holes",
        patch(
            "icws_gateway.queue_cursor",
            "        position = self.position\n        # [ICWS-GWY-006] strictly by nonce\n",
            "        position = min(self._waiting, default=self.position)\n",
        ),
        patch(
            "icws_gateway.queue_cursor",
            "            position += 1\n",
            "            position = min(self._waiting, default=position + 1)\n",
        ),
    ),
    handmade(
        "ICWS-GWY-006",
        "empty-answers-restart",
        "Takes a queue for a new one when a node leaves its end out.",
        "gateway:polls/not-restarted",
        patch("icws_gateway.restart_probe", "            below = False\n", "            pass\n"),
    ),
    handmade(
        "ICWS-GWY-007",
        "looks-at-no-leaf",
        "Forwards messages whose hash is not in the witness.",
        "gateway:polls/altered",
        patch("icws_gateway.reply_check", "if shown is None or shown[1] != leaf:", "if shown is None:"),
    ),
    handmade(
        "ICWS-GWY-007",
        "looks-at-no-root",
        "Forwards messages with a witness that no certificate shows.",
        "gateway:polls/altered-with-witness",
        patch("icws_gateway.reply_check", "if witness.digest != certified_data:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-008",
        "whole-witness-for-all",
        "Gives every client the witness of the whole poll.",
        "gateway:delivery/own-of-a-full-poll",
        patch(
            "icws_gateway.delivery",
            "reply.witness.show_leaves((place,))",
            "reply.witness.show_leaves([other.place for other in reply.messages])",
        ),
    ),
    handmade(
        "ICWS-GWY-008",
        "whole-witness-over-the-subprotocol",
        "Gives every client of the subprotocol the witness of the whole poll.",
        "gateway:delivery/own-of-a-full-poll",
        patch(
            "icws_gateway.delivery",
            "reply.witness.show_leaves([message.place for message in messages])",
            "reply.witness.show_leaves([message.place for message in reply.messages])",
        ),
    ),
    handmade(
        "ICWS-GWY-008",
        "believes-the-address",
        "Delivers a message to the client that the node names beside it.",
        "gateway:polls/another-addressee",
        patch(
            "icws_gateway.reply_check", "                _check_addressee(content, owner)\n", "                pass\n"
        ),
    ),
    handmade(
        "ICWS-GWY-012",
        "one-failed-poll-ends-all",
        "Closes all clients of a canister when a poll fails.",
        "gateway:polls/failing",
        patch(
            "icws_gateway.poller",
            '            self._metrics.ic_errors.labels("query", error_kind(error)).inc()\n',
            '            self._metrics.ic_errors.labels("query", error_kind(error)).inc()\n'
            "            for client in tuple(self._directory.clients()):\n"
            '                client.refuse(ClientRefused(CloseCode.INTERNAL, "a poll failed"))\n',
        ),
    ),
    handmade(
        "ICWS-GWY-012",
        "dies-at-nonsense",
        "Its process ends when a node answers nonsense.",
        "gateway:polls/nonsense",
        patch(
            "icws_gateway.poller",
            "        except ReplicaFault as error:\n",
            "        except ReplicaFault as error:\n            raise SystemExit(101)\n",
        ),
    ),
    handmade(
        "ICWS-GWY-014",
        "polls-the-newest-endpoint",
        "Polls by the newest endpoint, whoever the clients are, and passes on what comes.",
        "gateway:endpoints/old-clients",
        patch(
            "icws_gateway.poller",
            "prefer = _LEGACY_VERSION if legacy or others else _NEW_VERSION",
            "prefer = _NEW_VERSION",
        ),
        patch("icws_gateway.poller", "if self._checker.readable_by_all(reply.certificate):", "if True:"),
    ),
    handmade(
        "ICWS-GWY-014",
        "passes-on-what-they-cannot-read",
        "Passes certificates of the new form on to deployed clients when there are no others.",
        "gateway:endpoints/old-gone",
        patch("icws_gateway.poller", "if self._checker.readable_by_all(reply.certificate):", "if True:"),
    ),
    handmade(
        "ICWS-GWY-016",
        "believes-any-node",
        "Verifies no node signatures of polls.",
        "gateway:endpoints/node-signatures",
        patch(
            "icws_gateway.poller",
            "            await signatures.check(self._canister, content, response)\n",
            "            pass\n",
        ),
    ),
    handmade(
        "ICWS-GWY-017",
        "relays-no-heads",
        "Relays no certified heads.",
        "gateway:attach/heads",
        patch("icws_gateway.heads", "                    self._ask_soon(batch)\n", "                    pass\n"),
    ),
    handmade(
        "ICWS-GWY-019",
        "waits-at-the-old-number",
        "Never asks whether a queue has started anew.",
        "gateway:polls/restarted",
        patch("icws_gateway.restart_probe", "if position == 0 or self._empty", "if True or self._empty"),
    ),
)

_BOUNDS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-GWY-018",
        "waits-for-ever",
        "Keeps clients that open nothing.",
        "gateway:bounds/open-time",
        patch("icws_gateway.connection", "asyncio.timeout(config.open_timeout_seconds)", "asyncio.timeout(None)"),
    ),
    handmade(
        "ICWS-GWY-018",
        "counts-no-frames",
        "Reads whatever a client sends.",
        "gateway:bounds/frames",
        patch("icws_gateway.client_socket", "limit = self._budget.take(size, now)", "limit = None"),
    ),
    handmade(
        "ICWS-GWY-018",
        "counts-no-calls",
        "Has any number of a secure client's calls under way.",
        "gateway:bounds/calls",
        patch("icws_gateway.connection", "await self._lane.below(room)", "await self._lane.below(1_000)"),
    ),
    handmade(
        "ICWS-GWY-018",
        "counts-no-connections",
        "Keeps any number of connections of an address.",
        "gateway:bounds/connections",
        patch("icws_gateway.admission", "if budget.connections >= config.max_connections_per_address:", "if False:"),
        patch("icws_gateway.admission", "if not budget.opens.take(1, now):", "if False:"),
        patch("icws_gateway.client_socket", "most = config.max_connections_per_address", "most = 1_000_000"),
    ),
    handmade(
        "ICWS-GWY-018",
        "queues-without-end",
        "Queues whatever a client does not read.",
        "gateway:delivery/slow-reader",
        patch("icws_gateway.outbox", "if len(self._frames) >= config.queue_frames:", "if False:"),
        patch("icws_gateway.outbox", "if self._bytes + size > config.queue_bytes:", "if False:"),
        patch("icws_gateway.outbox", "if self._budget.used + size > config.queue_total_bytes:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-018",
        "reads-frames-of-any-size",
        "Takes frames that are larger than the IC takes.",
        "gateway:calls/with-bulk",
        patch("icws_gateway.server", "max_size=config.max_frame_bytes,", "max_size=None,"),
        patch("icws_gateway.client_frame", "if len(frame) > MAX_ENVELOPE_BYTES + FRAME_OVERHEAD:", "if False:"),
    ),
)

_ENDS: Final[tuple[Mutant, ...]] = (
    handmade(
        "ICWS-GWY-013",
        "tells-nobody",
        "Does not call ws_close when a client leaves.",
        "gateway:leaving/closes",
        patch("icws_gateway.connection", "if transition.ws_close and self._session is not None:", "if False:"),
    ),
    handmade(
        "ICWS-GWY-013",
        "names-no-attach",
        "Calls ws_close without the attach number.",
        "gateway:leaving/names-the-attach",
        patch("icws_gateway.closer", "session.attach if session.secure else None", "None"),
    ),
    handmade(
        "ICWS-GWY-015",
        "key-for-everybody",
        "Creates a key file that others can read, and uses it.",
        "gateway:operation/key-file",
        patch("icws_gateway.identity_file", "stat.S_IRUSR | stat.S_IWUSR)", "0o644)"),
        patch("icws_gateway.identity_file", 'if os.name == "posix" and mode & _OTHERS:', "if False:"),
    ),
    handmade(
        "ICWS-GWY-015",
        "uses-an-open-key",
        "Uses a key file that others can read.",
        "gateway:operation/open-key-file",
        patch("icws_gateway.identity_file", 'if os.name == "posix" and mode & _OTHERS:', "if False:"),
    ),
    handmade(
        "ICWS-GWY-022",
        "ends-without-a-word",
        "Gives no drain notice.",
        "gateway:operation/drain",
        patch("icws_gateway.server", 'client.post(frame, "drain")', "pass"),
    ),
    handmade(
        "ICWS-GWY-022",
        "takes-clients-to-the-end",
        "Takes new clients while it shuts down.",
        "gateway:operation/drain",
        patch("icws_gateway.server", "            if services.draining:\n", "            if False:\n"),
        patch("icws_gateway.connection", "        if services.draining:\n", "        if False:\n"),
    ),
    handmade(
        "ICWS-GWY-022",
        "leaves-dead-queues",
        "Tells no canister that its clients are gone when it ends.",
        "gateway:operation/drain",
        patch(
            "icws_gateway.server",
            "await services.closer.finish(config.close_timeout_seconds)",
            "await services.closer.finish(0)",
        ),
        patch(
            "icws_gateway.closer",
            "        self._waiting.append(session)\n",
            "        if not session.secure:\n            return\n        self._waiting.append(session)\n",
        ),
    ),
)

MUTANTS: Final[tuple[Mutant, ...]] = (*_OPENS, *_CALLS, *_POLLS, *_BOUNDS, *_ENDS)

EXCEPTIONS: Final[dict[str, str]] = {}
