"""The certified tree: ``icws`` with epoch and heads, ``websocket`` with messages, and the application's own labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from icws_secure.errors import MisuseError, Reason
from icws_secure.wire.head import SessionHead, encode_epoch
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.registration import SessionState

from .state import Registration, Session

if TYPE_CHECKING:
    from .draft import Draft

__all__ = [
    "ICWS_LABEL",
    "WEBSOCKET_LABEL",
    "assemble",
    "check_label",
    "facts",
    "head_of_registration",
    "head_of_session",
]

ICWS_LABEL: Final = b"icws"
WEBSOCKET_LABEL: Final = b"websocket"


def assemble(draft: Draft) -> MerkleMap:
    """The whole tree. Canisters of ``omnia/1`` alone have no ``icws``, as deployed ones have not."""
    # [ICWS-CAN-050]
    root = MerkleMap().insert(WEBSOCKET_LABEL, draft.messages)
    if draft.config.secure:
        icws = MerkleMap().insert(b"epoch", encode_epoch(draft.epoch_ns)).insert(b"head", draft.heads)
        root = root.insert(ICWS_LABEL, icws)
    for label, subtree in draft.application.items():
        root = root.insert(label, subtree)
    return root


def check_label(label: bytes) -> None:
    """Check that an application may have this label.

    Raises:
        MisuseError: it is empty or one of the protocol's.
    """
    if label in (b"", ICWS_LABEL, WEBSOCKET_LABEL):
        raise MisuseError("this label is not the application's", reason=Reason.INVALID_ARGUMENT, label=label)


def facts(session: Session) -> tuple[object, ...]:
    """What of a session its head shows, but for the time of the last change."""
    inbound, outbound = session.inbound, session.outbound
    return (
        *(session.state, session.attach, session.close_code, outbound.next_out, outbound.acked),
        *(inbound.accepted_through, inbound.executed_through, inbound.trapped),
        session.registration and session.registration.expires_ns,
    )


def head_of_session(session: Session) -> SessionHead:
    """The head of an opened secure session.

    Raises:
        MisuseError: the session is of ``omnia/1`` and has none.
    """
    if session.registration is None:
        raise MisuseError("a session of omnia/1 has no head", reason=Reason.WRONG_STATE)
    return SessionHead(
        registration_id=session.registration.registration_id,
        attach=session.attach,
        state=session.state,
        next_out=session.outbound.next_out,
        next_in=session.inbound.accepted_through + 1,
        executed_through=session.inbound.executed_through,
        acked=session.outbound.acked,
        oldest_retained=session.outbound.oldest_retained,
        timestamp_ns=session.changed_ns,
        expires_at_ns=session.registration.expires_ns,
        close_code=session.close_code,
        trapped=session.inbound.trapped,
    )


def head_of_registration(registration: Registration) -> SessionHead:
    """The head of a registration that is not opened yet."""
    return SessionHead(
        registration_id=registration.registration_id,
        attach=0,
        state=SessionState.REGISTERED,
        next_out=1,
        next_in=1,
        executed_through=0,
        acked=0,
        oldest_retained=1,
        timestamp_ns=registration.refreshed_ns,
        expires_at_ns=registration.expires_ns,
    )
