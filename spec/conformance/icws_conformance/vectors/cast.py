"""Who the vectors are about: the same session, its owner and its gateways in every file."""

from __future__ import annotations

from typing import Final

from icws_conformance.vectors.build import NOW_NS, SECOND_NS, secret
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

__all__ = ["GATEWAY", "KEY", "OTHER_GATEWAY", "OWNER", "REGISTRATION", "REQUEST", "SESSION", "TIME_NS"]

GATEWAY: Final = Principal.self_authenticating(b"gateway")
OTHER_GATEWAY: Final = Principal.self_authenticating(b"other gateway")
SESSION: Final = Principal.self_authenticating(b"session")
OWNER: Final = Principal.self_authenticating(b"owner")
KEY: Final = ClientKey(SESSION, 7)
REGISTRATION: Final = secret("registration", 16)
REQUEST: Final = secret("request")
TIME_NS: Final = NOW_NS - SECOND_NS
