"""How many certificates that bring nothing a gateway may show: each costs the client a verification.

Messages of earlier attachments and relayed heads bring nothing new, and a gateway may show some: heads every few
seconds, and what is left of an earlier attachment in its queue. Without a bound it could keep the client busy with
them. The messages of one poll share a certificate, which is verified once and counted once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import Reason, StallError
from ...limits import IDLE_CERTIFICATES, IDLE_CERTIFICATES_PER_SECOND, NS_PER_S

__all__ = ["Allowance"]


@dataclass(slots=True)
class Allowance:
    """The allowance of one connection: a number of certificates at once, and so many a second after that.

    Attributes:
        since: session time from which it is counted; 0 before the first certificate.
        used: certificates that count, less those that are forgiven since then.
        latest: the certificate before.
    """

    since: int = 0
    used: int = 0
    latest: bytes = field(default=b"", repr=False)

    def take(self, now: int, certificate: bytes) -> None:
        """Count a certificate that is about to be verified.

        Raises:
            StallError: too many have brought nothing.
        """
        if certificate == self.latest:
            return
        self.latest = certificate
        forgiven = (now - self.since) * IDLE_CERTIFICATES_PER_SECOND // NS_PER_S
        if self.used <= forgiven:
            self.since, self.used = now, 0
        # [ICWS-CLT-020]
        elif self.used - forgiven >= IDLE_CERTIFICATES:
            raise StallError(
                "the gateway shows certificate after certificate that brings nothing",
                reason=Reason.TOO_MANY,
                requirement="ICWS-CLT-020",
                limit=IDLE_CERTIFICATES,
            )
        self.used += 1

    def give_back(self) -> None:
        """The certificate has brought something."""
        self.used -= 1
