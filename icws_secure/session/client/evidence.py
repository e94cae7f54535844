"""A record of what a gateway was caught at, that anyone can check offline.

It proves that these bytes do not satisfy the protocol under these settings. It does not prove who sent them: frames are not
signed by gateways.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from icws_secure.errors import IcwsError

__all__ = ["Evidence", "recheck"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was received, and what was expected of it.

    Args:
        kind: ``handshake``, ``frame``, ``receipt``, ``head`` or ``withheld``.
        reason: the error's reason, a value of :class:`icws_secure.errors.Reason`.
        requirement: identifier of the broken requirement, or an empty text.
        text: the error in words.
        received: the bytes received, in order (frames; for ``withheld`` the head frame that shows the messages).
        settings: what the check depends on: canister, root key, gateway, client key, counters, time.
    """

    kind: str
    reason: str
    requirement: str
    text: str
    received: tuple[bytes, ...] = field(repr=False)
    settings: dict[str, object] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the record as CBOR, for a file."""
        raise NotImplementedError

    @classmethod
    def decode(cls, data: bytes) -> Evidence:
        """Read a record.

        Raises:
            DecodeError: ``data`` is not one.
        """
        raise NotImplementedError


def recheck(evidence: Evidence) -> IcwsError | None:
    """Verify the bytes of ``evidence`` again, offline.

    Returns:
        the error that the bytes cause, or None when they are acceptable (the record proves nothing).
    """
    raise NotImplementedError
