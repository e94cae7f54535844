"""Every bound of the protocol core, with unit and origin.

Origins: ``ic`` = the IC's own limit (interface specification or replica), ``spec`` = ``spec/protocol.md``, ``ours`` = a
choice of this implementation. Nothing that is parsed, stored or repeated is without one of these.
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
MAX_LABEL_BYTES: Final = 256  # bytes of a label in trees of our own; ours: message keys have 84, principals 29
# bytes of a label in a tree that is read; ours: canisters certify URL paths, and custom sections have long names
MAX_TREE_LABEL_BYTES: Final = 1 << 16
# bytes; ours: most have 1 to 4 KiB, but that of a call holds the reply, which may have 2 MiB (ic)
MAX_CERTIFICATE_BYTES: Final = (2 << 20) + (64 << 10)
MAX_WITNESS_BYTES: Final = 1 << 20  # bytes; ours: half of what a poll may have [R34]
MAX_ENVELOPE_BYTES: Final = 2 << 20  # bytes of a whole ingress message; ic
MAX_REPLY_BYTES: Final = 3 << 20  # bytes of a query's reply; ic
MAX_FRAME_BYTES: Final = 4 << 20  # bytes of a WebSocket frame of ours: a full poll and its witness; ours
MAX_FRAME_MESSAGES: Final = 1_000  # messages in one frame; ours: canisters send 50 a poll unless configured
MAX_CONTENT_BYTES: Final = 1 << 20  # bytes of a message's content; spec [R34]
# bytes of a DER public key; ours: the longest, RSA in a WebAuthn key, have under 1100
MAX_PUBLIC_KEY_BYTES: Final = 2 << 10

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
STATUS_KEPT_NS: Final = 300 * NS_PER_S  # what a call answered is known for so long after its execution, at least; ic

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
# bytes of a canister message's CBOR around its content; ours
MAX_MESSAGE_CONTENT_BYTES: Final = MAX_CONTENT_BYTES + 1_024
MIN_ACK_INTERVAL_NS: Final = 60 * NS_PER_S  # acknowledgement interval that a canister may certify; spec [R19]
MAX_RESUME_WINDOW_NS: Final = 86_400 * NS_PER_S  # interval or window that a canister may certify; spec
MAX_WINDOW_MESSAGES: Final = 1_024  # reorder window that a canister may certify; spec
MAX_WINDOW_BYTES: Final = 64 << 20  # reorder window that a canister may certify; ours
MAX_SUITES: Final = 32  # payload suites and features in certified parameters; ours

# certificates that bring a client nothing: three times what an earlier attachment leaves in a queue; ours [G4]
IDLE_CERTIFICATES: Final = 500
IDLE_CERTIFICATES_PER_SECOND: Final = 20  # and after that; ours [G4]

# sessions at a canister
MAX_SESSION_TTL_NS: Final = 7 * 86_400 * NS_PER_S  # expiry that may be configured; spec [R3]
SESSION_TTL_NS: Final = 8 * 3_600 * NS_PER_S  # expiry unless configured; spec [R3]
UNOPENED_TTL_NS: Final = 120 * NS_PER_S  # life of a registration that is not opened; spec [R4]
# refusal of a revoked or expired pair: longer than an ingress message lives; spec [R2]
REFUSED_TTL_NS: Final = 360 * NS_PER_S
DETACH_AFTER_OPEN_NS: Final = 60 * NS_PER_S  # of an attach without any call of the session key; spec [B5]
ACK_INTERVAL_NS: Final = 300 * NS_PER_S  # between acknowledgements unless configured; spec [R19]
KEEP_ALIVE_TIMEOUT_NS: Final = 60 * NS_PER_S  # to answer an acknowledgement; spec
RESUME_WINDOW_NS: Final = 600 * NS_PER_S  # a detached session lives, unless configured; ours
RETAINED_MESSAGES: Final = 2_048  # unacknowledged messages of a session; ours [R23]
RETAINED_BYTES: Final = 4 << 20  # of them, of a session; ours [R23]
RETAINED_TOTAL_BYTES: Final = 512 << 20  # of all sessions; ours [R34]
MODEST_SHARE: Final = 16  # a session with at most this part of its bytes may use the last quarter of the total; ours
RETAINED_RESERVE: Final = 64  # service messages beyond RETAINED_MESSAGES: acknowledgements and the close; ours
QUEUE_MESSAGES: Final = 100_000  # entries of one gateway's queue; ours [R34]
QUEUE_BYTES: Final = 128 << 20  # of one gateway's queue; ours [R34]
QUEUE_TOTAL_BYTES: Final = 512 << 20  # of all queues; ours [R34]
# times what is retained: entries of one session in a queue above which it cannot attach; ours [B5]
QUEUE_SHARE_FACTOR: Final = 4
TRIMMED_PER_SEND: Final = 5  # entries looked at, at the front of the queue; ours (deployed canisters do the same)
TRIMMED_PER_TIMER: Final = 1_000  # entries of all queues in one timer run; ours
# of an entry that a full queue drops: clients refuse older messages anyway; ours [R11]
QUEUE_MIN_AGE_NS: Final = 60 * NS_PER_S
DELIVERY_RETRY_NS: Final = 2 * NS_PER_S  # until the timer looks after messages that nobody handled; ours
MAX_GATEWAYS: Final = 10_000  # queues of a canister; ours [R34]
MAX_SESSIONS: Final = 50_000  # registrations and sessions of a canister, ended ones included; ours [R34]
# a principal that has opened as omnia/1 is no session principal; ours [R1]
OMNIA_REMEMBERED_NS: Final = 86_400 * NS_PER_S
SESSIONS_PER_OWNER: Final = 8  # live ones; ours [R4]
ENDED_PER_OWNER: Final = 32  # ended ones that are still remembered; ours [R34]
TIMER_SESSIONS: Final = 200  # in one timer run; spec [R19]
AUDIT_SESSIONS: Final = 50  # in one ws_audit; ours
BATCH_MESSAGES: Final = REORDER_WINDOW_MESSAGES  # in one ws_message_batch; ours
MAX_CARRIERS: Final = 64  # calls of one message whose fate is remembered: a new one each minute for an hour; ours
SMALL_ARGUMENT_BYTES: Final = 8 << 10  # of every argument that carries no content; ours [R35]

# payload protection
MAX_RATCHET_STEPS: Final = 4_096  # keys passed over for one message; ours: four times what a client may have queued
MAX_HOP_CHAINS: Final = 64  # attaches whose keys are kept: for receiving, and of opens not answered; ours
MAX_ROOM_SENDERS: Final = 10_000  # members whose counters a receiver keeps; ours
HPKE_KEY_LIFETIME_NS: Final = 86_400 * NS_PER_S  # a canister's key until it is replaced; spec [R37]
HPKE_KEY_GRACE_NS: Final = 900 * NS_PER_S  # a replaced key until it is forgotten; spec [R37]
