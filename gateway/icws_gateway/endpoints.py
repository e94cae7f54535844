"""Which version of an endpoint of the IC's HTTPS interface to ask.

Old replicas lack the new versions and new ones will lack the old. A version that answers 404 or 405 while another one
answers is left alone for a while, and then tried again.
"""

from __future__ import annotations

__all__ = ["EndpointVersions"]


class EndpointVersions:
    """The versions of one kind of endpoint at one IC.

    Args:
        versions: all that we speak, the best first.
        reprobe: seconds after which a missing one is tried again.
    """

    def __init__(self, versions: tuple[int, ...], reprobe: float) -> None:
        self._versions = versions
        self._reprobe = reprobe
        self._missing_until: dict[int, float] = {}

    def order(self, now: float, prefer: int | None = None) -> tuple[int, ...]:
        """Versions to try one after another; ``prefer`` goes first if it is not known to be missing.

        Args:
            now: seconds of a monotonic clock.
            prefer: the version that suits the purpose, None for the best.
        """
        wanted = self._versions
        if prefer is not None:
            wanted = (prefer, *(version for version in wanted if version != prefer))
        there = tuple(version for version in wanted if self._missing_until.get(version, 0.0) <= now)
        return there + tuple(version for version in wanted if version not in there)

    def answered(self, version: int, tried: tuple[int, ...], now: float) -> None:
        """``version`` answered after all of ``tried`` were missing: those are left alone for a while."""
        self._missing_until.pop(version, None)
        for missing in tried:
            self._missing_until[missing] = now + self._reprobe
