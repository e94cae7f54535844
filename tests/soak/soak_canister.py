"""The canister of the soak: an echo that asks its clients for no signs of life, so that the clients here stay small."""

from __future__ import annotations

from icws_canister_mock.canister.samples.echo import Echo

__all__ = ["SoakCanister"]

SoakCanister = Echo.configured(profiles=frozenset({"omnia"}), ack_interval_ns=24 * 3_600 * 10**9)
