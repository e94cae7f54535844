"""Settings of the gateway: one schema for the file (TOML), the environment and the flags.

Precedence: flags, then ``ICWS_GATEWAY_*`` variables, then the file, then the defaults below. Units are part of the
names: ``_ms``, ``_seconds``, ``_bytes``. Every bound that a peer can run into is here; crossing one closes the
connection with a code of the protocol's table that says so.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict

from icws_secure.errors import IcwsError, MisuseError, Reason
from icws_secure.limits import CERTIFICATE_CACHE_ENTRIES, MAX_ENVELOPE_BYTES
from icws_secure.wire.principal import Principal

__all__ = ["MAINNET_HOSTS", "RELOADABLE", "GatewayConfig"]

ENV_PREFIX: Final = "ICWS_GATEWAY_"

MAINNET_HOSTS: Final = ("icp-api.io", "icp0.io", "ic0.app")
"""Domains of the main network's API; for these the root key that is built in is used and queries are checked."""

RELOADABLE: Final = frozenset(
    {
        "canisters_allow",
        "canisters_deny",
        "allowed_origins",
        "trusted_proxies",
        "metrics",
        "status_page",
        "max_connections",
        "max_connections_per_address",
        "max_connections_per_canister",
        "max_waiting_sockets",
        "max_addresses",
        "max_canisters",
        "open_timeout_seconds",
        "close_timeout_seconds",
        "ping_interval_seconds",
        "ping_timeout_seconds",
        "opens_per_second_per_address",
        "open_burst_per_address",
        "messages_per_second_per_client",
        "message_burst_per_client",
        "bytes_per_second_per_client",
        "byte_burst_per_client",
        "messages_per_second_per_address",
        "message_burst_per_address",
        "bytes_per_second_per_address",
        "byte_burst_per_address",
        "held_bytes_per_address",
        "held_total_bytes",
        "calls_in_flight",
        "calls_in_flight_per_canister",
        "calls_in_flight_per_client",
        "closes_waiting",
        "polls_in_flight",
        "heads_in_flight",
        "heads_in_flight_per_canister",
        "queue_frames",
        "queue_bytes",
        "queue_total_bytes",
        "drain_seconds",
        "log_level",
        "client_lines_per_second",
    }
)
"""Settings that SIGHUP puts into effect; the contents of the TLS files are read again too. The rest needs a restart."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Millis = Annotated[int, Field(ge=1, le=600_000)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Size = Annotated[int, Field(ge=1_024, le=1 << 40)]
Rate = Annotated[float, Field(gt=0, le=1e12)]
Names = Annotated[tuple[str, ...], NoDecode]


class GatewayConfig(BaseSettings):
    """All settings of one gateway. Immutable; a reload makes a new one."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    # --- where things are ---
    ic_url: str = Field("https://icp-api.io", description="URL of the Internet Computer, or of a local replica.")
    listen: str = Field("127.0.0.1:8080", description="Address and port that clients connect to; port 0 picks one.")
    identity: Path = Field(
        Path("icws-gateway.pem"), description="Key file of the gateway; created on first use, readable by its owner."
    )
    root_key: str = Field(
        "auto",
        description="Root key of the IC: 'auto' (built in for the main network, asked of the replica otherwise), "
        "or a file that holds it in hex, PEM or DER.",
    )
    verify_queries: bool | None = Field(
        None, description="Check node signatures of polls; by default exactly when the IC is the main network."
    )

    # --- who may come in ---
    canisters_allow: Names = Field((), description="Canisters that are served; empty: any that is not denied.")
    canisters_deny: Names = Field((), description="Canisters that are never served.")
    allowed_origins: Names = Field(
        (), description="Origins that may connect, as browsers tell them; empty: any, or none told."
    )
    trusted_proxies: Names = Field((), description="Networks whose X-Forwarded-For header is believed.")

    # --- TLS and operation ---
    tls_certificate: Path | None = Field(None, description="PEM file of the certificate chain; with tls_key: wss.")
    tls_key: Path | None = Field(None, description="PEM file of the private key.")
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        1,
        description="Processes that share the port, each with a key of its own unless redis_url is set; limits in "
        "total are divided.",
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis (redis://, rediss://, unix://) that processes with the same key share polls over; "
        "workers then have one key. Has a password, perhaps: better in the environment than in a flag.",
    )
    redis_timeout_seconds: Seconds = Field(1, description="For one answer of Redis; without it each process polls.")
    redis_stale_seconds: Seconds = Field(2, description="Silence of whoever polls, after which a process polls itself.")
    redis_queue_bytes: Size = Field(32 << 20, description="Answers that wait to be handed on; more are dropped.")
    metrics: Literal["loopback", "public", "off"] = Field(
        "loopback", description="Who may read /metrics: local addresses, everybody, nobody."
    )
    status_page: Literal["auto", "loopback", "public", "off"] = Field(
        "auto",
        description="Who may read /status: local addresses, everybody, nobody; 'auto': local addresses if "
        "the gateway listens on one.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["console", "json"] = Field("console", description="Form of the log lines.")
    client_lines_per_second: Rate = Field(
        200, description="Lines of the log about single clients, ten times as many at once; more are left out."
    )
    traces_endpoint: str | None = Field(
        None, description="Where OpenTelemetry spans are sent to: OTLP over HTTP, as http://127.0.0.1:4318/v1/traces."
    )
    traces_ratio: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="Part of opens, calls and polls that is traced."
    )
    drain_seconds: Seconds = Field(20, description="Time that clients have to leave after SIGTERM.")

    # --- connections ---
    max_connections: Count = Field(20_000, description="Connections in total.")
    max_connections_per_address: Count = Field(256, description="Connections of one address (IPv6: one /64).")
    max_connections_per_canister: Count = Field(20_000, description="Clients of one canister.")
    max_waiting_sockets: Count = Field(
        256,
        description="TCP connections beyond those limits, in total and of one address, that may wait for a refusal.",
    )
    max_addresses: Count = Field(100_000, description="Addresses whose rates are remembered at the same time.")
    max_canisters: Count = Field(1_000, description="Canisters that are polled at the same time.")
    handshake_timeout_seconds: Seconds = Field(10, description="TLS and HTTP upgrade.")
    open_timeout_seconds: Seconds = Field(30, description="From the handshake frame to a valid ws_open.")
    close_timeout_seconds: Seconds = Field(5, description="For the peer's half of the closing handshake.")
    ping_interval_seconds: Seconds = Field(30, description="Silence after which a ping is sent.")
    ping_timeout_seconds: Seconds = Field(30, description="Silence after that ping which closes the connection.")

    # --- what a client may send ---
    max_open_frame_bytes: Size = Field(64 << 10, description="Size of the frame with ws_open.")
    max_frame_bytes: Size = Field(MAX_ENVELOPE_BYTES, description="Size of any frame of a client.")
    opens_per_second_per_address: Rate = Field(20, description="Connections that one address may start.")
    open_burst_per_address: Rate = Field(256, description="The same, at once.")
    messages_per_second_per_client: Rate = Field(100, description="WebSocket frames of one client, pings included.")
    message_burst_per_client: Rate = Field(400, description="The same, at once.")
    bytes_per_second_per_client: Rate = Field(4 << 20, description="Bytes of one client's frames.")
    byte_burst_per_client: Rate = Field(8 << 20, description="The same, at once.")
    messages_per_second_per_address: Rate = Field(2_000, description="WebSocket frames of one address.")
    message_burst_per_address: Rate = Field(8_000, description="The same, at once.")
    bytes_per_second_per_address: Rate = Field(32 << 20, description="Bytes of one address's frames.")
    byte_burst_per_address: Rate = Field(64 << 20, description="The same, at once.")

    held_bytes_per_address: Size = Field(
        64 << 20, description="Bytes of one address's frames that wait to be read, or for the answers of their calls."
    )
    held_total_bytes: Size = Field(512 << 20, description="The same, of all clients.")

    # --- calls to the IC ---
    calls_in_flight: Count = Field(1_024, description="Relayed calls under way in total; more wait.")
    calls_in_flight_per_canister: Count = Field(256, description="Relayed calls under way for one canister.")
    calls_in_flight_per_client: Annotated[int, Field(ge=1, le=32)] = Field(
        16, description="Relayed calls under way for one secure client; an omnia client has one."
    )
    closes_waiting: Count = Field(
        20_000, description="ws_close calls of the gateway that wait; of more the canister hears nothing."
    )
    call_timeout_seconds: Seconds = Field(20, description="For one answer of the call endpoint.")
    call_retry_seconds: Seconds = Field(30, description="How long a call is tried again after 429, 5xx or no answer.")
    endpoint_reprobe_seconds: Seconds = Field(
        600, description="When an endpoint that was missing (404, 405) is tried again."
    )

    ic_silence_seconds: Seconds = Field(
        30, description="Without any answer of the IC for so long, /ready says that new clients are not welcome."
    )

    # --- polls ---
    poll_interval_ms: Millis = Field(
        100, description="Between polls of an active canister's queue; less where a reply would be full before."
    )
    poll_idle_interval_ms: Millis = Field(400, description="Between polls of a canister that has nothing to say.")
    poll_idle_after_seconds: Seconds = Field(10, description="Silence of a canister after which polls slow down.")
    poll_min_gap_ms: Millis = Field(10, description="Between the starts of two polls for the same place.")
    poll_timeout_seconds: Seconds = Field(5, description="For one answer to a poll.")
    poll_backoff_seconds: Seconds = Field(10, description="Longest pause after polls that failed.")
    polls_ahead: Annotated[int, Field(ge=1, le=64)] = Field(
        16, description="Polls under way at successive places while a queue is known to be long."
    )
    poll_ahead_bytes: Size = Field(
        8 << 20, description="Contents of one canister's messages that wait for their predecessors."
    )
    polls_in_flight: Count = Field(256, description="Polls under way in total; more wait.")
    head_interval_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        5, description="Between the certified heads relayed to secure clients; 0: none."
    )

    heads_in_flight: Count = Field(64, description="Questions for heads under way in total; more are left out.")
    heads_in_flight_per_canister: Count = Field(8, description="Questions for heads under way for one canister.")
    certificate_cache_entries: Count = Field(
        CERTIFICATE_CACHE_ENTRIES, description="Verified certificates, and as many delegations, that are remembered."
    )
    node_key_cache_entries: Count = Field(4_096, description="Canisters whose subnet's node keys are remembered.")

    # --- to slow clients ---
    queue_frames: Count = Field(1_024, description="Frames waiting for one client; more closes it as a slow consumer.")
    queue_bytes: Size = Field(8 << 20, description="Bytes waiting for one client.")
    queue_total_bytes: Size = Field(512 << 20, description="Bytes waiting for all clients.")

    @classmethod
    def load(cls, file: Path | None = None, flags: Mapping[str, Any] | None = None) -> GatewayConfig:
        """Settings from a TOML file, the environment and flags.

        Args:
            file: TOML with the names above at top level, or None.
            flags: values from the command line; None values are left out.

        Raises:
            MisuseError: a name is unknown or a value is not acceptable; the message names each key.
        """
        given = {name: value for name, value in (flags or {}).items() if value is not None}
        for variable in os.environ:
            name = variable.removeprefix(ENV_PREFIX).lower()
            if variable.startswith(ENV_PREFIX) and name not in cls.model_fields:
                words = f"the environment names an unknown setting: {variable}{_meant(name)}"
                raise MisuseError(words, variable=variable)
        layers = (("flag", given), ("environment", EnvSettingsSource(cls)()), (str(file), _read_toml(file)))
        values = {name: value for _, layer in reversed(layers) for name, value in layer.items()}
        try:
            return cls(**values)
        except ValidationError as error:
            words = "; ".join(_complaint(found, layers) for found in error.errors())
            raise MisuseError(f"settings are not acceptable: {words}", reason=Reason.INVALID_ARGUMENT) from error

    @field_validator("canisters_allow", "canisters_deny", "allowed_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("canisters_allow", "canisters_deny")
    @classmethod
    def _canisters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                Principal.from_text(text)
            except IcwsError as error:
                raise ValueError(f"{text!r} is not a canister id") from error
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ip_network(text)
        return value

    @field_validator("ic_url", "traces_endpoint")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http or https URL")
        return value.rstrip("/")

    @field_validator("ic_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        parts = urlsplit(value)
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ValueError("a URL is ASCII without spaces (names of other letters begin with 'xn--')")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("an IC has no users, queries or fragments in its URL")
        if parts.port == 0:
            raise ValueError("nothing listens at port 0")
        try:
            (parts.hostname or "").encode("idna")  # as it is done where the name is looked up
        except UnicodeError as error:
            raise ValueError("the host is no name that can be looked up") from error
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in ("redis", "rediss", "unix"):
            raise ValueError("not a redis, rediss or unix URL")
        return value

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise ValueError("not of the form host:port")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> GatewayConfig:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key: one is set and the other is not")
        if self.max_open_frame_bytes > self.max_frame_bytes:
            raise ValueError("max_open_frame_bytes exceeds max_frame_bytes")
        return self

    @property
    def host(self) -> str:
        """Host part of :attr:`listen`, without the brackets of IPv6."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Port part of :attr:`listen`; 0 lets the system choose."""
        return int(self.listen.rpartition(":")[2])

    @property
    def is_mainnet(self) -> bool:
        """Whether :attr:`ic_url` is an address of the main network."""
        host = urlsplit(self.ic_url).hostname or ""
        return any(host == domain or host.endswith(f".{domain}") for domain in MAINNET_HOSTS)

    @property
    def proxy_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """:attr:`trusted_proxies`, parsed."""
        return tuple(ip_network(text) for text in self.trusted_proxies)

    def allows(self, canister: Principal) -> bool:
        """Whether clients of ``canister`` are served: not denied, and allowed where a list says who is."""
        text = canister.to_text()
        return text not in self.canisters_deny and (not self.canisters_allow or text in self.canisters_allow)

    def reloaded(self, other: GatewayConfig) -> GatewayConfig:
        """These settings with the reloadable ones of ``other``."""
        return self.model_copy(update={name: getattr(other, name) for name in RELOADABLE})

    def needing_restart(self, other: GatewayConfig) -> list[str]:
        """Names of settings that are others in ``other`` and that a reload does not put into effect."""
        names = (name for name in type(self).model_fields if name not in RELOADABLE)
        return [name for name in names if getattr(self, name) != getattr(other, name)]


def _complaint(found: ErrorDetails, layers: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """What is wrong with one setting, and where it was set."""
    words = found["msg"].removeprefix("Value error, ")
    if not found["loc"]:
        return words
    name = str(found["loc"][0])
    place = next((place for place, layer in layers if name in layer), "default")
    if found["type"] == "extra_forbidden":
        words = f"there is no such setting{_meant(name)}"
    return f"{'.'.join(map(str, found['loc']))} ({place}): {words[:1].lower()}{words[1:]}"


def _meant(name: str) -> str:
    close = difflib.get_close_matches(name, GatewayConfig.model_fields, 1)
    return f"; {close[0]} was meant?" if close else ""


def _read_toml(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        words = f"the settings file cannot be read: {file}: {error.strerror}"
        raise MisuseError(words, file=str(file)) from error
    except ValueError as error:  # TOML and UTF-8 errors
        raise MisuseError(f"the settings file is not TOML: {file}: {error}", file=str(file)) from error
