"""Scripted cases about saved sessions: what is on the disk, and what is gone on with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Play, Stage
from icws_secure.wire.close_codes import SessionCloseCode

__all__ = ["SCRIPTS"]

_PLAIN: Final = b"a text that is not to be found on the disk"

_Saved = Callable[[Stage, Path, str], Awaitable[Finding]]
"""What is done with a saved session: its file, and the key of it."""


def _suspended(then: _Saved) -> Play:
    """A session is opened with a file, and suspended when it has a message that was not confirmed."""

    async def play(stage: Stage) -> Finding:
        stage.need("saved")
        with tempfile.TemporaryDirectory(prefix="icws-conformance-") as folder:
            path, key = Path(folder) / "session", os.urandom(32).hex()
            await stage.connected(state_file=str(path), state_key_hex=key)
            await stage.talk(b"one")
            stage.relays = lambda call: call.method != "ws_message"
            await stage.send(_PLAIN, confirm="relayed")
            answer = await stage.client.ask("suspend")
            if answer.get("ok") is not True:
                raise Failed(f"the session was not suspended: {answer.get('error')}")
            stage.relays = lambda call: True
            return await then(stage, path, key)

    return play


def _read(path: Path) -> bytes:
    return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def _resumed(stage: Stage, path: Path, key: str) -> Finding:
    before = len(stage.canister.opens)
    registered = stage.canister.registered
    await stage.connected(state_file=str(path), state_key_hex=key)
    if stage.canister.registered is not registered:
        raise Failed("the session was registered anew, and not resumed")
    secure = [argument.secure for argument, _ in stage.canister.opens]
    first, resumed = secure[before - 1], secure[before]
    if first is None or resumed is None or resumed.attach <= first.attach or resumed.resume_from != 2:
        raise Failed("the resume does not go on where the session was left")
    await stage.until(lambda: _PLAIN in stage.client.messages, "what was not confirmed was not sent again")
    heard = [message.content for message in stage.canister.heard if not message.is_service_message]
    if heard != [b"one", _PLAIN]:
        raise Failed(f"the canister heard {heard}")
    return Finding("resumed; what was not confirmed was sent again, once")


async def _another_key(stage: Stage, path: Path, key: str) -> Finding:
    del key
    return await stage.refused("the key is another", state_file=str(path), state_key_hex=os.urandom(32).hex())


async def _altered(stage: Stage, path: Path, key: str) -> Finding:
    data = bytearray(_read(path))
    data[len(data) // 2] ^= 1
    _write(path, bytes(data))
    return await stage.refused("the file was changed", state_file=str(path), state_key_hex=key)


async def _cut_short(stage: Stage, path: Path, key: str) -> Finding:
    _write(path, _read(path)[:16])
    return await stage.refused("the file was cut", state_file=str(path), state_key_hex=key)


async def _nothing_to_read(stage: Stage, path: Path, key: str) -> Finding:
    data, canister = _read(path), stage.canister
    if canister.registered is None or canister.parameters is None:
        raise Failed("there is no registration")
    secrets = {
        "the session principal": canister.registered.session_principal.raw,
        "the owner": canister.parameters.owner.raw,
        "the registration id": canister.parameters.registration_id,
        "the canister's id": canister.id.raw + b"\x00",
        "a message": _PLAIN,
        "the key": bytes.fromhex(key),
    }
    for what, secret in secrets.items():
        if secret in data or secret.hex().encode() in data:
            stage.log.note(f"{what} is in the file", source="client", blamed=True)
            raise Failed(f"{what} can be read in the file")
    return Finding(f"none of what is known of the session is in the {len(data)} bytes of the file")


async def _forked(stage: Stage, path: Path, key: str) -> Finding:
    """A backup of the file is put back after the session has gone on elsewhere."""
    backup = _read(path)
    await stage.connected(state_file=str(path), state_key_hex=key)
    await stage.until(lambda: _PLAIN in stage.client.messages, "what was not confirmed was not sent again")
    await stage.talk(b"two", b"three")
    await stage.client.ask("suspend")
    _write(path, backup)
    stage.client.closed = None
    answer = await stage.connect(state_file=str(path), state_key_hex=key, limit_s=6)
    if answer.get("ok") is True:
        return await stage.ends(SessionCloseCode.STATE_FORKED, "the session has gone on elsewhere")
    reason = (answer.get("error") or {}).get("reason")
    if "reasons" in stage.client.features and reason not in ("StateForked", "StaleAttach", "SessionTaken"):
        raise Failed(f"the old state was refused as {reason}")
    return Finding(f"no session from the old state: {reason}")


SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "saved/resumed",
        "a suspended session is resumed",
        "CLT-070 CLT-013",
        "it goes on where it was left, with a higher attach number",
        _suspended(_resumed),
    ),
    script(
        "saved/another-key",
        "a saved session is opened with another key",
        "CLT-074",
        "refused",
        _suspended(_another_key),
    ),
    script("saved/altered", "a byte of a saved session is changed", "CLT-074", "refused", _suspended(_altered)),
    script(
        "saved/cut-short",
        "a saved session is cut after 16 bytes",
        "CLT-074",
        "refused, with an error",
        _suspended(_cut_short),
    ),
    script(
        "saved/nothing-to-read",
        "what stands in the file",
        "CLT-074",
        "nothing that is known of the session",
        _suspended(_nothing_to_read),
    ),
    script(
        "saved/old-backup",
        "a backup is put back after the session has gone on",
        "CLT-072",
        "it ends as StateForked",
        _suspended(_forked),
    ),
)
