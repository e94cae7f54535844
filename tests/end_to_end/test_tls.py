"""A gateway behind TLS: accepted with the certificate that the user trusts, and with no other."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any


async def test_a_gateway_with_a_trusted_certificate_serves(network: Any, tmp_path: Path, self_signed: Any) -> None:
    certificate, key = self_signed(tmp_path)
    gateway = await network.gateway(tls_certificate=certificate, tls_key=key)
    assert gateway.url.startswith("wss://")
    async with network.connect(gateway.url, ssl_context=ssl.create_default_context(cafile=certificate)) as ws:
        await ws.send(b"hello")
        assert await ws.recv() == b"hello"
        assert ws.gateway == gateway.principal


async def test_a_gateway_with_another_certificate_is_not_used(network: Any, tmp_path: Path, self_signed: Any) -> None:
    certificate, key = self_signed(tmp_path)
    gateway = await network.gateway(tls_certificate=certificate, tls_key=key)
    lost = await network.refused(gateway.url, profile="omnia")
    assert "certificate" in str(lost).lower()
