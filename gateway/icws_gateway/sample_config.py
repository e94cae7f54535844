"""A settings file that names every setting, with its default and what it means; made from the schema itself."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Final

from .config import ENV_PREFIX, RELOADABLE, GatewayConfig

__all__ = ["sample_config"]

_WIDTH: Final = 110
_HEAD: Final = f"""\
# Settings of `icws gateway`, each with its default. Take away the '#' before a name to change it.
# The same names in capitals after {ENV_PREFIX} are variables of the environment; flags come before both.
# [reload]: SIGHUP puts it into effect; the contents of the TLS files are read again then, too.
"""


def sample_config() -> str:
    """The file as TOML. Everything is commented out, so it changes nothing until somebody edits it."""
    parts = [_HEAD]
    for name, field in GatewayConfig.model_fields.items():
        words = (field.description or "") + (" [reload]" if name in RELOADABLE else "")
        lines = [f"# {line}" for line in textwrap.wrap(words, _WIDTH)]
        parts.append("\n".join((*lines, f"#{name} ={_toml(field.default)}")) + "\n")
    return "\n".join(parts)


def _toml(value: object) -> str:
    # The defaults are of few types, and for these JSON is TOML.
    if value is None:
        return "  # no default"
    return " " + json.dumps(str(value) if isinstance(value, Path) else value)
