"""Settings of a client session. All times are in nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from ...errors import MisuseError, Reason
from ...limits import MAX_MESSAGE_AGE_NS, MAX_MESSAGE_TTL_NS, MAX_OPEN_TTL_NS, NS_PER_MS, NS_PER_S
from ...wire.frames import SUBPROTOCOL
from ...wire.principal import Principal
from .channel import PayloadChannel

__all__ = ["SUBPROTOCOL", "ClientConfig", "Confirm", "GatewayTarget", "Profile", "SendVia"]

Profile = Literal["secure", "omnia"]
SendVia = Literal["gateway", "direct"]
SignWith = Literal["session", "owner"]
Confirm = Literal["executed", "accepted", "relayed"]


@dataclass(frozen=True, slots=True)
class GatewayTarget:
    """A gateway to attach through.

    Args:
        url: ``ws://`` or ``wss://`` address.
        principal: the principal it must present, or None to accept any self-authenticating one.
    """

    url: str
    principal: Principal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """What a session needs to know. Only ``canister_id`` has no default.

    Args:
        canister_id: the canister to speak with.
        profile: ``secure`` is ``icws-secure/1``; ``omnia`` only when asked for by name. There is no fallback between
            them.
        gateways: in order of preference; empty means that the client is its own gateway.
        direct_fallback: attach directly while no gateway of the list works (secure profile), and switch back later.
        send_via: whether messages go through the gateway or by direct call.
        sign_with: omnia profile: ``session`` makes a fresh key, ``owner`` signs with the owner's identity.
        client_nonce: omnia and secure: part of the client key; None draws one.
        expires_at_ns: wished end of the session; capped by the canister and by the owner's delegation chain.
        evict: a session principal that the canister may end to make room.
        minimum_suite: weakest payload suite that is acceptable, sent at registration; None for no demand.
        channel: payload protection; None leaves content as it is (suite ``none``).
        persist: ask for :class:`SaveState` before each step that a restart must remember.
    """

    canister_id: Principal
    profile: Profile = "secure"
    gateways: tuple[GatewayTarget, ...] = ()
    direct_fallback: bool = True
    send_via: SendVia = "gateway"
    sign_with: SignWith = "session"
    client_nonce: int | None = None
    expires_at_ns: int | None = None
    evict: Principal | None = None
    minimum_suite: str | None = None
    channel: PayloadChannel | None = field(default=None, repr=False)
    persist: bool = False

    # registration, connecting, opening
    open_limit_ns: int = 60 * NS_PER_S
    """From ``start`` to the first attachment; then the attempt ends with :class:`NoGateway`."""
    give_up_ns: int | None = None
    """How long a session may stay without an attachment before it ends; None tries until it expires."""
    http_timeout_ns: int = 15 * NS_PER_S
    connect_timeout_ns: int = 10 * NS_PER_S
    handshake_timeout_ns: int = 10 * NS_PER_S
    """From the connection to the gateway's first frame."""
    attach_timeout_ns: int = 20 * NS_PER_S
    """From ``ws_open`` to the verified attach message (omnia: open message)."""
    open_ttl_ns: int = 60 * NS_PER_S
    """Ingress expiry of ``ws_open``; at most 90 s."""
    message_ttl_ns: int = 50 * NS_PER_S
    """Ingress expiry of ``ws_message``; at most 60 s."""

    # failover
    backoff_initial_ns: int = 250 * NS_PER_MS
    backoff_max_ns: int = 30 * NS_PER_S
    distrust_ns: int = 600 * NS_PER_S
    """How long a gateway that was caught is tried last."""
    switch_back_ns: int = 30 * NS_PER_S
    """How often a directly attached client looks for a gateway that works again."""

    # liveness
    receipt_timeout_ns: int = 15 * NS_PER_S
    """From handing a message to the gateway to its receipt; then the client asks the IC."""
    head_interval_ns: int = 15 * NS_PER_S
    """Longest silence of certified heads from a gateway of our subprotocol before the client audits itself."""
    audit_interval_ns: int = 60 * NS_PER_S
    """Time between audits where no gateway relays heads; spread by up to a quarter."""
    withhold_grace_ns: int = 5 * NS_PER_S
    """Time a gateway has to deliver what a certified head shows."""
    ack_grace_ns: int = 30 * NS_PER_S
    """How late an acknowledgement may be, beyond its interval."""
    omnia_ack_interval_ns: int = 300 * NS_PER_S
    """Acknowledgement interval to assume where none is certified."""
    max_message_age_ns: int = MAX_MESSAGE_AGE_NS

    # sending
    max_queued_messages: int = 1_024
    max_queued_bytes: int = 16 << 20
    max_in_flight: int = 8
    """Calls in flight at once; within them the certified window of the canister counts."""
    send_timeout_ns: int | None = None
    """When a message that is not confirmed is given up: as proven not executed, or as unknown. None: never."""
    retry_initial_ns: int = 500 * NS_PER_MS
    retry_max_ns: int = 5 * NS_PER_S

    # direct mode
    poll_interval_ns: int = 200 * NS_PER_MS
    poll_interval_max_ns: int = 1 * NS_PER_S

    close_timeout_ns: int = 10 * NS_PER_S
    """How long a close waits for its certified confirmation."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("profile", self.profile, Profile),
            ("send_via", self.send_via, SendVia),
            ("sign_with", self.sign_with, SignWith),
        ):
            if value not in get_args(known):
                words = " or ".join(get_args(known))
                raise MisuseError(f"{name} is {words}", reason=Reason.INVALID_ARGUMENT, received=repr(value)[:40])
        # [ICWS-CLT-012]
        if not 0 < self.open_ttl_ns <= MAX_OPEN_TTL_NS:
            raise MisuseError("open_ttl_ns is out of range", requirement="ICWS-CLT-012", maximum=MAX_OPEN_TTL_NS)
        # [ICWS-CLT-043]
        if not 0 < self.message_ttl_ns <= MAX_MESSAGE_TTL_NS:
            raise MisuseError("message_ttl_ns is out of range", requirement="ICWS-CLT-043", maximum=MAX_MESSAGE_TTL_NS)
        if self.profile == "omnia" and self.sign_with == "session" and self.minimum_suite is not None:
            raise MisuseError("the omnia profile has no payload suites")
        if self.profile == "secure" and self.sign_with != "session":
            raise MisuseError("a secure session signs with its own session key", requirement="ICWS-CLT-006")
