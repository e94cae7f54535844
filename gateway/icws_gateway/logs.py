"""Structured logs: lines for people or JSON. Never payloads, keys or envelopes; connections have ids to follow."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final

import structlog

from .config import GatewayConfig
from .metrics import GatewayMetrics
from .rates import TokenBucket

__all__ = ["ClientLog", "configure_logs", "logger"]

_BURST_SECONDS: Final = 10.0


class ClientLog:
    """Lines about single clients. How many there are is up to strangers, so it is bounded.

    Args:
        config: how many.
        metrics: counts those that are left out.
    """

    def __init__(self, config: GatewayConfig, metrics: GatewayMetrics) -> None:
        rate = config.client_lines_per_second
        self._metrics = metrics
        self._lines = TokenBucket(rate, rate * _BURST_SECONDS, time.monotonic())

    def apply(self, config: GatewayConfig) -> None:
        """Takes over a changed rate."""
        self._lines.change(config.client_lines_per_second, config.client_lines_per_second * _BURST_SECONDS)

    def say(self, log: structlog.stdlib.BoundLogger, event: str, **facts: Any) -> None:
        """One line, or one more that is left out."""
        # [ICWS-GWY-018]
        if self._lines.take(1, time.monotonic()):
            log.info(event, **facts)
        else:
            self._metrics.limits.labels("client_lines").inc()


def logger(**facts: Any) -> structlog.stdlib.BoundLogger:
    """A logger with ``facts`` on every line."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger("icws_gateway", **facts)
    return bound


def configure_logs(config: GatewayConfig, worker: int | None = None) -> None:
    """Sets up the process's logs, for the command line. Embedders configure structlog as they like.

    Args:
        config: level and form.
        worker: number of this process among several; on every line.
    """
    structlog.contextvars.clear_contextvars()
    if worker is not None:
        structlog.contextvars.bind_contextvars(worker=worker)
    level = logging.getLevelNamesMapping()[config.log_level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if config.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # a line is one write: processes that share the output must not end each other's lines
        logger_factory=structlog.WriteLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    _configure_libraries(max(level, logging.WARNING), renderer)


def _configure_libraries(level: int, renderer: Any) -> None:
    """The lines of libraries have the same form as ours, so that whatever reads the log can read all of it."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # what peers do wrong is in the metrics
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
