"""Evidence in files: what gateways were caught at, one file each, for ``icws evidence`` to check."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Final

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.session.client import Evidence

__all__ = ["SUFFIX", "EvidenceFolder", "read_evidence"]

log = logging.getLogger("icws_client")

SUFFIX: Final = ".icws-evidence"
MAX_FILES: Final = 32  # records a connection writes: a gateway that misbehaves may not fill the disk
MAX_FILE_BYTES: Final = 64 << 20


class EvidenceFolder:
    """A folder that records are written to, readable by their owner alone: they show who talked to whom.

    Args:
        path: the folder; made where it is missing.

    Raises:
        MisuseError: it cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._left = MAX_FILES
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise MisuseError(f"cannot make the folder for evidence: {error.strerror}") from error

    def write(self, evidence: Evidence) -> Path | None:
        """Write one record and return its file; None where the limit is reached or the disk refuses.

        A record that cannot be written is logged and not raised: the session is worth more than its evidence.
        """
        if self._left <= 0:
            return None
        self._left -= 1
        stem = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{evidence.reason}-{os.urandom(4).hex()}"
        path = self.path / (stem + SUFFIX)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(evidence.encode())
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            log.warning("evidence was not written: %s", error.strerror)
            return None
        return path


def read_evidence(path: str | os.PathLike[str]) -> Evidence:
    """Return the record in a file.

    Raises:
        MisuseError: the file cannot be read.
        DecodeError: it is not such a record.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise MisuseError(f"cannot read {Path(path).name}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise DecodeError("the record is too large", reason=Reason.TOO_LARGE, limit=MAX_FILE_BYTES)
    return Evidence.decode(data)
