"""Signed requests and delegations: content and identity in, envelope out."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import MisuseError, Reason
from ..limits import MAX_NONCE_BYTES
from ..wire import domain
from ..wire.envelope import (
    CallContent,
    Delegation,
    Envelope,
    QueryContent,
    ReadStateContent,
    SignedDelegation,
)
from ..wire.principal import Principal
from .identity import Identity

__all__ = ["sign_call", "sign_content", "sign_delegation", "sign_query", "sign_read_state"]


def sign_call(
    identity: Identity,
    *,
    canister_id: Principal,
    method_name: str,
    arg: bytes,
    ingress_expiry_ns: int,
    nonce: bytes | None,
) -> Envelope:
    """The envelope of an update call.

    Args:
        identity: who calls.
        canister_id: the canister called.
        method_name: its method.
        arg: the Candid argument.
        ingress_expiry_ns: when the request becomes invalid, nanoseconds since the Unix epoch; at most 5 min ahead.
        nonce: up to 32 bytes that make this call differ from equal ones. Equal calls are one call; draw 16 random
        bytes.

    Raises:
        MisuseError: the nonce is too long, or the identity does not sign for its principal.
    """
    content = CallContent(
        canister_id=canister_id,
        method_name=method_name,
        arg=arg,
        sender=identity.principal,
        ingress_expiry_ns=ingress_expiry_ns,
        nonce=_checked_nonce(nonce),
    )
    return sign_content(identity, content)


def sign_query(
    identity: Identity,
    *,
    canister_id: Principal,
    method_name: str,
    arg: bytes,
    ingress_expiry_ns: int,
    nonce: bytes | None = None,
) -> Envelope:
    """The envelope of a query; arguments as for :func:`sign_call`.

    Raises:
        MisuseError: the nonce is too long, or the identity does not sign for its principal.
    """
    content = QueryContent(
        canister_id=canister_id,
        method_name=method_name,
        arg=arg,
        sender=identity.principal,
        ingress_expiry_ns=ingress_expiry_ns,
        nonce=_checked_nonce(nonce),
    )
    return sign_content(identity, content)


def sign_read_state(
    identity: Identity,
    *,
    paths: Sequence[Sequence[bytes]],
    ingress_expiry_ns: int,
    nonce: bytes | None = None,
) -> Envelope:
    """The envelope of a read_state request.

    Args:
        identity: who asks. The status of a call may be read only by who made it.
        paths: the paths of the state tree to certify, each a sequence of labels.
        ingress_expiry_ns: when the request becomes invalid, nanoseconds since the Unix epoch.
        nonce: up to 32 bytes.

    Raises:
        MisuseError: the nonce is too long, or the identity does not sign for its principal.
    """
    content = ReadStateContent(
        paths=tuple(tuple(path) for path in paths),
        sender=identity.principal,
        ingress_expiry_ns=ingress_expiry_ns,
        nonce=_checked_nonce(nonce),
    )
    return sign_content(identity, content)


def sign_content(identity: Identity, content: CallContent | QueryContent | ReadStateContent) -> Envelope:
    """Signs the request id of ``content``, domain separated, and wraps both into an envelope.

    Raises:
        MisuseError: the content's sender is not the identity's principal.
    """
    if content.sender != identity.principal:
        raise MisuseError("the content has another sender than the identity", reason=Reason.SENDER_MISMATCH)
    if identity.principal.is_anonymous:
        return Envelope(content=content, sender_pubkey=None, sender_sig=None, sender_delegation=None)
    return Envelope(
        content=content,
        sender_pubkey=identity.public_key_der,
        sender_sig=identity.sign(domain.REQUEST + content.request_id),
        sender_delegation=identity.delegations or None,
    )


def sign_delegation(identity: Identity, delegation: Delegation) -> SignedDelegation:
    """Lets the key in ``delegation`` sign for ``identity``.

    For a chain, append the result to ``identity.delegations``.

    Raises:
        MisuseError: the identity is anonymous.
    """
    return SignedDelegation(delegation=delegation, signature=identity.sign(domain.DELEGATION + delegation.hash()))


def _checked_nonce(nonce: bytes | None) -> bytes | None:
    if nonce is not None and len(nonce) > MAX_NONCE_BYTES:
        raise MisuseError("nonce is too long", reason=Reason.TOO_LARGE, limit=MAX_NONCE_BYTES, received=len(nonce))
    return nonce
