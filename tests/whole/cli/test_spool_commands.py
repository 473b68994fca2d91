"""`status` and `spool` on the files of live, stopped and dead agents, on copies, and for users who may only read."""

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import trio

from agent.cli import main
from agent.errors import size
from agent.model import Command
from agent.spool import open_spool
from agent.spool.reader import open_reader
from demo.api import reference_api
from tests.kit.agent import AGENT, agent_process, ask
from tests.whole.cli.spools import ACCEPTED, DELIVERED, LIMITS, PODS, REJECTED, RUNNING, WAITING, fill


@pytest.fixture
def spool(tmp_path, monkeypatch):
    path = tmp_path / "spool" / "spool.db"
    path.parent.mkdir()
    trio.run(fill, path)
    monkeypatch.setenv("KUBENTLY_SPOOL_PATH", str(path))
    monkeypatch.setenv("COLUMNS", "100")
    return path


@pytest.fixture
def cli(capsysbinary):
    def call(*argv):
        code = main(argv)
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


def test_status_says_what_waits_since_when_and_why(spool, cli):
    code, out, err = cli("status")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"Spool      {spool}, ")
    assert lines[0].endswith(" of 32 MiB")
    assert lines[1].startswith("Agent      not running here; one opened this spool ")
    assert lines[2].startswith("To run     1 waiting, 1 running; the last command came ")
    assert lines[3].startswith("To send    1 result, 6 B of output, the oldest waits for ")
    assert lines[4] == "           last trouble: connection refused"
    assert lines[5].startswith("Rejected   1, refused by the API")
    assert lines[6].startswith("Delivered  1 remembered, the last ")
    assert any("top node" in line and "accepted" in line for line in lines[7:])
    assert any("logs web-0" in line and "404" in line for line in lines[7:])
    assert max(map(len, lines[1:])) <= 100


def test_status_says_first_that_nothing_is_taken(spool, cli):
    because = "a reader holds the write-ahead log since 10:00: end it"
    with closing(sqlite3.connect(spool)) as db, db:
        db.execute("insert or replace into meta (key, value) values ('full_because', ?)", (because,))
    lines = cli("status")[1].splitlines()
    assert lines[0] == f"FULL       no commands are taken: {because}"
    assert lines[1].startswith("Spool      ")
    assert next(iter(json.loads(cli("status", "--json")[1]).items())) == ("full_because", because)


def test_status_measures_the_spool_as_the_probes_do(spool, cli):
    """Both count all files; the ballast too, which is most of a young spool."""
    used = sum(file.stat().st_size for file in spool.parent.glob("spool.db*") if file.suffix != ".lock")
    assert f", {size(used)} of 32 MiB" in cli("status")[1]


def test_status_for_programs(spool, cli):
    _, out, _ = cli("status", "--json")
    found = json.loads(out)
    assert found["agent_running"] is False
    assert found["waiting_to_be_sent"] == 1
    assert [row["command_id"] for row in found["unfinished"]] == [ACCEPTED, RUNNING]
    assert [row["command_id"] for row in found["stuck"]] == [REJECTED]


def test_a_copy_can_be_named(spool, cli, tmp_path, monkeypatch):
    copy = tmp_path / "mailed.db"
    assert cli("spool", "export", str(copy))[0] == 0
    monkeypatch.delenv("KUBENTLY_SPOOL_PATH")
    assert f"Spool      {copy}, " in cli("status", str(copy))[1]
    assert WAITING in cli("spool", "list", "--view", "backlog", "--json", "--spool", str(copy))[1]


@pytest.mark.parametrize(
    ("view", "ids"),
    [
        ("recent", [ACCEPTED, RUNNING, WAITING, REJECTED, DELIVERED]),
        ("backlog", [WAITING]),
        ("stuck", [REJECTED]),
    ],
)
def test_lists(view, ids, spool, cli):
    code, out, _ = cli("spool", "list", "--view", view, "--json")
    assert (code, [row["command_id"] for row in json.loads(out)]) == (0, ids)
    _, out, _ = cli("spool", "list", "--view", view)
    header, *lines = out.splitlines()
    assert "COMMAND" in header
    assert len(lines) == len(ids)
    assert all(command_id[:8] in line for command_id, line in zip(ids, lines, strict=True))


def test_a_list_has_as_many_rows_as_wanted(spool, cli):
    assert len(cli("spool", "list", "--limit", "2")[1].splitlines()) == 3


def test_an_empty_list_says_so(tmp_path, cli):
    async def make():
        async with open_spool(tmp_path / "empty.db", LIMITS):
            pass

    trio.run(make)
    assert cli("spool", "list", "--spool", str(tmp_path / "empty.db")) == (0, "", "Nothing in the list recent.\n")


