"""Calls and queries to any canister, every answer verified: for what an application does beside its WebSocket.

::

    async with Agent(identity=identity) as agent:
        reply = await agent.call("bkyz2-fmaaa-aaaaa-qaaaq-cai", "transfer", argument)

Arguments and replies are Candid bytes; bring any library for them. A reply of ``call`` is read from a certificate, a
reply of ``query`` is signed by a node of the canister's subnet, whose key is read from a certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Literal, Self, TypeVar

from icws_client.addresses import MAINNET_URL, as_principal
from icws_client.exceptions import unknown
from icws_client.http import HttpClient
from icws_client.identities import as_identity
from icws_client.root_key import RootKey, as_root_key
from icws_secure.errors import CanisterRejected, MisuseError, Reason, SignatureError, StallError, TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.sign import AnonymousIdentity, sign_call, sign_query, sign_read_state
from icws_secure.verify import (
    CertificateVerifier,
    Rejected,
    Replied,
    VerifiedCertificate,
    node_keys_from_certificate,
    read_request_status,
    verify_query_response,
)
from icws_secure.wire import http as ic
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import QueryContent
from icws_secure.wire.principal import Principal

__all__ = ["Agent"]

T = TypeVar("T")
Version = Literal[2, 3, 4]

INGRESS_TTL_NS: Final = 120 * NS_PER_S
HTTP_TIMEOUT_S: Final = 30.0
POLL_INTERVAL_S: Final = 0.5
RESUBMISSIONS: Final = 2  # of one envelope whose answer was lost: the IC takes it as the same call
KNOWN_SUBNETS: Final = 64  # canisters whose subnet's node keys are remembered
MISSING: Final = (404, 405)  # an endpoint version that this network does not have, or has no more


class Agent:
    """Speaks to the IC's HTTPS interface.

    Args:
        ic_url: where it is.
        identity: who calls; None is nobody (anonymous). As for :func:`icws_client.connect` otherwise.
        root_key: the root key that answers are checked against; None is the main network's.
        ssl_context: None for the system's certificates.
    """

    def __init__(
        self,
        ic_url: str = MAINNET_URL,
        *,
        identity: object = None,
        root_key: RootKey | bytes | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.identity = AnonymousIdentity() if identity is None else as_identity(identity)
        self._verifier = CertificateVerifier(as_root_key(root_key))
        self._http = HttpClient(ic_url, ssl_context=ssl_context)
        self._versions: dict[str, int] = {}
        self._node_keys: OrderedDict[Principal, Mapping[Principal, PublicKey]] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all sockets."""
        await self._http.close()

    async def status(self) -> ic.ReplicaStatus:
        """Return what the replica tells about itself, of which nothing is verified."""
        return ic.parse_status_response(*await self._http.get(ic.STATUS_PATH, timeout_s=HTTP_TIMEOUT_S))

    async def call(
        self,
        canister_id: Principal | str,
        method: str,
        arg: bytes = b"DIDL\x00\x00",
        *,
        effective_canister_id: Principal | str | None = None,
    ) -> bytes:
        """Make an update call and return its certified reply.

        Args:
            canister_id: the canister.
            method: its method.
            arg: the Candid argument; none at all if it is left out.
            effective_canister_id: for calls to the management canister: the canister that the call is about.

        Raises:
            CanisterRejected: rejected; ``certified`` says whether that is proven.
            OutcomeUnknown: no proof of anything came before the call expired.
            TransportError: the IC did not take the call.
            MisuseError: the argument is no bytes.
            CertificateError, DecodeError: the answer does not verify.
        """
        _check_argument(arg)
        canister = as_principal(canister_id)
        effective = canister if effective_canister_id is None else as_principal(effective_canister_id)
        expiry = time.time_ns() + INGRESS_TTL_NS
        envelope = sign_call(
            self.identity,
            canister_id=canister,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=expiry,
            nonce=os.urandom(16),
        )
        request_id = envelope.content.request_id
        answer = await self._submit(effective, envelope.encode())
        if isinstance(answer, ic.CallRejected):
            raise CanisterRejected(
                answer.reject_message, reject_code=answer.reject_code, error_code=answer.error_code, certified=False
            )
        reply = None if isinstance(answer, ic.CallAccepted) else self._reply(answer.certificate, effective, request_id)
        while reply is None:
            # A second of grace after the expiry, beyond which the call cannot start any more.
            if time.time_ns() > expiry + NS_PER_S:
                raise unknown(StallError("the call expired without an answer", reason=Reason.RECEIPT_TIMEOUT))
            await asyncio.sleep(POLL_INTERVAL_S)
            with contextlib.suppress(TransportError):  # the call was taken: not to hear of it says nothing
                certificate = await self.read_state([(b"request_status", request_id)], effective)
                reply = self._final(certificate, request_id)
        return reply

    async def query(self, canister_id: Principal | str, method: str, arg: bytes = b"DIDL\x00\x00") -> bytes:
        """Make a query and return its reply, signed by a node of the canister's subnet.

        One node answers a query. What must not rest on one node is for ``call``.

        Raises:
            CanisterRejected: rejected by the canister or the node.
            SignatureError, CertificateError, DecodeError: the answer does not verify.
            TransportError: the IC could not be reached.
            MisuseError: the argument is no bytes.
        """
        _check_argument(arg)
        canister = as_principal(canister_id)
        envelope = sign_query(
            self.identity,
            canister_id=canister,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=time.time_ns() + INGRESS_TTL_NS,
            nonce=os.urandom(16),
        )
        body, content = envelope.encode(), envelope.content
        response = await self._post(
            "query",
            (3, 2),
            lambda version: ic.query_path(canister, 2 if version == 2 else 3),
            body,
            ic.parse_query_response,
        )
        if isinstance(content, QueryContent):
            await self._check_signatures(canister, content, response)
        if isinstance(response, ic.QueryRejected):
            raise CanisterRejected(
                response.reject_message,
                reject_code=response.reject_code,
                error_code=response.error_code,
                certified=False,
            )
        return response.arg

    async def read_state(
        self, paths: Sequence[Sequence[bytes]], effective_canister_id: Principal | str
    ) -> VerifiedCertificate:
        """Return a fresh certificate of *paths*, verified for *effective_canister_id*.

        Raises:
            CertificateError, DecodeError: it does not verify.
            TransportError: the IC could not be reached, or does not show these paths to this identity.
        """
        canister = as_principal(effective_canister_id)
        envelope = sign_read_state(
            self.identity, paths=paths, ingress_expiry_ns=time.time_ns() + INGRESS_TTL_NS, nonce=os.urandom(16)
        )
        certificate = await self._post(
            "read_state",
            (3, 2),
            lambda version: ic.read_state_path(canister, 2 if version == 2 else 3),
            envelope.encode(),
            ic.parse_read_state_response,
        )
        return self._verifier.verify(certificate, now=time.time_ns(), canister_id=canister)

    async def _submit(self, canister: Principal, body: bytes) -> ic.CallResponse:
        for attempt in range(RESUBMISSIONS + 1):
            try:
                return await self._post(
                    "call",
                    (4, 3, 2),
                    lambda version: ic.call_path(canister, 4 if version == 4 else 3 if version == 3 else 2),
                    body,
                    ic.parse_call_response,
                )
            except TransportError as error:
                if _was_not_taken(error):
                    raise
                if attempt == RESUBMISSIONS:
                    raise unknown(error) from error
        raise AssertionError("unreachable")

    async def _post(
        self,
        kind: str,
        versions: Sequence[int],
        path: Callable[[int], str],
        body: bytes,
        parse: Callable[[int, bytes], T],
    ) -> T:
        """POST to the newest version of an endpoint that there is, and remember which that was."""
        newest = self._versions.get(kind, versions[0])
        candidates = [version for version in versions if version <= newest]
        for version in candidates:
            status, answer = await self._http.post(path(version), body, timeout_s=HTTP_TIMEOUT_S)
            if status not in MISSING:
                self._versions[kind] = version
                return parse(status, answer)
            if version == candidates[-1]:
                return parse(status, answer)  # it is not the endpoint that is missing
        raise AssertionError("unreachable")

    def _reply(self, certificate: bytes, canister: Principal, request_id: bytes) -> bytes | None:
        verified = self._verifier.verify(certificate, now=time.time_ns(), canister_id=canister)
        return self._final(verified, request_id)

    def _final(self, certificate: VerifiedCertificate, request_id: bytes) -> bytes | None:
        """Return the reply, None while there is none."""
        match read_request_status(certificate, request_id):
            case Replied(arg):
                return arg
            case Rejected(code, message, error_code):
                raise CanisterRejected(message, reject_code=code, error_code=error_code, certified=True)
            case _:
                return None

    async def _check_signatures(
        self, canister: Principal, content: QueryContent, response: ic.QueryReplied | ic.QueryRejected
    ) -> None:
        known = canister in self._node_keys
        try:
            keys = await self._keys(canister)
            verify_query_response(content, response, node_keys=keys, now=time.time_ns())
        except SignatureError as error:
            if error.reason is not Reason.UNKNOWN_NODE or not known:
                raise
            # Nodes come and go: ask for the keys again, once.
            del self._node_keys[canister]
            verify_query_response(content, response, node_keys=await self._keys(canister), now=time.time_ns())

    async def _keys(self, canister: Principal) -> Mapping[Principal, PublicKey]:
        if canister not in self._node_keys:
            self._node_keys[canister] = node_keys_from_certificate(await self.read_state([(b"subnet",)], canister))
            while len(self._node_keys) > KNOWN_SUBNETS:
                self._node_keys.popitem(last=False)
        return self._node_keys[canister]


def _check_argument(arg: object) -> None:
    if not isinstance(arg, bytes):
        raise MisuseError("an argument is bytes: encode it with any Candid library", reason=Reason.WRONG_TYPE)


def _was_not_taken(error: TransportError) -> bool:
    """Whether the IC's answer says that it has not taken the call; 5xx may come from something on the way."""
    status = error.facts.get("status")
    return error.reason is Reason.HTTP_STATUS and isinstance(status, int) and status < 500
