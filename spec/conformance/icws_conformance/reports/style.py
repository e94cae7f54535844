"""How the HTML report looks, on telephones too, by day and by night; and its filter, which needs no script."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from icws_conformance.reports.marks import css_class
from icws_conformance.verdict import Verdict

__all__ = ["STYLE"]

_LOOKS: Final = Path(__file__).with_name("report.css").read_text(encoding="utf-8")

#: What is not to be shown goes away.
_FILTER: Final = "".join(
    f"body:has(#show-{name}:not(:checked)) .verdict.{name} {{ display: none; }}\n"
    for name in (css_class(verdict) for verdict in Verdict)
)

STYLE: Final = _LOOKS + _FILTER
