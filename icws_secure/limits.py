"""Every bound of the protocol core, with unit and origin.

Origins: ``ic`` = the IC's own limit (interface specification or replica), ``spec`` = ``spec/protocol.md``, ``ours`` = a choice of
this implementation. Nothing that is parsed, stored or repeated is without one of these.
"""

from __future__ import annotations

from typing import Final

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

# bytes on the wire
MAX_CBOR_DEPTH: Final = 64  # levels; ours: a certificate's tree is nested inside an envelope of a few levels
MAX_CBOR_ITEMS: Final = 200_000  # data items in one document; ours
MAX_TREE_DEPTH: Final = 1_024  # levels of one hash tree; ours: above any state tree (a few hundred)
MAX_TREE_NODES: Final = 100_000  # nodes of one hash tree; ours
MAX_LABEL_BYTES: Final = 256  # bytes of a hash tree label; ours: message keys have 84, principals 29
MAX_CERTIFICATE_BYTES: Final = 1 << 20  # bytes; ours: real ones have 1 to 4 KiB, canister range lists more
MAX_WITNESS_BYTES: Final = 1 << 20  # bytes; ours: half of what a poll may have [R34]
MAX_ENVELOPE_BYTES: Final = 2 << 20  # bytes of a whole ingress message; ic
MAX_REPLY_BYTES: Final = 3 << 20  # bytes of a query's reply; ic
MAX_FRAME_BYTES: Final = 4 << 20  # bytes of a WebSocket frame of ours: a full poll and its witness; ours
MAX_FRAME_MESSAGES: Final = 1_000  # messages in one frame; ours: canisters send 50 a poll unless configured
MAX_CONTENT_BYTES: Final = 1 << 20  # bytes of a message's content; spec [R34]
MAX_PUBLIC_KEY_BYTES: Final = 2 << 10  # bytes of a DER public key; ours: the longest, RSA in a WebAuthn key, have under 1100

# requests
MAX_NONCE_BYTES: Final = 32  # ic
MAX_DELEGATIONS: Final = 20  # links; ic
MAX_DELEGATION_TARGETS: Final = 1_000  # canisters a link; ic
MAX_READ_STATE_PATHS: Final = 1_000  # ic
MAX_PATH_LABELS: Final = 127  # ic
MAX_NODE_SIGNATURES: Final = 128  # of nodes on one answer; ours: subnets have up to some 40 nodes
MAX_INGRESS_TTL_NS: Final = 330 * NS_PER_S  # 5 min and 30 s of permitted drift; ic
MAX_OPEN_TTL_NS: Final = 90 * NS_PER_S  # expiry of a ws_open envelope; spec [R6]
MAX_MESSAGE_TTL_NS: Final = 60 * NS_PER_S  # expiry of a ws_message envelope; spec [R16]

# certificates
MAX_CERTIFICATE_AGE_NS: Final = 300 * NS_PER_S  # /time behind the clock; ic (agents)
MAX_CERTIFICATE_AHEAD_NS: Final = 300 * NS_PER_S  # /time ahead of the clock; ic (agents)
MAX_DELEGATION_AGE_NS: Final = 30 * 86_400 * NS_PER_S  # /time of a subnet delegation; ic (agent-js)
MAX_CANISTER_RANGES: Final = 50_000  # ranges of one subnet; ours
CERTIFICATE_CACHE_ENTRIES: Final = 256  # verified certificates kept; ours
WITNESS_CACHE_ENTRIES: Final = 256  # verified witnesses kept; ours
CERTIFICATE_CACHE_BYTES: Final = 32 << 20  # bytes in memory, roughly, of verified certificates; ours
WITNESS_CACHE_BYTES: Final = 32 << 20  # bytes in memory, roughly, of well-formed witnesses; ours
BLS_KEY_CACHE_ENTRIES: Final = 1_024  # decompressed public keys kept, one a subnet; ours
MAX_DELEGATION_AHEAD_NS: Final = 300 * NS_PER_S  # /time of a subnet delegation ahead of the clock; ic (agent-js)

# Candid
MAX_CANDID_BYTES: Final = MAX_REPLY_BYTES  # ours
MAX_CANDID_TYPES: Final = 256  # entries of a type table; ours: the protocol's have under 20
MAX_CANDID_FIELDS: Final = 256  # fields of one record or variant; ours
MAX_CANDID_DEPTH: Final = 32  # nesting of values; ours
MAX_CANDID_NUMBER_BYTES: Final = 256  # bytes of one nat or int; ours: the protocol has none over 64 bits
MAX_CANDID_VALUES: Final = 100_000  # values decoded or skipped in one message; ours

# sessions
MAX_MESSAGE_AGE_NS: Final = 60 * NS_PER_S  # age of a message queued after the attach; spec [R11]
MAX_CLOCK_SKEW_NS: Final = 30 * NS_PER_S  # between local clock and certified time at registration; spec [R5]
REORDER_WINDOW_MESSAGES: Final = 32  # a session; spec [R17]
REORDER_WINDOW_BYTES: Final = 256 << 10  # a session; spec [R17]
REORDER_TOTAL_BYTES: Final = 64 << 20  # all sessions; spec [R17]
REORDER_GAP_TTL_NS: Final = 360 * NS_PER_S  # a buffered message behind a gap; spec [R17]
ACCEPTED_HASHES: Final = REORDER_WINDOW_MESSAGES + 64  # hashes of accepted contents kept a session; spec [R17]
POLL_MESSAGES: Final = 50  # messages a poll; spec [R34]
POLL_BYTES: Final = 1_536 << 10  # bytes a poll, witness included; spec [R34]
MAX_MESSAGE_CONTENT_BYTES: Final = MAX_CONTENT_BYTES + 1_024  # bytes of a canister message's CBOR around its content; ours
MIN_ACK_INTERVAL_NS: Final = 60 * NS_PER_S  # acknowledgement interval that a canister may certify; spec [R19]
MAX_RESUME_WINDOW_NS: Final = 86_400 * NS_PER_S  # interval or window that a canister may certify; spec
MAX_WINDOW_MESSAGES: Final = 1_024  # reorder window that a canister may certify; spec
MAX_WINDOW_BYTES: Final = 64 << 20  # reorder window that a canister may certify; ours
MAX_SUITES: Final = 32  # payload suites and features in certified parameters; ours
