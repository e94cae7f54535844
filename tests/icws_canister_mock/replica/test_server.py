"""The HTTPS interface as users meet it: calls, queries, read_state, and what it says to garbage."""

from __future__ import annotations

import asyncio
import itertools
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import VerifyKey

from icws_canister_mock.replica import Canister, ManualClock, Replica, ReplicaConfig, query, serve_replica, update
from icws_canister_mock.replica.endpoint import Endpoint, HttpError
from icws_canister_mock.replica.limits import MAX_INGRESS_BYTES
from icws_canister_mock.replica.messages import Request
from icws_canister_mock.replica.requests import Requests
from icws_canister_mock.replica.subnet import Block
from icws_secure.limits import NS_PER_MS
from icws_secure.sign.identity import AnonymousIdentity, Ed25519Identity
from icws_secure.sign.request import sign_call, sign_query
from icws_secure.verify.request_status import Rejected, Replied, read_request_status
from icws_secure.wire import cbor, domain
from icws_secure.wire.hashtree import ABSENT, UNKNOWN, Found
from icws_secure.wire.principal import MANAGEMENT, Principal
from icws_secure.wire.request_id import hash_of_map

MINUTE_NS = 60_000_000_000


class Service(Canister):
    def init(self, arg: bytes) -> None:
        self.calls = 0

    @update("echo")
    def echo(self, arg: bytes) -> bytes:
        self.calls += 1
        return arg + b" from " + self.ic.caller.raw

    @update("random")
    async def random(self, arg: bytes) -> bytes:
        return await self.ic.raw_rand()

    @update("fail")
    def fail(self, arg: bytes) -> bytes:
        self.ic.trap("as asked")

    @query("hello")
    def hello(self, arg: bytes) -> bytes:
        return b"hello " + arg

    @query("trap")
    def trap(self, arg: bytes) -> bytes:
        self.ic.trap("as asked")

    def inspect_message(self, caller: Principal, method: str, arg: bytes) -> bool:
        if arg == b"trap":
            self.ic.trap("inspected")
        self.calls += 100  # keeps nothing
        return arg != b"unwanted"


@pytest.fixture
def service(replica: Replica) -> Principal:
    return replica.install(Service())


def calls(replica: Replica, service: Principal) -> int:
    canister = replica.canister(service)
    assert isinstance(canister, Service)
    return canister.calls


async def test_status_tells_the_root_key(user: Any) -> None:
    async with user.http.get(user.server.url + "/api/v2/status") as answer:
        value = cbor.decode(await answer.read(), what="status")
    assert isinstance(value, dict)
    assert value["root_key"] == user.replica.root_key_der
    assert value["replica_health_status"] == "healthy"


@pytest.mark.parametrize("version", ["v3", "v4"])
async def test_synchronous_call_answers_with_a_certificate(user: Any, service: Principal, version: str) -> None:
    answer, request_id = await user.call(service, "echo", b"x", version=version)
    assert answer["status"] == "replied"
    certificate = user.verify(answer["certificate"], canister=service)
    assert read_request_status(certificate, request_id) == Replied(b"x from " + user.identity.principal.raw)


@pytest.mark.parametrize("method", ["fail", "no_such_method"])
async def test_failure_of_a_call_is_certified(user: Any, service: Principal, method: str) -> None:
    answer, request_id = await user.call(service, method)
    outcome = read_request_status(user.verify(answer["certificate"], canister=service), request_id)
    assert isinstance(outcome, Rejected)
    assert outcome.code == 5


async def test_call_that_waits_for_others_is_answered_when_it_ends(user: Any, service: Principal) -> None:
    answer, request_id = await user.call(service, "random")
    outcome = read_request_status(user.verify(answer["certificate"], canister=service), request_id)
    assert isinstance(outcome, Replied)
    assert len(outcome.arg) == 32


async def test_asynchronous_call_is_accepted_and_its_outcome_can_be_read(user: Any, service: Principal) -> None:
    body, request_id = user.call_envelope(service, "echo", b"x")
    assert await user.post(f"/api/v2/canister/{service}/call", body) == (202, b"")
    user.replica.run_until_idle()
    certificate = await user.certificate(
        f"/api/v3/canister/{service}/read_state", (b"request_status", request_id), canister=service
    )
    assert isinstance(read_request_status(certificate, request_id), Replied)


