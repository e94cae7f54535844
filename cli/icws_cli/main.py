"""The entry point of ``icws``: answers with one sentence where even the command line's own packages are missing."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit."""
    try:
        from icws_cli.group import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.stderr.write("icws needs packages that are not installed: pip install 'icws-secure[cli]'\n")
        sys.exit(1)
    app(prog_name="icws")


if __name__ == "__main__":
    main()
