"""How users name things: canisters, gateways, networks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.session.client import GatewayTarget
from icws_secure.wire.principal import Principal

__all__ = ["MAINNET_URL", "Gateways", "as_principal", "as_targets"]

MAINNET_URL: Final = "https://icp-api.io"
"""The main network's HTTPS interface."""

Gateways = str | GatewayTarget | Iterable[str | GatewayTarget] | None
"""One gateway, several in order of preference, or none."""


def as_principal(value: object) -> Principal:
    """Return *value* as a principal: one of ours, the text of one, or ``ic-py``'s object, which has its ``bytes``.

    Raises:
        DecodeError: the text is not that of a principal.
        MisuseError: it is none of these.
    """
    if isinstance(value, Principal):
        return value
    if isinstance(value, str):
        try:
            return Principal.from_text(value)
        except DecodeError as error:
            raise DecodeError(
                error.message, reason=error.reason, requirement=error.requirement, received=repr(value)[:80]
            ) from error
    raw = getattr(value, "bytes", None)
    if isinstance(raw, bytes):
        return Principal(raw)
    raise MisuseError("a principal is a Principal or its text", reason=Reason.WRONG_TYPE)


def as_targets(gateways: Gateways, principal: Principal | str | None = None) -> tuple[GatewayTarget, ...]:
    """Return *gateways* as the session wants them.

    Args:
        gateways: addresses, or targets with a pinned principal.
        principal: pins the one gateway there is.

    Raises:
        MisuseError: an address is not one of a WebSocket, or a principal is given for several gateways.
        DecodeError: the principal's text is not one.
    """
    if gateways is None:
        listed: list[str | GatewayTarget] = []
    elif isinstance(gateways, str | GatewayTarget):
        listed = [gateways]
    elif isinstance(gateways, Iterable):
        listed = list(gateways)
    else:
        raise MisuseError("gateways are addresses, or GatewayTargets", reason=Reason.WRONG_TYPE)
    targets = tuple(target if isinstance(target, GatewayTarget) else GatewayTarget(target) for target in listed)
    for target in targets:
        if not str(target.url).startswith(("ws://", "wss://")):
            raise MisuseError("a gateway's address starts with ws:// or wss://", reason=Reason.INVALID_ARGUMENT)
    if principal is None:
        return targets
    if len(targets) != 1:
        raise MisuseError("gateway_principal is for one gateway; list GatewayTarget(url, principal)")
    return (replace(targets[0], principal=as_principal(principal)),)
