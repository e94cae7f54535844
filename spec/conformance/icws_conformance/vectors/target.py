"""The target ``vectors``: each vector is a case, played to a program on its standard streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from icws_conformance.case import Case, Failed, Finding, NotApplicable
from icws_conformance.vectors.program import LineProgram
from icws_conformance.vectors.vector import Vector
from icws_conformance.wirelog import WireLog
from icws_secure.errors import TransportError

__all__ = ["VectorTarget"]

_ANSWER_S: Final = 20.0
_MAX_DRAWN: Final = 1 << 17  # hexadecimal digits of a document that is drawn
#: Fields of questions that hold documents, which people want to see taken apart.
_DOCUMENTS: Final = frozenset(
    {"body_hex", "certificate_hex", "content_hex", "data_hex", "envelope_hex", "frame_hex", "signature_hex", "tree_hex"}
    | {"witness_tree_hex"}
)


class VectorTarget:
    """``async with VectorTarget(words) as target: target.cases(vectors)``.

    Args:
        words: the command of the program under test.
        strict: whether a refusal's reason, where the program gives one, must be one of the vector's.
    """

    def __init__(self, words: Sequence[str], *, strict: bool = False) -> None:
        self._words = words
        self._strict = strict
        self._program: LineProgram | None = None
        self._turn = asyncio.Lock()
        self._numbers = 0

    async def __aenter__(self) -> Self:
        self._program = LineProgram(self._words)
        await self._program.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._program is not None:
            await self._program.stop()

    def cases(self, vectors: Sequence[Vector]) -> list[Case]:
        """One case for each vector."""
        return [
            Case(
                id=vector.name,
                title=f"{vector.kind.replace('_', ' ')}: {vector.comment}",
                requirements=vector.requirements,
                expected="accepted, with the right values" if vector.accept else _refused(vector),
                run=partial(self._play, vector),
                limit_s=600,
                gain=vector.gain,
            )
            for vector in vectors
        ]

    async def _play(self, vector: Vector, log: WireLog) -> Finding:
        async with self._turn:
            answer = await self._ask(vector, log)
            number = self._numbers
        said = json.dumps(answer).encode()
        try:
            finding = self._judge(vector, answer, number)
        except Failed:
            log.sent("program", "suite", "answer", said, blamed=True)
            raise
        except NotApplicable:
            log.sent("program", "suite", "answer", said)
            raise
        log.sent("program", "suite", "answer", said)
        return finding

    def _judge(self, vector: Vector, answer: dict[str, Any], number: int) -> Finding:
        if answer.get("id") != number:
            raise Failed("the answer is to another question")
        verdict = answer.get("verdict")
        if verdict == "unsupported":
            raise NotApplicable(f"the program does not know vectors of kind {vector.kind}")
        if verdict == "reject":
            return self._judge_refusal(vector, str(answer.get("reason", "")))
        if verdict != "accept":
            raise Failed(f"the answer has no verdict: {json.dumps(answer)[:200]}")
        if not vector.accept:
            raise Failed("accepted")
        output = answer.get("output", {})
        for name, wanted in vector.output.items():
            got = output.get(name) if isinstance(output, dict) else None
            if got != wanted:
                raise Failed(f"{name} is {_short(got)}, not {_short(wanted)}")
        return Finding("accepted, with the right values")

    def _judge_refusal(self, vector: Vector, reason: str) -> Finding:
        if vector.accept:
            raise Failed(f"refused: {reason or 'no reason given'}")
        if self._strict and vector.reasons and reason and reason not in vector.reasons:
            raise Failed(f"refused, but as {reason}")
        return Finding(f"refused: {reason}" if reason else "refused")

    async def _ask(self, vector: Vector, log: WireLog) -> dict[str, Any]:
        program = self._program
        if program is None:
            raise TransportError("the program does not run")
        self._numbers += 1
        question = {"id": self._numbers, "kind": vector.kind, "input": dict(vector.input)}
        for name, value in vector.input.items():
            if isinstance(value, str) and name in _DOCUMENTS and len(value) <= _MAX_DRAWN:
                label = "tree" if "tree" in name else ""
                log.sent("suite", "program", name.removesuffix("_hex"), bytes.fromhex(value), label=label)
        log.sent("suite", "program", "question", json.dumps(question).encode())
        try:
            async with asyncio.timeout(_ANSWER_S):
                answer = await program.ask(question)
        except (TransportError, TimeoutError) as error:
            why = str(error) if isinstance(error, TransportError) else f"no answer within {_ANSWER_S:g} s"
            await program.stop()
            await program.start()
            log.note(why, source="program", blamed=True)
            raise Failed(why) from error
        return answer


def _refused(vector: Vector) -> str:
    return "refused" + (f" as {' or '.join(vector.reasons)}" if vector.reasons else "")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:80] + "…"
