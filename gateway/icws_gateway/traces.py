"""Traces for OpenTelemetry: opens, relayed calls, polls that brought something or failed, and deliveries.

Off unless ``traces_endpoint`` is set or an embedder gives a tracer provider. A span says what the log says: the ids of
connection and canister, outcomes, counts and sizes. It never holds payloads, keys, envelopes, client keys or addresses,
and what a client sends has no part in whether a trace is taken.

================ ============================ ======================================================================
span             child of                     attributes, all with the prefix ``icws.``
================ ============================ ======================================================================
``open``                                      canister, connection, profile, attach, outcome
``call``         the open, or none            canister, connection, profile, outcome, attempts
``poll``                                      canister, nonce, outcome, messages
``deliver``      the poll that completed it   canister, messages, lag_ms: from the certificate to the delivery
================ ============================ ======================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final

from icws_secure.errors import MisuseError

from .config import GatewayConfig

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

__all__ = ["NO_TRACE", "Trace", "Traces"]

Fact = str | int | float

_FLUSH_SECONDS: Final = 5.0  # for what is still to be sent at the end
_SEND_SECONDS: Final = 5.0  # for one batch
_QUEUE: Final = 4_096  # spans that wait to be sent; of more none is kept


class Trace:
    """One piece of work that may become a span: it is made when it ends, or has a child, and not before.

    Args:
        tracer: makes spans; None makes none.
        name: of the span.
        facts: its attributes.
        parent: the span it is a part of.
    """

    __slots__ = ("_facts", "_name", "_parent", "_span", "_started_ns", "_tracer")

    def __init__(
        self, tracer: Tracer | None, name: str = "", facts: dict[str, Fact] | None = None, parent: Span | None = None
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._facts = facts
        self._parent = parent
        self._span: Span | None = None
        self._started_ns = time.time_ns() if tracer is not None else 0

    def note(self, **facts: Fact) -> None:
        """Adds attributes."""
        if self._facts is not None:
            self._facts.update(facts)

    def child(self, name: str, **facts: Fact) -> Trace:
        """A part of this work; begins now."""
        return Trace(self._tracer, name, facts, self._made()) if self._tracer is not None else NO_TRACE

    def end(self, outcome: str, *, failed: bool = False, **facts: Fact) -> None:
        """The work is done. Nothing is added after this."""
        span = self._made()
        if span is None or self._facts is None:
            return
        from opentelemetry.trace import StatusCode

        facts = self._facts | facts | {"outcome": outcome}
        span.set_attributes({f"icws.{name}": value for name, value in facts.items()})
        if failed:
            span.set_status(StatusCode.ERROR)
        span.end()

    def _made(self) -> Span | None:
        if self._span is None and self._tracer is not None:
            from opentelemetry.context import Context
            from opentelemetry.trace import set_span_in_context

            # an empty context: only what is said here is a parent
            context = set_span_in_context(self._parent, Context()) if self._parent is not None else Context()
            self._span = self._tracer.start_span(self._name, context, start_time=self._started_ns)
        return self._span


NO_TRACE: Final = Trace(None)
"""Of work that nobody follows."""


class Traces:
    """The traces of one gateway.

    Args:
        provider: makes tracers; None makes no spans.
        own: the provider is this gateway's own, and ends with it.
    """

    def __init__(self, provider: TracerProvider | None = None, *, own: bool = False) -> None:
        self._tracer = provider.get_tracer("icws_gateway") if provider is not None else None
        self._own = provider if own else None

    @property
    def on(self) -> bool:
        """Whether anything is traced, and facts are worth collecting."""
        return self._tracer is not None

    @classmethod
    def configured(cls, config: GatewayConfig, instance: str) -> Traces:
        """By the settings.

        Args:
            config: where spans are sent to, and how many of them.
            instance: what tells this gateway from others, its principal.

        Raises:
            MisuseError: traces are wanted and the packages for them are not installed.
        """
        if config.traces_endpoint is None:
            return cls()
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
        except ImportError as error:
            raise MisuseError(
                "traces_endpoint: needs the extra 'traces' (pip install 'icws-secure[traces]')"
            ) from error
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(config.traces_ratio)),
            resource=Resource.create({"service.name": "icws-gateway", "service.instance.id": instance}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint=config.traces_endpoint, timeout=_SEND_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_QUEUE))
        return cls(provider, own=True)

    def begin(self, name: str, **facts: Fact) -> Trace:
        """A piece of work that is part of no other; begins now."""
        return Trace(self._tracer, name, facts) if self._tracer is not None else NO_TRACE

    async def stop(self) -> None:
        """Sends what is left, for a bounded time."""
        provider, self._own = self._own, None
        if provider is None:
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            provider.shutdown()  # type: ignore[attr-defined] # own providers are the SDK's
            with contextlib.suppress(RuntimeError):  # the loop did not wait so long
                loop.call_soon_threadsafe(done.set)

        # a thread of its own: the loop's executor would be waited for without bound
        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                await done.wait()