async def test_call_that_takes_too_long_gets_202(user: Any, service: Principal) -> None:
    user.server.sync_call_timeout_ms = 0
    body, _ = user.call_envelope(service, "echo", b"x")
    assert await user.post(f"/api/v4/canister/{service}/call", body) == (202, b"")


@pytest.mark.parametrize("version", ["v2", "v3", "v4"])
async def test_same_envelope_is_executed_once(user: Any, service: Principal, version: str) -> None:
    body, _ = user.call_envelope(service, "echo", b"x")
    path = f"/api/{version}/canister/{service}/call"
    await asyncio.gather(*(user.post(path, body) for _ in range(5)))
    user.replica.run_until_idle()
    status, _ = await user.post(path, body)
    assert status == (202 if version == "v2" else 200)
    user.replica.run_until_idle()
    assert calls(user.replica, service) == 1


async def test_same_envelope_is_not_executed_again_after_its_status_is_forgotten(
    user: Any, service: Principal, clock: ManualClock
) -> None:
    body, _ = user.call_envelope(service, "echo", b"x")
    path = f"/api/v4/canister/{service}/call"
    await user.post(path, body)
    for _ in range(12):
        clock.advance(MINUTE_NS)
        user.replica.make_blocks()
        await user.post(path, body)
        user.replica.run_until_idle()
    assert calls(user.replica, service) == 1


async def test_refusal_by_inspect_message_is_this_nodes_alone(user: Any, service: Principal) -> None:
    answer, _ = await user.call(service, "echo", b"unwanted")
    assert (answer["status"], answer["reject_code"]) == ("non_replicated_rejection", 4)
    assert (answer["error_code"], "certificate" in answer) == ("IC0406", False)
    answer, _ = await user.call(service, "echo", b"trap")
    assert (answer["status"], answer["reject_code"], answer["error_code"]) == ("non_replicated_rejection", 5, "IC0503")
    answer, _ = await user.call(service, "echo", b"unwanted", version="v2")
    assert "status" not in answer
    assert calls(user.replica, service) == 0


async def test_stopped_and_missing_canisters_are_refused_at_once(user: Any, service: Principal) -> None:
    user.replica.stop(service)
    answer, _ = await user.call(service, "echo")
    assert (answer["status"], answer["error_code"]) == ("non_replicated_rejection", "IC0508")
    missing = Principal(bytes.fromhex("80000000001000ff0101"))
    answer, _ = await user.call(missing, "echo")
    assert (answer["status"], answer["reject_code"], answer["error_code"]) == ("non_replicated_rejection", 3, "IC0301")


async def test_management_canister_takes_no_calls_of_users(user: Any, service: Principal) -> None:
    body, _ = user.call_envelope(MANAGEMENT, "raw_rand")
    answer = await user.post_cbor(f"/api/v4/canister/{service}/call", body)
    assert answer["error_code"] == "IC0407"


# queries


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_query_is_signed_by_a_node_of_the_subnet(user: Any, service: Principal, version: str) -> None:
    envelope = sign_query(
        user.identity,
        canister_id=service,
        method_name="hello",
        arg=b"you",
        ingress_expiry_ns=user.replica.time_ns + MINUTE_NS,
    )
    answer = await user.post_cbor(f"/api/{version}/canister/{service}/query", envelope.encode())
    assert answer["reply"] == {"arg": b"hello you"}
    (signature,) = answer["signatures"]
    certificate = await user.certificate(f"/api/v3/canister/{service}/read_state", (b"subnet",), canister=service)
    subnet = user.replica.subnets["app"].id
    key = certificate.lookup((b"subnet", subnet.raw, b"node", signature["identity"], b"public_key"))
    assert isinstance(key, Found)
    signed = hash_of_map(
        {
            "status": "replied",
            "reply": answer["reply"],
            "timestamp": signature["timestamp"],
            "request_id": envelope.content.request_id,
        }
    )
    VerifyKey(key.value[-32:]).verify(domain.QUERY_RESPONSE + signed, signature["signature"])


async def test_query_that_traps_is_rejected_with_a_signature(user: Any, service: Principal) -> None:
    answer = await user.query(service, "trap")
    assert (answer["status"], answer["reject_code"], answer["error_code"]) == ("rejected", 5, "IC0503")
    assert len(answer["signatures"]) == 1


# read_state


