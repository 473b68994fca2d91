"""Breakages to plant: each is a mistake that somebody could make, the promise that it breaks, the tests that see it.

`old` stands exactly once in the file. `tests` is what pytest is called with; at least one of them must fail.
"""

from dataclasses import dataclass

SPOOL = "tests/tasks/spool"
STREAM = "tests/tasks/test_stream_link.py"


@dataclass(frozen=True)
class Planted:
    """One breakage."""

    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


PLANTED = (
    # An id is accepted once, and has one result.
    Planted(
        "an id that is handed out again runs nothing again",
        "agent/spool/upkeep.py",
        ":uptime_ms - settled_uptime_ms\n           else :unix_ms - settled_unix_ms end > :retention_ms",
        ":uptime_ms - settled_uptime_ms\n           else :unix_ms - settled_unix_ms end >= 0",
        (f"{SPOOL}/test_spool_upkeep.py",),
    ),
    Planted(
        "a known result is sent again when its id comes again",
        "agent/spool/journal.py",
        "        if (due := _due_again(db, clean(command.id))) is not None:",
        "        if (due := None) is not None:",
        (f"{SPOOL}/test_spool_commands.py",),
    ),
    Planted(
        "a command has one result, never a second one",
        "agent/spool/journal.py",
        "where seq = ? and state = 'running' returning command_id",
        "where seq = ? returning command_id",
        (f"{SPOOL}/test_spool_commands.py",),
    ),
    Planted(
        "a full disk at the start makes nothing be forgotten",
        "agent/spool/keeper.py",
        "        if self._space.disk_full:",
        "        if False:",
        (f"{SPOOL}/test_spool_small_disk.py",),
    ),
    # A result leaves the spool only after a 2xx.
    Planted(
        "what the API answers without a 2xx isn't delivered",
        "agent/link/body.py",
        "    if 200 <= answer.status < 300:",
        "    if 200 <= answer.status < 600:",
        ("tests/tasks/test_poll_link.py",),
    ),
    Planted(
        "a page for browsers is no API's answer, whatever its status",
        "agent/link/answer.py",
        "    if answer.is_html and answer.status != 413:",
        "    if False:",
        ("tests/tasks/test_poll_link.py",),
    ),
    Planted(
        "what isn't sent stays due",
        "agent/uploader.py",
        "            await self._spool.postponed(delivery.seq, seconds, reply.status, reply.words)",
        "            await self._spool.delivered(delivery.seq, status)",
        ("tests/tasks/test_uploader.py",),
    ),
    Planted(
        "what the API said is written down, even in a stop",
        "agent/uploader.py",
        "        with trio.CancelScope(shield=True):  # what the API has said is written down, even during a stop",
        "        with trio.CancelScope():",
        ("tests/tasks/test_uploader.py",),
    ),
    Planted(
        "a send that was cancelled is due again",
        "agent/uploader.py",
        "                self._spool.release(delivery.seq)\n",
        "                pass\n",
        ("tests/tasks/test_uploader.py",),
    ),
    Planted(
        "that an attempt is made is on disk before it is",
        "agent/spool/outbox.py",
        "set attempts = attempts + 1 where seq",
        "set attempts = attempts where seq",
        (f"{SPOOL}/test_spool_results.py",),
    ),
    Planted(
        "two uploaders never send one result at the same time",
        "agent/spool/tally.py",
        "        return self.in_flight.keys() | self.postponed.keys()",
        "        return self.postponed.keys()",
        (f"{SPOOL}/test_spool_results.py",),
    ),
    # After a crash.
    Planted(
        "a command that killed the agent twice isn't run a third time",
        "agent/spool/recover.py",
        "MOST_RUNS = 2",
        "MOST_RUNS = 3",
        (f"{SPOOL}/test_spool_restart.py",),
    ),
    Planted(
        "a command that is too old isn't run again",
        "agent/spool/recover.py",
        "        elif age_ms >= rerun_seconds * 1000:",
        "        elif age_ms >= rerun_seconds * 1e9:",
        (f"{SPOOL}/test_spool_restart.py",),
    ),
    Planted(
        "what was running when the agent died runs again",
        "agent/spool/recover.py",
        "            db.execute(\"update commands set state = 'accepted' where seq = ?\", (seq,))",
        "            pass",
        (f"{SPOOL}/test_spool_restart.py",),
    ),
    Planted(
        "a run after a crash begins with no output",
        "agent/spool/recover.py",
        '        db.execute("delete from pieces where seq = ?", (seq,))\n',
        "",
        (f"{SPOOL}/test_spool_restart.py", f"{SPOOL}/test_spool_crash_points.py"),
    ),
    Planted(
        "commits survive power loss",
        "agent/spool/opening.py",
        '"synchronous = full"',
        '"synchronous = normal"',
        (f"{SPOOL}/test_spool_restart.py",),
    ),
    Planted(
        "what was received outlasts a stop until it is journalled",
        "agent/poller.py",
        "with trio.CancelScope(shield=True) as self._journalling:",
        "with trio.CancelScope() as self._journalling:",
        ("tests/tasks/test_poller.py",),
    ),
    Planted(
        "what was received is tried again while the disk takes nothing",
        "agent/poller.py",
        "                if not told:\n                    log.error(\"commands can't",
        "                return Intake()\n                if not told:\n                    log.error(\"commands can't",
        ("tests/tasks/test_poller.py",),
    ),
    # One result never holds up the others.
    Planted(
        "a result that is refused is set aside",
        "agent/link/poll.py",
        "REFUSING = frozenset({400, 404,",
        "REFUSING = frozenset({400,",
        ("tests/tasks/test_poll_link.py",),
    ),
    Planted(
        "a result that is too large is cut",
        "agent/link/body.py",
        "    if answer.status == 413:",
        "    if answer.status == 414:",
        ("tests/chaos/test_faults.py", "-k", "too_large"),
    ),
    Planted(
        "a result that was cut says so",
        "agent/spool/outbox.py",
        "truncated=found.result.truncated or shorter",
        "truncated=found.result.truncated",
        (f"{SPOOL}/test_spool_results.py",),
    ),
    Planted(
        "a result that alone fails waits longer each time",
        "agent/uploader.py",
        "                seconds = backoff(delivery.attempts + 1, self._random, self._link.pause_seconds)",
        "                seconds = 0.0",
        ("tests/tasks/test_uploader.py",),
    ),
    # A full spool, a full disk.
    Planted(
        "without room the API isn't asked for commands",
        "agent/poller.py",
        "                await self._spool.space.wait()",
        "                await trio.lowlevel.checkpoint()",
        ("tests/tasks/test_poller.py",),
    ),
    Planted(
        "room is promised once",
        "agent/spool/core.py",
        "- self._tally.accepted",
        "",
        (f"{SPOOL}/test_spool_commands.py",),
    ),
    Planted(
        "at the cap states still change",
        "agent/spool/writer.py",
        "        pages = plan.hard_pages\n",
        "        pages = plan.soft_pages\n",
        (f"{SPOOL}/test_spool_full.py", f"{SPOOL}/test_writer.py"),
    ),
    Planted(
        "the ballast is thrown overboard",
        "agent/spool/writer.py",
        "not self._space.drop_ballast()",
        "True",
        (f"{SPOOL}/test_spool_full.py", f"{SPOOL}/test_writer.py"),
    ),
    Planted(
        "a result that can't be written is tried again",
        "agent/executor.py",
        "            await trio.sleep(RETRY_WRITE_SECONDS)\n\n\nINTERRUPTED",
        "            return\n\n\nINTERRUPTED",
        ("tests/tasks/test_executor.py",),
    ),
    Planted(
        "a full disk during a stop keeps nothing from being delivered",
        "agent/run.py",
        "with trio.move_on_after(1), suppress(SpoolError):",
        "with trio.move_on_after(1):",
        ("tests/tasks/test_run.py",),
    ),
    # Damage.
    Planted(
        "a damaged file is moved aside and kept",
        "agent/spool/salvage.py",
        "            beside(path, suffix).rename(beside(aside, suffix))",
        "            beside(path, suffix).unlink()",
        (f"{SPOOL}/test_spool_damage.py",),
    ),
    Planted(
        "a damaged result is never sent as if it were whole",
        "agent/spool/results.py",
        "        if not whole:",
        "        if False:",
        (f"{SPOOL}/test_spool_results.py",),
    ),
    Planted(
        "a damaged size is found before it is sent",
        "agent/spool/text.py",
        "(written.bytes, written.json_bytes, written.crc) for",
        "(written.crc,) for",
        (f"{SPOOL}/test_spool_damage.py",),
    ),
    Planted(
        "a spool that breaks at work is looked at closely by the next start",
        "agent/spool/spool.py",
        'lock.write(SUSPECT if spool.suspect else "closing")',
        'lock.write("closing")',
        (f"{SPOOL}/test_spool_damage.py",),
    ),
    Planted(
        "a spool that breaks at work ends the agent",
        "agent/uploader.py",
        "            except SpoolFull as error:",
        "            except Exception as error:",
        ("tests/tasks/test_uploader.py",),
    ),
    # Size.
    Planted(
        "the file shrinks after a backlog",
        "agent/spool/upkeep.py",
        '    db.executescript(f"pragma incremental_vacuum({pages})")',
        "    pages = 0",
        (f"{SPOOL}/test_spool_upkeep.py",),
    ),
    Planted(
        "a long-open reader doesn't make the log grow without bound",
        "agent/spool/space.py",
        "        if self.wal_bytes > plan.wal_bytes:",
        "        if False:",
        (f"{SPOOL}/test_spool_upkeep.py",),
    ),
    # The API is away, refuses, or is slow.
    Planted(
        "one probes, the others wait",
        "agent/outage.py",
        "        return math.inf if self._probing else max",
        "        return max",
        ("tests/unit/test_outage.py", "tests/tasks/test_reach.py"),
    ),
    Planted(
        "delays are drawn by chance",
        "agent/outage.py",
        "    return random() * min(",
        "    return min(",
        ("tests/unit/test_outage.py",),
    ),
    Planted(
        "Retry-After is obeyed",
        "agent/outage.py",
        "        if retry_after is None:\n            return own",
        "        if True:\n            return own",
        ("tests/unit/test_outage.py",),
    ),
    Planted(
        "a probe that is cancelled lets another try",
        "agent/reach.py",
        "                self.outage.abandon(probe=attempt.probe)\n",
        "",
        ("tests/tasks/test_reach.py",),
    ),
    Planted(
        "a rotated token is used",
        "agent/filewatch.py",
        "bool(now) and now != self._seen, now",
        "bool(now) and self._seen is None, now",
        ("tests/unit/test_token.py",),
    ),
    Planted(
        "after a 401 the token's file is read whatever its date says",
        "agent/filewatch.py",
        "        self._seen = None\n",
        "        pass\n",
        ("tests/unit/test_token.py",),
    ),
    Planted(
        "a redirect is no answer of the API's",
        "agent/link/answer.py",
        "    if 300 <= answer.status < 400:",
        "    if False:",
        ("tests/tasks/test_poll_link.py",),
    ),
    Planted(
        "an answer is read up to a bound",
        "agent/link/http.py",
        "                    if len(body) > MAX_BODY_BYTES:\n",
        "                    if False:\n",
        ("tests/chaos/test_faults.py", "-k", "huge"),
    ),
    Planted(
        "a result that trickles is given up",
        "agent/link/http.py",
        "    with trio.fail_after(seconds) as scope:",
        "    with trio.fail_after(seconds * 1e6) as scope:",
        ("tests/tasks/test_poll_link.py", "-k", "trickles"),
    ),
    # The stream.
    Planted(
        "a stream that falls silent is left",
        "agent/link/stream.py",
        "            with trio.move_on_after(SILENCE_SECONDS)",
        "            with trio.move_on_after(1e9)",
        (STREAM, "-k", "silence"),
    ),
    Planted(
        "a stream that ends is opened again at once",
        "agent/link/stream.py",
        "            self._check_brief(listening, ended)\n",
        "            raise\n",
        (STREAM, "-k", "made_again_at_once"),
    ),
    Planted(
        "an agent listens once",
        "agent/link/stream.py",
        "        except LinkDown as ended:\n            await self._close()\n",
        "        except LinkDown as ended:\n",
        (STREAM, "-k", "silence"),
    ),
    Planted(
        "streams that end as they begin aren't opened without a pause",
        "agent/link/stream.py",
        "        if listening.unwanted or self._now() - listening.since >= STEADY_SECONDS:",
        "        if True:",
        (STREAM, "-k", "ever_more_slowly"),
    ),
    Planted(
        "a 401 for a result ends the stream",
        "agent/link/stream.py",
        "            self._doubt(token)\n",
        "",
        (STREAM, "-k", "401"),
    ),
    Planted(
        "a 401 for a heartbeat ends the stream",
        "agent/link/capabilities.py",
        "            self.refused(token)\n",
        "",
        (STREAM, "-k", "401"),
    ),
    Planted(
        "a rotated token opens another stream",
        "agent/link/stream.py",
        "        if self._http.token.current() != listening.token:",
        "        if False:",
        (STREAM, "-k", "rotat"),
    ),
    Planted(
        "a result that comes too late is set aside",
        "agent/link/stream.py",
        "REFUSING = frozenset({400, 403,",
        "REFUSING = frozenset({400,",
        ("tests/whole/test_stream_link.py", "-k", "expired"),
    ),
    Planted(
        "results flow while there is no stream",
        "agent/run.py",
        "        receiving = reach if link.holds else self._stream_reach(reach)\n",
        "        receiving = reach\n",
        ("tests/whole/test_stream_agent.py", "-k", "alone_is_down"),
    ),
    Planted(
        "what is pushed beyond the room is answered",
        "agent/poller.py",
        "        if beyond:",
        "        if False:",
        ("tests/tasks/test_poller.py",),
    ),
    Planted(
        "a command ends while the API still waits for it",
        "agent/link/stream.py",
        "        return replace(command, timeout=command.timeout - ANSWER_SECONDS)",
        "        return command",
        (STREAM, "-k", "still_waits"),
    ),
    Planted(
        "forgotten capabilities are told again",
        "agent/link/capabilities.py",
        'answer != "not_found"',
        "answer != 404",
        (STREAM, "-k", "forgotten"),
    ),
    Planted(
        "an event of any size takes no memory",
        "agent/link/sse.py",
        "        if len(self._line) > MAX_EVENT_BYTES:",
        "        if False:",
        ("tests/unit/test_sse.py",),
    ),
    Planted(
        "a line end that comes in two is one",
        "agent/link/sse.py",
        '        if self._after_cr and chunk.startswith(b"\\n"):',
        "        if False:",
        ("tests/unit/test_sse.py",),
    ),
    Planted(
        "a stream that something has compressed isn't read",
        "agent/link/http.py",
        ' and coding == "identity":',
        ":",
        (STREAM, "-k", "no_stream"),
    ),
    # The child, and a stop.
    Planted(
        "a time limit ends the whole family",
        "agent/kubectl/child.py",
        "            os.killpg(self.pid, number)",
        "            os.kill(self.pid, number)",
        ("tests/whole/kubectl/test_kubectl_runs.py",),
    ),
    Planted(
        "a command that is stopped is answered with what it had printed",
        "agent/executor.py",
        "            await self._finish(command, result, output)\n            raise",
        "            raise",
        ("tests/tasks/test_executor.py",),
    ),
    Planted(
        "what was never started is answered in a stop",
        "agent/run.py",
        "        await self._answer_unstarted()\n",
        "",
        ("tests/tasks/test_run.py",),
    ),
    Planted(
        "a task that fails doesn't wait for one on a full disk",
        "agent/run.py",
        "                await self._end(polling, executing, uploading)\n",
        "",
        ("tests/tasks/test_run.py",),
    ),
    Planted(
        "what is left undelivered is named",
        "agent/run.py",
        "        await self._tell_what_is_left()\n",
        "",
        ("tests/tasks/test_run.py",),
    ),
    Planted(
        "a kubectl that can't be started is a result",
        "agent/executor.py",
        "            except KubectlError as error:",
        "            except ZeroDivisionError as error:",
        ("tests/tasks/test_executor.py",),
    ),
    Planted(
        "a stepped clock decides nothing",
        "agent/spool/clock.py",
        "        if self.boot and stamp.boot == self.boot:",
        "        if False:",
        (f"{SPOOL}/test_spool_restart.py", f"{SPOOL}/test_spool_upkeep.py"),
    ),
    Planted(
        "the guard's refusal starts nothing",
        "agent/executor.py",
        "            return Result(Outcome.REFUSED, error=refusal.sentence, rule=refusal.rule)",
        "            plan = GuardPlan('get', tuple(claim.command.args))",
        ("tests/tasks/test_executor.py",),
    ),
    Planted(
        "nobody waits for whoever reads the log",
        "agent/log.py",
        "while self._waiting and self._reader.poll(0):",
        "while self._waiting:",
        ("tests/whole/test_unread_log.py",),
    ),
    Planted(
        "the token is in no line of the log",
        "agent/config.py",
        "secret=True)] = field(repr=False)",
        "secret=True)] = field()",
        ("tests/unit/test_config.py",),
    ),
)
