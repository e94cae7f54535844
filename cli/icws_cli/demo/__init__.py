"""``icws demo``: authenticated messages between clients and a canister, and a hostile gateway that fails.

Everything runs on this machine and ends by itself: a local Internet Computer inside this process, gateways as
processes of their own, real clients over real sockets. The exit code is 0 only if the conversation survived the death
of its gateway whole, and every attack came to nothing.
"""

from __future__ import annotations

from icws_cli.demo.command import app

__all__ = ["app"]
