"""The expected failures of an implementation: by name, each with a reason, in a file that anybody can read.

::

    [[expected]]
    case = "another-clients-message"
    reason = "the client compares the client key in the first message only"

A case that is listed and passes is an error too: a list that is out of date hides the next failure.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

from icws_secure.errors import MisuseError, Reason

__all__ = ["read_expected"]


def read_expected(path: Path, known: Collection[str] | None = None) -> Mapping[str, str]:
    """Read the reasons of expected failures, by case.

    Args:
        path: the file.
        known: all cases of the target; None to take any name.

    Raises:
        MisuseError: the file is not of this form, a reason is missing, or a case does not exist.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisuseError("the file of expected failures cannot be read", reason=Reason.MALFORMED) from error
    found: dict[str, str] = {}
    entries = document.get("expected", [])
    if not isinstance(entries, list) or set(document) - {"expected"}:
        raise MisuseError("expected failures are entries [[expected]]", reason=Reason.MALFORMED)
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"case", "reason"}:
            raise MisuseError("an expected failure has a case and a reason", reason=Reason.MALFORMED)
        case, reason = entry["case"], entry["reason"]
        if not isinstance(case, str) or not isinstance(reason, str) or not reason.strip():
            raise MisuseError("an expected failure needs a reason in words", reason=Reason.MALFORMED)
        if known is not None and case not in known:
            raise MisuseError("an expected failure names a case that there is not", reason=Reason.MALFORMED, case=case)
        found[case] = reason
    return found
