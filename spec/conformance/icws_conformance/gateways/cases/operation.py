"""What needs the gateway's process: its key file, and its end."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import Final

from websockets.exceptions import WebSocketException

from icws_conformance.case import Failed, Finding, NotApplicable
from icws_conformance.gateways.peer import Peer
from icws_conformance.gateways.process import GatewayProcess
from icws_conformance.gateways.stage import QUIET_S, GatewayCase, Stage, plain
from icws_conformance.gateways.under_test import GatewayUnderTest
from icws_secure.errors import TransportError
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import DrainFrame

__all__ = ["OPERATION"]

_END_S: Final = 40.0
_REFUSALS: Final = frozenset({int(CloseCode.DRAINING), int(CloseCode.GOING_AWAY)})


def _process(gateway: GatewayUnderTest) -> GatewayProcess:
    if gateway.process is None:
        raise NotApplicable("the gateway was not started by the suite (--start)")
    return gateway.process


def _mode(file: str) -> int | None:
    try:
        return stat.S_IMODE(os.stat(file).st_mode)
    except FileNotFoundError:
        return None


async def _file_is_private(stage: Stage) -> Finding:
    _process(stage.gateway)
    if not stage.gateway.identity:
        raise NotApplicable("the command does not say where the key is kept: {identity} stands for a file")
    mode = _mode(stage.gateway.identity)
    if mode is None:
        raise NotApplicable("no key was written to the file that the command names")
    if mode & 0o077:
        stage.blame("gateway", f"the key file has mode {mode:o}")
        raise Failed(f"the key file was created with mode {mode:o}: others can read it")
    return Finding(f"the key file has mode {mode:o}")


async def _open_file_is_refused(stage: Stage) -> Finding:
    await _file_is_private(stage)
    process, file = _process(stage.gateway), stage.gateway.identity
    mode = _mode(file) or 0o600
    await process.stop()
    os.chmod(file, 0o644)
    try:
        await process.start()
    except TransportError as error:
        return Finding(f"it does not start: {error}"[:300])
    else:
        stage.blame("gateway", "it serves with a key file of mode 644")
        raise Failed("it serves with a key file that others can read")
    finally:
        os.chmod(file, mode)
        await process.restart()


async def _drain(stage: Stage) -> Finding:
    process = _process(stage.gateway)
    deployed = await stage.peer("client without the subprotocol")
    await deployed.open()
    modern = await _modern_if_any(stage)
    process.ask_to_end()
    try:
        if modern is not None:
            await modern.until(
                lambda: [frame for frame in modern.frames if isinstance(frame, DrainFrame)], "a drain notice", 10
            )
        await asyncio.sleep(QUIET_S)  # a gateway that tells nobody has to have heard of it too
        newcomer = await _newcomer(stage)
        if modern is not None:
            await modern.leave()
        how = await deployed.refused("the gateway ends", _END_S)
        for peer in (deployed, modern):
            if peer is not None:
                await _told(stage, process, peer)
        await _ends(process)
    finally:
        await process.restart()
    told = "clients of the subprotocol were told, " if modern is not None else ""
    return Finding(f"{told}a new one was turned away ({newcomer}), the rest closed with {how}, and the canisters told")


async def _modern_if_any(stage: Stage) -> Peer | None:
    try:
        peer = await stage.peer("client of the subprotocol", modern=True)
    except NotApplicable:
        return None
    await peer.open()
    return peer


async def _newcomer(stage: Stage) -> str:
    """How a new client is turned away.

    Raises:
        Failed: it is not.
    """
    try:
        socket = await stage.try_socket()
    except (OSError, WebSocketException) as error:
        return plain(error)
    peer = Peer(socket, stage.gateway.world.omnia_canister, stage.log, "newcomer")
    stage.stack.push_async_callback(peer.leave)
    await peer.until(lambda: peer.closed or peer.frames, "a refusal", 10)
    if peer.closed is None:
        await peer.send(await peer.open_envelope())
        await peer.refused("the gateway is shutting down", 10)
    if peer.code not in _REFUSALS:
        raise Failed(f"a new client was closed with {peer.ending} during the shutdown")
    return peer.ending


async def _told(stage: Stage, process: GatewayProcess, peer: Peer) -> None:
    """Wait for a client's ws_close; when the process has ended, none will come."""
    for _ in range(int(_END_S * 10)):
        if stage.gateway.closes_of(peer.key):
            return
        if process.ended:
            break
        await asyncio.sleep(0.1)
    await peer.until(lambda: stage.gateway.closes_of(peer.key), "a ws_close for each client", 1)


async def _ends(process: GatewayProcess) -> None:
    for _ in range(int(_END_S * 10)):
        if process.ended:
            return
        await asyncio.sleep(0.1)
    raise Failed(f"the process did not end within {_END_S:g} s after SIGTERM")


OPERATION: Final = (
    GatewayCase(
        "operation/key-file",
        "a key file is created",
        ("GWY-015",),
        "for its owner only",
        _file_is_private,
        "another user of the machine reads all queues",
    ),
    GatewayCase(
        "operation/open-key-file",
        "others can read the key file",
        ("GWY-015",),
        "the gateway refuses to use it",
        _open_file_is_refused,
        "another user of the machine reads all queues",
        90,
    ),
    GatewayCase(
        "operation/drain",
        "the process is told to end (SIGTERM)",
        ("GWY-022", "GWY-013"),
        "new clients refused, clients of the subprotocol told, the rest closed, canisters told",
        _drain,
        "clients lose time, and the canister keeps dead queues",
        150,
    ),
)
