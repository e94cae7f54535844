"""Attacks of a boundary node, between a client and the IC: on registration, audits, and the polls of direct clients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

from icws_conformance.hostile.boundary import Answer, Fetch
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.wrapping import in_the_form_of
from icws_secure.errors import IcwsError
from icws_secure.wire import cbor
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.envelope import CallContent, Envelope, QueryContent
from icws_secure.wire.hashtree import Found, lookup
from icws_secure.wire.http import CallCertificate, QueryReplied, parse_call_response, parse_query_response
from icws_secure.wire.interface import CertifiedMessages, decode_get_messages_result, encode_get_messages_result
from icws_secure.wire.message import decode_message
from icws_secure.wire.registration import Parameters, decode_register_result, encode_register_result

__all__ = ["AlteredPoll", "DeniedMethod", "ForeignAnswer", "ForgedAnswer", "NodeAttack", "OldAudit", "content_of"]


class NodeAttack(ABC):
    """Base: decides about the requests for one method, and passes all others on.

    Attributes:
        method: the canister method that it strikes.
        struck: how often it did.
    """

    method = "ws_register"

    def __init__(self) -> None:
        self.struck = 0

    async def __call__(self, path: str, body: bytes, fetch: Fetch) -> Answer:
        """Answer one request, which may be asked of the real IC by ``fetch``."""
        content = content_of(body)
        if content is None or content.method_name != self.method:
            return await fetch()
        return await self.answer(content, fetch)

    @abstractmethod
    async def answer(self, content: CallContent | QueryContent, fetch: Fetch) -> Answer:
        """Answer a request for the method."""


class DeniedMethod(NodeAttack):
    """Answers ``ws_register`` as a canister of the older profile would. Nothing certifies that."""

    async def answer(self, content: CallContent | QueryContent, fetch: Fetch) -> Answer:
        self.struck += 1
        return _answer(
            {
                "status": "non_replicated_rejection",
                "reject_code": 5,
                "reject_message": "Canister has no update method 'ws_register'",
                "error_code": "IC0536",
            }
        )


class ForeignAnswer(NodeAttack):
    """Answers a registration with the certificate of an earlier one."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: Answer | None = None

    async def answer(self, content: CallContent | QueryContent, fetch: Fetch) -> Answer:
        answer = await fetch()
        if self._kept is None:
            self._kept = answer
            return answer
        self.struck += 1
        return self._kept


class ForgedAnswer(NodeAttack):
    """Answers a registration with other parameters, by a certificate of its own.

    Args:
        forge: makes the certificate.
        subnet: who signs.
        change: gives the parameters.
        offset_ns: added to the present time for the certificate's, ns.
    """

    def __init__(
        self,
        forge: Forge,
        subnet: Subnet,
        change: Callable[[Parameters], Parameters] = lambda parameters: parameters,
        *,
        offset_ns: int = 0,
    ) -> None:
        super().__init__()
        self.forge = forge
        self.subnet = subnet
        self.change = change
        self.offset_ns = offset_ns

    async def answer(self, content: CallContent | QueryContent, fetch: Fetch) -> Answer:
        parameters = _parameters(await fetch(), content.request_id)
        if parameters is None:
            return await fetch()
        self.struck += 1
        certificate = self.forge.receipt(
            canister_id=content.canister_id,
            request_id=content.request_id,
            status={"status": b"replied", "reply": encode_register_result(self.change(parameters))},
            time_ns=self.forge.now() + self.offset_ns,
            subnet=self.subnet,
        )
        return _answer({"status": "replied", "certificate": certificate})


class OldAudit(NodeAttack):
    """Answers every query for the head with the first answer it saw, so that later messages are not missed."""

    method = "ws_audit"

    def __init__(self) -> None:
        super().__init__()
        self._kept: Answer | None = None

    async def answer(self, content: CallContent | QueryContent, fetch: Fetch) -> Answer:
        if isinstance(content, CallContent):
            return await fetch()  # an update passes consensus, which one node does not make
        if self._kept is None:
            self._kept = await fetch()
            return self._kept
        self.struck += 1
        return self._kept


class AlteredPoll(NodeAttack):
    """Changes what the canister says to a client that polls for itself."""

    method = "ws_get_messages"

    async def answer(self, content: CallContent | QueryContent, fetch: Fetch) -> Answer:
        answer = await fetch()
        response = parse_query_response(answer.status, answer.body)
        if not isinstance(response, QueryReplied) or self.struck:
            return answer
        polled = decode_get_messages_result(response.arg)
        if not isinstance(polled, CertifiedMessages) or not any(_is_applications(m.content) for m in polled.messages):
            return answer
        self.struck += 1
        messages = tuple(replace(message, content=_forged(message.content)) for message in polled.messages)
        reply = {"arg": encode_get_messages_result(replace(polled, messages=messages))}
        value = cbor.decode(answer.body, what="an answer", allow_indefinite=True)
        return _answer({**value, "reply": reply} if isinstance(value, dict) else {})


def content_of(body: bytes) -> CallContent | QueryContent | None:
    """The call or query of a request, or None."""
    try:
        content = Envelope.decode(body).content
    except IcwsError:
        return None
    return content if isinstance(content, CallContent | QueryContent) else None


def _answer(value: dict[str, object]) -> Answer:
    return Answer(200, cbor.encode_self_described(value))


def _parameters(answer: Answer, request_id: bytes) -> Parameters | None:
    """What the canister really answered. Nobody verifies this: the attacker trusts its own IC."""
    response = parse_call_response(answer.status, answer.body)
    if not isinstance(response, CallCertificate):
        return None
    found = lookup(decode_certificate(response.certificate).tree, [b"request_status", request_id, b"reply"])
    result = decode_register_result(found.value) if isinstance(found, Found) else None
    return result if isinstance(result, Parameters) else None


def _is_applications(content: bytes) -> bool:
    try:
        return not decode_message(content).is_service_message
    except IcwsError:
        return False


def _forged(content: bytes) -> bytes:
    if not _is_applications(content):
        return content
    message = decode_message(content)
    return replace(message, content=in_the_form_of(message.content, b"forged")).encode()
