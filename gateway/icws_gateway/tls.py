"""The server's TLS context, and its renewal without dropping connections."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509

from icws_secure.errors import MisuseError

from .config import GatewayConfig

__all__ = ["certificate_expiry", "reload_certificate", "server_context"]


def server_context(config: GatewayConfig) -> ssl.SSLContext | None:
    """The context for the settings' certificate, None without one: TLS 1.2 and later.

    Raises:
        MisuseError: the files cannot be read or do not fit together.
    """
    if config.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    reload_certificate(context, config)
    return context


def reload_certificate(context: ssl.SSLContext, config: GatewayConfig) -> None:
    """Reads the files again; handshakes from now on use them, connections that stand are not touched.

    Raises:
        MisuseError: the files cannot be read or do not fit together; the context keeps what it had.
    """
    chain, key = config.tls_certificate, config.tls_key
    if chain is None or key is None:
        return
    _readable(chain, "tls_certificate")
    _readable(key, "tls_key")
    certificate_expiry(config)
    try:
        # tried on a context of its own first: a half-loaded pair must not replace one that works
        for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
            each.load_cert_chain(chain, key, _no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise MisuseError(f"tls_key: {key} does not belong to the certificate in {chain}", file=str(key)) from error
        raise MisuseError(f"tls_key: {key} holds no private key in PEM that can be used", file=str(key)) from error


def certificate_expiry(config: GatewayConfig) -> float:
    """When the certificate ends, seconds since 1970; 0 without TLS.

    Raises:
        MisuseError: the file holds no certificate.
    """
    if config.tls_certificate is None:
        return 0.0
    try:
        first = x509.load_pem_x509_certificates(_readable(config.tls_certificate, "tls_certificate"))[0]
    except ValueError as error:
        raise MisuseError(
            f"tls_certificate: {config.tls_certificate} holds no certificate in PEM", file=str(config.tls_certificate)
        ) from error
    return first.not_valid_after_utc.timestamp()


def _readable(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MisuseError(f"{name}: {path} cannot be read: {error.strerror}", file=str(path)) from error


def _no_password() -> str:
    # without this the library would ask at the terminal, and a service has none
    raise MisuseError("tls_key: the key is encrypted; a gateway that starts by itself needs one that is not")
