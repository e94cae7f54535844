"""A gateway behind TLS: accepted with the certificate that the user trusts, and with no other."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from icws_secure.errors import IcwsError
from icws_secure.session.client import GatewayLost


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    paths[1].chmod(0o600)
    return paths


async def test_a_gateway_with_a_trusted_certificate_serves(network: Any, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    gateway = await network.gateway(tls_certificate=certificate, tls_key=key)
    assert gateway.url.startswith("wss://")
    async with network.connect(gateway.url, ssl_context=ssl.create_default_context(cafile=certificate)) as ws:
        await ws.send(b"hello")
        assert await ws.recv() == b"hello"
        assert ws.gateway == gateway.principal


async def test_a_gateway_with_another_certificate_is_not_used(network: Any, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    gateway = await network.gateway(tls_certificate=certificate, tls_key=key)
    events: list[Any] = []
    with pytest.raises(IcwsError):
        await network.connect(gateway.url, profile="omnia", open_timeout=1.0, on_event=events.append)
    lost = [event.error for event in events if isinstance(event, GatewayLost)]
    assert lost
    assert "certificate" in str(lost[0]).lower()
