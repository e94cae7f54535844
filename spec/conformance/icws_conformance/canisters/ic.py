"""The Internet Computer as the suite calls it: any replica of the HTTPS interface, and its certified answers."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import cbor2

from icws_conformance.canisters.certificate import Certificate, CertificateFault, open_certificate
from icws_conformance.case import Failed, Inconclusive
from icws_conformance.wirelog import WireLog
from icws_secure.errors import MisuseError, Reason, TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import AnonymousIdentity, Identity
from icws_secure.sign.request import sign_call, sign_query, sign_read_state
from icws_secure.wire.principal import Principal

__all__ = ["Answer", "Ic"]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_POLLS: Final = 60
_POLL_S: Final = 0.5
_MAX_BODY: Final = 8 << 20
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_NOBODY: Final = AnonymousIdentity()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a call.

    Attributes:
        arg: the reply; None for a rejection.
        rejected: why it was rejected; empty for a reply.
        certified: whether a certificate says so; a node alone says so otherwise.
        time_ns: time of the certificate; 0 without one.
    """

    arg: bytes | None
    rejected: str = ""
    certified: bool = True
    time_ns: int = 0


class Ic:
    """``async with Ic(url, canister, root_key) as ic:``.

    Args:
        url: where a replica or boundary node is.
        canister: the canister under test.
        root_key_der: the IC's key; None to ask the replica for it, on loopback addresses only.

    Attributes:
        canister: the canister under test.
        root_key_der: the IC's key.
        floor_ns: certified time of the newest outcome that the suite has seen: a query that is answered from an older
            state, by a node that is behind, says nothing about what came of it.
    """

    def __init__(self, url: str, canister: Principal, root_key_der: bytes | None = None) -> None:
        self.url = url.rstrip("/")
        self.canister = canister
        self.root_key_der = root_key_der or b""
        self._session: aiohttp.ClientSession | None = None
        self._offset_ns = 0  # the IC's clock, less ours
        self._latest_ns = 0
        self.floor_ns = 0
        self._missing: set[str] = set()
        self._verified: dict[bytes, Certificate] = {}

    async def __aenter__(self) -> Ic:
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=32))
        try:
            if not self.root_key_der:
                self.root_key_der = await self._fetched_key()
            await self.look_at_clock()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def now_ns(self) -> int:
        """The IC's present, as its certificates tell it: what the suite signs requests for."""
        return max(time.time_ns() + self._offset_ns, self._latest_ns)

    def moved(self, seconds: float) -> None:
        """The IC's clock was put forward."""
        self._offset_ns += int(seconds * NS_PER_S)

    async def look_at_clock(self) -> int:
        """Read the time from a certificate; gives it.

        Raises:
            TransportError: the IC gives none.
        """
        expiry = time.time_ns() + self._offset_ns + 120 * NS_PER_S
        envelope = sign_read_state(_NOBODY, paths=[[b"time"]], ingress_expiry_ns=expiry)
        status, body = await self._post(("v3", "v2"), "read_state", envelope.encode(), self.canister)
        if status != 200:
            raise TransportError(f"the IC shows no time: {status} {body[:200]!r}")
        try:
            certificate = self.verify(_map(body).get("certificate", b""))
        except CertificateFault as error:
            raise TransportError(f"the IC's certificate does not hold: {error}") from error
        self._offset_ns = certificate.time_ns - time.time_ns()
        self.floor_ns = max(self.floor_ns, certificate.time_ns)
        return certificate.time_ns

    def verify(self, data: bytes, canister: Principal | None = None) -> Certificate:
        """Verify a certificate for a canister, by default the one under test; equal bytes are verified once.

        Raises:
            CertificateFault: it does not hold.
        """
        key = data + (canister or self.canister).raw
        found = self._verified.get(key)
        if found is None:
            found = open_certificate(data, (canister or self.canister).raw, self.root_key_der)
            if len(self._verified) > 256:
                self._verified.clear()
            self._verified[key] = found
        if found.time_ns > self._latest_ns:
            self._latest_ns = found.time_ns
        return found

    async def update(
        self, who: Identity, method: str, arg: bytes, log: WireLog, *, canister: Principal | None = None
    ) -> Answer:
        """Call an update method and wait for the certified outcome.

        Raises:
            Failed: the certificate does not hold.
            Inconclusive: the IC gives no outcome.
        """
        target = canister or self.canister
        envelope = sign_call(
            who,
            canister_id=target,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=self.now_ns + 60 * NS_PER_S,
            nonce=secrets.token_bytes(16),
        )
        body = envelope.encode()
        log.sent("suite", "IC", f"call {method}", body)
        status, answer = await self._post(("v4", "v3", "v2"), "call", body, target)
        log.sent("IC", "suite", f"answer to {method}: {status}", answer)
        request = envelope.content.request_id
        if status == 200 and (document := _map(answer)).get("status") == "replied":
            found = self._outcome(document.get("certificate", b""), request, target)
            if found is not None:
                return found
        elif status == 200:
            text = f"{document.get('reject_message', '')}"
            return Answer(None, text or "rejected by the node", certified=False)
        elif status != 202:
            return Answer(None, f"HTTP {status}: {answer[:300].decode('latin-1')}", certified=False)
        for _ in range(_POLLS):
            await asyncio.sleep(_POLL_S)
            paths = [[b"request_status", request]]
            ask = sign_read_state(who, paths=paths, ingress_expiry_ns=self.now_ns + 60 * NS_PER_S)
            status, answer = await self._post(("v3", "v2"), "read_state", ask.encode(), target)
            found = self._outcome(_map(answer).get("certificate", b""), request, target) if status == 200 else None
            if found is not None:
                log.sent("IC", "suite", f"outcome of {method}", answer)
                return found
        raise Inconclusive(f"the IC gives no outcome of {method}")

    async def query(
        self, who: Identity, method: str, arg: bytes, log: WireLog, *, canister: Principal | None = None
    ) -> Answer:
        """Call a query method."""
        target = canister or self.canister
        envelope = sign_query(
            who, canister_id=target, method_name=method, arg=arg, ingress_expiry_ns=self.now_ns + 60 * NS_PER_S
        )
        body = envelope.encode()
        log.sent("suite", "IC", f"query {method}", body)
        status, answer = await self._post(("v3", "v2"), "query", body, target)
        log.sent("IC", "suite", f"answer to {method}: {status}", answer)
        if status != 200:
            return Answer(None, f"HTTP {status}: {answer[:300].decode('latin-1')}", certified=False)
        document = _map(answer)
        if document.get("status") == "replied":
            return Answer(bytes(document["reply"]["arg"]), certified=False)
        return Answer(None, f"{document.get('reject_message', 'rejected')}", certified=False)

    def _outcome(self, data: bytes, request: bytes, canister: Principal) -> Answer | None:
        try:
            certificate = self.verify(data, canister)
            self.floor_ns = max(self.floor_ns, certificate.time_ns)
            tree, path = certificate.tree, (b"request_status", request)
            status = tree.find(*path, b"status")
            if status == b"replied":
                return Answer(tree.find(*path, b"reply") or b"", time_ns=certificate.time_ns)
            if status == b"rejected":
                text = tree.find(*path, b"reject_message") or b""
                return Answer(None, text.decode("utf-8", "replace") or "rejected", time_ns=certificate.time_ns)
        except CertificateFault as error:
            raise Failed(f"the answer's certificate does not hold: {error}") from error
        return None

    async def _fetched_key(self) -> bytes:
        if (urlsplit(self.url).hostname or "") not in _LOOPBACK:
            raise MisuseError(
                "a root key is fetched from loopback addresses only; give --root-key", reason=Reason.INVALID_ARGUMENT
            )
        status, body = await self._request("GET", "/api/v2/status", None)
        key = _map(body).get("root_key") if status == 200 else None
        if not isinstance(key, bytes):
            raise TransportError(f"{self.url} tells no root key")
        return key

    async def _post(self, versions: tuple[str, ...], kind: str, body: bytes, canister: Principal) -> tuple[int, bytes]:
        """Post to the newest version of an endpoint that there is."""
        status, answer = 404, b""
        for version in versions:
            if f"{version}/{kind}" in self._missing:
                continue
            status, answer = await self._request("POST", f"/api/{version}/canister/{canister}/{kind}", body)
            if status != 404:
                return status, answer
            self._missing.add(f"{version}/{kind}")
        return status, answer

    async def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        if self._session is None:
            raise TransportError("not connected")
        headers = {"content-type": "application/cbor"}
        try:
            async with self._session.request(method, self.url + path, data=body, headers=headers) as response:
                received = bytearray()
                async for part in response.content.iter_chunked(1 << 16):
                    received += part
                    if len(received) > _MAX_BODY:
                        raise TransportError(f"{self.url} answers with more than {_MAX_BODY} bytes")
                return response.status, bytes(received)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TransportError(f"{self.url} does not answer: {error}") from error


def _map(body: bytes) -> dict[str, Any]:
    try:
        value = cbor2.loads(body)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
        return {}
    if isinstance(value, cbor2.CBORTag):
        value = value.value
    return dict(value) if isinstance(value, Mapping) else {}
