"""A search as the executor runs it: several kubectl lines, one command, one result."""

from dataclasses import replace
from typing import Any

import pytest
import trio

from agent.errors import KubectlError
from agent.executor import Executor
from agent.guard import DEFAULT_POLICY, parse_policy
from agent.metrics import Metrics
from agent.model import Command, Outcome, Result
from agent.redact import named
from tests.tasks.fakes import DONE

REQUEST = {"namespace": "shop", "selector": "app=web", "query": "ERROR"}


class Cluster:
    """A kubectl whose logs the test has written."""

    def __init__(self):
        self.pods = "web-0 init app sidecar \nweb-1  app \n"
        self.logs = {}
        self.lines = []
        self.most_at_once = self.at_once = 0
        self.listing = None
        """Does what listing the pods does, where that isn't to print them."""

    async def run(self, argv, *, timeout, max_bytes, sink, grace=2.0):
        self.lines.append((tuple(argv), timeout))
        if argv[0] == "get" and self.listing is not None:
            return await self.listing(sink, timeout)
        if argv[0] == "get":
            await sink("stdout", self.pods)
            return DONE
        container = next(a for a in argv if a.startswith("--container=")).removeprefix("--container=")
        planned = self.logs.get(f"{argv[-1]}/{container}", "nothing\n")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await trio.sleep(1)
        self.at_once -= 1
        if isinstance(planned, BaseException):
            raise planned
        if callable(planned):
            return await planned(sink, timeout)
        await sink("stdout", planned)
        return DONE


