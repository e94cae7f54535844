"""The options of ``connect``, which the asynchronous, the synchronous and the callback interface share."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, TypedDict

from icws_client.root_key import RootKey
from icws_secure.payload import SuiteName
from icws_secure.session.client import ClientConfig, Event, Profile, SendVia
from icws_secure.wire.principal import Principal

__all__ = ["SUITES", "Options", "Payload"]

Payload = Literal["none", "hpke", "vetkd"]
"""How content is protected: not at all, from gateways, from gateways and replicas."""

SUITES: Final[Mapping[Payload, SuiteName]] = MappingProxyType(
    {"none": SuiteName.NONE, "hpke": SuiteName.HPKE, "vetkd": SuiteName.VETKD}
)
"""The suites by their short names."""


class Options(TypedDict, total=False):
    """Options; each may be left out. What they mean is told at :class:`icws_client.connect`."""

    identity: object
    ic_url: str
    root_key: RootKey | bytes | None
    profile: Profile
    send_via: SendVia
    payload: Payload
    minimum: Payload | None
    gateway_principal: Principal | str | None
    expires_at_ns: int | None
    open_timeout: float
    close_timeout: float
    send_timeout: float | None
    give_up: float | None
    on_event: Callable[[Event], None] | None
    evidence_dir: str | os.PathLike[str] | None
    state_file: str | os.PathLike[str] | None
    state_key: bytes | str | None
    ssl_context: ssl.SSLContext | None
    config: ClientConfig | None
