"""Messages on their way out, and those who wait to hear what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from icws_secure.errors import IcwsError, MisuseError, Reason

__all__ = ["Outcomes"]


class Outcomes:
    """Gives messages to a session in the order of the calls, and each caller the outcome of its own."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._turn = asyncio.Lock()
        self._room = asyncio.Event()

    async def of(self, give: Callable[[], int]) -> asyncio.Future[None]:
        """Give a message to the session, and return where its outcome will be.

        Args:
            give: hands the message over and returns its send id. It is called again after each :meth:`room_again`
                while it raises :class:`MisuseError` with reason ``LimitExceeded``: the session's queue is full.

        Raises:
            IcwsError: whatever else *give* raises.
        """
        async with self._turn:
            while True:
                try:
                    send_id = give()
                except MisuseError as error:
                    if error.reason is not Reason.LIMIT_EXCEEDED:
                        raise
                    self._room.clear()
                    await self._room.wait()
                else:
                    outcome = self._waiting[send_id] = asyncio.get_running_loop().create_future()
                    return outcome

    def room_again(self) -> None:
        """Let who waits for room try again: there may be some."""
        self._room.set()

    def settle(self, send_id: int, error: IcwsError | None) -> None:
        """Tell who waits for a message that it is done, or what went wrong."""
        outcome = self._waiting.pop(send_id, None)
        if outcome is None or outcome.done():
            return  # nobody waits any more; or it was settled before, as "relayed" is before a rejection
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)

    def settle_all(self, error: Callable[[], IcwsError]) -> None:
        """Tell everybody that no outcome will come, each by an error of its own."""
        for send_id in list(self._waiting):
            self.settle(send_id, error())
        self._room.set()
