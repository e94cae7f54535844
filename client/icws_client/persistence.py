"""A session in a file, so that another process can resume it: encrypted at rest, replaced atomically, held by one
process.

What is inside are a private key and messages, so the file is never written in the clear. Its bytes::

    magic "icws-session" || version 1 || kdf (1 key, 2 passphrase) || log2(N) || scrypt salt 16 || save salt 32 ||
    nonce 12 || sealed

Master key = the user's 32 bytes, or scrypt(passphrase, scrypt salt, N, r 8, p 1). Each save has a key of its own,
HKDF-SHA256(master, save salt), and is sealed with ChaCha20-Poly1305; all that stands before the nonce is additional
data. Nothing of this hides the length.

A file cannot say whether it is the newest that was ever written. The protocol can: a state that was put back is
refused as ``StateForked`` when it is resumed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from icws_secure.errors import DecodeError, MisuseError, Reason

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no such lock; there the canister tells two processes apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["SessionFile"]

MAGIC: Final = b"icws-session\x01"
KDF_KEY: Final = 1
KDF_PASSPHRASE: Final = 2
KEY_BYTES: Final = 32
SCRYPT_SALT_BYTES: Final = 16
SAVE_SALT_BYTES: Final = 32
NONCE_BYTES: Final = 12
HEADER_BYTES: Final = len(MAGIC) + 2 + SCRYPT_SALT_BYTES + SAVE_SALT_BYTES
LOG_N: Final = 17  # 128 MiB and some 0.4 s: the usual cost for a passphrase that is typed
LOG_N_ACCEPTED: Final = range(14, 21)  # a file may not ask for an hour or for all memory
MAX_STATE_BYTES: Final = 64 << 20  # bytes of a file; unacknowledged messages are bounded well below


class SessionFile:
    """One saved session.

    Args:
        path: where it is; a second file beside it, ``<path>.lock``, keeps two processes from using it at once.
        key: 32 bytes of a key, or a passphrase.

    Raises:
        MisuseError: the key has another length, the passphrase is empty, or another process holds the file.
    """

    def __init__(self, path: str | os.PathLike[str], key: bytes | str, *, log_n: int = LOG_N) -> None:
        if isinstance(key, bytes) and len(key) != KEY_BYTES:
            raise MisuseError("a key of a saved session has 32 bytes", reason=Reason.INVALID_ARGUMENT, length=len(key))
        if not key or log_n not in LOG_N_ACCEPTED:
            raise MisuseError("a saved session needs a key or a passphrase", reason=Reason.INVALID_ARGUMENT)
        self.path = Path(path)
        self._secret = key
        self._kdf = KDF_KEY if isinstance(key, bytes) else KDF_PASSPHRASE
        self._log_n = log_n if self._kdf == KDF_PASSPHRASE else 0
        self._scrypt_salt = os.urandom(SCRYPT_SALT_BYTES)
        self._master: bytes | None = key if isinstance(key, bytes) else None
        self._lock = _lock(self.path)

    def __repr__(self) -> str:
        return f"SessionFile({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def load(self) -> bytes | None:
        """Return the saved state, or None where there is no file.

        Raises:
            DecodeError: this is no saved session, or the key does not open it (which of the two cannot be told).
            MisuseError: the file cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_STATE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MisuseError(f"cannot read the saved session: {error.strerror}") from error
        if len(data) > MAX_STATE_BYTES:
            raise DecodeError("the saved session is too large", reason=Reason.TOO_LARGE, requirement="ICWS-CLT-074")
        return self._open(data)

    def save(self, state: bytes) -> None:
        """Write *state* in place of what was there; when this returns it is on the disk, and never half of it is.

        Raises:
            MisuseError: the file cannot be written.
        """
        sealed = self._seal(state)
        temporary: str | None = None
        try:
            # mkstemp makes it readable by its owner alone, and in the same folder so that replacing is atomic.
            descriptor, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            raise MisuseError(f"cannot write the saved session: {error.strerror}") from error

    def remove(self) -> None:
        """Delete the file, if it is there: the session that it held is over."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let other processes have the file, and forget the key. Closing twice is fine."""
        if self._lock is not None:
            os.close(self._lock)  # which also releases the lock
            self._lock = None
        self._secret = b""
        self._master = None

    def _seal(self, state: bytes) -> bytes:
        header = MAGIC + bytes((self._kdf, self._log_n)) + self._scrypt_salt + os.urandom(SAVE_SALT_BYTES)
        nonce = os.urandom(NONCE_BYTES)
        # [ICWS-CLT-074]
        return header + nonce + ChaCha20Poly1305(self._save_key(header)).encrypt(nonce, state, header)

    def _open(self, data: bytes) -> bytes:
        header, nonce = data[:HEADER_BYTES], data[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES]
        if not header.startswith(MAGIC) or len(nonce) != NONCE_BYTES:
            raise DecodeError("this is not a saved session", reason=Reason.MALFORMED, requirement="ICWS-CLT-074")
        kdf, log_n = header[len(MAGIC)], header[len(MAGIC) + 1]
        accepted = LOG_N_ACCEPTED if kdf == KDF_PASSPHRASE else (0,)
        if kdf != self._kdf or log_n not in accepted:
            raise DecodeError(
                "the saved session needs the other kind of key, or one made at a cost that is not accepted",
                reason=Reason.UNSUPPORTED,
                requirement="ICWS-CLT-074",
            )
        salt = header[len(MAGIC) + 2 : len(MAGIC) + 2 + SCRYPT_SALT_BYTES]
        if kdf == KDF_PASSPHRASE and (salt, log_n) != (self._scrypt_salt, self._log_n):
            self._scrypt_salt, self._log_n, self._master = salt, log_n, None
        try:
            # [ICWS-CLT-074]
            return ChaCha20Poly1305(self._save_key(header)).decrypt(nonce, data[HEADER_BYTES + NONCE_BYTES :], header)
        except InvalidTag as error:
            raise DecodeError(
                "the saved session does not open: another key, or the file was changed",
                reason=Reason.OPEN_FAILED,
                requirement="ICWS-CLT-074",
            ) from error

    def _save_key(self, header: bytes) -> bytes:
        return HKDF(SHA256(), KEY_BYTES, salt=header[-SAVE_SALT_BYTES:], info=MAGIC).derive(self._master_key())

    def _master_key(self) -> bytes:
        if self._master is None:
            if not isinstance(self._secret, str):
                raise MisuseError("the saved session is closed", reason=Reason.WRONG_STATE)
            kdf = Scrypt(salt=self._scrypt_salt, length=KEY_BYTES, n=1 << self._log_n, r=8, p=1)
            self._master = kdf.derive(self._secret.encode())
        return self._master


def _lock(path: Path) -> int | None:
    """Take the lock beside *path*; it is advisory, and vanishes with the process."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MisuseError(f"cannot lock the saved session: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise MisuseError("another process uses this saved session", reason=Reason.WRONG_STATE) from error
    return descriptor


def _sync_folder(folder: Path) -> None:
    """Make the new name of a file durable too, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder cannot be opened everywhere
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
