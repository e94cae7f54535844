"""The server's TLS context, and its renewal without dropping connections."""

from __future__ import annotations

import ssl

from icws_secure.errors import MisuseError

from .config import GatewayConfig

__all__ = ["reload_certificate", "server_context"]


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
    if config.tls_certificate is None or config.tls_key is None:
        return
    try:
        # tried on a context of its own first: a half-loaded pair must not replace one that works
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_certificate, config.tls_key)
        context.load_cert_chain(config.tls_certificate, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise MisuseError(f"the TLS certificate cannot be used: {error}", file=str(config.tls_certificate)) from error
