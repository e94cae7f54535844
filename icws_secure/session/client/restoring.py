"""A session's beginning: new, or from what was saved; and what is saved of it."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import MisuseError, Reason
from ...sign.identity import Ed25519Identity, Identity
from .certified import CertifiedState
from .config import ClientConfig
from .core import SessionCore
from .inbound import InboundStream
from .persistence import SavedSession

__all__ = ["client_nonce_of", "identity_of", "restore", "saved_of"]

_SEED_BYTES = 32


def identity_of(
    config: ClientConfig, owner: Identity | None, entropy: Callable[[int], bytes], restored: SavedSession | None
) -> Identity:
    """Who signs the session's calls: the saved key, a fresh one, or the owner (omnia only).

    Raises:
        MisuseError: the saved session is of another canister or profile, or there is no owner.
    """
    if restored is not None:
        if config.profile != "secure":
            raise MisuseError("only secure sessions can be resumed", reason=Reason.UNSUPPORTED)
        if restored.canister_id != config.canister_id:
            raise MisuseError("the saved session is with another canister", reason=Reason.WRONG_CANISTER)
        return restored.identity
    if config.sign_with == "owner":
        if owner is None or owner.principal.is_anonymous:
            raise MisuseError("there is no owner to sign with")
        return owner
    # [ICWS-CLT-006] made here, for this session alone
    return Ed25519Identity(entropy(_SEED_BYTES))


def client_nonce_of(config: ClientConfig, entropy: Callable[[int], bytes], restored: SavedSession | None) -> int:
    """Second half of the client key: saved, set, or drawn."""
    if restored is not None:
        return restored.client_nonce
    return int.from_bytes(entropy(8), "big") if config.client_nonce is None else config.client_nonce


def restore(core: SessionCore, saved: SavedSession) -> None:
    """Put a saved session into ``core``; it has not been started."""
    parameters = saved.parameters
    core.parameters = parameters
    core.certified = CertifiedState(parameters.epoch, parameters.registration_id, saved.registered_at)
    for counter, value, time_ns in saved.floors:
        core.certified.at_least(counter, value, time_ns)
    core.attach = saved.attach
    core.was_opened = saved.was_opened
    core.inbound = InboundStream(saved.taken_through, saved.taken_timestamp_ns)
    core.outbox = core.new_outbox(next_seq=saved.next_seq)
    core.settlement = core.new_settlement()
    for message in saved.unsettled:
        core.outbox.restore(message)
    channel = core.config.channel
    # [ICWS-PAY-003] [ICWS-PAY-012]
    if (channel is None) != (saved.channel is None) and (channel is None or saved.was_opened):
        raise MisuseError("the saved session has agreed on another payload suite", requirement="ICWS-PAY-012")
    if channel is not None and saved.channel is not None:
        channel.restore(saved.channel, parameters, core.client_key)


def saved_of(core: SessionCore, identity: Ed25519Identity) -> SavedSession:
    """What another process needs to go on with a registered session.

    Raises:
        MisuseError: not registered.
    """
    parameters, certified = core.registered()
    channel = core.config.channel
    return SavedSession(
        canister_id=core.config.canister_id,
        seed=identity.export_secret(),
        client_nonce=core.client_key.client_nonce,
        parameters=parameters,
        registered_at=certified.registered_at,
        attach=core.attach,
        was_opened=core.was_opened,
        taken_through=core.inbound.taken_through,
        taken_timestamp_ns=core.inbound.taken_timestamp_ns,
        next_seq=core.outbox.next_seq,
        unsettled=tuple(entry.message for entry in core.outbox.entries.values()),
        floors=certified.floors(),
        channel=None if channel is None else channel.export_state(),
    )
