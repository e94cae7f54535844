"""Where the suite's data is: beside its code where it is installed, in the specification's folder in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from icws_secure.errors import MisuseError, Reason

__all__ = ["data_path"]

_PACKAGE: Final = Path(__file__).resolve().parent
_PLACES: Final = (_PACKAGE / "data", _PACKAGE.parents[1])


def data_path(name: str) -> Path:
    """Path of a file or folder of the specification, such as ``requirements.toml`` or ``vectors``.

    Raises:
        MisuseError: this installation does not hold it.
    """
    for place in _PLACES:
        if (place / name).exists():
            return place / name
    raise MisuseError("this installation lacks a part of the specification", reason=Reason.UNSUPPORTED, name=name)
