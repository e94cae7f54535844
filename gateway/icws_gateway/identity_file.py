"""The gateway's key file: made on first use, readable by its owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from icws_secure.errors import IcwsError, MisuseError
from icws_secure.sign.identity import Ed25519Identity, Identity
from icws_secure.sign.pem import identity_from_pem, identity_to_pem

__all__ = ["check_identity", "load_or_create_identity"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def load_or_create_identity(path: Path) -> Identity:
    """The identity in ``path``, a PEM file; if there is none, a new Ed25519 key is written there first.

    Raises:
        MisuseError: the file cannot be read or written, is no key, or may be read by others than its owner.
    """
    try:
        try:
            return _load(path)
        except FileNotFoundError:
            _create(path)
            return _load(path)
    except OSError as error:
        raise MisuseError(f"identity: {path} cannot be used: {error.strerror}", file=str(path)) from error


def check_identity(path: Path) -> None:
    """Whether :func:`load_or_create_identity` could use the file as it is. Creates nothing.

    Raises:
        MisuseError: it could not.
    """
    try:
        _load(path)
    except FileNotFoundError:
        place = next(parent for parent in path.absolute().parents if parent.exists())
        if not os.access(place, os.W_OK | os.X_OK):
            raise MisuseError(f"identity: {path} cannot be made: {place} is not writable", file=str(path)) from None
    except OSError as error:
        raise MisuseError(f"identity: {path} cannot be used: {error.strerror}", file=str(path)) from error


def _load(path: Path) -> Identity:
    with path.open("rb") as stream:
        mode = os.fstat(stream.fileno()).st_mode
        # [ICWS-GWY-015] a key that others could read is not used, whoever made the file
        if os.name == "posix" and mode & _OTHERS:
            raise MisuseError(
                f"identity: {path} may be read by others than its owner (mode {stat.S_IMODE(mode):o}); chmod 600 it",
                file=str(path),
            )
        data = stream.read(1 << 16)
    try:
        return identity_from_pem(data)
    except IcwsError as error:
        raise MisuseError(f"identity: {path} holds no key that can be used", file=str(path)) from error


def _create(path: Path) -> None:
    pem = identity_to_pem(Ed25519Identity(secrets.token_bytes(32)))
    # Written beside and linked, so that nobody ever sees half a key and an existing one is never replaced.
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    # [ICWS-GWY-015] the mode is given at creation: there is no moment at which others may read
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):  # another process was first; its key is used
            os.link(draft, path)
    finally:
        draft.unlink()
