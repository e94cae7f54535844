"""The agent against a real replica, and against one that lies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, web

from icws_canister_mock.replica import Canister, Replica, ReplicaConfig, query, serve_replica, update
from icws_client.agent import Agent
from icws_client.exceptions import OutcomeUnknown
from icws_client.identities import generate
from icws_client.root_key import RootKey, fetch_root_key
from icws_secure.errors import CanisterRejected, CertificateError, MisuseError, Reason, SignatureError, TransportError
from icws_secure.wire import cbor
from icws_secure.wire.principal import Principal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CBOR = {"Content-Type": "application/cbor"}


class Mirror(Canister):
    """Returns what it is given."""

    @update("echo")
    def echo(self, arg: bytes) -> bytes:
        return arg

    @query("who")
    def who(self, arg: bytes) -> bytes:
        return self.ic.caller.raw

    @update("trap")
    def trap(self, arg: bytes) -> bytes:
        self.ic.trap("as asked")

    @query("reject")
    def reject(self, arg: bytes) -> bytes:
        self.ic.reject("not you")


class Network:
    """A replica with one canister, and a middleman whom a test can teach to misbehave."""

    def __init__(self, replica: Replica, canister: Principal, upstream: str) -> None:
        self.replica = replica
        self.canister = canister
        self.upstream = upstream
        self.url = ""
        self.requests: list[str] = []
        self.misbehave: dict[str, Handler] = {}
        self.rewrite: Callable[[str, Any], Any] = lambda path, answer: answer

    async def relay(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        for part, handler in self.misbehave.items():
            if part in request.path:
                return await handler(request)
        async with (
            ClientSession() as session,
            session.request(
                request.method, self.upstream + request.path, data=await request.read(), headers=CBOR
            ) as response,
        ):
            body = await response.read()
            if response.status == 200:
                body = cbor.encode_self_described(
                    self.rewrite(
                        request.path, cbor.decode(body, what="answer", max_bytes=1 << 22, allow_indefinite=True)
                    )
                )
            return web.Response(status=response.status, body=body)

    def agent(self, **options: Any) -> Agent:
        return Agent(self.url, root_key=self.replica.root_key_der, **options)


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    replica = Replica(ReplicaConfig())
    canister = replica.install(Mirror())
    async with serve_replica(replica) as server:
        made = Network(replica, canister, server.url)
        app = web.Application(client_max_size=1 << 22)
        app.router.add_route("*", "/{tail:.*}", made.relay)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
        await runner.cleanup()


async def test_call_returns_the_certified_reply(network: Network) -> None:
    async with network.agent(identity=generate()) as agent:
        assert await agent.call(network.canister, "echo", b"hello") == b"hello"
        assert await agent.call(network.canister.to_text(), "echo", b"again") == b"again"


async def test_the_longest_reply_that_the_ic_allows_is_read(network: Network) -> None:
    longest = bytes((2 << 20) - 1_000)  # less what is around the argument in the envelope, which has the same limit
    async with network.agent(identity=generate()) as agent:
        assert await agent.call(network.canister, "echo", longest) == longest


async def test_query_returns_a_reply_that_a_node_signed(network: Network) -> None:
    identity = generate()
    async with network.agent(identity=identity) as agent:
        assert await agent.query(network.canister, "who") == identity.principal.raw
        assert await agent.query(network.canister, "who") == identity.principal.raw
    assert sum("read_state" in path for path in network.requests) == 1  # the nodes' keys are remembered


async def test_anonymous_calls_are_possible(network: Network) -> None:
    async with network.agent() as agent:
        assert await agent.query(network.canister, "who") == b"\x04"
        assert await agent.call(network.canister, "echo", b"x") == b"x"


async def test_rejections_say_whether_they_are_certified(network: Network) -> None:
    async with network.agent(identity=generate()) as agent:
        with pytest.raises(CanisterRejected) as trapped:
            await agent.call(network.canister, "trap")
        assert (trapped.value.certified, trapped.value.reject_code) == (True, 5)
        with pytest.raises(CanisterRejected) as rejected:
            await agent.query(network.canister, "reject")
        assert (rejected.value.certified, rejected.value.reject_code) == (False, 4)


async def test_a_call_that_is_only_accepted_is_asked_for_until_it_has_ended(network: Network) -> None:
    async def accepted(request: web.Request) -> web.Response:
        async with ClientSession() as session:
            await session.post(network.upstream + request.path, data=await request.read(), headers=CBOR)
        return web.Response(status=202)

    network.misbehave["/call"] = accepted
    async with network.agent(identity=generate()) as agent:
        assert await agent.call(network.canister, "echo", b"late") == b"late"


async def test_older_endpoints_are_used_where_newer_ones_are_missing(network: Network) -> None:
    async def missing(request: web.Request) -> web.Response:
        return web.Response(status=404)

    network.misbehave = {"/v4/": missing, "/v3/": missing}
    async with network.agent(identity=generate()) as agent:
        assert await agent.call(network.canister, "echo", b"a") == b"a"
        assert await agent.query(network.canister, "who")
        network.requests.clear()
        assert await agent.call(network.canister, "echo", b"b") == b"b"
    assert not any("/v4/" in path for path in network.requests)  # what is missing is not asked for again


@pytest.mark.req("ICWS-LIB-010")
async def test_a_forged_reply_is_refused(network: Network) -> None:
    def forge(path: str, answer: Any) -> Any:
        if "certificate" in answer:
            answer["certificate"] = answer["certificate"].replace(b"honest", b"forged")
        return answer

    network.rewrite = forge
    async with network.agent(identity=generate()) as agent:
        with pytest.raises(CertificateError):
            await agent.call(network.canister, "echo", b"honest")


@pytest.mark.req("ICWS-LIB-020")
async def test_a_forged_query_reply_is_refused(network: Network) -> None:
    def forge(path: str, answer: Any) -> Any:
        if "reply" in answer:
            answer["reply"]["arg"] = b"forged"
        return answer

    network.rewrite = forge
    async with network.agent(identity=generate()) as agent:
        with pytest.raises(SignatureError):
            await agent.query(network.canister, "who")


@pytest.mark.req("ICWS-LIB-020")
async def test_a_query_reply_without_signature_is_refused(network: Network) -> None:
    def strip(path: str, answer: Any) -> Any:
        answer.pop("signatures", None)
        return answer

    network.rewrite = strip
    async with network.agent(identity=generate()) as agent:
        with pytest.raises(SignatureError) as caught:
            await agent.query(network.canister, "who")
    assert caught.value.reason is Reason.SIGNATURE_MISSING


async def test_another_root_key_makes_every_answer_worthless(network: Network) -> None:
    async with Agent(network.url, identity=generate()) as agent:  # the main network's key
        with pytest.raises(CertificateError):
            await agent.call(network.canister, "echo", b"x")


async def test_a_refused_call_is_a_transport_error(network: Network) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=400, text="bad request")

    network.misbehave["/call"] = refuse
    async with network.agent(identity=generate()) as agent:
        with pytest.raises(TransportError) as caught:
            await agent.call(network.canister, "echo")
    assert caught.value.reason is Reason.HTTP_STATUS


async def test_a_call_whose_answer_is_lost_is_unknown(network: Network) -> None:
    async def vanish(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    network.misbehave["/call"] = vanish
    async with network.agent(identity=generate()) as agent:
        with pytest.raises(OutcomeUnknown):
            await agent.call(network.canister, "echo")
    assert sum("/call" in path for path in network.requests) >= 2  # the same envelope was sent again


async def test_a_call_that_meets_a_broken_server_is_sent_again_and_may_have_been_taken(network: Network) -> None:
    failures = 2

    async def fail(request: web.Request) -> web.StreamResponse:
        nonlocal failures
        if failures:
            failures -= 1
            return web.Response(status=502)
        async with ClientSession() as session:
            answer = await session.post(network.upstream + request.path, data=await request.read(), headers=CBOR)
            return web.Response(body=await answer.read())

    network.misbehave["/call"] = fail
    async with network.agent(identity=generate()) as agent:
        assert await agent.call(network.canister, "echo", b"x") == b"x"
        failures = 1_000
        with pytest.raises(OutcomeUnknown):
            await agent.call(network.canister, "echo", b"y")


async def test_a_poll_that_fails_does_not_end_the_wait_for_a_call(network: Network) -> None:
    failures = 1

    async def accept(request: web.Request) -> web.Response:
        async with ClientSession() as session:
            await session.post(network.upstream + request.path, data=await request.read(), headers=CBOR)
        return web.Response(status=202)

    async def fail_once(request: web.Request) -> web.StreamResponse:
        nonlocal failures
        if failures:
            failures -= 1
            return web.Response(status=503)
        async with ClientSession() as session:
            answer = await session.post(network.upstream + request.path, data=await request.read(), headers=CBOR)
            return web.Response(body=await answer.read())

    network.misbehave = {"/call": accept, "/read_state": fail_once}
    async with network.agent(identity=generate()) as agent:
        assert await agent.call(network.canister, "echo", b"x") == b"x"
    assert failures == 0


async def test_a_canister_that_is_missing_says_nothing_of_an_endpoint(network: Network) -> None:
    async with network.agent(identity=generate()) as agent:
        with pytest.raises(TransportError):
            await agent.query(Principal(b"no such canister\x01"), "who")
        network.requests.clear()
        assert await agent.query(network.canister, "who")
    assert "/api/v3/" in network.requests[0]


async def test_an_argument_that_is_no_bytes_is_refused(network: Network) -> None:
    async with network.agent() as agent:
        argument: Any = "text"
        for request in (agent.call, agent.query):
            with pytest.raises(MisuseError):
                await request(network.canister, "echo", argument)
    assert network.requests == []


async def test_an_answer_without_end_is_cut(network: Network) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 20))
        except ConnectionError:
            return response

    network.misbehave["/query"] = endless
    async with network.agent() as agent:
        with pytest.raises(TransportError) as caught:
            await agent.query(network.canister, "who")
    assert caught.value.reason is Reason.TOO_LARGE


async def test_redirects_are_not_followed(network: Network) -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(network.upstream + request.path)

    network.misbehave["/query"] = redirect
    async with network.agent() as agent:
        with pytest.raises(TransportError) as caught:
            await agent.query(network.canister, "who")
    assert caught.value.facts["status"] == 307


@pytest.mark.req("ICWS-LIB-022")
async def test_the_root_key_of_a_replica_on_this_machine_can_be_fetched(network: Network) -> None:
    assert await fetch_root_key(network.url) == RootKey.from_der(network.replica.root_key_der)
    async with network.agent() as agent:
        assert (await agent.status()).root_key == network.replica.root_key_der


@pytest.mark.req("ICWS-LIB-022")
@pytest.mark.parametrize("url", ["https://icp-api.io", "http://10.0.0.1:80", "http://localhost.example"])
async def test_a_root_key_from_elsewhere_is_refused(url: str) -> None:
    with pytest.raises(MisuseError) as caught:
        await fetch_root_key(url)
    assert caught.value.requirement == "ICWS-LIB-022"


async def test_a_closed_agent_asks_nothing_more(network: Network) -> None:
    agent = network.agent()
    await agent.close()
    await agent.close()
    with pytest.raises(TransportError):
        await agent.query(network.canister, "who")