def test_show_one_command_by_the_beginning_of_its_id(spool, cli):
    code, out, _ = cli("spool", "show", DELIVERED[:3])
    assert code == 0
    lines = dict(line.split(maxsplit=1) for line in out.partition("\n\n")[0].splitlines())
    assert lines["command_id"] == DELIVERED
    assert lines["args"] == '["get", "pods", "-n", "a b"]'
    assert (lines["correlation_id"], lines["session_id"]) == ("trace-7", "session-9")
    assert lines["state"] == "delivered: the API has its result"
    assert (lines["outcome"], lines["exit_code"], lines["execution_time_ms"]) == ("succeeded", "0", "52")
    assert (lines["attempts"], lines["last_http_status"]) == ("1", "200")
    assert lines["settled_at"].endswith(" s ago)")
    assert "rule" not in lines
    assert out.endswith(f"\n── stdout\n{PODS}\n── stderr\nWarning: \x1b[31mred\x1b[0m\n")


def test_show_a_search_in_logs(tmp_path, cli):
    request = {"namespace": "shop", "selector": "app=web", "query": "ERROR"}
    path = str(tmp_path / "search.db")

    async def make():
        async with open_spool(tmp_path / "search.db", LIMITS) as spool:
            await spool.accept([Command("s", (), tool="log_search", request=request)])

    trio.run(make)
    assert (
        cli("spool", "show", "s", "--spool", path)[1]
        .partition("\n")[2]
        .startswith(f"command            log_search {json.dumps(request)}\n")
    )
    assert json.loads(cli("spool", "show", "s", "--spool", path, "--json")[1])["request"] == request
    assert "log_search" in cli("spool", "list", "--spool", path)[1]


def test_show_what_was_given_up_for_room(spool, cli):
    with closing(sqlite3.connect(spool)) as db, db:
        db.execute("update commands set args = null, request = null where command_id = ?", [DELIVERED])
    assert cli("spool", "show", DELIVERED)[1].splitlines()[1] == "command            get pods -n a b"
    assert json.loads(cli("spool", "show", DELIVERED, "--json")[1])["args"] is None


def test_show_for_programs(spool, cli):
    found = json.loads(cli("spool", "show", REJECTED, "--json")[1])
    assert found["args"] == ["logs", "web-0"]
    assert (found["state"], found["last_http_status"]) == ("rejected", 404)
    assert (found["stdout"], found["stderr"]) == ("first line\nlast line without its end", "")


@pytest.mark.parametrize("command_id", [RUNNING, ACCEPTED, WAITING])
def test_show_what_has_no_end_yet(command_id, spool, cli):
    code, out, _ = cli("spool", "show", command_id)
    assert code == 0
    assert f"command_id         {command_id}" in out


def test_an_unknown_id_and_one_that_is_several(spool, cli):
    code, out, err = cli("spool", "show", "nothing-like-it")
    assert (code, out) == (1, "")
    assert "nothing-like-it isn't in the spool" in err

    async def more():
        async with open_spool(spool, LIMITS) as opened:
            await opened.accept([Command(f"same-{n}", ("version",)) for n in range(2)])

    trio.run(more)
    assert cli("spool", "show", "same-")[2] == (
        "kubently-agent: Several ids begin with same-: same-0, same-1. Type more of the one you mean.\n"
    )
    assert cli("spool", "show", "same-1")[0] == 0


async def test_retry_lets_the_next_agent_send_a_rejected_result_again(spool, cli):
    assert cli("spool", "retry", REJECTED[:4]) == (
        0,
        "Noted. It is sent when an agent is started with this spool.\n",
        "",
    )
    async with open_spool(spool, LIMITS) as opened:
        waiting = opened.pending
        await opened.sweep()
        assert opened.pending == waiting + 1
    with open_reader(spool) as reader:
        assert reader.show(REJECTED)["state"] == "spooled"
    code, _, err = cli("spool", "retry", "--all")
    assert (code, "no rejected result" in err) == (1, True)


def test_retry_says_why_there_is_nothing_to_retry(spool, cli):
    code, _, err = cli("spool", "retry", DELIVERED)
    assert code == 1
    assert err.startswith(f"kubently-agent: There is no rejected result of command {DELIVERED} in {spool}")


async def test_retry_beside_a_running_agent_asks_it(spool, cli):
    async with open_spool(spool, LIMITS) as opened:
        code, out, _ = cli("spool", "retry", "--all")
        assert (code, out.startswith("The running agent has been told.")) == (0, True)
        waiting = opened.pending
        await opened.sweep()
        assert opened.pending == waiting + 1


