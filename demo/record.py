"""What the reference API remembers: every command, each time it was handed out, each answer that came."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import trio

from demo.body import Body

LinkName = Literal["poll", "stream"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One result as it was received and stored."""

    received_at: float
    """`trio.current_time()`: for order and distances, like `HandOut.at`."""
    link: LinkName
    result: dict[str, Any]
    """The result's fields, the same for both links. Of strings beyond 256 KiB only the beginning."""
    body: Body
    """The raw body: its size, its digest and, if asked for, its bytes."""

    @property
    def output(self) -> str:
        """What the command printed."""
        return str(self.result.get("output") or "")

    @property
    def error(self) -> str:
        """What went wrong, or nothing."""
        return str(self.result.get("error") or "")

    @property
    def success(self) -> bool:
        """As the agent reported it."""
        return self.result["success"] is True


@dataclass(frozen=True, slots=True)
class HandOut:
    """One time that a command went out to an agent. Whether it arrived, the API can't know."""

    at: float
    link: LinkName


@dataclass(slots=True)
class Asked:
    """One command and all that became of it."""

    id: str
    command: dict[str, Any]
    """As it goes over the wire."""
    asked_at: float
    asked_wall: float = field(default_factory=time.time)
    handed_out: list[HandOut] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    answered: trio.Event = field(default_factory=trio.Event)
    forgotten: bool = False
    """The API no longer takes a result for it."""

    @property
    def distinct(self) -> int:
        """How many different answers came. More than one is a breach: the agent ran it twice and said so."""
        return len({answer.body.digest for answer in self.answers})


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as answered."""

    at: float
    method: str
    path: str
    query: str
    status: int
    user_agent: str


class Record:
    """All commands by id, in the order they were asked."""

    def __init__(self) -> None:
        self._asked: dict[str, Asked] = {}

    def __getitem__(self, command_id: str) -> Asked:
        return self._asked[command_id]

    def __contains__(self, command_id: object) -> bool:
        return command_id in self._asked

    def __iter__(self) -> Iterator[Asked]:
        return iter(self._asked.values())

    def __len__(self) -> int:
        return len(self._asked)

    def add(self, asked: Asked) -> None:
        """Remember a new command."""
        self._asked[asked.id] = asked

    @property
    def handed_out(self) -> list[Asked]:
        """Those that went out at least once."""
        return [asked for asked in self if asked.handed_out]

    @property
    def unanswered(self) -> list[Asked]:
        """Those that went out and have no answer yet."""
        return [asked for asked in self if asked.handed_out and not asked.answers]

    @property
    def contradicted(self) -> list[Asked]:
        """Those with two different answers."""
        return [asked for asked in self if asked.distinct > 1]
