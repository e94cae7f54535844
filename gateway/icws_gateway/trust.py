"""Which root key the gateway checks canister signatures and node keys with.

Its clients pin their own; for the gateway the key only decides which opens and answers are worth relaying.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

from icws_secure.errors import MisuseError, Reason
from icws_secure.verify.root_key import MAINNET_ROOT_KEY, RootKey

from .config import GatewayConfig

__all__ = ["configured_root_key"]

_RAW_BYTES: Final = 96
_MOST_BYTES: Final = 4_096  # of a key file in any form


def configured_root_key(config: GatewayConfig) -> RootKey | None:
    """The root key by the settings: of the main network, or from a file. None if the replica is to be asked, which is
    good enough for one under development.

    Raises:
        MisuseError: the file cannot be read, or holds no root key.
    """
    if config.root_key != "auto":
        return _from_file(Path(config.root_key))
    return MAINNET_ROOT_KEY if config.is_mainnet else None


def _from_file(path: Path) -> RootKey:
    """A root key in PEM, hex (DER or raw) or binary DER."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES)
        if data.startswith(b"-----BEGIN"):
            data = base64.b64decode(b"".join(data.splitlines()[1:-1]), validate=True)
        elif data.isascii():
            data = bytes.fromhex(data.decode("ascii"))
        return RootKey(data) if len(data) == _RAW_BYTES else RootKey.from_der(data)
    except OSError as error:
        raise MisuseError(f"root_key: {path} cannot be read: {error.strerror}", file=str(path)) from error
    except (ValueError, MisuseError) as error:
        raise MisuseError(
            f"root_key: {path} holds no key in PEM, hex or DER", reason=Reason.BAD_PUBLIC_KEY, file=str(path)
        ) from error
