"""The stream from canister to client: numbering, certifying, retaining, acknowledging."""

from __future__ import annotations

from dataclasses import replace

from icws_secure import limits
from icws_secure.wire.message import SALT_BYTES, CanisterMessage
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import AckMessage, ServiceMessage, encode_service_message

from . import queues
from .draft import Draft
from .refusal import refuse
from .state import Outbound, Retained, Session

__all__ = ["acknowledge", "queue_again", "send", "send_acknowledgement", "send_service", "unqueue"]


def send(draft: Draft, session: Session, data: bytes) -> Session:
    """Give the client a message of the application.

    Raises:
        RefusalError: ``ContentTooLarge``, or ``RetentionFull`` at a bound; nothing is dropped to make place.
    """
    config = draft.config
    channel, content = session.channel, data
    if channel is not None:
        channel, content = channel.seal(session.outbound.next_out, data)
        session = replace(session, channel=channel)
    # [ICWS-CAN-035]
    if len(content) > config.max_content_bytes:
        refuse(RefusalCode.CONTENT_TOO_LARGE, f"a message has at most {config.max_content_bytes} bytes")
    outbound = session.outbound
    if session.secure:
        size = outbound.retained_bytes + len(content)
        # who never acknowledges must not use up what the others need
        modest = size <= config.retained_bytes // limits.MODEST_SHARE
        total = config.retained_total_bytes if modest else config.retained_total_bytes * 3 // 4
        # [ICWS-CAN-062]
        if (
            len(outbound.retained) >= config.retained_messages
            or size > config.retained_bytes
            or draft.retained_bytes + len(content) > total
        ):
            refuse(RefusalCode.RETENTION_FULL, "the client has too many messages to acknowledge")
    session = _next(draft, session, content, is_service=False)
    if session.secure and session.state is SessionState.OPEN and session.alive_by_ns is None:
        outbound = session.outbound
        if 2 * len(outbound.retained) > config.retained_messages or 2 * outbound.retained_bytes > config.retained_bytes:
            # the client answers with a keep-alive, which frees what it has taken, long before the bound
            session = send_acknowledgement(draft, session)
    return session


def send_service(draft: Draft, session: Session, message: ServiceMessage) -> Session:
    """Give the client a service message in the numbered stream.

    Raises:
        RefusalError: ``RetentionFull``: even the reserve for service messages is used up.
    """
    limit = draft.config.retained_messages + limits.RETAINED_RESERVE
    if session.secure and len(session.outbound.retained) >= limit:
        refuse(RefusalCode.RETENTION_FULL, "the client has too many messages to acknowledge")
    return _next(draft, session, encode_service_message(message), is_service=True)


def send_acknowledgement(draft: Draft, session: Session) -> Session:
    """Tell the client how far its messages are handled, and expect a sign of life."""
    inbound = session.inbound
    through = inbound.executed_through if session.secure else inbound.accepted_through
    session = send_service(draft, session, AckMessage(through))
    alive_by = session.alive_by_ns
    if alive_by is None:
        alive_by = draft.now + draft.config.keep_alive_timeout_ns
    return replace(session, alive_by_ns=alive_by)


def _next(draft: Draft, session: Session, content: bytes, *, is_service: bool) -> Session:
    outbound = session.outbound
    seq = outbound.next_out
    # [ICWS-CAN-021] the draft's clock never goes back
    encoded = CanisterMessage(
        client_key=session.client_key,
        sequence_num=seq,
        timestamp_ns=draft.now,
        is_service_message=is_service,
        content=content,
        # [ICWS-CAN-026]
        salt=draft.secret(b"salt", SALT_BYTES) if session.secure else None,
    ).encode()
    nonce = None
    if session.state is SessionState.OPEN:
        nonce = queues.append(draft, session.gateway, session.client_key, encoded)
    if not session.secure:
        return replace(session, outbound=replace(outbound, next_out=seq + 1))
    # [ICWS-CAN-060]
    return replace(
        session,
        outbound=Outbound(
            next_out=seq + 1,
            acked=outbound.acked,
            retained=outbound.retained.set(seq, Retained(encoded, draft.now, nonce)),
            retained_bytes=outbound.retained_bytes + len(encoded),
        ),
    )


def acknowledge(session: Session, through: int) -> Session:
    """The client has taken every message up to ``through``; less than before has no effect.

    Raises:
        RefusalError: ``AckOutOfRange``: more than was sent.
    """
    outbound = session.outbound
    if not session.secure:
        return session  # deployed canisters do not look at the number
    # [ICWS-CAN-042]
    if through >= outbound.next_out:
        refuse(RefusalCode.ACK_OUT_OF_RANGE, f"the last message sent is {outbound.next_out - 1}")
    if through <= outbound.acked:
        return session
    retained, freed = outbound.retained, 0
    for seq in range(outbound.acked + 1, through + 1):
        freed += len(retained[seq].content)
        retained = retained.delete(seq)
    return replace(
        session,
        outbound=Outbound(outbound.next_out, through, retained, outbound.retained_bytes - freed),
    )


def queue_again(draft: Draft, session: Session) -> Session:
    """Queue every retained message, byte for byte, for the gateway that the session is attached through now."""
    outbound = session.outbound
    retained = outbound.retained
    for seq in range(outbound.oldest_retained, outbound.next_out):
        message = retained[seq]
        # [ICWS-CAN-060]
        nonce = queues.append(draft, session.gateway, session.client_key, message.content)
        retained = retained.set(seq, replace(message, nonce=nonce))
    return replace(session, outbound=replace(outbound, retained=retained))


def unqueue(draft: Draft, session: Session) -> Session:
    """Turn what is queued of a session, and not acknowledged, into tombstones; what is retained stays."""
    outbound = session.outbound
    retained = outbound.retained
    nonces = [] if session.attach_nonce is None else [session.attach_nonce]
    for seq, message in outbound.retained.items():
        if message.nonce is not None:
            nonces.append(message.nonce)
            retained = retained.set(seq, replace(message, nonce=None))
    queues.remove(draft, session.gateway, nonces)
    return replace(session, attach_nonce=None, outbound=replace(outbound, retained=retained))
