"""Which paths of the state tree a read_state request may see.

A request may ask for less than it may see, never for more: one forbidden path refuses it all. Where a path leads to a
whole subtree, the parts of it that the endpoint does not show are left out.

Source: IC interface specification, "Request: Read state".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from icws_canister_mock.replica.endpoint import Endpoint, HttpError
from icws_canister_mock.replica.slot import Slot
from icws_canister_mock.replica.subnet import Subnet
from icws_secure.wire.envelope import ReadStateContent
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

__all__ = ["visible_paths"]

Path = tuple[bytes, ...]

_STATUS_FIELDS: Final = (b"status", b"reply", b"reject_code", b"reject_message", b"error_code")
_CANISTER_FIELDS: Final = (b"module_hash", b"controllers", b"canister_creation_timestamp", b"last_install_timestamp")
_METADATA: Final = b"metadata"
_FORBIDDEN: Final = 403
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404


def visible_paths(subnet: Subnet, root: Principal, endpoint: Endpoint, content: ReadStateContent) -> list[Path]:
    """The paths to show for those that were asked for.

    Args:
        subnet: whose state is read.
        root: the root subnet's id.
        endpoint: where the request was sent to.
        content: the request, verified.

    Raises:
        HttpError: a path is none of those that this endpoint shows to this sender.
    """
    shown: list[Path] = []
    requests: set[bytes] = set()
    for path in content.paths:
        head = path[0] if path else b""
        if head == b"time" or head == b"api_boundary_nodes":
            shown.append(path)
        elif head == b"subnet":
            shown.extend(_subnet_paths(subnet, root, endpoint, path))
        elif head == b"canister_ranges" and endpoint.kind == "subnet" and len(path) > 1:
            shown.append(path)
        elif head == b"request_status" and _is_status_path(path):
            requests.add(path[1])
            shown.append(path)
        elif head == b"canister" and _is_canister_path(path, endpoint):
            if path[2] == _METADATA:
                _demand_readable(subnet.canisters.get(endpoint.id), content.sender, path[3])
            shown.append(path)
        else:
            raise _no_such_path()
    if len(requests) > 1:
        raise HttpError(_BAD_REQUEST, "A request can ask for the status of one call only.")
    for request_id in requests:
        _demand_own(subnet, endpoint, content.sender, request_id)
    return shown


def _is_status_path(path: Path) -> bool:
    return len(path) == 2 or (len(path) == 3 and path[2] in _STATUS_FIELDS)


def _is_canister_path(path: Path, endpoint: Endpoint) -> bool:
    if endpoint.kind != "canister" or len(path) < 3 or path[1] != endpoint.id.raw:
        return False
    return (len(path) == 3 and path[2] in _CANISTER_FIELDS) or (len(path) == 4 and path[2] == _METADATA)


def _demand_readable(slot: Slot | None, sender: Principal, label: bytes) -> None:
    """Public metadata is for everybody, private for controllers; of what is not there, everybody may have the proof."""
    try:
        name = label.decode()
    except UnicodeDecodeError as error:
        raise HttpError(_BAD_REQUEST, "The name of a custom section is UTF-8.") from error
    if slot is None or slot.canister is None or name in slot.canister.metadata:
        return
    if name in slot.canister.private_metadata and sender not in slot.controllers:
        raise HttpError(
            _FORBIDDEN, f"Custom section {name:.100} can only be requested by the controllers of the canister."
        )


def _demand_own(subnet: Subnet, endpoint: Endpoint, sender: Principal, request_id: bytes) -> None:
    """A call's status is for its sender, at the address of its canister. A call that is not known hides nothing."""
    entry = subnet.history.get(request_id)
    if entry is None:
        return
    if entry.sender != sender:
        raise HttpError(_FORBIDDEN, "The status of a call is shown to its sender only.")
    if endpoint.kind != "canister" or entry.canister != endpoint.id:
        raise HttpError(_FORBIDDEN, "The call was made to another canister than that of this address.")


def _subnet_paths(subnet: Subnet, root: Principal, endpoint: Endpoint, path: Path) -> Iterator[Path]:
    """The path itself, or in its place those parts of the subtree that may be seen."""
    if len(path) >= 3:
        if not _shows_field(root, endpoint, path[1], path[2]):
            raise _no_such_path()
        yield path
        return
    directory = subnet.state.tree.get(b"subnet")
    if not isinstance(directory, MerkleMap):
        return
    ids = list(directory) if len(path) == 1 else [path[1]]
    for subnet_id in ids:
        fields = directory.get(subnet_id)
        if not isinstance(fields, MerkleMap):
            yield (b"subnet", subnet_id)  # which proves that it is not there
            continue
        for field in fields:
            if _shows_field(root, endpoint, subnet_id, field):
                yield (b"subnet", subnet_id, field)


def _shows_field(root: Principal, endpoint: Endpoint, subnet_id: bytes, field: bytes) -> bool:
    if field == b"canister_ranges":
        return endpoint.flat_ranges or subnet_id == root.raw
    if field == b"metrics":
        return endpoint.kind == "subnet" and endpoint.id.raw == subnet_id
    return field in (b"public_key", b"type", b"node")


def _no_such_path() -> HttpError:
    return HttpError(_NOT_FOUND, "Invalid path requested.")  # agents compare the words