async def test_status_of_a_call_is_for_its_sender_only(user: Any, new_user: Any, service: Principal) -> None:
    _, request_id = await user.call(service, "echo", b"secret")
    path = (b"request_status", request_id)
    stranger = await new_user(b"\x02" * 32)
    assert (await stranger.read_state(f"/api/v3/canister/{service}/read_state", path))[0] == 403
    other = user.replica.install(Service())
    assert (await user.read_state(f"/api/v3/canister/{other}/read_state", path))[0] == 403
    assert (await user.read_state(f"/api/v3/canister/{service}/read_state", path))[0] == 200


async def test_call_that_is_not_known_is_proven_absent(user: Any, service: Principal) -> None:
    path = (b"request_status", bytes(32))
    certificate = await user.certificate(f"/api/v3/canister/{service}/read_state", path, canister=service)
    assert certificate.lookup(path) is ABSENT


async def test_one_request_asks_for_one_call_only(user: Any, service: Principal) -> None:
    status, _ = await user.read_state(
        f"/api/v3/canister/{service}/read_state", (b"request_status", bytes(32)), (b"request_status", b"\x01" * 32)
    )
    assert status == 400


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_subnet_subtree_shows_flat_ranges_at_the_older_endpoint_only(
    user: Any, service: Principal, version: str
) -> None:
    path = f"/api/{version}/canister/{service}/read_state"
    certificate = await user.certificate(path, (b"subnet",), canister=service)
    app, root = user.replica.subnets["app"].id.raw, user.replica.root.id.raw
    ranges = certificate.lookup((b"subnet", app, b"canister_ranges"))
    assert isinstance(ranges, Found) if version == "v2" else ranges is UNKNOWN
    assert isinstance(certificate.lookup((b"subnet", root, b"canister_ranges")), Found)
    assert isinstance(certificate.lookup((b"subnet", root, b"public_key")), Found)
    assert certificate.lookup((b"subnet", app, b"metrics")) is UNKNOWN


@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_subnet_endpoint_shows_ranges_and_metrics_of_its_subnet(user: Any, version: str) -> None:
    app = user.replica.subnets["app"].id
    shards = (b"canister_ranges", app.raw)
    metrics = (b"subnet", app.raw, b"metrics")
    certificate = await user.certificate(f"/api/{version}/subnet/{app}/read_state", shards, metrics, subnet=app)
    first = bytes.fromhex("80000000001000000101")
    assert isinstance(certificate.lookup((*shards, first)), Found)
    assert isinstance(certificate.lookup(metrics), Found)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ((b"time",), 200),
        ((b"canister", b"SELF", b"controllers"), 200),
        ((b"canister", b"SELF", b"module_hash"), 200),
        ((b"canister", b"SELF", b"metadata", b"candid:service"), 200),
        ((b"canister", b"SELF", b"certified_data"), 404),
        ((b"canister", b"SELF"), 404),
        ((b"canister", b"OTHER", b"controllers"), 404),
        ((b"canister_ranges", b"SUBNET"), 404),
        ((b"subnet", b"SUBNET", b"metrics"), 404),
        ((b"subnet", b"SUBNET", b"canister_ranges"), 404),
        ((b"subnet", b"SUBNET", b"public_key"), 200),
        ((b"subnet", b"SUBNET", b"type"), 200),
        ((b"request_status",), 404),
        ((b"request_status", b"x", b"y"), 404),
        ((b"whatever",), 404),
        ((), 404),
    ],
)
async def test_what_a_canister_endpoint_shows(
    user: Any, service: Principal, path: tuple[bytes, ...], status: int
) -> None:
    names = {b"SELF": service.raw, b"SUBNET": user.replica.subnets["app"].id.raw, b"OTHER": bytes(10)}
    asked = tuple(names.get(label, label) for label in path)
    found, body = await user.read_state(f"/api/v3/canister/{service}/read_state", asked)
    assert (found, body if status == 404 else b"") == (status, b"Invalid path requested." if status == 404 else b"")


