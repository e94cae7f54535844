"""Signed requests, as a replica would judge them before it executes anything.

:func:`verify_envelope` takes these steps, in this order:

1. The content is of the expected kind.
2. ``ingress_expiry`` lies between now and the longest time a request may live. Of anonymous queries and reads it is
   not looked at.
3. An anonymous sender sends neither key nor signature nor delegations.
4. Any other sends key and signature, and is the self-authenticating id of that key.
5. The delegations lead from that key to the one that signed; see :mod:`icws_secure.verify.delegation`.
6. The signature verifies under that key, over the domain-separated request id.
7. ``sender_info`` comes only from senders with a canister signature key, names its canister, and is signed with it.

Source: IC interface specification, "Authentication".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

from ..errors import MisuseError, Reason, SignatureError
from ..limits import MAX_INGRESS_TTL_NS
from ..wire import cbor, domain
from ..wire.der import KeyScheme, PublicKey
from ..wire.envelope import CallContent, Content, Envelope, QueryContent, ReadStateContent
from ..wire.principal import Principal
from .certificate import CertificateVerifier
from .delegation import RequestType, verify_delegations
from .root_key import RootKey
from .signature import verify_user_signature

__all__ = ["VerifiedEnvelope", "verify_envelope"]


@dataclass(frozen=True, slots=True)
class VerifiedEnvelope:
    """An envelope that has passed every step; only :func:`verify_envelope` makes them.

    Attributes:
        envelope: the envelope.
        request_id: the id of its content, 32 bytes.
        sender: who sent it, proven unless anonymous.
        signing_key: the key that signed, the last of the chain; None for an anonymous sender.
    """

    envelope: Envelope
    request_id: bytes
    sender: Principal
    signing_key: PublicKey | None
    _made_here: object

    def __post_init__(self) -> None:
        if self._made_here is not _MADE_HERE:
            raise MisuseError("only verify_envelope makes verified envelopes")


_MADE_HERE: Final = object()


def verify_envelope(
    env: Envelope,
    *,
    now: int,
    root_key: RootKey | None = None,
    max_ttl_ns: int = MAX_INGRESS_TTL_NS,
    request_type: RequestType = "call",
    effective_canister_id: Principal | None = None,
    certificates: CertificateVerifier | None = None,
) -> VerifiedEnvelope:
    """Verifies an envelope, by the steps in this module's docstring.

    Args:
        env: the envelope, decoded.
        now: the caller's clock, nanoseconds since the Unix epoch.
        root_key: the IC's root key, which canister signatures rest on. Without it or ``certificates`` they are refused.
        max_ttl_ns: how far ahead the expiry may lie, nanoseconds.
        request_type: the kind of request that is expected.
        effective_canister_id: the canister of a read_state request, which delegations with targets must include.
        certificates: a verifier to use instead of one made of ``root_key``, to share its caches.

    Raises:
        SignatureError: a step failed; its ``reason`` says which.
        CertificateError: the certificate inside a canister signature is not acceptable.
        DecodeError: a key or a signature is malformed.
    """
    content = env.content
    # 1. [ICWS-LIB-016]
    if not isinstance(content, _CONTENTS[request_type]):
        raise SignatureError(
            "envelope is of another kind",
            reason=Reason.WRONG_REQUEST_TYPE,
            requirement="ICWS-LIB-016",
            expected=request_type,
        )
    # 2.
    if not (content.sender.is_anonymous and request_type != "call"):
        _check_expiry(content.ingress_expiry_ns, now, max_ttl_ns)
    # 3.
    if content.sender.is_anonymous:
        _check_unsigned(env)
        return VerifiedEnvelope(env, content.request_id, content.sender, None, _MADE_HERE)
    # 4. to 6.
    if certificates is None and root_key is not None:
        certificates = _verifier(root_key)
    canister = effective_canister_id if isinstance(content, ReadStateContent) else content.canister_id
    key = _check_signature(env, now, canister, request_type, certificates)
    # 7.
    if "sender_info" in content.extra:
        _check_sender_info(env, certificates)
    return VerifiedEnvelope(env, content.request_id, content.sender, key, _MADE_HERE)


_CONTENTS: Final[dict[RequestType, type[Content]]] = {
    "call": CallContent,
    "query": QueryContent,
    "read_state": ReadStateContent,
}


@lru_cache(maxsize=4)
def _verifier(root_key: RootKey) -> CertificateVerifier:
    return CertificateVerifier(root_key)


def _check_expiry(ingress_expiry_ns: int, now: int, max_ttl_ns: int) -> None:
    # 2. [ICWS-LIB-017]
    if ingress_expiry_ns < now:
        raise SignatureError(
            "request has expired",
            reason=Reason.INGRESS_EXPIRED,
            requirement="ICWS-LIB-017",
            ingress_expiry=ingress_expiry_ns,
            now=now,
        )
    # 2. [ICWS-LIB-017]
    if ingress_expiry_ns > now + max_ttl_ns:
        raise SignatureError(
            "request expires too far ahead",
            reason=Reason.INGRESS_EXPIRY_TOO_FAR,
            requirement="ICWS-LIB-017",
            ingress_expiry=ingress_expiry_ns,
            latest=now + max_ttl_ns,
        )


def _check_unsigned(env: Envelope) -> None:
    # 3. [ICWS-LIB-016]
    if env.sender_pubkey is not None or env.sender_sig is not None or env.sender_delegation is not None:
        raise _bad("an anonymous request carries a key, a signature or delegations", Reason.ANONYMOUS_SIGNED)
    # 7. [ICWS-LIB-019]
    if "sender_info" in env.content.extra:
        raise _bad("an anonymous request carries sender_info", Reason.ANONYMOUS_SIGNED)


def _check_signature(
    env: Envelope,
    now: int,
    canister: Principal | None,
    request_type: RequestType,
    certificates: CertificateVerifier | None,
) -> PublicKey:
    # 4. [ICWS-LIB-016]
    if env.sender_pubkey is None or env.sender_sig is None:
        raise _bad("request has no key or no signature", Reason.SIGNATURE_MISSING)
    # 4. [ICWS-LIB-016]
    if Principal.self_authenticating(env.sender_pubkey) != env.content.sender:
        raise _bad("the sender is not the principal of the key", Reason.SENDER_MISMATCH)
    # 5.
    key = verify_delegations(
        env.sender_pubkey,
        env.sender_delegation or (),
        now=now,
        canister=canister,
        request_type=request_type,
        certificates=certificates,
    )
    # 6. [ICWS-LIB-016]
    verify_user_signature(key, domain.REQUEST + env.content.request_id, env.sender_sig, certificates=certificates)
    return key


def _check_sender_info(env: Envelope, certificates: CertificateVerifier | None) -> None:
    parts = cbor.fields(
        env.content.extra["sender_info"],
        what="sender_info",
        required={"info": bytes, "signer": bytes, "sig": bytes},
        requirement="ICWS-LIB-019",
    )
    # 7. The first key, not that of a delegation: it is the one that the sender is made of.
    key = PublicKey.from_der(cast(bytes, env.sender_pubkey))
    # 7. [ICWS-LIB-019]
    if key.scheme is not KeyScheme.CANISTER_SIGNATURE or key.canister_id.raw != parts["signer"]:
        raise _bad("sender_info is not of the canister that signs for the sender", Reason.BAD_PUBLIC_KEY)
    # 7. [ICWS-LIB-019]
    message = domain.SENDER_INFO + cast(bytes, parts["info"])
    verify_user_signature(key, message, cast(bytes, parts["sig"]), certificates=certificates)


def _bad(message: str, reason: Reason) -> SignatureError:
    return SignatureError(message, reason=reason, requirement="ICWS-LIB-016")
