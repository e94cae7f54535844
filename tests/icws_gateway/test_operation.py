"""Health, readiness, metrics, TLS, origins, reload, the command line."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import ssl
import sys

import aiohttp
import pytest
import structlog
from aiohttp import web
from cryptography import x509
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from icws_gateway import Gateway, GatewayConfig
from icws_gateway.cli import _reload, app
from icws_gateway.logs import configure_logs, logger
from icws_secure.errors import MisuseError
from icws_secure.wire.close_codes import CloseCode


async def fetch(gateway: Gateway, path: str, **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{gateway.port}{path}", headers=headers) as response,
    ):
        return response.status, await response.text()


async def test_health_and_readiness(ic, make_gateway):
    gateway = await make_gateway(drain_seconds=0.1)
    assert await fetch(gateway, "/health") == (200, "ok\n")
    assert (await fetch(gateway, "/ready"))[0] == 200
    assert (await fetch(gateway, "/"))[0] == 426
    await gateway.drain()
    assert (await fetch(gateway, "/health"))[0] == 200
    assert (await fetch(gateway, "/ready"))[0] == 503


@pytest.mark.parametrize(
    ("who", "headers", "status"),
    [
        ("loopback", {}, 200),
        ("loopback", {"X-Forwarded-For": "192.0.2.1"}, 404),
        ("loopback", {"Forwarded": "for=192.0.2.1"}, 404),
        ("public", {"X-Forwarded-For": "192.0.2.1"}, 200),
        ("off", {}, 404),
    ],
)
async def test_metrics_are_for_whom_the_settings_say(ic, make_gateway, who, headers, status):
    gateway = await make_gateway(metrics=who)
    assert (await fetch(gateway, "/metrics", **headers))[0] == status


async def test_metrics_hold_no_name_of_a_client(ic, make_gateway, connect_peer, eventually):
    structlog.reset_defaults()  # another test may have set the process's log level
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    await peer.say(b"secret words")
    await eventually(lambda: b"secret words" in peer.contents and len(peer.receipts) == 2)
    text = (await fetch(gateway, "/metrics"))[1]
    assert 'icws_gateway_clients{profile="secure"} 1.0' in text
    assert 'icws_gateway_calls_total{outcome="certificate"} 2.0' in text
    assert "icws_gateway_messages_delivered_total 2.0" in text
    for name in (peer.identity.principal.to_text(), str(peer.key.client_nonce), "127.0.0.1", "secret words"):
        assert name not in text


async def test_logs_hold_no_payloads_keys_or_clients(ic, make_gateway, connect_peer, eventually, capsys):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    await peer.say(b"secret words")
    await eventually(lambda: b"secret words" in peer.contents)
    await peer.socket.send(b"secret garbage")
    await peer.wait_closed()
    await gateway.stop()
    text = capsys.readouterr().out
    assert "open verified" in text
    assert "refused" in text
    for name in ("secret", peer.identity.principal.to_text(), str(peer.key.client_nonce)):
        assert name not in text


async def test_a_connection_can_be_followed_by_its_id(ic, make_gateway, connect_peer, eventually, capsys):
    structlog.reset_defaults()
    gateway = await make_gateway(call_retry_seconds=0.2)
    leaving = await connect_peer(gateway, ic.install(), modern=True)
    await leaving.open(attach=1)

    async def fail(seen):
        return web.Response(status=500) if seen.kind == "call" else None

    ic.fault = fail
    await leaving.say(b"lost")
    await eventually(lambda: len(leaving.receipts) == 2)
    ic.fault = None
    await leaving.socket.close(4999, "secret words")
    refused = await connect_peer(gateway, ic.install())
    await refused.open()
    gateway._hub.config = gateway.config.model_copy(update={"ping_timeout_seconds": 0.0, "ping_interval_seconds": 0.0})
    await eventually(lambda: len(gateway._hub.sockets) == 1)
    (socket_,) = gateway._hub.sockets
    socket_.check_silence(gateway._hub.config)
    socket_.check_silence(gateway._hub.config)
    await refused.wait_closed()
    await gateway.stop()
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if "connection=" in line]
    by_id: dict[str, list[str]] = {}
    for line in lines:
        by_id.setdefault(line.split("connection=")[1].split()[0], []).append(line)
    stories = sorted([line.split("] ")[1].split("  ")[0].strip() for line in story] for story in by_id.values())
    assert stories == [["open verified", "a call was lost", "left"], ["open verified", "refused"]]
    assert "code=4999" in out
    assert "why='IdleTimeout: no answer to a ping'" in out
    assert "secret words" not in out


async def test_lines_about_clients_are_bounded(ic, make_gateway, connect_peer, eventually, capsys):
    structlog.reset_defaults()
    gateway = await make_gateway(client_lines_per_second=0.2)
    for _ in range(5):
        peer = await connect_peer(gateway, ic.install())
        await peer.socket.send(b"garbage")
        await peer.wait_closed()
    assert capsys.readouterr().out.count("refused") == 2
    left_out = {"limit": "client_lines"}
    assert gateway.metrics.registry.get_sample_value("icws_gateway_limits_total", left_out) == 3


def test_lines_of_libraries_have_the_form_of_ours(capsys):
    kept = logging.getLogger().handlers[:]
    try:
        configure_logs(GatewayConfig(log_format="json"), 3)
        logger(connection="abc").info("ours", why="because")
        logging.getLogger("some.library").error("theirs %d", 7)
        logging.getLogger("some.library").info("not worth a line")
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.reset_defaults()
        logging.basicConfig(handlers=kept, force=True)
    ours, theirs = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (ours["event"], ours["connection"], ours["level"], ours["worker"]) == ("ours", "abc", "info", 3)
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("theirs 7", "some.library", "error")
    assert set(theirs) == {"event", "logger", "level", "timestamp", "worker"}


async def test_tls_certificate_is_renewed_without_dropping_connections(ic, make_gateway, tmp_path, write_certificate):
    chain, secret = write_certificate(tmp_path, "first")
    gateway = await make_gateway(tls_certificate=chain, tls_key=secret)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    def presented(socket) -> str:
        der = socket.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der).subject.rfc4514_string()

    assert gateway.url.startswith("wss://")
    async with connect(gateway.url, ssl=trusting) as old:
        assert presented(old) == "CN=first"
        write_certificate(tmp_path, "second")
        gateway.reload(gateway.config)
        async with connect(gateway.url, ssl=trusting) as new:
            assert presented(new) == "CN=second"
        await old.recv()
        await (await old.ping())
        # a broken file is reported and changes nothing
        chain.write_text("nothing")
        with pytest.raises(MisuseError):
            gateway.reload(GatewayConfig(max_connections=1))
        async with connect(gateway.url, ssl=trusting) as newer:
            assert presented(newer) == "CN=second"
        assert gateway.config.max_connections != 1


async def test_origins_are_checked(ic, make_gateway):
    gateway = await make_gateway(allowed_origins=("https://app.example",))
    async with connect(gateway.url, origin="https://app.example"):
        pass
    with pytest.raises(InvalidStatus):
        async with connect(gateway.url, origin="https://evil.example"):
            pass


async def test_origins_are_read_again(ic, make_gateway):
    gateway = await make_gateway()
    async with connect(gateway.url, origin="https://evil.example"):
        gateway.reload(GatewayConfig(allowed_origins=("https://app.example",)))
        for headers in ({"origin": "https://evil.example"}, {}):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(gateway.url, **headers):
                    pass
            assert refused.value.response.status_code == 403
        async with connect(gateway.url, origin="https://app.example"):
            pass


async def test_reload_counts_and_names_what_needs_a_restart(ic, make_gateway, capsys):
    gateway = await make_gateway()
    gateway.reload(gateway.config.model_copy(update={"max_connections": 7, "poll_min_gap_ms": 50}))
    assert gateway.config.max_connections == 7
    assert gateway.config.poll_min_gap_ms != 50
    assert "need a restart    settings=['poll_min_gap_ms']" in capsys.readouterr().out
    assert gateway.metrics.registry.get_sample_value("icws_gateway_reloads_total", {"outcome": "done"}) == 1


async def test_reload_changes_the_level_of_the_log(ic, make_gateway, capsys):
    gateway = await make_gateway()
    try:
        _reload(gateway, lambda: gateway.config.model_copy(update={"log_level": "warning"}), None)
        capsys.readouterr()
        logger().info("not worth a line")
        logger().warning("worth a line")
        out = capsys.readouterr().out
        assert "not worth" not in out
        assert "worth a line" in out
    finally:
        structlog.reset_defaults()


async def test_reload_changes_lists_and_limits_for_new_clients(ic, make_gateway, connect_peer):
    gateway = await make_gateway()
    canister = ic.install()
    first = await connect_peer(gateway, canister)
    await first.open()
    gateway.reload(GatewayConfig(canisters_deny=(canister.to_text(),), max_connections_per_address=2))
    second = await connect_peer(gateway, canister)
    await second.open(wait=False)
    assert await second.wait_closed() == CloseCode.CANISTER_NOT_ALLOWED
    third = await connect_peer(gateway, canister)
    fourth = await connect_peer(gateway, canister)
    assert await fourth.wait_closed() == CloseCode.TOO_MANY_CONNECTIONS
    assert (first.closed, third.closed) == (None, None)


async def test_addresses_behind_a_trusted_proxy_are_told_apart(ic, make_gateway, connect_peer):
    gateway = await make_gateway(max_connections_per_address=1, trusted_proxies=("127.0.0.0/8",))
    canister = ic.install()
    for number in range(3):
        peer = await connect_peer(gateway, canister, additional_headers={"X-Forwarded-For": f"192.0.2.{number}"})
        await peer.open()
    again = await connect_peer(gateway, canister, additional_headers={"X-Forwarded-For": "1.1.1.1, 192.0.2.1"})
    assert await again.wait_closed() == CloseCode.TOO_MANY_CONNECTIONS


# the command line


def test_check_config_says_what_is_wrong(tmp_path):
    runner = CliRunner()
    good = runner.invoke(app, ["--check-config", "--listen", "127.0.0.1:0", "--set", "max_connections=7"])
    assert (good.exit_code, good.output) == (0, "settings are fine\n")
    bad = runner.invoke(app, ["--set", "max_conections"])
    assert "was given 'max_conections'" in bad.output
    for flag, value in (("--identity", tmp_path), ("--root-key", tmp_path / "no")):
        bad = runner.invoke(app, ["--check-config", flag, str(value)])
        assert bad.exit_code == 2, bad.output
        assert flag.strip("-").replace("-", "_") in bad.output
    bad = runner.invoke(app, ["--check-config", "--tls-certificate", "no.pem", "--tls-key", "no.pem"])
    assert "tls_certificate: no.pem cannot be read: No such file or directory" in bad.output
    bad = runner.invoke(app, ["--check-config", "--set", "max_conections=7"])
    assert bad.exit_code == 2
    assert "max_conections" in bad.output
    file = tmp_path / "gateway.toml"
    file.write_text("max_connections = -1\n")
    bad = runner.invoke(app, ["--check-config", "--config", str(file)])
    assert bad.exit_code == 2
    assert "max_connections" in bad.output


@pytest.mark.parametrize("workers", [1, 2])
def test_port_in_use_is_said_in_words(tmp_path, workers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ["--listen", listen, "--identity", str(tmp_path / "key.pem"), "--workers", str(workers)]
        run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 2
    assert f"listen: {listen} cannot be listened on: Address already in use" in run.output


async def test_process_serves_reloads_drains_and_ends(ic, tmp_path, write_certificate):
    canister = ic.install()
    chain, secret = write_certificate(tmp_path, "gateway")
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    settings = tmp_path / "gateway.toml"
    settings.write_text("drain_seconds = 5\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from icws_gateway.cli import app; app()",
        *("--config", str(settings), "--ic-url", ic.url, "--listen", "127.0.0.1:0"),
        *("--identity", str(tmp_path / "identity.pem"), "--log-format", "json"),
        *("--tls-certificate", str(chain), "--tls-key", str(secret)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None

    async def line_with(word: bytes) -> bytes:
        async with asyncio.timeout(60):
            while True:
                line = await process.stdout.readline()
                assert line
                if word in line:
                    return line

    try:
        url = (await line_with(b"listening")).decode().split('"url": "')[1].split('"')[0]
        settings.write_text("drain_seconds = soon\n")
        process.send_signal(signal.SIGHUP)
        assert b"not TOML" in await line_with(b"not reloaded")
        settings.write_text(f'drain_seconds = 1\ncanisters_deny = ["{canister.to_text()}"]\n')
        process.send_signal(signal.SIGHUP)
        await line_with(b"reloaded")
        async with connect(url, subprotocols=["icws-secure.1"], ssl=trusting) as socket:
            await socket.recv()
            process.send_signal(signal.SIGTERM)
            await line_with(b"draining")
            async with asyncio.timeout(60):
                await socket.wait_closed()
            assert socket.close_code == CloseCode.GOING_AWAY
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
