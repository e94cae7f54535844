"""The target ``gateway``: which gateway, how it is reached, and how it reaches the suite's IC."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidURI, WebSocketException

from icws_conformance.clients.world import World
from icws_conformance.gateways.process import GatewayProcess, free_port, listens
from icws_conformance.gateways.stage import plain
from icws_conformance.gateways.under_test import FEATURES, GatewayUnderTest, read_bounds
from icws_conformance.hostile.boundary import HostileBoundary
from icws_secure.errors import MisuseError, Reason, TransportError

__all__ = ["OWN_GATEWAY", "GatewayOptions", "open_target"]

#: This project's gateway: the module, and what it is started with.
OWN_GATEWAY: Final = (
    "icws_conformance.drivers.gateway",
    *("--ic-url", "{ic_url}", "--listen", "{listen}", "--identity", "{identity}", "--log-level", "error"),
    *("--verify-queries", "--set", "open_timeout_seconds=5"),
)

_PLACEHOLDERS: Final = ("ic_url", "listen", "host", "port", "identity", "folder")
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_ANSWER_S: Final = 20.0
_WAIT_S: Final = 30.0
_LOOK_S: Final = 0.2
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True)
class GatewayOptions:
    """What the command line says of the gateway.

    Attributes:
        start: the command that starts it; empty for one that runs already.
        url: where it listens; may hold ``{listen}``. Empty: ``ws://{listen}``.
        ic_url_for_gateway: the address of the IC in the gateway's settings; empty: any free one.
        ic_listen: ``host:port`` where the suite's IC listens; empty: as in the address.
        ca: PEM file with the certificate of whoever vouches for a ``wss`` gateway; None: the system's.
        insecure_tls: take any certificate.
        features: what the gateway is said to do.
        bounds: ``name=number``, instead of the usual bounds.
    """

    start: Sequence[str] = ()
    url: str = ""
    ic_url_for_gateway: str = ""
    ic_listen: str = ""
    ca: Path | None = None
    insecure_tls: bool = False
    features: Sequence[str] = ()
    bounds: Sequence[str] = ()

    def check(self) -> None:
        """See that the options fit together, before anything is started.

        Raises:
            MisuseError: they do not; the message says what is missing.
        """
        text = " ".join(self.start)
        if not self.start and not self.url:
            raise _misuse("--url of a gateway that runs, or --start with the command of one, is missing")
        for name in _PLACEHOLDER.findall(f"{text} {self.url}"):
            if name not in _PLACEHOLDERS:
                known = ", ".join(f"{{{known}}}" for known in _PLACEHOLDERS)
                raise _misuse(f"{{{name}}} stands for nothing; there are {known}")
        if self.start and not self.url and "{listen}" not in text and "{port}" not in text:
            raise _misuse("the command does not say where to listen: put {listen} (or {port}) in it, or give --url")
        if not self.ic_url_for_gateway and self.start and "{ic_url}" not in text:
            raise _misuse("the command does not say where the IC is: put {ic_url} in it, or give --ic-url-for-gateway")
        if not self.ic_url_for_gateway and not self.start and not self.ic_listen:
            raise _misuse("--url needs --ic-url-for-gateway: the address of the IC that the gateway was started with")
        if not self.start and _PLACEHOLDER.search(self.url):
            raise _misuse("without --start nothing can be put into --url")
        if self.url and urlsplit(self.url).scheme not in ("ws", "wss"):
            raise _misuse("--url is an address that begins with ws:// or wss://")
        if unknown := set(self.features) - set(FEATURES):
            raise _misuse(f"there is no feature {sorted(unknown)[0]}; there is {', '.join(FEATURES)}")
        read_bounds(tuple(self.bounds))
        self._ic_address()

    def _ic_address(self) -> tuple[str, int]:
        """Where the suite's IC listens: host, and port or 0."""
        if self.ic_listen:
            host, separator, port = self.ic_listen.rpartition(":")
            if not separator or not host or not port.isdecimal() or int(port) > 65_535:
                raise _misuse("--ic-listen is host:port")
            return host.strip("[]"), int(port)
        if not self.ic_url_for_gateway:
            return _LOOPBACK, 0
        try:
            parts = urlsplit(self.ic_url_for_gateway)
            port_number = parts.port
        except ValueError as error:
            raise _misuse("--ic-url-for-gateway is no address") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _misuse("--ic-url-for-gateway is an address that begins with http://")
        if parts.scheme == "https":
            raise _misuse(
                "the suite's IC speaks http; where TLS ends in front of it, --ic-listen says where it listens"
            )
        return parts.hostname, port_number or 80

    def tls(self) -> ssl.SSLContext | None:
        """How a ``wss`` gateway's certificate is checked; None for ``ws``.

        Raises:
            MisuseError: the file of ``--ca`` cannot be used.
        """
        if not self.url.startswith("wss:"):
            return None
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
        except (OSError, ssl.SSLError) as error:
            raise _misuse("the file of --ca holds no certificate that can be read") from error
        if self.insecure_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@contextlib.asynccontextmanager
