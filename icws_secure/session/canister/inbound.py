"""The stream from client to canister: accepting in order, and handing over one message at a time.

Accepting and handling are separate executions [R18]: :func:`accept` puts messages into the inbox, :func:`take` and
:func:`finish` are called around the application's handler. A handler that traps undoes its own execution, and never the
acceptance.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from icws_secure.errors import DecodeError, PayloadViolation, Reason
from icws_secure.limits import ACCEPTED_HASHES, BATCH_MESSAGES, SMALL_ARGUMENT_BYTES
from icws_secure.wire.head import MAX_TRAPPED
from icws_secure.wire.interface import MessageState, MessageStatus, WebsocketMessage
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import CloseMessage, KeepAliveMessage, SkipMessage, decode_service_message

from . import lifecycle, outbound
from .draft import Draft, next_item
from .events import Delivery, DeliveryKind
from .refusal import RefusalError, refuse
from .state import CLOSE_SEQ, OPEN_SEQ, Held, HeldKind, Inbound, Session
from .table import Cause

__all__ = ["OmniaClosed", "accept", "accept_batch", "finish", "peek", "seen", "status_of", "take"]


def seen(draft: Draft, session: Session) -> Session:
    """The session key has made a valid call."""
    # [ICWS-CAN-040]
    return replace(session, last_seen_ns=draft.now, heard=True, alive_by_ns=None)


# Accepting ------------------------------------------------------------------------------------------------------------


def accept(draft: Draft, caller: Principal, message: WebsocketMessage) -> tuple[Session, MessageStatus]:
    """Take a message, or say why not.

    Raises:
        RefusalError: the message is refused.
        OmniaClosed: it is refused and the session over; the draft is to be kept.
    """
    session = _session_of(draft, caller, message)
    if session.secure:
        session, repeated = _accept_secure(draft, session, message)
    else:
        session, repeated = _accept_omnia(draft, session, message), False
    session = _advance(draft, draft.put(seen(draft, session)))
    return session, status_of(session, message.sequence_num, repeated=repeated)


def accept_batch(
    draft: Draft, caller: Principal, messages: tuple[WebsocketMessage, ...]
) -> tuple[Session, MessageStatus]:
    """Take messages of consecutive numbers, all or none; the status is that of the last.

    Raises:
        RefusalError: ``TooMany``, ``MalformedArgument``, or as :func:`accept`.
    """
    if not messages:
        refuse(RefusalCode.MALFORMED_ARGUMENT, "a batch has at least one message")
    if len(messages) > BATCH_MESSAGES:
        refuse(RefusalCode.TOO_MANY, f"a batch has at most {BATCH_MESSAGES} messages")
    first = messages[0].sequence_num
    if any(message.sequence_num != first + place for place, message in enumerate(messages)):
        refuse(RefusalCode.MALFORMED_ARGUMENT, "the numbers of a batch are consecutive")
    if not _session_of(draft, caller, messages[0]).secure:
        refuse(RefusalCode.CALLER_NOT_ALLOWED, "batches are for secure sessions")
    for message in messages:
        session, status = accept(draft, caller, message)
    return session, status


class OmniaClosed(Exception):  # noqa: N818 - not an error of ours
    """A message was refused, and the refusal ends the client's session: the draft is kept.

    Attributes:
        refusal: what the caller is answered.
    """

    def __init__(self, refusal: RefusalError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal.refusal


def _session_of(draft: Draft, caller: Principal, message: WebsocketMessage) -> Session:
    session = draft.sessions.get(caller)
    if session is None:
        refuse(RefusalCode.NOT_OPEN, "the caller has no open session")
    if message.client_key != session.client_key:
        refuse(RefusalCode.WRONG_CLIENT_KEY, "this is not the client key of the caller's session")
    # [ICWS-CAN-037]
    if session.state is SessionState.CLOSED:
        refuse(RefusalCode.CLOSED, session.close_code or "the session is over")
    if session.registration is not None and session.registration.expires_ns <= draft.now:
        refuse(RefusalCode.EXPIRED, "the session has expired")
    # [ICWS-CAN-035]
    limit = SMALL_ARGUMENT_BYTES if message.is_service_message else draft.config.max_content_bytes
    if len(message.content) > limit:
        refuse(RefusalCode.CONTENT_TOO_LARGE, f"a message has at most {limit} bytes")
    return session


def _accept_secure(draft: Draft, session: Session, message: WebsocketMessage) -> tuple[Session, bool]:
    inbound, seq = session.inbound, message.sequence_num
    digest = sha256(bytes((message.is_service_message,)) + message.content).digest()
    # [ICWS-CAN-031]
    if seq <= inbound.accepted_through or seq in inbound.window:
        known = inbound.hashes.get(seq)
        if known is None:
            refuse(RefusalCode.STALE, f"message {seq} is too old to compare")
        if known != digest:
            refuse(RefusalCode.SEQUENCE_CONFLICT, f"message {seq} was accepted with other content")
        return session, True
    # [ICWS-CAN-030]
    config = draft.config
    size = 0 if message.is_service_message else len(message.content)  # what a service message says is not kept
    alone = seq == inbound.executed_through + 1
    # who leaves gaps on purpose must not keep others from speaking in order
    total = config.window_total_bytes if seq == inbound.accepted_through + 1 else config.window_total_bytes * 3 // 4
    if (
        seq > inbound.executed_through + config.window_messages
        or (inbound.held_bytes + size > config.window_bytes and not alone)
        or draft.held_bytes + size > total
    ):
        refuse(RefusalCode.OUT_OF_WINDOW, f"the next message is {inbound.accepted_through + 1}")
    session, held = _read(draft, session, message)
    window = session.inbound.window.set(seq, held)
    hashes = session.inbound.hashes.set(seq, digest)
    inbound = replace(
        session.inbound, window=window, hashes=hashes, held_bytes=session.inbound.held_bytes + len(held.data)
    )
    return replace(session, inbound=_close_gap(inbound)), False


def _close_gap(inbound: Inbound) -> Inbound:
    """Move what is contiguous from the window to the inbox."""
    through, window, inbox, hashes = inbound.accepted_through, inbound.window, inbound.inbox, inbound.hashes
    while (held := window.get(through + 1)) is not None:
        through += 1
        window = window.delete(through)
        inbox = inbox.set(through, held)
        if through - ACCEPTED_HASHES in hashes:
            hashes = hashes.delete(through - ACCEPTED_HASHES)
    return replace(inbound, accepted_through=through, window=window, inbox=inbox, hashes=hashes)


def _accept_omnia(draft: Draft, session: Session, message: WebsocketMessage) -> Session:
    inbound, seq = session.inbound, message.sequence_num
    # [ICWS-CAN-036]
    if seq != inbound.accepted_through + 1:
        lifecycle.apply(draft, session, Cause.WRONG_NUMBER)
        raise OmniaClosed(
            RefusalError(RefusalCode.NOT_OPEN, f"closed: expected message {inbound.accepted_through + 1}")
        )
    try:
        session, held = _read(draft, session, message)
    except RefusalError as error:
        if error.refusal.code != RefusalCode.INVALID_SERVICE_MESSAGE:
            raise
        lifecycle.apply(draft, session, Cause.BAD_SERVICE_MESSAGE)
        raise OmniaClosed(error) from error
    if draft.held_bytes + len(held.data) > draft.config.window_total_bytes:
        refuse(RefusalCode.OUT_OF_WINDOW, "too much waits for the application")
    inbound = session.inbound
    return replace(
        session,
        inbound=replace(
            inbound,
            accepted_through=seq,
            inbox=inbound.inbox.set(seq, held),
            held_bytes=inbound.held_bytes + len(held.data),
        ),
    )


def _read(draft: Draft, session: Session, message: WebsocketMessage) -> tuple[Session, Held]:
    """What a message says; service messages have their effect, but for closing."""
    if not message.is_service_message:
        session, data = _unseal(session, message)
        return session, Held(HeldKind.MESSAGE, data, draft.now)
    try:
        service = decode_service_message(message.content)
    except DecodeError as error:
        raise RefusalError(RefusalCode.INVALID_SERVICE_MESSAGE, "the service message cannot be read") from error
    if isinstance(service, KeepAliveMessage):
        session = outbound.acknowledge(session, service.last_incoming_sequence_num)
        return session, Held(HeldKind.NOTHING, b"", draft.now)
    if session.secure and isinstance(service, SkipMessage):
        return session, Held(HeldKind.NOTHING, b"", draft.now)
    if session.secure and isinstance(service, CloseMessage):
        return session, Held(HeldKind.CLOSE, b"", draft.now)
    raise RefusalError(RefusalCode.INVALID_SERVICE_MESSAGE, "not a service message that a client sends")


def _unseal(session: Session, message: WebsocketMessage) -> tuple[Session, bytes]:
    if session.channel is None:
        return session, message.content
    try:
        channel, data = session.channel.open(message.sequence_num, message.content)
    except PayloadViolation as error:
        stale = error.reason is Reason.STALE_ROOM_EPOCH
        code = RefusalCode.STALE_ROOM_EPOCH if stale else RefusalCode.UNSEALED_CONTENT
        raise RefusalError(code, "the content is not sealed as agreed") from error
    # [ICWS-PAY-005] what waits behind a gap may be dropped and come again: its key is spent when its turn comes
    if message.sequence_num == session.inbound.accepted_through + 1:
        session = replace(session, channel=channel)
    return session, data


def status_of(session: Session, seq: int, *, repeated: bool = False) -> MessageStatus:
    """How far the session is, and what has become of message ``seq``."""
    inbound = session.inbound
    # [ICWS-CAN-033]
    if seq in inbound.trapped:
        state = MessageState.TRAPPED
    elif repeated:
        state = MessageState.DUPLICATE
    else:
        state = MessageState.EXECUTED if seq <= inbound.executed_through else MessageState.ACCEPTED
    return MessageStatus(inbound.accepted_through, inbound.executed_through, state)


# Handing over ---------------------------------------------------------------------------------------------------------


def peek(session: Session) -> Delivery | None:
    """What the application is to handle next, or None, also while it is handling something."""
    item = next_item(session)
    if item is None:
        return None
    if item == OPEN_SEQ:
        return Delivery(session.client_key, DeliveryKind.OPENED, OPEN_SEQ)
    if item == CLOSE_SEQ:
        return Delivery(session.client_key, DeliveryKind.CLOSED, CLOSE_SEQ, code=session.close_code or "")
    return Delivery(session.client_key, DeliveryKind.MESSAGE, item, session.inbound.inbox[item].data)


def take(draft: Draft, session: Session) -> Delivery | None:
    """Begin to handle what is next. Until :func:`finish` nothing else of the session is given out."""
    delivery = peek(session)
    if delivery is not None:
        draft.put(replace(session, inbound=replace(session.inbound, delivering=delivery.seq)))
    return delivery


def finish(draft: Draft, session: Session, seq: int, *, trapped: bool) -> Session:
    """What :func:`take` gave as ``seq`` was handled, or trapped. Without effect if it is not what is next."""
    inbound = session.inbound
    # [ICWS-CAN-032] after a trap the state is that before take: what is next is what trapped
    current = inbound.delivering if inbound.delivering is not None else next_item(session)
    if current != seq:
        return session
    session = replace(session, inbound=replace(inbound, delivering=None))
    if seq == OPEN_SEQ:
        session = replace(session, announce_open=False)
    elif seq == CLOSE_SEQ:
        session = replace(session, announce_close=False)
    else:
        session = replace(session, inbound=_executed(session.inbound, trapped=trapped))
    return _advance(draft, draft.put(session))


def _executed(inbound: Inbound, *, trapped: bool) -> Inbound:
    """The next message of the inbox is done with."""
    seq = inbound.executed_through + 1
    held = inbound.inbox[seq]
    numbers = inbound.trapped
    if trapped:
        numbers = (*numbers, seq)[-MAX_TRAPPED:]
    return replace(
        inbound,
        executed_through=seq,
        inbox=inbound.inbox.delete(seq),
        held_bytes=inbound.held_bytes - len(held.data),
        trapped=numbers,
    )


def _advance(draft: Draft, session: Session) -> Session:
    """Be done with what is not for the application."""
    while session.inbound.delivering is None and not session.announce_open:
        held = session.inbound.inbox.get(session.inbound.executed_through + 1)
        if held is None or held.kind is HeldKind.MESSAGE:
            break
        session = draft.put(replace(session, inbound=_executed(session.inbound, trapped=False)))
        if held.kind is HeldKind.CLOSE and session.state is not SessionState.CLOSED:
            session = lifecycle.apply(draft, session, Cause.CLIENT_CLOSE)
    return session
