"""The one place where a session's state machine meets sockets, tasks and the clock.

The machine decides; a driver carries out. It feeds what happens into the machine, performs the actions that come out
in their order, hands the events on, and sleeps until the machine's next deadline. The asynchronous, the synchronous
and the callback interface all run this.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final

from icws_client.http import HttpClient
from icws_client.link import Link
from icws_secure.errors import MisuseError, TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import (
    Action,
    ClientSession,
    Connect,
    Disconnect,
    Event,
    HttpRequest,
    SaveState,
    SendFrame,
    SessionState,
)

__all__ = ["Driver"]

# Timers run on a clock that may stand still while a machine sleeps, deadlines are on one that does not: look again
# this often.
LONGEST_SLEEP_S: Final = 5.0
SHORTEST_SLEEP_S: Final = 0.001
GOING_AWAY: Final = 1001


class Driver:
    """Runs one session.

    Args:
        session: the machine; the driver alone gives it inputs from the network, and drains it.
        http: the IC.
        on_event: is given each event, in order; must return at once and not raise.
        on_step: is called after each round of actions and events; the same holds.
        save: writes the session's state durably, in a thread; may raise an error of the project's family, which ends
            :meth:`run`.
        ssl_context: for gateways; None for the system's certificates.
        now: nanoseconds since the Unix epoch.
    """

    def __init__(
        self,
        session: ClientSession,
        http: HttpClient,
        *,
        on_event: Callable[[Event], None],
        on_step: Callable[[], None],
        save: Callable[[bytes], None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.now = now
        self._session = session
        self._http = http
        self._on_event = on_event
        self._on_step = on_step
        self._save = save
        self._ssl = ssl_context
        self._wake = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()
        self._actions: list[Action] = []
        self._wanted: Connect | None = None  # what the machine takes the present WebSocket to be
        self._link: Link | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._requests: set[asyncio.Task[None]] = set()
        self._saving: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    async def run(self) -> None:
        """Run the session to its end. Cancel this to abandon it: sockets are closed, the canister is told nothing.

        Raises:
            IcwsError: the state could not be saved; the session cannot go on here.
        """
        try:
            self._session.start(self.now())
            while True:
                await self._carry_out()
                if self._failure is not None:
                    raise self._failure
                if self._session.state is SessionState.ENDED:
                    return
                await self._sleep()
        finally:
            await self._shut_down()

    def wake(self) -> None:
        """Drain the machine: call this after giving it an input. Its actions are carried out soon."""
        self._drain()
        self._wake.set()

    def pause_reading(self) -> None:
        """Read no more frames until :meth:`resume_reading`: the application is behind."""
        if self._readable.is_set():
            self._readable.clear()
            self._session.reading_paused(self.now())
            self.wake()

    def resume_reading(self) -> None:
        """Read frames again."""
        if not self._readable.is_set():
            self._readable.set()
            self._session.reading_resumed(self.now())
            self.wake()

    async def written(self) -> None:
        """Wait until the socket, if there is one, has taken most of what was sent."""
        if self._link is not None:
            await self._link.written()

    # what the link reports

    def connected(self, link: Link, subprotocol: str | None) -> None:
        """The link is open."""
        if self._is_wanted(link):
            self._session.connected(self.now(), subprotocol)
            self.wake()

    def failed(self, link: Link, error: TransportError) -> None:
        """The link could not be opened."""
        if self._is_wanted(link):
            self._link = None
            self._session.connect_failed(error, self.now())
            self.wake()

    def frame(self, link: Link, data: bytes | str) -> None:
        """A frame arrived. One of a link that was left is not for the session any more."""
        if self._is_wanted(link):
            self._session.receive_frame(data, self.now())
            self.wake()

    def closed(self, link: Link, code: int, reason: str) -> None:
        """The other side closed the link, or it broke."""
        if self._is_wanted(link):
            self._link = None
            self._session.disconnected(code, reason, self.now())
            self.wake()

    def _is_wanted(self, link: Link) -> bool:
        # The machine may have left a link whose Disconnect waits to be carried out, and may have asked for the next:
        # what the old one still reports must not be taken for the new one's.
        return link is self._link and link.action is self._wanted

    # the loop

    def _drain(self) -> None:
        for action in self._session.actions():
            if isinstance(action, Connect):
                self._wanted = action
            elif isinstance(action, Disconnect):
                self._wanted = None
            self._actions.append(action)

    async def _carry_out(self) -> None:
        self._drain()
        while self._actions:
            actions, self._actions = self._actions, []
            states = [action.state for action in actions if isinstance(action, SaveState)]
            if states:
                # The newest state covers the older ones, and on the disk it is early rather than late.
                await self._store(states[-1])
            for action in actions:
                self._perform(action)
            self._drain()
        for event in self._session.events():
            self._on_event(event)
        self._on_step()

    async def _sleep(self) -> None:
        """Wait for an input or for the machine's next deadline, and tell it that time has passed."""
        deadline = self._session.next_deadline()
        seconds = LONGEST_SLEEP_S if deadline is None else (deadline - self.now()) / NS_PER_S
        try:
            async with asyncio.timeout(min(max(seconds, SHORTEST_SLEEP_S), LONGEST_SLEEP_S)):
                await self._wake.wait()
        except TimeoutError:
            # Its time has come; or the clock was set back, and the machine names an earlier time when it sees that.
            self._session.tick(self.now())
        self._wake.clear()

    def _perform(self, action: Action) -> None:
        match action:
            case SendFrame(data):
                if self._link is not None:
                    self._link.send(data)
            case HttpRequest():
                task = asyncio.create_task(self._request(action), name=f"icws request {action.path}")
                self._watch(task, self._requests)
            case Connect():
                self._leave(GOING_AWAY, "")
                self._link = Link(action, self, self._readable, self._ssl)
                self._watch(self._link.task, self._links)
            case Disconnect(code, reason):
                self._leave(code, reason)
            case SaveState():
                pass  # stored before

    def _leave(self, code: int, reason: str) -> None:
        """Drop the current link; it says goodbye in the background."""
        if self._link is not None:
            link, self._link = self._link, None
            link.close(code, reason)

    def _watch(self, task: asyncio.Task[None], among: set[asyncio.Task[None]]) -> None:
        """Keep *task* among others while it runs, and fail with it rather than go on without it."""

        def ended(task: asyncio.Task[None]) -> None:
            among.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._failure = error
                self._wake.set()

        among.add(task)
        task.add_done_callback(ended)

    async def _request(self, action: HttpRequest) -> None:
        try:
            status, body = await self._http.post(action.path, action.body, timeout_s=action.timeout_ns / NS_PER_S)
        except TransportError as error:
            self._session.http_failed(action.request_id, error, self.now())
        else:
            self._session.http_response(action.request_id, status, body, self.now())
        self.wake()

    async def _store(self, state: bytes) -> None:
        """Write the state in a thread; what is cancelled meanwhile still finishes its write."""
        if self._save is None:
            raise MisuseError("the session is to be saved, but there is no file")
        self._saving = asyncio.create_task(asyncio.to_thread(self._save, state), name="icws save")
        await asyncio.shield(self._saving)

    async def _shut_down(self) -> None:
        """Stop all tasks, within the time that a link needs for its goodbye."""
        self._leave(GOING_AWAY, "")
        for task in self._requests:
            task.cancel()
        saving = () if self._saving is None else (self._saving,)
        try:
            await asyncio.gather(*self._requests, *self._links, *saving, return_exceptions=True)
        finally:  # who abandons the session waits for no goodbyes, and leaves no sockets behind
            await self._http.close()
