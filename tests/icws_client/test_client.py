"""What ``connect`` makes of its arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from icws_client import ClientConfig, GatewayTarget, connect
from icws_client.http import HttpClient, is_loopback
from icws_client.root_key import MAINNET_ROOT_KEY, as_root_key
from icws_secure.errors import DecodeError, MisuseError, TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.wire.principal import Principal

CANISTER = "bnz7o-iuaaa-aaaaa-qaaaa-cai"
GATEWAY = "tdb26-jop6k-aogll-7ltgs-eruif-6kk7m-qpktf-gdiqx-mxtrf-vb5e6-eqe"


def config(*gateways: Any, **options: Any) -> ClientConfig:
    return connect(*gateways, canister_id=CANISTER, **options)._config


def test_gateways_may_be_none_one_or_several() -> None:
    assert config().gateways == ()
    assert config(None).gateways == ()
    assert config("wss://a").gateways == (GatewayTarget("wss://a"),)
    pinned = GatewayTarget("wss://b", Principal.from_text(GATEWAY))
    assert config(["ws://a", pinned]).gateways == (GatewayTarget("ws://a"), pinned)
    assert config("wss://b", gateway_principal=GATEWAY).gateways == (pinned,)


def test_the_secure_profile_is_the_default() -> None:
    assert config().profile == "secure"
    assert config(profile="omnia").profile == "omnia"


def test_seconds_become_nanoseconds() -> None:
    made = config(open_timeout=1.5, close_timeout=2, send_timeout=3, give_up=4)
    assert (made.open_limit_ns, made.close_timeout_ns) == (NS_PER_S * 3 // 2, 2 * NS_PER_S)
    assert (made.send_timeout_ns, made.give_up_ns) == (3 * NS_PER_S, 4 * NS_PER_S)


def test_settings_beyond_the_arguments_are_kept() -> None:
    settings = ClientConfig(canister_id=Principal.from_text(CANISTER), max_in_flight=3)
    assert config(config=settings).max_in_flight == 3


def test_a_state_file_asks_the_session_for_its_state(tmp_path: Path) -> None:
    assert not config().persist
    assert config(state_file=tmp_path / "s", state_key=bytes(32)).persist


@pytest.mark.parametrize(
    ("gateways", "options"),
    [
        ((["http://a"],), {}),
        (("a",), {}),
        ((["ws://a", "ws://b"],), {"gateway_principal": GATEWAY}),
        ((), {"gateway_principal": GATEWAY}),
        ((), {"state_file": "x"}),
        ((), {"state_key": bytes(32)}),
        ((), {"state_file": "x", "state_key": bytes(32), "profile": "omnia"}),
        ((), {"open_timeout": 0}),
        ((), {"close_timeout": -1}),
        ((), {"send_timeout": float("nan")}),
        ((), {"give_up": float("inf")}),
        ((), {"canister_id": 3}),
        ((), {"root_key": b"short"}),
        ((), {"root_key": "text"}),
        ((), {"identity": 3}),
        ((), {"identity": "me.pem"}),
        ((5,), {}),
        (([5],), {}),
        ((b"ws://a",), {}),
        ((), {"open_timeout": "5"}),
        ((), {"open_timeout": None}),
        ((), {"profile": "secur"}),
        ((), {"profile": None}),
        ((), {"send_via": "http"}),
        ((), {"payload": ["hpke"]}),
        ((), {"payload": None}),
        ((), {"minimum": "aes"}),
        ((), {"codec": 5}),
        ((), {"config": 5}),
        ((), {"on_event": 5}),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_once(gateways: tuple[Any, ...], options: dict[str, Any]) -> None:
    with pytest.raises(MisuseError):
        connect(*gateways, **({"canister_id": CANISTER} | options))


def test_principals_of_ic_py_are_taken_over() -> None:
    class IcPyPrincipal:
        bytes = Principal.from_text(CANISTER).raw

    assert connect(canister_id=IcPyPrincipal())._config.canister_id == Principal.from_text(CANISTER)


@pytest.mark.parametrize("text", ["", "nonsense", CANISTER[:-1] + "x"])
def test_a_canister_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        connect(canister_id=text)
    assert caught.value.facts["received"] == repr(text)[:80]


async def test_an_address_of_the_ic_that_is_none_is_refused_when_it_is_used() -> None:
    hopeless: tuple[Any, ...] = ("http://[::1", "https://a:99999", "https://a:0", "https://user:word@a", None, 5)
    for url in ("ftp://a", "icp-api.io", "https://", "https://a/?x=1", "https://a/#x", *hopeless):
        with pytest.raises(MisuseError):
            HttpClient(url)


async def test_a_replica_that_is_not_there_is_named() -> None:
    http = HttpClient("http://127.0.0.1:9")
    with pytest.raises(TransportError, match=r"cannot be reached: .*url http://127\.0\.0\.1:9,"):
        await http.get("/api/v2/status", timeout_s=5)
    await http.close()


@pytest.mark.req("ICWS-LIB-022")
def test_the_main_networks_root_key_is_built_in() -> None:
    assert as_root_key(None) is MAINNET_ROOT_KEY
    assert as_root_key(MAINNET_ROOT_KEY.der) == MAINNET_ROOT_KEY


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:4943", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://localhost", True),
        ("http://replica.localhost:1", True),
        ("http://127.0.0.1.example", False),
        ("http://localhost.example", False),
        ("http://127.0.0.1@example", False),
        ("http://0.0.0.0", False),
        ("http://2130706433", False),
        ("https://icp-api.io", False),
        ("nothing", False),
    ],
)
def test_loopback_is_told_by_the_name_alone(url: str, loopback: bool) -> None:
    assert is_loopback(url) is loopback
