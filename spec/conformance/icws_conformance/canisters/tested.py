"""The canister under test: where it is, what it claims, and what else can be done with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from icws_conformance.canisters.ic import Ic
from icws_conformance.case import Inconclusive, NotApplicable
from icws_conformance.clients.driver import Driver
from icws_conformance.wirelog import WireLog
from icws_secure.errors import DecodeError, MisuseError, Reason, TransportError
from icws_secure.verify.root_key import RootKey
from icws_secure.wire.principal import Principal

__all__ = ["CanisterUnderTest", "Clock", "connected", "launched", "read_root_key"]


@dataclass
class CanisterUnderTest:
    """A canister on a replica.

    Attributes:
        ic: the replica.
        driver: the program that runs the replica; None for one that runs by itself.
        secure: whether it serves ``icws-secure/1``, as it answers itself.
        omnia: whether it serves ``omnia/1``.
        commands: what its application does on demand, beyond echoing.
        clock: one moves the clock, or all others go on.
    """

    ic: Ic
    driver: Driver | None = None
    secure: bool = False
    omnia: bool = False
    commands: frozenset[str] = frozenset()
    clock: Clock = field(default_factory=lambda: Clock())

    @property
    def features(self) -> frozenset[str]:
        """What its driver can do."""
        return frozenset() if self.driver is None else self.driver.features

    async def command(self, name: str, feature: str, **fields: Any) -> dict[str, Any]:
        """Have the driver do something.

        Raises:
            NotApplicable: it cannot.
            Inconclusive: it failed to.
        """
        if self.driver is None or feature not in self.features:
            raise NotApplicable(f"needs a driver with the feature {feature}")
        answer = await self.driver.ask(name, **fields)
        if answer.get("ok") is not True:
            raise Inconclusive(f"the driver did not {name}: {answer.get('error')}")
        return answer

    async def advance(self, seconds: float) -> None:
        """Put the replica's clock forward and have everything happen that is due.

        Raises:
            Inconclusive: the clock of this replica is not the suite's.
        """
        if "time" not in self.features:
            raise Inconclusive("the replica's clock cannot be put forward, and the suite does not sleep")
        self.ic.moved(seconds)  # first: a case that is cut off here must not leave the others in the past
        try:
            await self.command("advance", "time", seconds=seconds)
        except Inconclusive:
            self.ic.moved(-seconds)
            raise
        await self.ic.look_at_clock()

    async def installed(self, **settings: Any) -> Principal:
        """Another canister of the same kind with other settings."""
        answer = await self.command("install", "settings", settings=settings)
        return Principal.from_text(str(answer["canister_id"]))


class Clock:
    """Cases share the replica's clock: those that move it run alone."""

    def __init__(self) -> None:
        self._readers = 0
        self._changed = asyncio.Condition()
        self._moving = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def left_alone(self) -> AsyncIterator[None]:
        """The clock is not moved meanwhile."""
        async with self._moving:
            self._readers += 1
        try:
            yield
        finally:
            async with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def moved(self) -> AsyncIterator[None]:
        """Nobody else is running meanwhile."""
        async with self._moving:
            async with self._changed:
                await self._changed.wait_for(lambda: self._readers == 0)
            yield


def read_root_key(text: str) -> bytes:
    """The root key of an option: DER in hexadecimal, or the name of a file that holds it, in hexadecimal or as it is.

    Raises:
        MisuseError: it is neither.
    """
    try:
        found = bytes.fromhex(text)
    except ValueError:
        try:
            found = Path(text).read_bytes()
        except OSError as error:
            raise MisuseError(
                "the root key is neither hexadecimal nor a file", reason=Reason.INVALID_ARGUMENT
            ) from error
        with contextlib.suppress(ValueError):
            found = bytes.fromhex(found.decode("ascii").strip())
    return RootKey.from_der(found).der


@contextlib.asynccontextmanager
async def connected(url: str, canister: str, root_key_der: bytes | None) -> AsyncIterator[CanisterUnderTest]:
    """A canister on a replica that runs already.

    Raises:
        MisuseError: this is no canister id.
        TransportError: the replica does not answer.
    """
    try:
        id_ = Principal.from_text(canister)
    except DecodeError as error:
        raise MisuseError("this is no canister id", reason=Reason.INVALID_ARGUMENT, canister=canister) from error
    async with Ic(url, id_, root_key_der) as ic:
        yield CanisterUnderTest(ic)


@contextlib.asynccontextmanager
async def launched(words: Sequence[str], log: WireLog | None = None) -> AsyncIterator[CanisterUnderTest]:
    """A canister on a replica that a driver runs.

    Raises:
        TransportError: it does not start, or does not say where.
    """
    driver = Driver(words)
    driver.begin(log or WireLog())
    try:
        await driver.start()
        hello = driver.hello
        try:
            id_ = Principal.from_text(str(hello["canister_id"]))
            key = bytes.fromhex(str(hello["root_key_hex"]))
            url = str(hello["ic_url"])
        except (KeyError, ValueError, DecodeError) as error:
            raise TransportError("the driver does not tell ic_url, root_key_hex and canister_id") from error
        async with Ic(url, id_, key) as ic:
            yield CanisterUnderTest(ic, driver)
    finally:
        await driver.stop()
