"""Settings: one schema for file, environment and flags; errors that name the key."""

from __future__ import annotations

import pytest

from icws_gateway.config import RELOADABLE, GatewayConfig
from icws_secure.errors import MisuseError
from icws_secure.wire.principal import Principal

CANISTER = "ryjl3-tyaaa-aaaaa-aaaba-cai"
OTHER = "bnz7o-iuaaa-aaaaa-qaaaa-cai"


def test_flags_come_before_environment_before_file(tmp_path, monkeypatch):
    file = tmp_path / "gateway.toml"
    file.write_text('listen = "0.0.0.0:1"\nmax_connections = 1\nmax_canisters = 1\n')
    monkeypatch.setenv("ICWS_GATEWAY_MAX_CONNECTIONS", "2")
    monkeypatch.setenv("ICWS_GATEWAY_MAX_CANISTERS", "2")
    config = GatewayConfig.load(file, {"max_canisters": 3, "ic_url": None})
    assert (config.listen, config.max_connections, config.max_canisters) == ("0.0.0.0:1", 2, 3)
    assert config.ic_url == GatewayConfig().ic_url


def test_lists_come_as_arrays_or_with_commas(tmp_path, monkeypatch):
    file = tmp_path / "gateway.toml"
    file.write_text(f'canisters_allow = ["{CANISTER}"]\n')
    assert GatewayConfig.load(file).canisters_allow == (CANISTER,)
    monkeypatch.setenv("ICWS_GATEWAY_CANISTERS_ALLOW", f"{CANISTER}, {OTHER}")
    assert GatewayConfig.load().canisters_allow == (CANISTER, OTHER)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("max_conections = 1", "max_conections"),
        ("max_connections = 0", "max_connections"),
        ('max_connections = "many"', "max_connections"),
        ('canisters_deny = ["no canister"]', "canisters_deny"),
        ('trusted_proxies = ["10.0.0.0/40"]', "trusted_proxies"),
        ('ic_url = "ftp://x"', "ic_url"),
        ('listen = "8080"', "listen"),
        ('tls_key = "key.pem"', "tls_certificate"),
        ("max_open_frame_bytes = 9000000", "max_open_frame_bytes"),
        ("listen = ", "TOML"),
    ],
)
def test_error_names_the_key(tmp_path, text, named):
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    with pytest.raises(MisuseError, match=named):
        GatewayConfig.load(file)


def test_error_says_where_a_setting_came_from_and_what_was_meant(tmp_path, monkeypatch):
    file = tmp_path / "gateway.toml"
    file.write_text("max_conections = 1\nlisten = 'x'\n")
    monkeypatch.setenv("ICWS_GATEWAY_WORKERS", "0")
    with pytest.raises(MisuseError) as caught:
        GatewayConfig.load(file, {"log_level": "loud"})
    words = caught.value.message
    assert f"max_conections ({file}): there is no such setting; max_connections was meant?" in words
    assert f"listen ({file}): not of the form host:port" in words
    assert "workers (environment): input should be greater" in words
    assert "log_level (flag): input should be 'debug', 'info'" in words
    assert "Value error" not in words


def test_unknown_variable_is_an_error(monkeypatch):
    monkeypatch.setenv("ICWS_GATEWAY_MAX_CONECTIONS", "1")
    with pytest.raises(MisuseError, match="MAX_CONECTIONS"):
        GatewayConfig.load()


def test_what_a_reload_cannot_change_is_named():
    config = GatewayConfig()
    assert config.needing_restart(GatewayConfig(max_connections=7, allowed_origins=("https://a",))) == []
    assert config.needing_restart(GatewayConfig(listen="[::]:1", workers=2, max_canisters=1)) == ["listen", "workers"]


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(MisuseError):
        GatewayConfig.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("allow", "deny", "served"),
    [((), (), True), ((CANISTER,), (), True), ((OTHER,), (), False), ((), (CANISTER,), False)],
)
def test_allow_and_deny_lists(allow, deny, served):
    config = GatewayConfig(canisters_allow=allow, canisters_deny=deny)
    assert config.allows(Principal.from_text(CANISTER)) is served


@pytest.mark.parametrize(
    ("url", "mainnet"),
    [
        ("https://icp-api.io", True),
        ("https://ic0.app/", True),
        ("https://x.icp0.io", True),
        ("https://evil-icp0.io", False),
        ("http://127.0.0.1:4943", False),
    ],
)
def test_main_network_is_recognised(url, mainnet):
    assert GatewayConfig(ic_url=url).is_mainnet is mainnet


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://ic.example", "not an http"),
        ("http://", "not an http"),
        ("http://user:word@ic.example", "no users"),
        ("http://ic.example/?a=b", "no users, queries"),
        ("http://ic.example/#a", "no users, queries or fragments"),
        ("http://ic.example/a b", "without spaces"),
        ("http://ic.example\x00/", "ASCII"),
        ("http://b\u00fccher.example", "xn--"),
        ("http://ic.example:0", "port 0"),
        ("http://ic..example", "no name"),
        ("http://" + "a" * 64 + ".example", "no name"),
        ("http://ic.example:99999", "ort out of range"),
    ],
)
def test_address_of_no_ic_is_refused(url, why):
    with pytest.raises(MisuseError, match=why):
        GatewayConfig.load(None, {"ic_url": url})


def test_reload_takes_over_lists_and_limits_only():
    config = GatewayConfig().reloaded(GatewayConfig(max_connections=5, canisters_deny=(CANISTER,), listen="0.0.0.0:9"))
    assert (config.max_connections, config.canisters_deny) == (5, (CANISTER,))
    assert config.listen == GatewayConfig().listen
    assert set(GatewayConfig.model_fields) >= RELOADABLE


def test_every_setting_says_what_it_is():
    assert all(field.description for field in GatewayConfig.model_fields.values())


@pytest.mark.parametrize(("listen", "host", "port"), [("[::1]:80", "::1", 80), ("127.0.0.1:0", "127.0.0.1", 0)])
def test_listen_is_split(listen, host, port):
    config = GatewayConfig(listen=listen)
    assert (config.host, config.port) == (host, port)
