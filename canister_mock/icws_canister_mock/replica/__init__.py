"""A local replica: keys, blocks, certificates and the HTTPS interface, for canisters written in Python."""

from icws_canister_mock.replica.canister_api import (
    CallRejected,
    Canister,
    CanisterApi,
    CanisterReject,
    CanisterTrap,
    query,
    update,
)
from icws_canister_mock.replica.certification import RangesForm
from icws_canister_mock.replica.clock import Clock, ManualClock, StartedClock, SystemClock
from icws_canister_mock.replica.rejects import ErrorCode, RejectCode, Rejected, Replied
from icws_canister_mock.replica.replica import Replica, ReplicaConfig
from icws_canister_mock.replica.server import ReplicaServer, serve_replica
from icws_canister_mock.replica.slot import CanisterSnapshot

__all__ = [
    "CallRejected",
    "Canister",
    "CanisterApi",
    "CanisterReject",
    "CanisterSnapshot",
    "CanisterTrap",
    "Clock",
    "ErrorCode",
    "ManualClock",
    "RangesForm",
    "RejectCode",
    "Rejected",
    "Replica",
    "ReplicaConfig",
    "ReplicaServer",
    "Replied",
    "StartedClock",
    "SystemClock",
    "query",
    "serve_replica",
    "update",
]
