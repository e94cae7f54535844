"""What the client machine asks its shell to do.

The machine has no sockets. After every input the shell drains :meth:`ClientSession.actions` and carries the actions
out **in order**; an action is never repeated and never answered by a return value, only by a later input.

There is one WebSocket at a time. Once the shell has drained a :class:`Disconnect`, it gives no more input from that
socket, not even its close. HTTP requests are independent of the socket and of each other; each is answered by exactly
one ``http_response`` or ``http_failed`` with its ``request_id``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .config import GatewayTarget

__all__ = ["Action", "Connect", "Disconnect", "HttpRequest", "SaveState", "SendFrame"]


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a WebSocket to a gateway.

    Answer with ``connected`` or ``connect_failed``. Offer the subprotocols in the order given.

    Args:
        target: the gateway.
        subprotocols: values for ``Sec-WebSocket-Protocol``; may be empty.
        timeout_ns: how long the connection may take, in nanoseconds; the machine has its own watchdog besides.
    """

    target: GatewayTarget
    subprotocols: tuple[str, ...]
    timeout_ns: int


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send one binary frame on the current WebSocket. Dropped silently when that has died meanwhile."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Close the current WebSocket (or stop connecting) and forget it.

    Args:
        code: WebSocket close code, see :class:`icws_secure.wire.close_codes.CloseCode`.
        reason: at most 123 bytes of UTF-8.
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Send one request to the IC's HTTPS interface.

    Args:
        request_id: number to answer with.
        method: ``"POST"``.
        path: absolute path, for example ``/api/v4/canister/<id>/call``, to be put after the IC's base URL.
        body: CBOR; content type ``application/cbor``.
        timeout_ns: when to give up, in nanoseconds.
    """

    request_id: int
    method: str
    path: str
    body: bytes = field(repr=False)
    timeout_ns: int


@dataclass(frozen=True, slots=True)
class SaveState:
    """Store the session's state durably **before** carrying out the actions that follow.

    Events that are there at the same time are to be told after it. Only given when :attr:`ClientConfig.persist` is set.
    The bytes contain the session's secret key: seal them.

    Args:
        state: what :meth:`ClientSession.export_state` gave.
    """

    state: bytes = field(repr=False)


Action = Connect | SendFrame | Disconnect | HttpRequest | SaveState
"""Everything that the machine may ask for."""
