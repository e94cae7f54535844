"""Figures of all workers on one page: whichever worker is asked gathers them, each with the label ``worker``.

Every worker tells its own over a Unix socket in a folder that nobody else may enter. A worker that does not answer is
shown as down; the others' figures are there all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["WorkerMetrics", "joined"]

_TIMEOUT: Final = 2.0  # seconds for one worker's answer
_MOST_BYTES: Final = 4 << 20  # of one worker's answer


class WorkerMetrics:
    """One worker's access to the figures of all.

    Args:
        folder: where the sockets are; only the user of the gateway may enter it.
        number: of this worker, from 0.
        count: of workers.
    """

    def __init__(self, folder: Path, number: int, count: int) -> None:
        self._folder = folder
        self._number = number
        self._count = count
        self._server: asyncio.Server | None = None

    async def start(self, render: Callable[[], bytes]) -> None:
        """Begins to tell this worker's figures, which ``render`` gives.

        Raises:
            OSError: the socket cannot be made.
        """

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(render())
            writer.close()

        path = self._path(self._number)
        path.unlink(missing_ok=True)  # of a worker that died
        self._server = await asyncio.start_unix_server(answer, path)

    async def stop(self) -> None:
        """Ends."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def gather(self) -> bytes:
        """The figures of all workers in Prometheus' text format."""
        return joined(await asyncio.gather(*(self._ask(number) for number in range(self._count))))

    async def _ask(self, number: int) -> str | None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                reader, writer = await asyncio.open_unix_connection(self._path(number))
                try:
                    return (await _read_all(reader)).decode()
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):
            return None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.sock"


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while chunk := await reader.read(1 << 16):
        data += chunk
        if len(data) > _MOST_BYTES:
            raise ValueError("too much")
    return data


def joined(texts: Iterable[str | None]) -> bytes:
    """Pages of metrics as one, with the label ``worker``.

    Args:
        texts: of the workers, in order; None for one that is down.
    """
    up = GaugeMetricFamily("icws_gateway_worker_up", "1 for each worker that answers.", labels=["worker"])
    families: dict[str, Metric] = {}
    for number, text in enumerate(texts):
        worker = str(number)
        up.add_metric([worker], 0 if text is None else 1)
        for found in text_string_to_metric_families(text or ""):
            family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
            for sample in found.samples:
                family.add_sample(sample.name, {**sample.labels, "worker": worker}, sample.value)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected([up, *families.values()]))
    return generate_latest(registry)


class _Collected:
    """Metrics that were collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield from self._families
