"""Every metric of the gateway, declared in one place. Labels are from closed lists: no client, key or address."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["FRAME_KINDS", "GatewayMetrics"]

FRAME_KINDS: Final = ("handshake", "message", "messages", "receipt", "head", "drain")
"""Kinds of frames to clients."""

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30.0)


class GatewayMetrics:
    """The metrics of one gateway, in a registry of their own (several gateways may live in a process)."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"icws_gateway_{name}", words, labels, registry=registry)

        def gauge(name: str, words: str, *labels: str) -> Gauge:
            return Gauge(f"icws_gateway_{name}", words, labels, registry=registry)

        def seconds(name: str, words: str, *labels: str) -> Histogram:
            return Histogram(f"icws_gateway_{name}_seconds", words, labels, registry=registry, buckets=_SECONDS)

        self.connections = gauge("connections", "WebSocket connections.")
        self.clients = gauge("clients", "Clients whose open was relayed.", "profile")
        self.canisters = gauge("canisters", "Canisters that are polled.")
        self.connections_total = counter("connections_accepted_total", "Connections, refused ones included.")
        self.closes = counter("closes_total", "Connections that the gateway closed, by close code.", "code")
        self.limits = counter("limits_total", "Bounds that were crossed.", "limit")
        self.waits = counter("waits_total", "Work that had to wait for its turn, by the bound.", "limit")
        self.opens = counter("opens_total", "Opens by outcome.", "outcome")
        self.frames_received = counter("frames_received_total", "WebSocket frames of clients, pings included.")
        self.bytes_received = counter("received_bytes_total", "Bytes of clients' frames.")
        self.frames_sent = counter("frames_sent_total", "Frames to clients by kind.", "kind")
        self.bytes_sent = counter("sent_bytes_total", "Bytes of frames to clients.")
        self.messages_delivered = counter("messages_delivered_total", "Canister messages given to a client.")
        self.messages_skipped = counter("messages_skipped_total", "Canister messages for clients that are not here.")
        self.drops = counter("drops_total", "What was dropped instead of relayed or forwarded.", "reason")
        self.queue_bytes = gauge("queue_bytes", "Bytes waiting for slow clients.")
        self.held_bytes = gauge("held_bytes", "Bytes of clients' frames that wait to be read, or for their calls.")
        self.calls = counter("calls_total", "Relayed calls by outcome.", "outcome")
        self.calls_in_flight = gauge("calls_in_flight", "Relayed calls under way.")
        self.call_seconds = seconds("call", "From relaying a call to its answer.")
        self.polls = counter("polls_total", "Polls by outcome.", "outcome")
        self.polls_in_flight = gauge("polls_in_flight", "Polls under way.")
        self.poll_seconds = seconds("poll", "From a poll to its answer.")
        self.poll_messages = counter("poll_messages_total", "Messages that polls brought.")
        self.poll_lag = seconds("poll_lag", "Age of a poll's newest message when it is delivered, by its certificate.")
        self.gaps = counter("queue_gaps_total", "Places that a canister's queue skipped.")
        self.restarts = counter("queue_restarts_total", "Queues that an omnia canister began anew.")
        self.replica_faults = counter("replica_faults_total", "Answers of replicas that contradict themselves.", "kind")
        self.ic_errors = counter("ic_errors_total", "Requests to the IC that failed.", "endpoint", "kind")
        self.heads = counter("heads_total", "Certified heads relayed, by outcome.", "outcome")
        self.ws_closes = counter("ws_closes_total", "ws_close calls of the gateway, by outcome.", "outcome")
        self.cluster_up = gauge("cluster_up", "1 while Redis answers; 0 without it, too.")
        self.cluster_leases = gauge("cluster_leases", "Canisters that this process polls for all that share its key.")
        self.cluster_errors = counter("cluster_errors_total", "Exchanges with Redis that failed.")
        self.shared_replies = counter("shared_replies_total", "Polls shared with other processes.", "outcome")
        self.internal_errors = counter("internal_errors_total", "Mistakes of the gateway itself; always worth a look.")
        self.ic_up = gauge("ic_up", "1 while the IC answers; without it /ready is 503.")
        self.reloads = counter("reloads_total", "Readings of the settings after SIGHUP, by outcome.", "outcome")
        self.certificate_expiry = gauge(
            "tls_certificate_expiry_timestamp_seconds", "End of the TLS certificate, seconds since 1970; 0 without TLS."
        )
        self.tasks = gauge("tasks", "Tasks of the event loop, counted when the page is made.")
        self.draining = gauge("draining", "1 while the gateway shuts down.")
        ProcessCollector(registry=registry)
        # looked up once: these are counted for every frame
        self._sent = {kind: self.frames_sent.labels(kind) for kind in FRAME_KINDS}

    def sent(self, kind: str, size: int, frames: int = 1) -> None:
        """Counts frames to clients, ``size`` bytes in all; ``kind`` is one of :data:`FRAME_KINDS`."""
        self._sent[kind].inc(frames)
        self.bytes_sent.inc(size)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