class Searching:
    def __init__(self, spool):
        self.spool = spool
        self.cluster = Cluster()
        self.policy = DEFAULT_POLICY
        self.metrics = Metrics()
        neighbours: Any = (spool, self.cluster, self, self.metrics)
        self.executor = Executor(*neighbours, count=2, timeout_max=60)
        self.slots = self.executor.slots

    def current(self):
        return self.policy

    async def search(self, timeout=20.0, **changes):
        request = {**REQUEST, **changes}
        await self.spool.accept([Command("s", (), timeout, tool="log_search", request=request)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.executor.run)
            await self.spool.finished.wait()
            nursery.cancel_scope.cancel()
        delivery = await self.spool.take()
        self.stderr = b"".join([text async for text in delivery.pieces("stderr")]).decode()
        return delivery.result, b"".join([text async for text in delivery.pieces("stdout")]).decode()


@pytest.fixture
def searching(small_spool):
    return Searching(small_spool)


async def test_one_question_over_all_containers(searching, virtual_clock):
    searching.cluster.logs = {"web-0/app": "a\nERROR b\nc\n", "web-1/app": "error: d\n"}
    result, text = await searching.search()
    assert (result.outcome, result.exit_code, result.error) == (Outcome.SUCCEEDED, 0, None)
    assert text.startswith("4 of 4 containers searched")
    assert "== web-0/app: 1 of 3 lines ===" in text
    assert "     2> ERROR b" in text
    assert "     1> error: d" in text
    assert "No match in web-0/init, web-0/sidecar." in text
    assert searching.cluster.most_at_once == 2
    assert result.output_bytes == len(text.encode())


async def test_one_container_before_its_restart(searching, virtual_clock):
    await searching.search(container="app", previous=True, selector="", pod_name="web-0", tail_lines=7)
    lines = [argv for argv, _ in searching.cluster.lines]
    assert "--field-selector=metadata.name=web-0" in lines[0]
    assert all("--previous=true" in argv and "--tail=7" in argv for argv in lines[1:])
    assert all("--container=app" in argv for argv in lines[1:])


async def test_a_credential_in_a_log_doesnt_leave(searching, virtual_clock):
    searching.cluster.logs = {"web-0/app": "ERROR login with password=hunter2-And-more failed\n"}
    result, text = await searching.search()
    assert "hunter2" not in text
    assert "password=<redacted>" in text
    assert result.redactions == 1
    assert 'kubently_redactions_total{kind="named"} 1' in searching.metrics.render()


async def test_what_only_the_lines_around_it_show_to_be_a_credential_isnt_found(searching, virtual_clock):
    key = "ZXhhbXBsZSBvbmx5IG5vIGtleSBhdCBhbGwgYnV0IGxvbmcgZW5vdWdoIHRvIGxvb2sgbGlrZSBv"
    pem = f"-----BEGIN PRIVATE KEY-----\n{key}\n{key[::-1]}\n-----END PRIVATE KEY-----\n"
    searching.cluster.logs = {"web-0/app": f"started\n{pem}ready\n"}
    _, text = await searching.search(query="ZXhhbXBsZSBvbmx5")
    assert "0 lines match" in text


async def test_no_pods_is_a_success_that_says_so(searching, virtual_clock):
    searching.cluster.pods = ""
    result, text = await searching.search()
    assert result.success
    assert text.startswith("No containers found")


async def test_a_pod_that_goes_away_meanwhile_is_told(searching, virtual_clock):
    async def gone(sink, timeout):
        await sink("stderr", 'Error from server (NotFound): pods "web-1" not found\n')
        return Result(Outcome.FAILED, 1)

    searching.cluster.logs = {"web-0/app": "ERROR\n", "web-1/app": gone}
    result, text = await searching.search()
    assert result.success
    assert text.startswith("3 of 4 containers searched")
    assert '  web-1/app: Error from server (NotFound): pods "web-1" not found\n' in text


async def test_a_log_that_cant_be_read_says_why_and_not_more(searching, virtual_clock):
    def fails(*words):
        async def failing(sink, timeout):
            for said in words:
                await sink("stderr", said)
            return Result(Outcome.FAILED, 1)

        return failing

    searching.cluster.logs = {
        "web-0/init": fails('previous terminated container "init" in pod "web-0" not found'),
        "web-0/app": fails("e" * 250, "e" * 250, "e" * 250),
        "web-1/app": fails(),
    }
    _, text = await searching.search()
    assert "  web-0/init: it hasn't restarted\n" in text
    assert f"  web-0/app: {'e' * 300}\n" in text
    assert "  web-1/app: kubectl ended with exit code 1\n" in text


async def test_a_kubectl_that_cant_be_started_for_one_is_told(searching, virtual_clock):
    searching.cluster.logs = {"web-1/app": KubectlError("no more processes")}
    result, text = await searching.search()
    assert result.success
    assert "  web-1/app: no more processes\n" in text


async def test_what_isnt_done_in_time_is_told(searching, virtual_clock):
    async def slow(sink, timeout):
        await sink("stdout", "ERROR early\nERROR ghp_0aB1cD2")
        await trio.sleep(timeout)
        return Result(Outcome.TIMED_OUT, 143)

    searching.cluster.logs = dict.fromkeys(["web-0/init", "web-0/app", "web-0/sidecar", "web-1/app"], slow)
    result, text = await searching.search(timeout=8.0)
    assert result.success
    assert "ERROR early" in text
    assert text.startswith("0 of 4 containers searched")
    assert text.count("ERROR early") == 2
    assert "ghp_" not in text
    assert text.count(": the time was up before all of it was read\n") == 4
    assert "the search ended after 8 s" in text
    assert all(limit <= 8 for _, limit in searching.cluster.lines)


async def test_no_search_takes_longer_than_50_s(searching, virtual_clock):
    async def slow(sink, timeout):
        await trio.sleep(timeout)
        return Result(Outcome.TIMED_OUT, 143)

    searching.cluster.logs = {"web-0/app": slow}
    _, text = await searching.search(timeout=60.0)
    assert "the search ended after 50 s" in text
    assert max(limit for _, limit in searching.cluster.lines) < 50


async def test_a_log_that_is_too_large_is_told(searching, virtual_clock):
    async def endless(sink, timeout):
        await sink("stdout", "ERROR early\n")
        return replace(DONE, truncated=True)

    searching.cluster.logs = {"web-1/app": endless}
    result, text = await searching.search()
    assert result.success
    assert "ERROR early" in text
    assert "  web-1/app: only its first 64 MiB were read; lower tail_lines\n" in text


async def test_what_cant_be_redacted_is_left_out_and_told(searching, virtual_clock, monkeypatch):
    unharmed = named.promise

    def promise(name):
        assert name != "odd_key", "as a rule with a mistake would fail"
        return unharmed(name)

    monkeypatch.setattr("agent.redact.named.promise", promise)
    searching.cluster.logs = {"web-1/app": "one\nERROR odd_key=hunter2 password=x\nlast\n", "web-0/app": "ERROR here\n"}
    result, text = await searching.search(container="app")
    assert result.success
    assert "hunter2" not in text
    assert "ERROR here" in text
    assert "couldn't be looked through for credentials" in text


async def test_other_commands_dont_wait_for_the_whole_search(searching, virtual_clock):
    searching.cluster.pods = "".join(f"web-{n}  app \n" for n in range(20))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(searching.search)
        await trio.sleep(2.5)
        async with searching.slots:
            assert len(searching.cluster.lines) <= 1 + 2 * 3
        assert searching.slots.statistics().tasks_waiting <= 2


@pytest.mark.parametrize(
    ("policy", "outcome", "says"),
    [('verbs = ["get"]', Outcome.REFUSED, "logs"), ('namespaces = ["prod"]', Outcome.REFUSED, "shop")],
)
async def test_the_policy_decides_each_line(searching, virtual_clock, policy, outcome, says):
    searching.policy = parse_policy(policy)
    result, text = await searching.search()
    assert (result.outcome, text) == (outcome, "")
    assert says in result.error
    assert not any(argv[0] == "logs" for argv, _ in searching.cluster.lines)


async def test_a_request_that_makes_no_sense_is_refused(searching, virtual_clock):
    result, _ = await searching.search(query="(", use_regex=True)
    assert (result.outcome, result.rule) == (Outcome.REFUSED, "shape")
    assert "no look-around" in result.error


async def test_a_cluster_that_doesnt_list_pods_fails_the_search(searching, virtual_clock):
    async def forbidden(sink, timeout):
        await sink("stderr", "Error from server (Forbidden): ask password=hunter2-And-more\n")
        return Result(Outcome.FAILED, 1)

    searching.cluster.listing = forbidden
    result, text = await searching.search()
    assert (result.outcome, result.exit_code, text) == (Outcome.FAILED, 1, "")
    assert result.error == "The pods couldn't be listed."
    assert searching.stderr == "Error from server (Forbidden): ask password=<redacted>"