def test_export_is_whole_private_and_never_overwrites(spool, cli, tmp_path):
    to = tmp_path / "out.db"
    code, out, err = cli("spool", "export", str(to))
    assert (code, out) == (0, "")
    assert f"sqlite3 -readonly {to}" in err
    assert to.stat().st_mode & 0o077 == 0
    assert {p.name for p in tmp_path.iterdir()} == {"spool", "out.db"}
    with closing(sqlite3.connect(to)) as db:
        assert db.execute("select count(*) from pieces").fetchone() == (4,)
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    code, _, err = cli("spool", "export", str(to))
    assert (code, "exists already" in err) == (1, True)


def test_export_to_standard_output(spool, tmp_path):
    done = subprocess.run([*AGENT, "spool", "export", "-"], capture_output=True, check=True)
    (tmp_path / "piped.db").write_bytes(done.stdout)
    with open_reader(tmp_path / "piped.db") as reader:
        assert reader.rows("status", 1)[0]["rejected"] == 1


@pytest.mark.parametrize("command", ["status", "spool list", "spool show x", "spool retry --all"])
def test_no_spool_there(command, cli, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBENTLY_SPOOL_PATH", str(tmp_path / "none.db"))
    code, out, err = cli(*command.split())
    assert (code, out) == (1, "")
    assert err.startswith(f"kubently-agent: There is no spool at {tmp_path / 'none.db'}")
    assert err.endswith("set KUBENTLY_SPOOL_PATH.\n")
    assert list(tmp_path.iterdir()) == []


def test_something_else_than_a_spool(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("hello\n" * 1000)
    code, _, err = cli("status", str(tmp_path / "notes.txt"))
    assert code == 1
    assert err.startswith("kubently-agent: ")
    assert "Traceback" not in err


AS_ANOTHER_USER = """
import os, sys
from agent.cli import main
from agent.errors import size
import agent.cli.spool, agent.cli.status  # before: that user may not read the checkout
os.chdir("/")
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_for_a_user_who_may_only_read():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trio.run(fill, folder / "spool.db")
        folder.chmod(0o755)
        (folder / "spool.db").chmod(0o644)
        before = sorted(p.name for p in folder.iterdir())
        for command in ("status", "spool list", f"spool show {REJECTED}"):
            done = subprocess.run(
                [sys.executable, "-c", AS_ANOTHER_USER, *command.split()],
                env={**os.environ, "KUBENTLY_SPOOL_PATH": str(folder / "spool.db")},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout
        assert sorted(p.name for p in folder.iterdir()) == before


@pytest.mark.parametrize("link", ["poll", "stream"])
async def test_a_live_agents_spool_and_then_its_remains(tmp_path, cli, link):
    async with reference_api(links=[link]) as api, agent_process(api, tmp_path) as agent:
        command_id = await ask(api, "sleep-30", timeout=60)
        with trio.fail_after(60):
            await agent.until("command accepted")
            out = ""
            while "To run     0 waiting, 1 running" not in out:
                await trio.sleep(0.02)
                _, out, _ = cli("status", str(agent.spool))
        assert "Agent      running for " in out
        assert "get pods sleep-30" in out
        await agent.kill()
        _, out, _ = cli("status", str(agent.spool))
        assert "Agent      not running here" in out
        assert "get pods sleep-30" in out
        shutil.copytree(agent.folder, tmp_path / "copied", ignore=lambda *_: ["copied"])
        _, out, _ = cli("spool", "show", command_id[:8], "--spool", str(tmp_path / "copied" / "spool.db"))
        assert "state              running: runs, or did when the agent ended" in out


def test_a_reader_that_has_had_enough_is_no_error(spool):
    done = typed(f"spool show {DELIVERED} | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_output_that_takes_nothing_is_named(spool):
    done = typed(f"spool show {DELIVERED} > /dev/full")
    assert (done.returncode, done.stderr) == (
        1,
        "kubently-agent: Standard output can't be written: No space left on device.\n",
    )


def typed(command: str) -> subprocess.CompletedProcess[str]:
    """The agent's command in a shell, with the buffered output that people have and some test runners haven't."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    line = ["/bin/bash", "-o", "pipefail", "-c", f"{shlex.join(AGENT)} {command}"]
    return subprocess.run(line, env=environ, capture_output=True, text=True, check=False)


def test_help_names_every_action(capsys):
    with pytest.raises(SystemExit):
        main(["spool", "--help"])
    out = capsys.readouterr().out
    assert all(word in out for word in ("list", "show", "retry", "export"))
