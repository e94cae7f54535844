"""The choice among versions of an endpoint."""

from __future__ import annotations

import pytest

from icws_gateway.endpoints import EndpointVersions


@pytest.fixture
def versions() -> EndpointVersions:
    return EndpointVersions((4, 3, 2), reprobe=600)


def test_best_version_comes_first(versions):
    assert versions.order(0.0) == (4, 3, 2)


def test_missing_versions_are_left_alone_and_tried_again_later(versions):
    versions.answered(3, tried=(4,), now=10.0)
    assert versions.order(11.0) == (3, 2, 4)
    assert versions.order(609.0) == (3, 2, 4)
    assert versions.order(611.0) == (4, 3, 2)


def test_preferred_version_comes_first_unless_it_is_missing():
    versions = EndpointVersions((3, 2), reprobe=600)
    assert versions.order(0.0, prefer=2) == (2, 3)
    versions.answered(3, tried=(2,), now=0.0)
    assert versions.order(1.0, prefer=2) == (3, 2)


def test_version_that_answers_again_is_back(versions):
    versions.answered(2, tried=(4, 3), now=0.0)
    versions.answered(4, tried=(), now=1.0)
    assert versions.order(2.0)[0] == 4
