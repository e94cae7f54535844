"""The replica's bounds, each with its unit. Those marked ``ic`` are the Internet Computer's own (its resource
limits)."""

from __future__ import annotations

from typing import Final

from icws_secure.limits import MAX_ENVELOPE_BYTES, MAX_REPLY_BYTES, NS_PER_S

__all__ = [
    "INGRESS_HISTORY_BYTES",
    "INGRESS_HISTORY_ENTRIES",
    "INGRESS_STATUS_TTL_NS",
    "MAX_BLOCK_INGRESS_BYTES",
    "MAX_BLOCK_INGRESS_MESSAGES",
    "MAX_CALL_ARG_BYTES",
    "MAX_CERTIFIED_DATA_BYTES",
    "MAX_INGRESS_BYTES",
    "MAX_INGRESS_POOL",
    "MAX_OUTSTANDING_CALLS",
    "MAX_QUERY_REPLY_BYTES",
    "MAX_ROUND_EXECUTIONS",
    "MAX_UPDATE_REPLY_BYTES",
    "RANGES_PER_SHARD",
]

MAX_INGRESS_BYTES: Final = MAX_ENVELOPE_BYTES  # bytes of one ingress message; ic
MAX_UPDATE_REPLY_BYTES: Final = 2 << 20  # bytes of an update's reply; ic
MAX_QUERY_REPLY_BYTES: Final = MAX_REPLY_BYTES  # bytes of a query's reply; ic
MAX_CALL_ARG_BYTES: Final = 2 << 20  # bytes of an argument between canisters; ic, across subnets
MAX_CERTIFIED_DATA_BYTES: Final = 32  # ic
MAX_OUTSTANDING_CALLS: Final = 500  # calls of one canister to another that are not answered; ic
MAX_BLOCK_INGRESS_MESSAGES: Final = 1_000  # ingress messages of one block; ic
MAX_BLOCK_INGRESS_BYTES: Final = 4 << 20  # bytes of the ingress messages of one block; ic
INGRESS_STATUS_TTL_NS: Final = 300 * NS_PER_S  # how long the outcome of a call can be read; ic
INGRESS_HISTORY_ENTRIES: Final = 600_000  # request statuses kept; ic
INGRESS_HISTORY_BYTES: Final = (
    256 << 20
)  # bytes of replies kept before the oldest become ``done``; ours, the ic has 4 GiB
MAX_INGRESS_POOL: Final = 20_000  # messages that wait for a block; ours
MAX_ROUND_EXECUTIONS: Final = 2_000  # executions of one block; ours, in the place of an instruction limit
RANGES_PER_SHARD: Final = 5  # canister ranges of one shard; ours
