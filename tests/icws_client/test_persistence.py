"""A saved session: encrypted, whole or not there, one process at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from icws_client import persistence
from icws_client.persistence import HEADER_BYTES, MAGIC, SessionFile
from icws_secure.errors import DecodeError, MisuseError, Reason

KEY = bytes(range(32))
CHEAP = 14  # log2(N): the least that is accepted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "session"


@pytest.mark.req("ICWS-CLT-074")
@pytest.mark.parametrize("key", [KEY, "a passphrase"])
def test_what_was_saved_is_loaded_by_who_has_the_key(path: Path, key: bytes | str) -> None:
    with SessionFile(path, key, log_n=CHEAP) as file:
        assert file.load() is None
        file.save(b"first")
        file.save(b"second")
    with SessionFile(path, key, log_n=15) as file:  # the cost is the file's, not the reader's
        assert file.load() == b"second"
        file.save(b"third")
        assert file.load() == b"third"


@pytest.mark.req("ICWS-CLT-074")
@pytest.mark.parametrize(("key", "other"), [(KEY, bytes(32)), ("right", "wrong"), (KEY, "right"), ("right", KEY)])
def test_another_key_opens_nothing(path: Path, key: bytes | str, other: bytes | str) -> None:
    with SessionFile(path, key, log_n=CHEAP) as file:
        file.save(b"secret")
    with SessionFile(path, other, log_n=CHEAP) as file, pytest.raises(DecodeError) as caught:
        file.load()
    assert caught.value.requirement == "ICWS-CLT-074"


@pytest.mark.req("ICWS-CLT-074")
def test_nothing_of_the_state_is_readable(path: Path) -> None:
    secret = b"the session's secret key" * 4
    with SessionFile(path, KEY) as file:
        file.save(secret)
        first = path.read_bytes()
        file.save(secret)
        second = path.read_bytes()
    assert secret[:8] not in first
    assert KEY not in first
    assert first[HEADER_BYTES:] != second[HEADER_BYTES:]  # a key of its own for every save
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.req("ICWS-CLT-074")
def test_every_changed_byte_is_noticed(path: Path) -> None:
    with SessionFile(path, KEY) as file:
        file.save(b"state")
        good = path.read_bytes()
        for index in range(len(good)):
            path.write_bytes(good[:index] + bytes((good[index] ^ 1,)) + good[index + 1 :])
            with pytest.raises(DecodeError):
                file.load()
        for length in range(len(good)):
            path.write_bytes(good[:length])
            with pytest.raises(DecodeError):
                file.load()


def test_a_file_cannot_ask_for_an_hour_of_work(path: Path) -> None:
    with SessionFile(path, "passphrase", log_n=CHEAP) as file:
        file.save(b"state")
        data = bytearray(path.read_bytes())
        data[len(MAGIC) + 1] = 40
        path.write_bytes(data)
        with pytest.raises(DecodeError) as caught:
            file.load()
    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_file_that_is_too_large_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence, "MAX_STATE_BYTES", 10)
    path.write_bytes(bytes(11))
    with SessionFile(path, KEY) as file, pytest.raises(DecodeError) as caught:
        file.load()
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_write_that_fails_leaves_the_old_state(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    with SessionFile(path, KEY) as file:
        file.save(b"old")
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", full)
            with pytest.raises(MisuseError, match="No space left"):
                file.save(b"new")
        assert file.load() == b"old"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["session", "session.lock"]


def test_one_process_holds_a_file(path: Path) -> None:
    with SessionFile(path, KEY), pytest.raises(MisuseError) as caught:
        SessionFile(path, KEY)
    assert caught.value.reason is Reason.WRONG_STATE
    SessionFile(path, KEY).close()


def test_a_removed_session_is_gone(path: Path) -> None:
    with SessionFile(path, KEY) as file:
        file.save(b"state")
        file.remove()
        file.remove()
        assert file.load() is None


@pytest.mark.parametrize("key", [b"", b"short", "", bytes(33)])
def test_keys_that_are_none_are_refused(path: Path, key: bytes | str) -> None:
    with pytest.raises(MisuseError):
        SessionFile(path, key)


def test_a_closed_file_has_forgotten_its_key(path: Path) -> None:
    file = SessionFile(path, KEY)
    file.close()
    file.close()
    with pytest.raises(MisuseError):
        file.save(b"state")


@pytest.mark.req("ICWS-LIB-026")
def test_the_representation_shows_no_key(path: Path) -> None:
    with SessionFile(path, "hunter2", log_n=CHEAP) as file:
        assert "hunter2" not in repr(file)
