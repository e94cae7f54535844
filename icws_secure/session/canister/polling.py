"""What queries show: a gateway's queue, and sessions' heads, each with its witness."""

from __future__ import annotations

from typing import Final

from icws_secure.limits import AUDIT_SESSIONS
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.head import EPOCH_PATH, head_path
from icws_secure.wire.interface import CertifiedMessages, OutputMessage
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import Audit

from .certified import WEBSOCKET_LABEL
from .config import CanisterConfig
from .refusal import refuse
from .state import CanisterState

__all__ = ["audit", "get_messages"]

_MESSAGE_OVERHEAD: Final = 512  # bytes of key, client key, leaf and witness nodes for one message, generously
_POLL_OVERHEAD: Final = 16 << 10  # bytes of the rest of the witness and of the Candid around, generously


def get_messages(
    state: CanisterState, config: CanisterConfig, caller: Principal, nonce: int, certificate: bytes | None
) -> CertifiedMessages:
    """``ws_get_messages``: the caller's queue from ``nonce`` on.

    Raises:
        RefusalError: ``NoDataCertificate``: called as an update.
    """
    # [ICWS-CAN-071]
    if certificate is None:
        refuse(RefusalCode.NO_DATA_CERTIFICATE, "messages are polled by query")
    # [ICWS-CAN-025]
    queue = state.queues.get(caller)
    first = nonce if queue is None else max(nonce, queue.first)
    if queue is None or first >= queue.end:
        return CertifiedMessages((), b"", b"", True)
    messages: list[OutputMessage] = []
    size = _POLL_OVERHEAD + len(certificate)
    place = first
    # [ICWS-CAN-024]
    while place < queue.end and len(messages) < config.poll_messages:
        entry = queue.entries[place]
        size += len(entry.content) + _MESSAGE_OVERHEAD
        if messages and size > config.poll_bytes:
            break
        messages.append(OutputMessage(entry.client_key, entry.key, entry.content))
        place += 1
    witness = state.root.witness_range((WEBSOCKET_LABEL,), messages[0].key.encode(), messages[-1].key.encode())
    return CertifiedMessages(tuple(messages), certificate, encode_tree(witness), place == queue.end)


def audit(state: CanisterState, caller: Principal, sessions: tuple[Principal, ...], certificate: bytes | None) -> Audit:
    """``ws_audit``: the certified heads of sessions, to the session itself or to the gateway of its newest attach.

    A gateway is given None for sessions that are not its own. Without ``certificate`` (as an update) the reply is
    certified itself, and carries none.

    Raises:
        RefusalError: ``TooMany`` or ``NotYourSession``.
    """
    if len(sessions) > AUDIT_SESSIONS:
        refuse(RefusalCode.TOO_MANY, f"an audit is of at most {AUDIT_SESSIONS} sessions")
    # [ICWS-CAN-052]
    allowed = {principal for principal in sessions if principal == caller or _is_gateway(state, caller, principal)}
    if not allowed:
        refuse(RefusalCode.NOT_YOUR_SESSION, "heads are shown to the session itself and to its gateway")
    heads = []
    for principal in sessions:
        leaf = state.heads.get(principal.raw) if principal in allowed else None
        heads.append(leaf if isinstance(leaf, bytes) else None)
    if certificate is None:
        return Audit(state.epoch_ns, tuple(heads))
    paths = [EPOCH_PATH, *(head_path(principal) for principal in sessions if principal in allowed)]
    return Audit(state.epoch_ns, tuple(heads), certificate, encode_tree(state.root.witness(paths)))


def _is_gateway(state: CanisterState, caller: Principal, principal: Principal) -> bool:
    session = state.sessions.get(principal)
    return session is not None and session.secure and session.attach > 0 and session.gateway == caller
