"""What became of every message, both ways, and whether that is all right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Row", "Score"]

_SHOWN = 20  # faults


@dataclass(frozen=True, slots=True)
class Row:
    """One direction, all sessions together."""

    sent: int
    received: int
    lost: int
    duplicated: int
    disordered: int

    @property
    def is_perfect(self) -> bool:
        """Whether each message arrived once and in order."""
        return self.sent == self.received and not (self.lost or self.duplicated or self.disordered)


class Score:
    """The result of a run.

    Args:
        sent: messages that each client sent, by session.
        accounts: what the canister heard and said, by session.
        reports: the clients' own.
        complaints: log lines of processes that point to a mistake.
    """

    def __init__(
        self,
        sent: Mapping[str, int],
        accounts: Mapping[str, Mapping[str, Any]],
        reports: Sequence[Mapping[str, Any]],
        complaints: Sequence[str],
    ) -> None:
        self._reports = reports
        heard = [accounts.get(session, _NOTHING_HEARD) for session in sent]
        self.up = Row(
            sent=sum(sent.values()),
            received=sum(account["through"] - len(account["missing"]) for account in heard),
            lost=sum(
                len(account["missing"]) + max(0, count - account["through"])
                for account, count in zip(heard, sent.values(), strict=True)
            ),
            duplicated=sum(account["duplicated"] for account in heard),
            disordered=sum(account["disordered"] for account in heard),
        )
        self.down = Row(
            sum(account["said"] for account in accounts.values()),
            *(sum(report[name] for report in reports) for name in ("received", "lost", "duplicated", "disordered")),
        )
        self.unanswered = sum(report["unanswered"] for report in reports)
        self.faults = [f"{report['session'][:11]}: {fault}" for report in reports for fault in report["faults"]]
        self.faults += complaints

    @property
    def is_perfect(self) -> bool:
        """Whether nothing at all is wrong."""
        return self.up.is_perfect and self.down.is_perfect and not self.unanswered and not self.faults

    def lines(self) -> Iterator[str]:
        """What happened, in words."""
        reports = self._reports
        lost = sum((Counter(report["gateways_lost"]) for report in reports), Counter[str]())
        yield (
            f"{sum(report['attached'] for report in reports)} attachments, "
            f"{sum(report['direct'] for report in reports)} of them direct; "
            f"slowest confirmation {max((report['slowest'] for report in reports), default=0.0):.1f} s"
        )
        yield "why they ended: " + (", ".join(f"{why} {count}" for why, count in lost.most_common()) or "they did not")
        for fault in self.faults[:_SHOWN]:
            yield f"FAULT {fault}"

    def table(self) -> str:
        """The counts."""
        row = "{:<20}{:>10}{:>10}{:>8}{:>12}{:>14}\n".format
        return (
            row("", "sent", "received", "lost", "duplicated", "out of order")
            + row("client to canister", *_columns(self.up))
            + row("canister to client", *_columns(self.down))
            + f"echoes that are missing: {self.unanswered}; other faults: {len(self.faults)}\n"
        )


_NOTHING_HEARD: Mapping[str, Any] = {"through": 0, "missing": [], "duplicated": 0, "disordered": 0, "said": 0}


def _columns(row: Row) -> tuple[int, int, int, int, int]:
    return row.sent, row.received, row.lost, row.duplicated, row.disordered
