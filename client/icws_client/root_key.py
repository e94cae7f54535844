"""Which root key is trusted: the main network's, which is built in, or one that the caller names.

All that the client believes rests on this key, so it is never taken from the network that it is to check. A local
network makes a new one at each start; :func:`fetch_root_key` is for those, and refuses every other address unless the
caller spells the risk out.
"""

from __future__ import annotations

from icws_client.http import HttpClient, check_address, is_loopback
from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.verify import MAINNET_ROOT_KEY, RootKey
from icws_secure.wire.http import STATUS_PATH, parse_status_response

__all__ = ["MAINNET_ROOT_KEY", "RootKey", "as_root_key", "fetch_root_key"]


def as_root_key(value: RootKey | bytes | None) -> RootKey:
    """Return the root key that *value* stands for; None is the main network's.

    Args:
        value: a root key, or its 133 bytes of DER.

    Raises:
        MisuseError: it is something else, or the bytes are not the DER of a BLS key.
    """
    if value is None:
        return MAINNET_ROOT_KEY
    if isinstance(value, RootKey):
        return value
    if isinstance(value, bytes):
        return RootKey.from_der(value)
    raise MisuseError("a root key is a RootKey or its DER bytes", reason=Reason.WRONG_TYPE)


async def fetch_root_key(ic_url: str, *, insecure: bool = False, timeout_s: float = 10.0) -> RootKey:
    """Ask a replica for its root key, which is only sensible where the replica is one's own.

    Args:
        ic_url: address of the replica.
        insecure: take the key from an address that is not loopback too. Whoever answers there, or stands between, can
            then forge everything.
        timeout_s: seconds.

    Raises:
        MisuseError: this is no address, or it is not loopback and *insecure* is not set.
        TransportError: there was no usable answer.
        DecodeError: the answer holds no root key.
    """
    check_address(ic_url)
    # [ICWS-LIB-022]
    if not insecure and not is_loopback(ic_url):
        raise MisuseError(
            "a root key from the network proves nothing: give the key itself, or say insecure=True",
            reason=Reason.ROOT_KEY_UNAVAILABLE,
            requirement="ICWS-LIB-022",
        )
    http = HttpClient(ic_url)
    try:
        status, body = await http.get(STATUS_PATH, timeout_s=timeout_s)
    finally:
        await http.close()
    key = parse_status_response(status, body).root_key
    if key is None:
        raise DecodeError(
            "the status holds no root key", reason=Reason.MISSING_FIELD, requirement="ICWS-LIB-022", url=ic_url
        )
    return RootKey.from_der(key)
