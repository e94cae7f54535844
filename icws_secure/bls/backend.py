"""The interface that a pairing library is used through, and the choice among those installed."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module, util
from typing import Final, Protocol, cast

from ..errors import MisuseError, Reason, TrustUnavailable

__all__ = ["Backend", "available_backends", "backend"]

#: Name of each backend and the distribution it needs, in order of preference: pyblst needs one final exponentiation a
#: verification (1.1 ms), blspy two full pairings (1.5 ms).
_BACKENDS: Final = {"pyblst": "icws_secure.bls._pyblst", "blspy": "icws_secure.bls._blspy"}


class Backend(Protocol):
    """Verification of BLS12-381 signatures, signature in G1 and key in G2, as the IC makes them.

    Implementations check encodings with :mod:`icws_secure.bls.points` first, refuse points outside the subgroup of
    prime order, and remember a bounded number of decompressed public keys. They may be shared between threads.
    """

    @property
    def name(self) -> str:
        """Name of the library behind, as :func:`backend` takes it."""

    def check_public_key(self, public_key: bytes) -> None:
        """Checks that ``public_key`` (96 bytes) is a usable point.

        Raises:
            CertificateError: BAD_BLS_POINT.
        """

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        """Verifies ``signature`` (48 bytes) over ``message`` under ``public_key`` (96 bytes, raw, no DER).

        Raises:
            CertificateError: BAD_BLS_POINT for an encoding or a point that must not be used; BAD_BLS_SIGNATURE
            otherwise.
        """


def available_backends() -> tuple[str, ...]:
    """Names of the backends whose library is installed, the preferred one first."""
    return tuple(name for name in _BACKENDS if util.find_spec(name) is not None)


@lru_cache(maxsize=len(_BACKENDS) + 1)
def backend(name: str | None = None) -> Backend:
    """The backend called ``name``, or the preferred one among those installed.

    Raises:
        MisuseError: UNSUPPORTED, there is no such backend or its library is not installed.
        TrustUnavailable: no pairing library is installed at all.
    """
    if name is None:
        installed = available_backends()
        if not installed:
            raise TrustUnavailable("no BLS12-381 library is installed", reason=Reason.UNSUPPORTED)
        name = installed[0]
    if name not in _BACKENDS:
        raise MisuseError("unknown BLS backend", reason=Reason.UNSUPPORTED, known=", ".join(_BACKENDS))
    try:
        module = import_module(_BACKENDS[name])
    except ImportError as error:
        raise MisuseError("BLS backend is not installed", reason=Reason.UNSUPPORTED, backend=name) from error
    return cast(Backend, module.BACKEND)
