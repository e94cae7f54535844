"""An owner's view of all sessions: list them, end them.

A session key that was lost, or a device that was stolen, must not live on until its expiry. Only the owner may list
and end all; these are direct calls to the canister, which no gateway sees::

    async with Agent(identity=owner) as agent:
        for session in await list_sessions(agent, canister):
            print(session.session_principal, session.state)
        await revoke(agent, canister)
"""

from __future__ import annotations

import time
from typing import TypeVar

from icws_client.addresses import as_principal
from icws_client.agent import Agent
from icws_secure.errors import Refused
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import Refusal
from icws_secure.wire.registration import (
    RevokeArgument,
    SessionInfo,
    decode_revoke_result,
    decode_sessions_result,
    encode_revoke_argument,
    encode_sessions_argument,
)

__all__ = ["SessionInfo", "list_sessions", "revoke"]

T = TypeVar("T")


async def list_sessions(agent: Agent, canister_id: Principal | str) -> tuple[SessionInfo, ...]:
    """Return the sessions of the agent's identity at a canister.

    One node answers, and signs for it: a node that lies may leave a session out. To be sure that none lives on, revoke
    them all.

    Args:
        agent: with the owner's identity.
        canister_id: the canister.

    Raises:
        Refused: the canister refuses the caller.
        CanisterRejected, CertificateError, SignatureError, DecodeError, TransportError: as for :meth:`Agent.query`.
    """
    return _ok(
        decode_sessions_result(await agent.query(canister_id, "ws_sessions", encode_sessions_argument())),
        certified=False,
    )


async def revoke(agent: Agent, canister_id: Principal | str, session: Principal | str | None = None) -> int:
    """End one session of the agent's identity at once, or all of them.

    Args:
        agent: with the owner's identity.
        canister_id: the canister.
        session: the session's principal; None for all, those included whose registration is still on its way.

    Returns:
        How many sessions have ended; 0 where the identity has none of that name.

    Raises:
        Refused: the canister refuses the caller.
        CanisterRejected, CertificateError, DecodeError, OutcomeUnknown, TransportError: as for :meth:`Agent.call`.
    """
    target = None if session is None else as_principal(session)
    argument = encode_revoke_argument(RevokeArgument(target, time.time_ns()))
    return _ok(decode_revoke_result(await agent.call(canister_id, "ws_revoke", argument)), certified=True)


def _ok(result: T | Refusal, *, certified: bool) -> T:
    if isinstance(result, Refusal):
        raise Refused(result.words, code=result.code, certified=certified)
    return result
