"""Starts this project's gateway as a module, so that mutants of it can be started too."""

from __future__ import annotations

from icws_gateway.cli import app

__all__: list[str] = []

if __name__ == "__main__":
    app(prog_name="icws gateway")
