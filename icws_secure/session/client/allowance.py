"""How many frames that bring nothing a gateway may send: each costs the client the check of a certificate.

Messages of earlier attachments and relayed heads bring nothing new, and a gateway may send some: heads every few
seconds, and what is left of an earlier attachment in its queue. Without a bound it could keep the client busy with
them.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import Reason, StallError
from ...limits import IDLE_FRAMES, IDLE_FRAMES_PER_SECOND, NS_PER_S

__all__ = ["Allowance"]


@dataclass(slots=True)
class Allowance:
    """The allowance of one connection: a number of frames at once, and so many a second after that.

    Attributes:
        since: session time from which it is counted; 0 before the first frame.
        used: frames that count, less those that are forgiven since then.
    """

    since: int = 0
    used: int = 0

    def take(self, now: int) -> None:
        """Count a frame that is about to be verified.

        Raises:
            StallError: too many have brought nothing.
        """
        forgiven = (now - self.since) * IDLE_FRAMES_PER_SECOND // NS_PER_S
        if self.used <= forgiven:
            self.since, self.used = now, 0
        # [ICWS-CLT-020]
        elif self.used - forgiven >= IDLE_FRAMES:
            raise StallError(
                "the gateway sends frame after frame that brings nothing",
                reason=Reason.TOO_MANY,
                requirement="ICWS-CLT-020",
                limit=IDLE_FRAMES,
            )
        self.used += 1

    def give_back(self) -> None:
        """The frame has brought something."""
        self.used -= 1
