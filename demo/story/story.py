"""The story that `make demo` tells: what was asked and found, an outage, a kill, what came back, and the proof."""

import random
import shlex
import shutil

import trio

from agent.errors import counted
from demo.record import Answer
from demo.story import questions
from demo.story.proof import findings
from demo.story.questions import Question
from demo.story.screen import Screen, shown_path
from demo.story.stage import DemoFailed, Options, Stage, run

_BURST = {"poll": 14, "stream": 8}
"""With poll the agent takes as many as it has room for, and the others stay at the API. A stream can't be told
to wait: what came beyond the room would be answered with "busy"."""

_SOON_SECONDS = 0.02
"""How often to look for a moment that passes quickly."""

_READING_SECONDS = 1.0
"""A pause after each answer, so that a person can follow."""

_BUSY_NODE_SECONDS = (0.7, 1.9)
"""How long a log takes to arrive during the outage."""


class Story:
    """Told once from the beginning to the end."""

    def __init__(self, stage: Stage, options: Options) -> None:
        seed = random.SystemRandom().randrange(1000) if options.seed is None else options.seed
        self._stage = stage
        self._screen = stage.screen
        self._options = options
        self._chance = random.Random(seed)
        self._burst = questions.burst_anywhere(_BURST[options.link])
        self._screen.line()
        self._screen.say(
            f"A central API asks, an agent in {'the sample' if stage.cluster else 'your'} cluster answers with a real "
            f"kubectl; then both of them fail. About 30 seconds. ({options.link} link, seed {seed})"
        )

    async def tell(self) -> bool:
        """All acts; whether the proof holds."""
        await self._stage.agent.start()
        await self._stage.listening()
        await (self._investigation() if self._stage.cluster else self._look_around())
        await self._outage()
        await self._kill()
        await self._return()
        return await self._proof()

    async def _investigation(self) -> None:
        self._screen.act(1, "Why is checkout failing?")
        pods = (await self._show(questions.PODS)).output
        pod = questions.crash_looping_pod(pods)
        if pod is None:
            raise DemoFailed("the first answer shows no crash-looping pod")
        self._burst = questions.burst(self._chance, questions.running_pods(pods), _BURST[self._options.link])
        await self._show(questions.last_life_of(pod))
        await self._show(questions.LOST_ORDERS)
        await self._show(questions.PASSWORD)
        await self._show(questions.deletion_of(pod), refused=True)

    async def _look_around(self) -> None:
        self._screen.act(1, "What is going on in your cluster?")
        for question in questions.ANYWHERE:
            await self._show(question)
        await self._show(questions.deletion_of("any-pod"), refused=True)

    async def _show(self, question: Question, *, refused: bool = False) -> Answer:
        command_id = await self._ask(question, seconds=10)
        asked = self._stage.api.record[command_id]
        await self._stage.until(asked.answered.is_set, f"an answer to {question.words}")
        answer = asked.answers[0]
        if refused and answer.success:
            raise DemoFailed(f"{question.words} was not refused")
        self._screen.command(question.words, "refused" if refused else f"{answer.result['execution_time_ms']} ms")
        shown = question.excerpt(answer.output) if answer.success else [answer.error.partition(";")[0]]
        self._screen.answer(shown, *(() if answer.success else ("yellow" if refused else "red",)))
        await trio.sleep(_READING_SECONDS * self._options.pace)
        return answer

    async def _ask(self, question: Question, *, seconds: float) -> str:
        if question.search:
            return await self._stage.api.search_logs(question.search, timeout=seconds)
        return await self._stage.api.ask(question.args, timeout=seconds)

    async def _outage(self) -> None:
        stage, screen = self._stage, self._screen
        screen.act(2, "The API goes away while commands are in flight")
        if stage.cluster:
            stage.cluster.log_delay = lambda: self._options.pace * self._chance.uniform(*_BUSY_NODE_SECONDS)
        ids = [await self._ask(question, seconds=20) for question in self._burst]

        def all_taken() -> bool:
            """Every command that went out is in the spool, and some run: none is on the wire now."""
            ledger = stage.ledger()
            on_the_wire = [asked for asked in stage.api.record.handed_out if asked.id not in ledger]
            return not on_the_wire and stage.tally().in_flight >= min(4, len(ids))

        await stage.until(all_taken, "commands in flight", every=_SOON_SECONDS)
        await stage.api.stop()
        tally = stage.tally()
        there = f", {stage.api.queue_depth} more wait at the API" if stage.api.queue_depth else ""
        screen.say(
            f"The agent has {counted(tally.in_flight, 'command')}, {tally.running} of them running{there}. It works on:"
        )
        some = self._chance.randint(1, 3)

        def amid() -> bool:
            tally = stage.tally()
            return tally.spooled >= some and tally.running > 0

        await stage.watched(amid, "results in the spool")

    async def _kill(self) -> None:
        stage, screen = self._stage, self._screen
        screen.act(3, "The agent is killed")
        stage.expected_down = True
        pid = await stage.agent.kill()
        stage.at_kill = stage.ledger()
        tally = stage.tally()
        screen.say(
            f"kill -9 {pid}. One SQLite file is left. In it: {counted(tally.spooled, 'result')} to send, "
            f"{counted(tally.running, 'command')} to run again, {tally.waiting} to begin."
        )
        await trio.sleep(2 * _READING_SECONDS * self._options.pace)

    async def _return(self) -> None:
        stage, screen = self._stage, self._screen
        screen.act(4, "Both come back")
        await stage.agent.start()
        stage.expected_down = False
        screen.say("The agent first:")
        await stage.watched(lambda: not stage.tally().in_flight, "the interrupted commands")
        await stage.api.start()
        again = stage.api.hand_out_again() if self._options.link == "poll" else 0
        screen.say(f"Then the API. It hands out {again} commands again, as it can't know better:" if again
                   else "Then the API:")  # fmt: skip
        if stage.cluster:
            stage.cluster.log_delay = float
        await stage.watched(lambda: not stage.api.record.unanswered and not stage.api.queue_depth, "all results")
        await stage.listening()
        await self._show(questions.AFTERWARDS if stage.cluster else questions.ANYWHERE[0])

    async def _proof(self) -> bool:
        stage, screen = self._stage, self._screen
        code = await stage.agent.stop()
        if code != 0:
            raise DemoFailed(f"the agent ended with exit code {code} after SIGTERM")
        screen.act(5, "What the records say")
        rows = findings(stage.api.record, stage.ledger(), stage.at_kill, stage.cluster)
        for row in rows:
            screen.finding(row.right, f"{row.count} of {row.wanted}" if row.wanted else str(row.count), row.what)
        right = all(row.right for row in rows)
        screen.line()
        screen.say(
            "Nothing was lost, answered twice or changed." if right else "This is NOT as promised.",
            *("bold", "green" if right else "red"),
        )
        screen.say("The spool is still there. To try it yourself: make playground")
        screen.line(f"   {query(stage, 'status', '-line')}", "bold")
        return right


async def tell(options: Options, screen: Screen) -> int:
    """The story, once; the exit code is 0 only if the proof holds."""

    async def play(stage: Stage) -> bool:
        return await Story(stage, options).tell()

    return await run(options, screen, play)


def query(stage: Stage, view: str, *flags: str) -> str:
    """How to look into the spool, as it can be typed."""
    select = f"'select * from {view}'"  # noqa: S608  # to be read
    missing = [] if shutil.which("sqlite3") else [" # apt install sqlite3"]
    return " ".join(["sqlite3", "-readonly", *flags, shlex.quote(shown_path(stage.spool)), select, *missing])