async def open_target(
    world: World, options: GatewayOptions, tell: Callable[[str], None] = lambda words: None
) -> AsyncIterator[GatewayUnderTest]:
    """The gateway, started if need be, with the suite's IC behind it.

    Args:
        world: the IC that the suite plays.
        options: which gateway.
        tell: told, for a gateway that the suite does not start, where the IC is and what is waited for.

    Raises:
        MisuseError: the options do not fit together.
        TransportError: the gateway does not start or does not answer, or the suite's IC cannot listen.
    """
    options.check()
    tested = GatewayUnderTest(
        "", world, tls=options.tls(), features=frozenset(options.features), bounds=read_bounds(tuple(options.bounds))
    )
    async with contextlib.AsyncExitStack() as stack:
        host, port = options._ic_address()
        boundary = HostileBoundary(world.ic_url, tested.http, host=host, port=port)
        try:
            ic = await stack.enter_async_context(boundary)
        except OSError as error:
            raise TransportError(f"the suite's IC cannot listen on {host}:{port}: {error.strerror}") from error
        if options.start:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="icws-conformance-"))
            tested.process = _process_of(tested, options, options.ic_url_for_gateway or ic.url, folder)
            await stack.enter_async_context(tested.process)
        else:
            tested.url = options.url
            tell(f"the suite's IC listens on {ic.url}; waiting for a gateway at {tested.url}")
            await _is_there(tested)
        await _answers(tested)
        yield tested


def _process_of(tested: GatewayUnderTest, options: GatewayOptions, ic_url: str, folder: str) -> GatewayProcess:
    """Fill in the command, and what the target has to know of it."""
    port = free_port()
    values = {
        "ic_url": ic_url,
        "listen": f"{_LOOPBACK}:{port}",
        "host": _LOOPBACK,
        "port": str(port),
        "identity": f"{folder}/identity",
        "folder": folder,
    }

    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: values[found[1]], text)

    tested.url = filled(options.url or "ws://{listen}")
    if any("{identity}" in word for word in options.start):
        tested.identity = values["identity"]
    return GatewayProcess([filled(word) for word in options.start], *tested.address)


async def _is_there(tested: GatewayUnderTest) -> None:
    """Wait a while for somebody to listen: a gateway may need the suite's IC before it starts."""
    for _ in range(int(_WAIT_S / _LOOK_S)):
        if await listens(*tested.address):
            return
        await asyncio.sleep(_LOOK_S)


async def _answers(tested: GatewayUnderTest) -> None:
    """See that a WebSocket can be had at all, so that what follows is about the protocol.

    Raises:
        TransportError: it cannot; the message says why.
    """
    try:
        socket = await connect(tested.url, ssl=tested.tls, compression=None, open_timeout=_ANSWER_S)
    except InvalidURI as error:
        raise TransportError(f"{tested.url} is no address of a WebSocket") from error
    except TimeoutError as error:
        raise TransportError(
            f"the gateway at {tested.url} takes connections, and does not answer the WebSocket upgrade "
            f"within {_ANSWER_S:g} s{_printed(tested)}"
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise TransportError(
            f"the certificate of {tested.url} is not trusted ({error.verify_message}); "
            "--ca names whom to trust, --insecure-skip-tls-verification takes any"
        ) from error
    except (OSError, WebSocketException, EOFError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else plain(error)
        raise TransportError(f"no WebSocket at {tested.url}: {why}{_printed(tested)}") from error
    await socket.close()


def _printed(tested: GatewayUnderTest) -> str:
    words = "" if tested.process is None else tested.process.printed
    return f"; it printed: {words}" if words else ""


def _misuse(words: str) -> MisuseError:
    return MisuseError(words, reason=Reason.INVALID_ARGUMENT)