async def test_private_metadata_is_for_controllers(user: Any, new_user: Any) -> None:
    class Labelled(Service):
        metadata = MappingProxyType({"open": b"for all"})
        private_metadata = MappingProxyType({"own": b"for some"})

    canister = user.replica.install(Labelled(), controllers=[user.identity.principal])
    path = f"/api/v3/canister/{canister}/read_state"
    own, open_, none = ((b"canister", canister.raw, b"metadata", name) for name in (b"own", b"open", b"none"))
    certificate = await user.certificate(path, own, open_, none, canister=canister)
    assert [certificate.lookup(way) for way in (own, open_, none)] == [Found(b"for some"), Found(b"for all"), ABSENT]

    other = await new_user(b"\x02" * 32)
    certificate = await other.certificate(path, open_, none, canister=canister)
    assert [certificate.lookup(way) for way in (own, open_, none)] == [UNKNOWN, Found(b"for all"), ABSENT]
    for ways in ((own,), (open_, own)):
        status, said = await other.read_state(path, *ways)
        assert (status, b"controllers" in said, b"for some" in said) == (403, True, False)
    assert (await user.read_state(path, (b"canister", canister.raw, b"metadata", b"\xff")))[0] == 400


# what is not accepted


async def test_expired_and_far_requests_are_refused_with_the_words_that_agents_look_for(
    user: Any, service: Principal
) -> None:
    for ttl in (-1, 6 * MINUTE_NS):
        body, _ = user.call_envelope(service, "echo", ttl_ns=ttl)
        status, text = await user.post(f"/api/v4/canister/{service}/call", body)
        assert status == 400
        assert text.startswith(b"Invalid request expiry: ")
    assert calls(user.replica, service) == 0


async def test_request_signed_by_another_key_is_refused(user: Any, service: Principal) -> None:
    body, _ = user.call_envelope(service, "echo")
    envelope = cbor.decode(body, what="an envelope")
    assert isinstance(envelope, dict)
    envelope["sender_sig"] = Ed25519Identity(b"\x07" * 32).sign(b"something else")
    status, text = await user.post(f"/api/v4/canister/{service}/call", cbor.encode(envelope))
    assert status == 400
    assert b"BadSignature" in text


async def test_anonymous_call_with_null_fields_is_accepted(user: Any, service: Principal) -> None:
    envelope = sign_call(
        AnonymousIdentity(),
        canister_id=service,
        method_name="echo",
        arg=b"",
        ingress_expiry_ns=user.replica.time_ns + MINUTE_NS,
        nonce=None,
    ).to_value()
    body = cbor.encode({**envelope, "sender_pubkey": None, "sender_sig": None})
    assert (await user.post(f"/api/v4/canister/{service}/call", body))[0] == 200


async def test_request_at_another_canisters_address_is_refused(user: Any, service: Principal) -> None:
    other = user.replica.install(Service())
    body, _ = user.call_envelope(service, "echo")
    assert (await user.post(f"/api/v4/canister/{other}/call", body))[0] == 400


async def test_request_of_another_kind_is_refused(user: Any, service: Principal) -> None:
    body, _ = user.call_envelope(service, "echo")
    assert (await user.post(f"/api/v3/canister/{service}/query", body))[0] == 400


async def test_call_that_is_too_large_is_refused(user: Any, service: Principal) -> None:
    path = f"/api/v4/canister/{service}/call"
    body, _ = user.call_envelope(service, "echo", bytes(MAX_INGRESS_BYTES - 400))
    assert (await user.post(path, body))[0] == 200
    for size in (MAX_INGRESS_BYTES, 2 * MAX_INGRESS_BYTES):
        body, _ = user.call_envelope(service, "echo", bytes(size))
        assert (await user.post(path, body))[0] == 413


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v4/canister/not-a-principal/call", 400),
        ("/api/v4/canister//call", 404),
        ("/api/v5/canister/aaaaa-aa/call", 404),
        ("/api/v3/subnet/aaaaa-aa/read_state", 400),
        ("/", 404),
    ],
)
async def test_addresses_that_lead_nowhere(user: Any, path: str, status: int) -> None:
    found, text = await user.post(path, b"")
    assert found == status
    assert b"Traceback" not in text


async def test_other_content_types_are_refused(user: Any, service: Principal) -> None:
    body, _ = user.call_envelope(service, "echo")
    assert (await user.post(f"/api/v4/canister/{service}/call", body, "text/plain"))[0] == 400


async def test_withdrawn_endpoint_is_gone(user: Any, service: Principal) -> None:
    user.server.withdrawn.add("v4/call")
    body, _ = user.call_envelope(service, "echo")
    assert (await user.post(f"/api/v4/canister/{service}/call", body))[0] == 404
    assert (await user.post(f"/api/v3/canister/{service}/call", body))[0] == 200


