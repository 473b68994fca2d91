"""The acts of the demo, in order."""

import random
import shlex
import shutil
import sys
from pathlib import Path

import trio

from agent.humanize import counted
from demo.record import Answer
from demo.story import questions
from demo.story.proof import Evidence, Finding, findings
from demo.story.questions import Question
from demo.story.screen import shown_path
from demo.story.stage import DemoFailed, Stage

_BURST = {"poll": 14, "stream": 8}
"""With poll the agent takes as many as it has room for, and the others stay at the API. A stream can't be told
to wait: what came beyond the room would be answered with "busy"."""

_SOON_SECONDS = 0.02
"""How often to look for a moment that passes quickly."""

_QUERY = "select * from status"

_COUNTED = "(executed: has a result; spooled: waits on disk; delivered: the API has it)"

_READING_SECONDS = 1.3
"""A pause after each answer, so that a person can follow."""

_BUSY_NODE_SECONDS = (0.7, 1.9)
"""How long a log takes to arrive during the outage."""


class Story:
    """Told once from the beginning to the end."""

    def __init__(self, stage: Stage, *, link: str, seed: int, pace: float) -> None:
        self._stage = stage
        self._screen = stage.screen
        self._link = link
        self._pace = pace
        self._pause = _READING_SECONDS * pace
        self._chance = random.Random(seed)
        self._pods: list[str] = []
        self._crashing = ""

    async def tell(self) -> bool:
        """All acts; whether the proof holds."""
        await self._stage.agent.start()
        await self._stage.listening()
        if self._stage.cluster:
            await self._why()
        else:
            await self._look_around()
        await self._never()
        await self._api_goes_away()
        await self._kill()
        await self._both_come_back()
        return await self._proof()

    async def _why(self) -> None:
        self._screen.act(1, "Why is checkout crash-looping?")
        answer = await self._show(questions.pods_of_the_shop())
        pod = questions.crash_looping_pod(answer.output)
        if pod is None:
            raise DemoFailed("the first answer shows no crash-looping pod")
        self._crashing, self._pods = pod, questions.running_pods(answer.output)
        for question in questions.about(pod):
            await self._show(question)
        self._screen.say(
            "So: version 4.2.0 wants PAYMENT_GATEWAY_URL, and the ConfigMap still says PAYMENTS_URL. "
            "Five questions, five answers, nothing touched.",
            "green",
        )
        await trio.sleep(self._pause)

    async def _look_around(self) -> None:
        self._screen.act(1, "What is going on in your cluster?")
        for question in questions.in_a_cluster_of_yours():
            await self._show(question)

    async def _show(self, question: Question) -> Answer:
        answer = await self._stage.answer(question)
        self._screen.command(question.words, f"{answer.result['execution_time_ms']} ms")
        if answer.success:
            self._screen.answer(question.excerpt(answer.output))
        else:
            self._screen.remark(answer.error, "red")
        await trio.sleep(self._pause)
        return answer

    async def _never(self) -> None:
        self._screen.act(2, "What it never does")
        for question in questions.forbidden(self._crashing or "no-such-pod"):
            answer = await self._stage.answer(question)
            if answer.success:
                raise DemoFailed(f"{question.words} was not refused")
            self._screen.command(question.words, "refused")
            self._screen.remark(answer.error, "yellow")
        await trio.sleep(self._pause)

    async def _api_goes_away(self) -> None:
        stage, screen = self._stage, self._screen
        screen.act(3, "The API goes away while commands are in flight")
        if stage.cluster:
            stage.cluster.log_delay = lambda: self._pace * self._chance.uniform(*_BUSY_NODE_SECONDS)
        ids = await stage.ask_all(self._burst())

        def all_taken() -> bool:
            """Every command that went out is in the spool, and some run: none is on the wire now."""
            ledger = stage.ledger()
            taken = [i for i in ids if i in ledger]
            on_the_wire = [asked for asked in stage.api.record.handed_out if asked.id not in ledger]
            return bool(taken) and not on_the_wire and stage.tally().in_flight >= min(4, len(ids))

        await stage.until(all_taken, "commands in flight", every=_SOON_SECONDS)
        await stage.api.stop()
        tally = stage.tally()
        here = f"The agent has {counted(tally.in_flight, 'command')} to finish, {tally.running} of them running"
        there = f"; {stage.api.queue_depth} more wait at the API, untouched" if stage.api.queue_depth else ""
        screen.say(f"The API refuses connections from now on. {here}{there}.")
        screen.say("The agent goes on working. Results gather in its spool.")
        screen.say(_COUNTED, "dim")

        async def some_results() -> None:
            some = self._chance.randint(1, 5)
            await stage.until(lambda: stage.tally().spooled >= some, "results in the spool", every=_SOON_SECONDS)

        await stage.watching(some_results, "API away")

    def _burst(self) -> list[Question]:
        size = _BURST[self._link]
        if self._stage.cluster is None:
            return questions.burst_anywhere(size)
        return questions.burst(self._chance, self._pods, size)

    async def _kill(self) -> None:
        stage, screen = self._stage, self._screen
        screen.act(4, "And now the agent is killed")
        stage.expected_down = True
        pid = await stage.agent.kill()
        ledger = stage.ledger()
        stage.interrupted = {command_id for command_id, entry in ledger.items() if entry.state == "running"}
        tally = stage.tally()
        screen.say(
            f"kill -9 {pid}. What is left is one SQLite file. In it: {counted(tally.spooled, 'result')} to be sent, "
            f"{counted(tally.running, 'command')} to run again, {tally.waiting} to begin."
        )
        await trio.sleep(2 * self._pause)

    async def _both_come_back(self) -> None:
        stage, screen = self._stage, self._screen
        screen.act(5, "Both come back")
        await stage.agent.start()
        stage.expected_down = False
        first = f"The agent first, as process {stage.agent.pid}"
        screen.say(f"{first}: it runs again what was interrupted." if stage.interrupted else f"{first}.")

        async def catching_up() -> None:
            await stage.until(lambda: not stage.tally().in_flight, "the interrupted commands")

        await stage.watching(catching_up, "API away")
        await stage.api.start()
        again = 0
        if self._link == "poll":
            again = stage.api.hand_out_again()
            screen.say(
                f"Then the API. It can't know what became of its commands and hands out all {again} once more. "
                "The agent knows them: nothing runs twice, each result is sent."
            )
        else:
            screen.say("Then the API. The stream is there again, and the results are delivered.")
        if stage.cluster:
            stage.cluster.log_delay = float

        async def delivered() -> None:
            await stage.until(lambda: not stage.api.record.unanswered and not stage.api.queue_depth, "all results")

        await stage.watching(delivered, "API back")
        await stage.listening()
        await self._show(Question(("get", "deployments", "-A"), show="NAME|checkout|coredns", most=5))

    async def _proof(self) -> bool:
        stage, screen = self._stage, self._screen
        screen.act(6, "What the records say")
        code = await stage.agent.stop()
        evidence = Evidence(stage.api.record, stage.ledger(), stage.interrupted, stage.cluster)
        rows = [*findings(evidence), Finding("exit code of the agent after SIGTERM", code, "agent", wanted=0)]
        for row in rows:
            mark = {None: "", True: screen.style("ok", "green"), False: screen.style("WRONG", "red", "bold")}[row.right]
            screen.line(f"   {row.what:<50}{row.count:>6}   {screen.style(f'{row.source:<9}', 'dim')}{mark}".rstrip())
        right = all(row.right is not False for row in rows)
        screen.line()
        kept, broken = "Nothing was lost, nothing was run twice, nothing was changed.", "This is NOT as promised."
        screen.say(kept if right else broken, "bold", "green" if right else "red")
        screen.line()
        spool = shlex.quote(str(stage.spool))
        screen.say(
            f"The spool is left in place, and beside it the agent's log ({stage.agent.log.name}). Look into them:"
        )
        screen.line(f"   {_command()} spool list --spool {spool}", "bold")
        screen.line(f'   sqlite3 -readonly -line {spool} "{_QUERY}"', "bold")
        if shutil.which("sqlite3") is None:
            screen.say("(sqlite3 isn't installed here: apt install sqlite3, brew install sqlite, ...)", "dim")
        return right


def _command() -> str:
    """The agent's own command, as it can be typed here."""
    beside = Path(sys.executable).with_name("kubently-agent")
    return shlex.quote(shown_path(beside)) if beside.exists() else "kubently-agent"
