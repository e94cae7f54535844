"""Processes that are one gateway: one principal, polls and fan-out shared over Redis.

Reading a queue takes nothing out of it, so each process could poll for itself; what is shared saves that. Of each
canister one process holds a lease: it polls, and hands every answer to the others, who check it as they would a
replica's and deliver their own clients' messages. Whoever is not served polls for itself: Redis may lie, lose or be
gone, and what is lost is the saving.

========== ==============================================================================================
module     idea
========== ==============================================================================================
link       the connection to Redis: what is sent, what is heard, and whether it is there
leases     which process polls which canister
sharing    one canister's polls, as its poller sees them: who polls, what is handed on, when to help oneself
claims     one connection for a client key, whichever process it is at
cluster    all of it
========== ==============================================================================================
"""

from .cluster import Cluster
from .sharing import QueueSharing

__all__ = ["Cluster", "QueueSharing"]