async def test_pages_of_any_origin_may_ask(user: Any, service: Principal) -> None:
    async with user.http.options(user.server.url + f"/api/v4/canister/{service}/call") as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    async with user.http.get(user.server.url + "/api/v2/status") as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.from_type(object).map(repr).map(str.encode))
def test_garbage_is_refused_with_a_sentence(body: bytes) -> None:
    replica = _GARBAGE.setdefault("replica", Replica())
    requests = Requests(replica)
    for flat in (True, False):
        endpoint = Endpoint.parse("canister", "bnz7o-iuaaa-aaaaa-qaaaa-cai", flat_ranges=flat)
        for handle in (requests.call, requests.query, requests.read_state):
            with pytest.raises(HttpError) as refused:
                handle(endpoint, body)
            assert refused.value.status == 400


_GARBAGE: dict[str, Replica] = {}


async def test_idle_replica_keeps_certified_time_fresh() -> None:
    replica = Replica(ReplicaConfig(idle_block_ms=10))
    reached = asyncio.Event()
    before = replica.root.state
    replica.add_block_listener(lambda block: reached.set() if replica.root.state.height > before.height + 2 else None)
    async with serve_replica(replica):
        await asyncio.wait_for(reached.wait(), 60)
    assert replica.root.state.time_ns >= before.time_ns + 2 * 10 * NS_PER_MS


async def test_blocks_are_apart_by_the_block_time() -> None:
    replica = Replica(ReplicaConfig(block_time_ms=30, idle_block_ms=60_000))
    canister = replica.install(Chain())
    times: list[int] = []
    done = asyncio.Event()

    def note(block: Block) -> None:
        if block.subnet == replica.subnets["app"].id:
            times.append(block.time_ns)
        if len(times) == 4:
            done.set()

    async with serve_replica(replica):
        replica.add_block_listener(note)
        replica.subnets["app"].deliver(Request(canister, canister, "hop", b"", 0, None))
        await asyncio.wait_for(done.wait(), 60)
    assert all(later - earlier >= 25 * NS_PER_MS for earlier, later in itertools.pairwise(times[:4]))


class Chain(Canister):
    """Sets its timer for the next block, in each block."""

    @update("hop")
    def hop(self, arg: bytes) -> bytes:
        self.ic.set_timer_at(self.ic.time_ns + 1)
        return b""

    def on_timer(self) -> None:
        self.ic.set_timer_at(self.ic.time_ns + 1)


async def test_full_pool_and_full_history_take_no_calls(
    user: Any, service: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/v4/canister/{service}/call"
    monkeypatch.setattr("icws_canister_mock.replica.history.INGRESS_HISTORY_ENTRIES", 0)
    answer, _ = await user.call(service, "echo")
    assert (answer["status"], answer["reject_code"], answer["error_code"]) == ("non_replicated_rejection", 2, "IC0204")
    monkeypatch.setattr("icws_canister_mock.replica.subnet.MAX_INGRESS_POOL", 0)
    body, _ = user.call_envelope(service, "echo")
    assert (await user.post(path, body))[0] == 429


async def test_canister_that_breaks_a_block_does_not_end_the_replica(user: Any, service: Principal) -> None:
    class Broken(Canister):
        def restore(self, snapshot: object) -> None:
            raise RuntimeError("cannot go back")

        @update("break")
        def break_it(self, arg: bytes) -> bytes:
            self.ic.trap("so roll back")

    user.server.sync_call_timeout_ms = 100
    body, _ = user.call_envelope(user.replica.install(Broken()), "break")
    broken = next(iter(user.replica.subnets["app"].canisters.keys() - {service}))
    assert (await user.post(f"/api/v4/canister/{broken}/call", body))[0] == 202
    answer, _ = await user.call(service, "echo")
    assert answer["status"] == "replied"


async def test_timer_set_while_the_replica_is_served_fires_in_time() -> None:
    fired = asyncio.Event()

    class Soon(Canister):
        def init(self, arg: bytes) -> None:
            self.ic.set_timer_at(self.ic.time_ns + 20 * NS_PER_MS)

        def on_timer(self) -> None:
            fired.set()

    replica = Replica(ReplicaConfig(idle_block_ms=3_600_000))
    async with serve_replica(replica):
        await asyncio.sleep(0)
        replica.install(Soon())
        await asyncio.wait_for(fired.wait(), 60)
