"""One connection for a client key, whichever process it is at.

A claim names the process that has the client and the attach number. What the directory of one process decides for its
own clients is decided here for those of all: a verified open with a higher attach takes the place of the other, one
that is equal or lower is refused, and an ``omnia/1`` client that is connected is not opened over. A claim of a process
that is gone counts for nothing. Without Redis nothing is decided here; the canister refuses what is not newer anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from icws_secure.errors import IcwsError
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

from ..open_check import OpenedSession
from ..refusal import ClientRefused
from .link import RedisLink

__all__ = ["ALIVE_SECONDS", "Claims", "Superseded"]

ALIVE_SECONDS: Final = 10.0
"""Without a sign of life for so long, a process is gone, and its claims with it."""

_KEPT_SECONDS: Final = 8 * 86_400  # a day more than a session may last; what is left behind ends by itself
_CONNECTED, _STALE = 1, 2

# KEYS: claim. ARGV: process, attach, secure, seconds, prefix of signs of life. -> {refusal, process that had it}
_CLAIM: Final = """
local had = ''
local claim = redis.call('HMGET', KEYS[1], 'process', 'attach', 'secure')
if claim[1] and claim[1] ~= ARGV[1] and redis.call('EXISTS', ARGV[5] .. claim[1]) == 1 then
  if claim[3] ~= '1' or ARGV[3] ~= '1' then return {1, ''} end
  local mine, theirs = ARGV[2], claim[2]
  if #mine < #theirs or (#mine == #theirs and mine <= theirs) then return {2, ''} end
  had = claim[1]
end
redis.call('HSET', KEYS[1], 'process', ARGV[1], 'attach', ARGV[2], 'secure', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {0, had}
"""
# KEYS: claim. ARGV: process, attach
_RELEASE: Final = """
local claim = redis.call('HMGET', KEYS[1], 'process', 'attach')
if claim[1] == ARGV[1] and claim[2] == ARGV[2] then return redis.call('DEL', KEYS[1]) end
return 0
"""


@dataclass(frozen=True, slots=True)
class Superseded:
    """What a process tells another: a client of yours has opened here, with a higher attach.

    Attributes:
        canister: of the session.
        client_key: of the session.
        attach: of the later open; lower ones are over.
    """

    canister: Principal
    client_key: ClientKey
    attach: int

    def encode(self) -> bytes:
        """As it is published."""
        principal, nonce = self.client_key.client_principal, self.client_key.client_nonce
        return cbor.encode(
            {"canister": self.canister.raw, "principal": principal.raw, "nonce": nonce, "attach": self.attach}
        )

    @classmethod
    def decode(cls, data: bytes) -> Superseded:
        """Read one.

        Raises:
            IcwsError: it is not one.
        """
        value: dict[str, Any] = cbor.fields(
            cbor.decode(data, what="a note", max_bytes=1_024, max_depth=1, max_items=16),
            what="a note",
            required={"canister": bytes, "principal": bytes, "nonce": int, "attach": int},
        )
        key = ClientKey(Principal(value["principal"]), value["nonce"])
        return cls(Principal(value["canister"]), key, value["attach"])


class Claims:
    """Claims of one process.

    Args:
        link: to Redis.
        prefix: of names in Redis.
        process: name of this process, unlike any other's.
        superseded: is told when a client of this process has opened at another.
    """

    def __init__(self, link: RedisLink, prefix: str, process: str, superseded: Callable[[Superseded], None]) -> None:
        self._link = link
        self._prefix = prefix
        self._process = process
        self._superseded = superseded

    def start(self) -> None:
        """Begins to listen to other processes."""
        self._link.listen(self._notes(self._process), self._heard)

    async def claim(self, session: OpenedSession) -> None:
        """Makes the session of a verified open this process's.

        Raises:
            ClientRefused: its client key is connected at another process, and the open is not a higher attach.
        """
        arguments = (self._process, session.attach, int(session.secure), _KEPT_SECONDS, f"{self._prefix}alive:")
        answers = await self._link.run((_CLAIM, (self._key(session),), arguments))
        if answers is None:
            return
        refusal, had = answers[0]
        # [ICWS-GWY-003] the rules of the directory, across processes
        if refusal == _CONNECTED:
            raise ClientRefused(CloseCode.CLIENT_KEY_CONNECTED, "this client key is connected")
        # [ICWS-GWY-003]
        if refusal == _STALE:
            raise ClientRefused(CloseCode.STALE_ATTACH, "the attach is not above the connected one")
        if had:
            note = Superseded(session.canister, session.client_key, session.attach)
            self._link.publish(self._notes(had.decode()), note.encode())

    async def release(self, sessions: Iterable[OpenedSession]) -> None:
        """Gives claims up, but for those that have passed to another process or a later open."""
        await self._link.run(
            *((_RELEASE, (self._key(session),), (self._process, session.attach)) for session in sessions)
        )

    def _key(self, session: OpenedSession) -> str:
        key = session.client_key
        return f"{self._prefix}claim:{session.canister}:{key.client_principal}:{key.client_nonce}"

    def _notes(self, process: str) -> str:
        return f"{self._prefix}notes:{process}"

    def _heard(self, data: bytes) -> None:
        try:
            note = Superseded.decode(data)
        except IcwsError:
            return
        self._superseded(note)
