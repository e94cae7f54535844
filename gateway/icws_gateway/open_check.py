"""The first frame of a client: what must hold before anything is kept for it or any call is made.

:func:`read_open` takes the cheap steps, :func:`verify_open` those that cost cryptography; in between the shell charges
the address. The steps, in this order:

1. The frame is one call envelope within the size for opens.
2. The canister is served here.
3. The method is ``ws_open``.
4. The argument is that of ``ws_open``, and names this gateway.
5. A secure open is signed by the session key itself: no delegations.
6. The expiry is within bounds.
7. Sender, key, delegations and signature are valid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from icws_secure.errors import IcwsError
from icws_secure.limits import MAX_CLOCK_SKEW_NS, MAX_DELEGATIONS, MAX_INGRESS_TTL_NS, MAX_OPEN_TTL_NS
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.envelope import verify_envelope
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.interface import ClientKey, decode_open_argument
from icws_secure.wire.principal import Principal

from .client_frame import read_call
from .refusal import ClientRefused, refusal_of

__all__ = ["OpenRequest", "OpenedSession", "read_open", "verify_open"]

OPEN_METHOD: Final = "ws_open"


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """What a verified open says.

    Attributes:
        canister: the only canister that the connection may call.
        client_key: whose messages it gets; the principal is the only sender it may use.
        secure: the open is of ``icws-secure/1``.
        attach: number of this attach, 0 in ``omnia/1``.
    """

    canister: Principal
    client_key: ClientKey
    secure: bool
    attach: int


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """An open that passed the cheap steps; nothing of it is proven.

    Attributes:
        session: what it asks for.
        envelope: to be verified.
        body: to be relayed.
        cost: how many signatures there are to verify, delegations counted ten times because they may need a pairing.
    """

    session: OpenedSession
    envelope: Envelope
    body: bytes = field(repr=False)
    cost: int


def read_open(
    frame: bytes | str, *, gateway: Principal, allows: Callable[[Principal], bool], max_bytes: int, now: int
) -> OpenRequest:
    """Steps 1 to 6.

    Args:
        frame: as received.
        gateway: our own principal.
        allows: whether a canister is served.
        max_bytes: of the frame.
        now: nanoseconds since 1970.

    Raises:
        ClientRefused: a step failed.
    """
    # 1.
    # [ICWS-GWY-018]
    if len(frame) > max_bytes:
        raise ClientRefused(CloseCode.ENVELOPE_TOO_LARGE, "the open is too large", limit="open_bytes")
    envelope, content, body = read_call(frame)
    # 2.
    # [ICWS-GWY-002]
    if not allows(content.canister_id):
        raise ClientRefused(CloseCode.CANISTER_NOT_ALLOWED, "this canister is not served here")
    # 3.
    # [ICWS-GWY-002]
    if content.method_name != OPEN_METHOD:
        raise ClientRefused(CloseCode.METHOD_NOT_ALLOWED, "the first call must be ws_open")
    # 4.
    try:
        argument = decode_open_argument(content.arg)
    except IcwsError as error:
        raise refusal_of(error, signature=False) from error
    # [ICWS-GWY-002]
    if argument.gateway_principal != gateway:
        raise ClientRefused(CloseCode.GATEWAY_MISMATCH, "the open names another gateway")
    secure = argument.secure
    delegations = len(envelope.sender_delegation or ())
    # 5.
    # [ICWS-GWY-020]
    if secure is not None and envelope.sender_delegation is not None:
        raise ClientRefused(CloseCode.DELEGATION_NOT_ALLOWED, "the session key signs a secure open itself")
    # [ICWS-GWY-020] and nobody may make us verify a long chain
    if delegations > MAX_DELEGATIONS:
        raise ClientRefused(CloseCode.INVALID_SIGNATURE, "too many delegations")
    # 6. Clocks differ; the canister's rule is about the client's own.
    longest = MAX_INGRESS_TTL_NS if secure is None else MAX_OPEN_TTL_NS + MAX_CLOCK_SKEW_NS
    # [ICWS-GWY-021]
    if not now <= content.ingress_expiry_ns <= now + longest:
        raise ClientRefused(CloseCode.INGRESS_EXPIRY, "the open has expired, or would too late")
    session = OpenedSession(
        canister=content.canister_id,
        client_key=ClientKey(content.sender, argument.client_nonce),
        secure=secure is not None,
        attach=secure.attach if secure is not None else 0,
    )
    return OpenRequest(session, envelope, body, 1 + 10 * delegations)


def verify_open(request: OpenRequest, *, now: int, certificates: CertificateVerifier | None) -> bytes:
    """Step 7. Returns the request id, 32 bytes.

    Args:
        request: from :func:`read_open`.
        now: nanoseconds since 1970.
        certificates: for canister signatures in delegations; without it those are refused.

    Raises:
        ClientRefused: the step failed.
    """
    # 7.
    # [ICWS-GWY-002]
    if request.session.client_key.client_principal.is_anonymous:
        raise ClientRefused(CloseCode.INVALID_SIGNATURE, "the anonymous principal cannot open")
    # [ICWS-GWY-002]
    try:
        return verify_envelope(request.envelope, now=now, certificates=certificates).request_id
    except IcwsError as error:
        raise refusal_of(error, signature=True) from error
