"""The gateway as a whole: sockets in front, the IC behind, and the parts in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from icws_secure.errors import MisuseError
from icws_secure.sign.identity import Identity
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.root_key import MAINNET_ROOT_KEY, RootKey
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import SUBPROTOCOL, DrainFrame
from icws_secure.wire.principal import Principal

from .admission import Admission, FrameBudget, client_address
from .client_socket import ClientSocket, SocketHub
from .closer import Closer
from .cluster import Cluster
from .cluster.claims import Superseded
from .config import GatewayConfig
from .connection import ClientConnection
from .descriptors import Descriptors
from .directory import Directory
from .heads import HeadRelay
from .http_pages import plain_page
from .ic_client import IcClient
from .ic_watch import IcWatch
from .identity_file import load_or_create_identity
from .logs import ClientLog, logger
from .metrics import GatewayMetrics
from .node_keys import NodeSignatures
from .pollers import Pollers
from .refusal import ClientRefused
from .relay import CallRelay
from .services import Services
from .status_page import StatusPage
from .tls import certificate_expiry, reload_certificate, server_context
from .tls_door import TlsDoor
from .traces import Traces
from .trust import configured_root_key
from .worker_metrics import WorkerMetrics

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

__all__ = ["Gateway", "serve_gateway"]

_READ_QUEUE: Final = (4, 2)  # frames of one client that wait to be read, high and low water
_HOLD: Final = 0.05  # seconds between looks at who is left while draining


class Gateway:
    """One gateway: a relay between clients and the canisters of one IC. Nothing rests on its honesty.

    Args:
        config: its settings.
        identity: its principal selects its queue at each canister; by default from the settings' key file.
        siblings: the figures of other processes that share its port; None if there are none.
        traces: where its OpenTelemetry spans go, for embedders; by default where the settings say, if they do.

    Raises:
        MisuseError: the identity, the root key or the TLS files cannot be used, or traces are wanted without the extra.
    """

    def __init__(
        self,
        config: GatewayConfig,
        identity: Identity | None = None,
        *,
        siblings: WorkerMetrics | None = None,
        traces: TracerProvider | None = None,
    ) -> None:
        self._config = config
        self._siblings = siblings
        self._identity = identity if identity is not None else load_or_create_identity(config.identity)
        self._tls = server_context(config)
        self.metrics = GatewayMetrics()
        self.metrics.certificate_expiry.set(certificate_expiry(config))
        descriptors = Descriptors.divided(config)
        self._hub = SocketHub(config, self.metrics, descriptors)
        self._ic = IcClient(config, self._identity, self.metrics)
        self._traces = (
            Traces(traces) if traces is not None else Traces.configured(config, self._identity.principal.to_text())
        )
        directory = Directory()
        self._services = Services(
            config=config,
            identity=self._identity,
            metrics=self.metrics,
            admission=Admission(config),
            directory=directory,
            pollers=Pollers(self._identity.principal, self._ic, directory, config, self.metrics, self._traces),
            relay=CallRelay(self._ic, config, self.metrics),
            closer=Closer(self._ic, self._identity, config.closes_waiting, self.metrics),
            traces=self._traces,
            log=ClientLog(config, self.metrics),
        )
        if config.redis_url is not None:
            cluster = Cluster(
                config.redis_url.get_secret_value(), self.principal, config, self.metrics, self._opened_elsewhere
            )
            self._services.cluster = self._services.pollers.cluster = cluster
        self._status = StatusPage(self.metrics, directory, self._services.pollers)
        self._server: Server | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.Task[Any]] = set()
        self._heads: HeadRelay | None = None
        self._forgotten = 0  # certificates that the cache has dropped, as counted last
        self._log = logger()
        root_key = configured_root_key(config)
        if root_key is not None:
            self._trust(root_key)
        self._watch = IcWatch(self._ic, config, self.metrics, self._trust if root_key is None else None)

    @property
    def principal(self) -> Principal:
        """The gateway's principal, as its handshake tells it."""
        return self._identity.principal

    @property
    def config(self) -> GatewayConfig:
        """The settings in effect."""
        return self._config

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            return self._config.port
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where clients connect to."""
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        return f"{'ws' if self._tls is None else 'wss'}://{host}:{self.port}"

    @property
    def is_ready(self) -> bool:
        """Whether new clients are welcome: the IC answered, and no shutdown is under way."""
        return self._server is not None and self._watch.is_up and not self._services.draining

    async def start(self) -> None:
        """Begins to serve, in the running loop.

        Raises:
            OSError: the address cannot be listened on.
        """
        config = self._config
        await self._ic.start()
        if self._services.cluster is not None:
            await self._services.cluster.start()
        if self._siblings is not None:
            await self._siblings.start(self._own_figures)

        def connection(*args: Any, **options: Any) -> ClientSocket | TlsDoor:
            socket = ClientSocket(*args, hub=self._hub, **options)
            return socket if self._tls is None else TlsDoor(socket, self._hub, self._tls)

        self._server = await serve(
            self._serve_client,
            config.host,
            config.port,
            select_subprotocol=_select_subprotocol,
            compression=None,
            process_request=self._answer_plain_request,
            server_header=None,
            open_timeout=config.handshake_timeout_seconds,
            ping_interval=None,
            close_timeout=config.close_timeout_seconds,
            max_size=config.max_frame_bytes,
            max_queue=_READ_QUEUE,
            create_connection=connection,  # type: ignore[arg-type] # any factory will do
            reuse_port=self._siblings is not None or None,
            backlog=1_024,
        )
        self._spawn(self._hub.watch())
        self._spawn(self._watch.run())
        if config.head_interval_seconds:
            self._heads = HeadRelay(
                self.principal,
                self._ic,
                self._services.directory,
                config,
                self.metrics,
                lambda: self._services.pollers.signatures,
            )
            self._spawn(self._heads.run())
        self._log.info("listening", url=self.url, principal=self.principal.to_text(), ic=config.ic_url)

    async def drain(self) -> None:
        """Shuts down without loss for those who can move on: new clients are refused, those with our subprotocol are
        told and have a while, then the rest is closed and the canisters are told."""
        services, seconds = self._services, self._config.drain_seconds
        services.draining = True
        self.metrics.draining.set(1)
        deadline = time.monotonic() + seconds
        # [ICWS-GWY-022]
        frame = DrainFrame(int(seconds)).encode()
        for client in services.directory.clients():
            if client.modern:
                client.post(frame, "drain")
        self._log.info("draining", seconds=seconds)
        while any(client.modern for client in services.directory.clients()):
            if time.monotonic() >= deadline:
                return
            await asyncio.sleep(_HOLD)

    async def stop(self) -> None:
        """Closes every client, tells their canisters, and ends; takes a bounded time."""
        services, config = self._services, self._config
        services.draining = True
        if self._server is not None:
            for socket in tuple(self._hub.sockets):
                socket.refuse(ClientRefused(CloseCode.GOING_AWAY, "the gateway is shutting down"))
            self._server.close(close_connections=False)
            if self._clients:
                await asyncio.wait(tuple(self._clients), timeout=config.close_timeout_seconds + 1)
            # what is left waits for calls that the IC does not answer
            for client in tuple(self._clients):
                client.cancel()
            for socket in tuple(self._hub.sockets):
                socket.transport.abort()
            for door in tuple(self._hub.doors):
                door.abort()
            await self._server.wait_closed()
        # [ICWS-GWY-022]
        await services.closer.finish(config.close_timeout_seconds)
        for task in tuple(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await services.pollers.stop()
        if services.cluster is not None:
            await services.cluster.stop()
        await self._ic.stop()
        await self._traces.stop()
        if self._siblings is not None:
            await self._siblings.stop()
        if self._server is not None:
            self._log.info("stopped")

    def reload(self, config: GatewayConfig) -> None:
        """Puts the reloadable settings of ``config`` into effect and reads the TLS files again.

        Raises:
            MisuseError: the TLS files cannot be used; nothing is changed then.
        """
        services = self._services
        try:
            if self._tls is not None:
                reload_certificate(self._tls, self._config)
                self.metrics.certificate_expiry.set(certificate_expiry(self._config))
        except MisuseError:
            self.metrics.reloads.labels("failed").inc()
            raise
        waiting = self._config.needing_restart(config)
        self._config = services.config = self._config.reloaded(config)
        for part in (
            self._hub,
            services.admission,
            services.relay,
            services.pollers,
            services.closer,
            services.log,
            self._heads,
        ):
            if part is not None:
                part.apply(self._config)
        self.metrics.reloads.labels("done").inc()
        if waiting:
            self._log.warning("some changes need a restart", settings=waiting)
        self._log.info("reloaded")

    async def _serve_client(self, connection: ServerConnection) -> None:
        """Serves one WebSocket. Whatever goes wrong in here ends this client and nobody else."""
        if not isinstance(connection, ClientSocket):  # the factory makes no others
            return
        services, now = self._services, asyncio.get_running_loop().time()
        services.metrics.connections_total.inc()
        try:
            if services.draining:
                # [ICWS-GWY-022]
                raise ClientRefused(CloseCode.DRAINING, "the gateway is shutting down")
            offered = _offered(connection)
            modern = connection.subprotocol == SUBPROTOCOL
            if offered and not modern:
                raise ClientRefused(CloseCode.UNSUPPORTED_SUBPROTOCOL, f"only {SUBPROTOCOL} is spoken here")
            address = services.admission.enter(self._address_of(connection), now)
        except ClientRefused as why:
            connection.refuse(why)
            return
        services.metrics.connections.inc()
        budget = FrameBudget(address, services.config, now)
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        try:
            connection.set_budget(budget)
            await ClientConnection(services, connection, address, modern=modern).run()
        except Exception as error:  # noqa: BLE001 - the last line of defence: one client's end, counted and logged
            # [ICWS-GWY-012]
            services.metrics.internal_errors.inc()
            self._log.error("client failed inside the gateway", connection=str(connection.id), exc_info=error)
            connection.refuse(ClientRefused(CloseCode.INTERNAL, "internal error"))
        finally:
            services.metrics.connections.dec()
            budget.close()
            services.admission.leave(address)

    def _address_of(self, connection: ClientSocket) -> str:
        peer = connection.remote_address
        headers = connection.request.headers if connection.request is not None else Headers()
        return client_address(
            peer[0] if isinstance(peer, tuple) else "local",
            headers.get_all("X-Forwarded-For"),
            self._config.proxy_networks,
        )

    async def figures(self) -> bytes:
        """The metrics in Prometheus' text format; of all processes that share the port."""
        return self._own_figures() if self._siblings is None else await self._siblings.gather()

    def status(self) -> bytes:
        """The page for people, in HTML; of this process alone."""
        state = "ready" if self.is_ready else "draining" if self._services.draining else "not ready"
        return self._status.html(self.principal.to_text(), state)

    def _own_figures(self) -> bytes:
        self.metrics.held_bytes.set(self._services.admission.held.used)
        self.metrics.tasks.set(len(asyncio.all_tasks()))
        certificates = self._services.certificates
        if certificates is not None:
            # [ICWS-GWY-018]
            self.metrics.limits.labels("certificate_cache").inc(certificates.forgotten - self._forgotten)
            self._forgotten = certificates.forgotten
        return self.metrics.render()

    async def _answer_plain_request(self, connection: ServerConnection, request: Request) -> Response | None:
        peer = connection.remote_address
        return await plain_page(self, request, peer[0] if isinstance(peer, tuple) else "")

    def _opened_elsewhere(self, later: Superseded) -> None:
        clients = self._services.directory.of(later.canister)
        client = None if clients is None else clients.of(later.client_key)
        if isinstance(client, ClientConnection) and client.session.attach < later.attach:
            client.supersede()
            self._services.directory.discard(client)
            self._services.pollers.release(later.canister)

    def _trust(self, root_key: RootKey) -> None:
        config = self._config
        certificates = CertificateVerifier(root_key, cache_entries=config.certificate_cache_entries)
        self._services.certificates = certificates
        self._services.pollers.certificates = certificates
        verify = config.verify_queries
        # [ICWS-GWY-016]
        if verify or (verify is None and root_key == MAINNET_ROOT_KEY):
            self._services.pollers.signatures = NodeSignatures(
                self._ic, certificates, config.node_key_cache_entries, self.metrics
            )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.metrics.internal_errors.inc()
            self._log.error("a background task failed", exc_info=error)


@asynccontextmanager
async def serve_gateway(config: GatewayConfig, identity: Identity | None = None) -> AsyncIterator[Gateway]:
    """A gateway that serves while the block runs::

        async with serve_gateway(GatewayConfig(ic_url=..., listen="127.0.0.1:0")) as gateway:
            print(gateway.url, gateway.principal)

    Raises:
        MisuseError: the identity, the root key or the TLS files cannot be used.
        OSError: the address cannot be listened on.
    """
    gateway = Gateway(config, identity)
    try:
        await gateway.start()
        yield gateway
    finally:
        await gateway.stop()


def _select_subprotocol(_: ServerConnection, offered: Any) -> Subprotocol | None:
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _offered(connection: ClientSocket) -> bool:
    return connection.request is not None and "Sec-WebSocket-Protocol" in connection.request.headers
