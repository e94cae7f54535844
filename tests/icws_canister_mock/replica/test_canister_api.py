"""The base class: published methods, snapshots and copies for queries."""

from __future__ import annotations

from typing import Any, cast

import pytest

from icws_canister_mock.replica import Canister, CanisterApi, query, update


class Api:
    """Stands for a system interface."""


class Helper:
    def __init__(self, canister: Canister) -> None:
        self.canister = canister
        self.ic = canister.ic


class Base(Canister):
    def __init__(self) -> None:
        self.ic = cast(CanisterApi, Api())
        self.values: list[int] = [1]
        self.helper = Helper(self)

    @update("set")
    def set_value(self, arg: bytes) -> bytes:
        return b"base"

    @query()
    def get(self, arg: bytes) -> bytes:
        return b""


class Derived(Base):
    def set_value(self, arg: bytes) -> bytes:
        return b"derived"

    @update("more")
    def more(self, arg: bytes) -> bytes:
        return b""


def test_methods_are_found_by_name_and_inherited() -> None:
    assert {name: method.kind for name, method in Derived.methods.items()} == {
        "set": "update",
        "get": "query",
        "more": "update",
    }
    assert set(Base.methods) == {"set", "get"}
    assert getattr(Derived(), Derived.methods["set"].attribute)(b"") == b"derived"


def test_query_method_cannot_be_async() -> None:
    with pytest.raises(TypeError, match="async"):

        class Wrong(Canister):
            @query("q")
            async def q(self, arg: bytes) -> bytes:
                return b""


def test_snapshot_is_untouched_by_later_changes_and_restores_more_than_once() -> None:
    canister = Base()
    snapshot = canister.snapshot()
    for _ in range(2):
        canister.values.append(2)
        canister.extra = cast(Any, 1)  # type: ignore[attr-defined]
        canister.restore(snapshot)
        assert canister.values == [1]
        assert not hasattr(canister, "extra")


def test_references_back_to_the_canister_survive_restore() -> None:
    canister = Base()
    canister.restore(canister.snapshot())
    assert canister.helper.canister is canister
    assert canister.helper.ic is canister.ic


def test_query_view_shares_nothing_with_the_canister() -> None:
    canister = Base()
    api = cast(CanisterApi, Api())
    view = canister.query_view(api)
    assert isinstance(view, Base)
    view.values.append(2)
    assert canister.values == [1]
    assert view.ic is api
    assert view.helper.canister is view
    assert view.helper.ic is api


def test_foreign_snapshot_is_refused() -> None:
    with pytest.raises(TypeError):
        Base().restore("something else")
