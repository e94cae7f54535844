from __future__ import annotations

from dataclasses import replace

import pytest

from icws_cli.demo.conversation import HURRIED, NAMES, SAID, Line, Person, is_whole


@pytest.fixture
def people() -> list[Person]:
    total = len(NAMES) + SAID
    people = [Person(name) for name in NAMES]
    for person in people:
        person.lines = [Line(n, "", str(n), "A" if n < total // 2 else "B") for n in range(1, total + 1)]
        person.executed = SAID // len(people)
    return people


def test_a_whole_conversation_is_whole(people: list[Person]) -> None:
    assert sum(person.executed for person in people) == SAID
    assert is_whole(people)


def lose_a_line(person: Person) -> None:
    del person.lines[3]


def hear_a_line_twice(person: Person) -> None:
    person.lines.insert(3, person.lines[3])


def hear_lines_out_of_order(person: Person) -> None:
    person.lines[3:5] = reversed(person.lines[3:5])


def hear_another_text(person: Person) -> None:
    person.lines[3] = replace(person.lines[3], text="forged")


def hear_another_speaker(person: Person) -> None:
    person.lines[3] = replace(person.lines[3], speaker="Ben")


def miss_the_end(person: Person) -> None:
    del person.lines[-1]


def lack_a_proof(person: Person) -> None:
    person.executed -= 1


def never_move(person: Person) -> None:
    person.lines = [replace(line, gateway="A") for line in person.lines]


HARM = [
    lose_a_line,
    hear_a_line_twice,
    hear_lines_out_of_order,
    hear_another_text,
    hear_another_speaker,
    miss_the_end,
    lack_a_proof,
    never_move,
]


@pytest.mark.parametrize("harm", HARM)
def test_one_person_harmed_breaks_it(people: list[Person], harm: object) -> None:
    harm(people[1])  # type: ignore[operator] # one of the functions above
    assert not is_whole(people)


@pytest.mark.parametrize("harm", [lose_a_line, hear_a_line_twice, hear_lines_out_of_order, miss_the_end])
def test_the_same_harm_to_all_breaks_it_too(people: list[Person], harm: object) -> None:
    for person in people:
        harm(person)  # type: ignore[operator] # as above
    assert not is_whole(people)


def test_everybody_has_something_to_say_after_the_gateway_is_gone() -> None:
    assert all(len(lines) > 1 for lines in HURRIED.values())
