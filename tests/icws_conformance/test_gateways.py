"""The target ``gateway``: some cases on our gateway, options, and gateways that are no good."""

from __future__ import annotations

import datetime
import re
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve

from icws_conformance.cli import GATEWAY, app
from icws_conformance.clients.world import open_world
from icws_conformance.gateways import target
from icws_conformance.gateways.cases import gateway_cases
from icws_conformance.gateways.process import GatewayProcess, free_port, listens
from icws_conformance.gateways.target import GatewayOptions, open_target
from icws_conformance.gateways.under_test import FEATURES, GatewayUnderTest, read_bounds
from icws_conformance.requirements import requirements
from icws_conformance.runner import Run, run_cases
from icws_conformance.verdict import ExitCode, Verdict
from icws_secure.errors import MisuseError, TransportError
from icws_secure.wire.frames import Handshake
from icws_secure.wire.principal import Principal

ROOT = Path(__file__).resolve().parents[2]
#: Some of each kind; ``make conformance`` runs all.
SOME = (
    "opening/greets",
    "opening/forged",
    "codes/open-with-junk",
    "calls/relays",
    "calls/of-another-method",
    "codes/call-with-bulk",
    "receipts/certificate",
    "delivery/own-of-a-full-poll",
    "polls/altered",
    "polls/lagging",
    "polls/not-restarted",
    "attach/higher",
    "attach/delegated-forged",
    "leaving/names-the-attach",
    "endpoints/node-signatures",
    "operation/key-file",
)
#: Listens, prints, and ends at the first frame of the first client.
MORTAL = """
import asyncio, sys
from websockets.asyncio.server import serve
async def client(socket):
    await socket.send(bytes.fromhex("d9d9f7a171676174657761795f7072696e636970616c581d" + "ab" * 28 + "02"))
    async for _ in socket:
        print("panicked at \\x1b[2J src/main.rs", flush=True)
        import os; os._exit(101)
async def main():
    print("\\xff\\x00 started", flush=True)
    async with serve(client, sys.argv[1], int(sys.argv[2])):
        await asyncio.Event().wait()
asyncio.run(main())
"""
#: Findings of the threat model that are about gateways, and a case of each.
FINDINGS = {
    "A1": "attach/lower",
    "A6": "polls/tombstone",
    "A7": "polls/altered",
    "B5": "opening/greets",
    "B6": "attach/higher",
    "C1": "receipts/pending",
    "C6": "polls/certificate-of-another",
    "E4": "delivery/big-messages",
    "E5": "endpoints/old-gone",
    "F2": "attach/heads",
    "G1": "polls/lagging",
    "G2": "polls/restarted",
    "G4": "delivery/own-of-a-full-poll",
    "G5": "attach/delegated-forged",
}
IDLE = "import sys, socket, time; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); time.sleep(600)"
#: Closes its sockets a while before it ends, as whatever has much to give back does.
LINGERING = """
import socket, sys, time
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
    listener.accept()
time.sleep(0.5)
print("last words")
sys.exit(7)
"""
AT = ("{host}", "{port}", "{ic_url}")


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*form))
    return chain, secret


async def run_of(tested: GatewayUnderTest, *names: str) -> Run:
    cases = [case for case in gateway_cases(tested) if case.id in names]
    assert len(cases) == len(names)
    return await run_cases(cases, target="gateway", implementation="test", command="test", at_once=1)


def failures(run: Run) -> dict[str, tuple[str, str]]:
    return {r.case: (r.seen, r.reason) for r in run.results if r.verdict is not Verdict.PASS}


@pytest.mark.timeout(180)
async def test_our_gateway_passes() -> None:
    async with open_world(0) as world, open_target(world, GatewayOptions(GATEWAY, features=list(FEATURES))) as tested:
        run = await run_of(tested, *SOME)
    assert failures(run) == {}


@pytest.mark.timeout(120)
async def test_gateway_over_tls(tmp_path: Path) -> None:
    chain, key = write_certificate(tmp_path)
    words = (*GATEWAY, "--tls-certificate", str(chain), "--tls-key", str(key))
    async with open_world(0) as world:
        with pytest.raises(TransportError, match="--ca"):
            async with open_target(world, GatewayOptions(words, url="wss://localhost:{port}")):
                pass
        for options in (
            GatewayOptions(words, url="wss://localhost:{port}", ca=chain),
            GatewayOptions(words, url="wss://{listen}", insecure_tls=True),
        ):
            async with open_target(world, options) as tested:
                assert failures(await run_of(tested, "opening/greets", "calls/relays")) == {}


async def test_gateway_that_only_greets_fails() -> None:
    async def greet(socket: ServerConnection) -> None:
        await socket.send(Handshake(Principal.self_authenticating(b"greeter")).encode())
        async for _ in socket:
            pass

    async with open_world(0) as world, serve(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        options = GatewayOptions(url=f"ws://127.0.0.1:{port}", ic_listen="127.0.0.1:0")
        async with open_target(world, options) as tested:
            run = await run_of(tested, "opening/greets", "opening/with-text", "operation/drain", "receipts/pending")
    assert [result.verdict for result in run.results] == [
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.NOT_APPLICABLE,
        Verdict.NOT_APPLICABLE,
    ]


@pytest.mark.req("ICWS-GWY-012")
async def test_gateway_that_dies_fails_the_case_and_is_started_again() -> None:
    options = GatewayOptions((sys.executable, "-c", MORTAL, *AT))
    async with open_world(0) as world, open_target(world, options) as tested:
        run = await run_of(tested, "opening/with-junk", "opening/with-text", "opening/greets")
    assert {result.case: result.verdict for result in run.results} == {
        "opening/greets": Verdict.PASS,
        "opening/with-junk": Verdict.FAIL,
        "opening/with-text": Verdict.FAIL,
    }
    failed = next(result for result in run.results if result.case == "opening/with-junk")
    assert "exit code 101" in failed.seen
    assert "panicked" in failed.seen
    assert any(entry.blamed for entry in failed.log)


async def test_gateway_whose_sockets_are_gone_is_seen_to_end() -> None:
    host, port = "127.0.0.1", free_port()
    async with GatewayProcess([sys.executable, "-c", LINGERING, host, str(port)], host, port) as process:
        while await listens(host, port):  # until it has closed them
            pass
        ended = await process.end(suspected=True)
    assert "exit code 7" in ended
    assert "last words" in ended


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/no/such/program"], "does not start"),
        ([sys.executable, "-c", "print('bad flag'); exit(3)"], "exit code 3; it printed: bad flag"),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], "signal SIGKILL"),
    ],
)
async def test_gateway_that_does_not_start_is_unreachable(words: list[str], said: str) -> None:
    async with open_world(0) as world:
        with pytest.raises(TransportError, match=said):
            async with open_target(world, GatewayOptions([*words, *AT])):
                pass


async def test_gateway_that_hangs_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "_ANSWER_S", 0.5)
    async with open_world(0) as world:
        with pytest.raises(TransportError, match="does not answer the WebSocket upgrade"):
            async with open_target(world, GatewayOptions((sys.executable, "-c", IDLE, *AT))):
                pass


async def test_gateway_that_starts_after_the_suite_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    tries = iter([False, False, True])

    async def listens(host: str, port: int) -> bool:
        return next(tries)

    async def greet(socket: ServerConnection) -> None:
        await socket.send(Handshake(Principal.self_authenticating(b"greeter")).encode())
        await socket.wait_closed()

    monkeypatch.setattr(target, "listens", listens)
    monkeypatch.setattr(target, "_LOOK_S", 0.01)
    async with open_world(0) as world, serve(greet, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with open_target(world, GatewayOptions(url=url, ic_listen="127.0.0.1:0"), told.append) as tested:
            assert tested.url == url
    assert not list(tries)
    assert "IC listens on http://127.0.0.1:" in told[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (GatewayOptions(), "--start"),
        (GatewayOptions(("gw", "{ic_url}")), "{listen}"),
        (GatewayOptions(("gw", "{listen}")), "{ic_url}"),
        (GatewayOptions(("gw", "{ic_url}", "{listen}", "{prot}")), "{prot}"),
        (GatewayOptions(url="ws://127.0.0.1:1"), "--ic-url-for-gateway"),
        (GatewayOptions(url="http://127.0.0.1:1", ic_listen="127.0.0.1:0"), "ws://"),
        (GatewayOptions(url="ws://{listen}", ic_listen="127.0.0.1:0"), "--start"),
        (GatewayOptions(url="ws://127.0.0.1:1", ic_listen="4943"), "host:port"),
        (GatewayOptions(url="ws://127.0.0.1:1", ic_url_for_gateway="https://ic.example"), "--ic-listen"),
        (GatewayOptions(url="ws://127.0.0.1:1", ic_url_for_gateway="4943"), "http://"),
        (GatewayOptions(("gw", *AT), features=["magic"]), "magic"),
        (GatewayOptions(("gw", *AT), bounds=["frames=many"]), "NAME=NUMBER"),
        (GatewayOptions(("gw", *AT), bounds=["luck=7"]), "luck"),
    ],
)
def test_options_that_do_not_fit_together_are_refused_with_words(options: GatewayOptions, said: str) -> None:
    with pytest.raises(MisuseError) as caught:
        options.check()
    assert said in str(caught.value)


def test_command_line_says_what_is_missing() -> None:
    done = CliRunner().invoke(app, ["gateway", "--start", "gw {listen}"])
    assert done.exit_code == ExitCode.MISUSE
    assert "{ic_url}" in done.output
    assert "Traceback" not in done.output


def test_bounds_can_be_set_one_by_one() -> None:
    assert read_bounds(["frames=7"]) == {**read_bounds(()), "frames": 7}


async def test_cases_name_requirements_that_exist_and_all_of_gateways_have_one() -> None:
    async with open_world(0) as world:
        cases = gateway_cases(GatewayUnderTest("", world))
    assert len({case.id for case in cases}) == len(cases)
    named = {name for case in cases for name in case.requirements}
    assert named <= set(requirements())
    assert {name for name, entry in requirements().items() if entry.role == "gateway"} <= named


async def test_every_finding_about_gateways_has_a_case() -> None:
    async with open_world(0) as world:
        names = {case.id for case in gateway_cases(GatewayUnderTest("", world))}
    assert set(FINDINGS.values()) <= names
    found = re.findall(r"^\| ([A-G]\d+) \|", (ROOT / "spec/threat-model.md").read_text(), flags=re.M)
    assert set(FINDINGS) <= set(found)
