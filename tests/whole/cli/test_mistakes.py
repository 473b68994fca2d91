"""What a new user gets wrong, on purpose: the same sentence and remedy from `run` and from `check`, no traceback.

Each mistake is made with the real program as a process, and `check` is asked in this one. Where the agent can go on (an
API that refuses it, a kubectl that crashes), it says so in its log and goes on; else it ends with 2 for the
configuration and with 1 for the rest.
"""

import contextlib
import os
import re
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio

from agent.check import Finding, Mark
from agent.cli.check import check_everything
from agent.spool.schema import SET
from demo.api import BOTH, reference_api
from demo.record import LinkName
from tests.chaos.disk import SmallDisk, why_not_mounted
from tests.kit.agent import AGENT
from tests.whole.check.tls_servers import Authority, plain_server, tls_server
from tests.whole.cli import stand_in

GOES_ON = None


@dataclass(frozen=True)
class Mistake:
    """`{folder}` in any text is the test's own folder, `{port}` a port that is taken."""

    name: str
    run: int | None
    """The exit code; GOES_ON if the agent keeps running."""
    says: str
    """Regular expression: what `run` prints. It names the thing, what is wrong, and what to do."""
    check: str = "settings"
    """The check that fails."""
    finds: str = ""
    """Regular expression: what `check` says, if that isn't what `run` says."""
    environ: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], object] = lambda _: None
    mount: str = ""
    """Options of a file system in memory, which is mounted at {folder}/mount."""


def a_later_spool(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "spool.db")) as db:
        db.execute("create table _sqlite_migrations (migration_set text, name text, applied_at text)")
        db.executemany("insert into _sqlite_migrations values (?, ?, '2030-01-01')", [(SET, "shards")])
        db.commit()


def another_database(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        db.execute("create table photos (name text)")


def another_key(folder: Path) -> None:
    one, two = (Authority(f"Root {n}").issue(folder / f"{n}.pem", "agent").read_text() for n in "12")
    (folder / "cert.pem").write_text(one)
    (folder / "key.pem").write_text(two)


MISTAKES = [
    Mistake(
        "bad URL",
        environ={"KUBENTLY_API_URL": "api.example.com"},
        run=2,
        says=r"KUBENTLY_API_URL: 'api.example.com' has no http:// or https:// in front\. For example: https://",
    ),
    Mistake(
        "http without permission",
        environ={"KUBENTLY_API_URL": "http://api.example.com"},
        run=2,
        says=r"KUBENTLY_API_URL: .* would send the token in clear text\. Use https://, or set KUBENTLY_ALLOW_HTTP=true",
    ),
    Mistake(
        "wrong token",
        environ={"KUBENTLY_TOKEN": "an-old-one"},
        run=GOES_ON,
        says=r"HTTP 401.* doesn't know this token for this cluster\..* is CLUSTER_ID the name that it was made for",
        check="answer",
    ),
    Mistake(
        "no token file",
        environ={"KUBENTLY_TOKEN": "", "KUBENTLY_TOKEN_FILE": "{folder}/token"},
        run=2,
        says=r"KUBENTLY_TOKEN_FILE: '.*/token' can't be read: No such file or directory\. Name a file that user",
    ),
    Mistake(
        "token file that can't be read",
        environ={"KUBENTLY_TOKEN": "", "KUBENTLY_TOKEN_FILE": "{folder}"},
        run=2,
        says=r"KUBENTLY_TOKEN_FILE: '.*' can't be read: Is a directory\. Name a file that user",
    ),
    Mistake(
        "empty token file",
        environ={"KUBENTLY_TOKEN": "", "KUBENTLY_TOKEN_FILE": "{folder}/token"},
        prepare=lambda folder: (folder / "token").touch(),
        run=2,
        says=r"KUBENTLY_TOKEN_FILE: '.*/token' is empty\. It must hold this cluster's token\.",
    ),
    Mistake(
        "address in quotes",
        environ={"KUBENTLY_API_URL": "'https://api.example.com'"},
        run=2,
        says=r"KUBENTLY_API_URL is in quotes, and they would be part of it\. Leave them away\.",
    ),
    Mistake(
        "proxy of a kind that can't be used",
        environ={"KUBENTLY_API_URL": "https://api.example.com", "ALL_PROXY": "socks5://me:pa55@127.0.0.1:1"},
        run=2,
        says=r"ALL_PROXY: a proxy of the kind socks5:// can't be used, .* For example: http://",
    ),
    Mistake(
        "a key for a CA",
        environ={"KUBENTLY_API_URL": "https://127.0.0.1:1", "KUBENTLY_CA_CERT": "{folder}/key.pem"},
        prepare=lambda folder: (folder / "key.pem").write_text("-----BEGIN PRIVATE KEY-----"),
        run=2,
        says=r"KUBENTLY_CA_CERT: '.*/key.pem' can't be used as a CA \(.*\)\. It must hold whole certificates as PEM",
    ),
    Mistake(
        "a key of another certificate",
        environ={
            "KUBENTLY_API_URL": "https://127.0.0.1:1",
            "KUBENTLY_CLIENT_CERT": "{folder}/cert.pem",
            "KUBENTLY_CLIENT_KEY": "{folder}/key.pem",
        },
        prepare=another_key,
        run=2,
        says=r"KUBENTLY_CLIENT_CERT: '.*' and its key '.*' can't be used \(the key is another certificate's\)\. They",
    ),
    Mistake(
        "a policy that is no TOML",
        environ={"KUBENTLY_POLICY_FILE": "{folder}/policy.toml"},
        prepare=lambda folder: (folder / "policy.toml").write_text("verbs = ["),
        run=2,
        says=r"KUBENTLY_POLICY_FILE: .*/policy.toml: the policy file is not valid TOML: .*at end of document",
        check="policy",
    ),
    Mistake(
        "a folder for the spool's file",
        environ={"KUBENTLY_SPOOL_PATH": "{folder}/mount"},
        run=2,
        says=r"KUBENTLY_SPOOL_PATH: '.*/mount' is a folder\. Name the file itself",
    ),
    Mistake(
        "a device for the spool",
        environ={"KUBENTLY_SPOOL_PATH": "{folder}/pipe"},
        prepare=lambda folder: os.mkfifo(folder / "pipe"),
        run=1,
        says=r"/pipe is a device or a pipe, not a spool\. It wasn't touched\. Set KUBENTLY_SPOOL_PATH",
        check="file",
    ),
    Mistake(
        "another database for the spool",
        environ={"KUBENTLY_SPOOL_PATH": "{folder}/photos.db"},
        prepare=lambda folder: another_database(folder / "photos.db"),
        run=1,
        says=r"photos\.db is a database, but not a spool of this agent \(0\.1\.0 or later\)\. It wasn.t touched\.",
        check="file",
    ),
    Mistake(
        "address of the probes that isn't here",
        environ={"KUBENTLY_HEALTH_ADDRESS": "192.0.2.1:8080"},
        run=1,
        says=r"KUBENTLY_HEALTH_ADDRESS: 192\.0\.2\.1:8080 can't be opened: Cannot assign requested.*0 means",
        check="port",
    ),
    Mistake(
        "kubectl missing",
        environ={"KUBENTLY_KUBECTL": "{folder}/nowhere/kubectl"},
        run=1,
        says=r"There is no file .*/nowhere/kubectl that may be executed\. Correct KUBENTLY_KUBECTL",
        check="kubectl",
    ),
    Mistake(
        "kubectl not in PATH",
        environ={"KUBENTLY_KUBECTL": "kubectl", "PATH": "/nowhere"},
        run=1,
        says=r"No 'kubectl' in PATH\. Install kubectl, or name its file with KUBENTLY_KUBECTL",
        check="kubectl",
    ),
    Mistake(
        "kubectl crashes",
        prepare=lambda folder: stand_in.kubectl(folder / "bin" / "kubectl", version="kill -SEGV $$"),
        run=GOES_ON,
        says=r"kubectl isn't usable: .* ended with code 139",
        check="kubectl",
    ),
    Mistake(
        "kubectl crashes at once",
        prepare=lambda folder: (folder / "bin" / "kubectl").write_text("#!/bin/sh\nkill -SEGV $$\n"),
        run=1,
        says=r"kubectl isn't usable: .* ended with code 139\. Name a kubectl that works .* with KUBENTLY_KUBECTL",
        check="kubectl",
    ),
    Mistake(
        "no cluster",
        environ={"KUBENTLY_KUBECONFIG": ""},
        run=1,
        says=r"This isn't a pod .*\. Name a kubeconfig with KUBENTLY_KUBECONFIG",
        check="kubectl",
    ),
    Mistake(
        "no rights in the cluster",
        prepare=lambda folder: stand_in.kubectl(folder / "bin" / "kubectl", rights=stand_in.NOBODY),
        run=GOES_ON,  # the sender of each command reads in its result what is forbidden
        says=r"command finished .*outcome=failed exit_code=1",
        check="get and list pods",
        finds=r"may not get pods Bind the roles of kustomize/base",
    ),
    Mistake(
        "disk full",
        environ={"KUBENTLY_SPOOL_PATH": "{folder}/mount/spool.db"},
        mount="size=8m",
        prepare=lambda folder: SmallDisk(folder / "mount").fill(),
        run=1,
        says=r"The spool .*/spool\.db may have only 0 KiB .*[Mm]ake room on the disk",
        check="room",
    ),
    Mistake(
        "spool folder read-only",
        environ={"KUBENTLY_SPOOL_PATH": "{folder}/mount/spool.db"},
        mount="ro",
        run=2,
        says=r"KUBENTLY_SPOOL_PATH: the folder '.*/mount' can't be written .*Mount a writable volume there",
    ),
    Mistake(
        "spool of a later version",
        prepare=a_later_spool,
        run=1,
        says=r"The spool .* was written by a later version .*It wasn't touched\. Run that version again",
        check="file",
    ),
    Mistake(
        "port taken",
        environ={"KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:{port}"},
        run=1,
        says=r"KUBENTLY_HEALTH_ADDRESS: 127\.0\.0\.1:\d+ can't be opened: Address already in use.*no other program",
        check="port",
    ),
]


@pytest.fixture(name="link")
def _link() -> LinkName:
    return "poll"  # most mistakes have nothing to do with it


@pytest.fixture
async def environ(tmp_path: Path, link: LinkName) -> AsyncIterator[dict[str, str]]:
    (tmp_path / "mount").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "kubeconfig").touch()
    stand_in.kubectl(tmp_path / "bin" / "kubectl")
    async with plain_server(lambda stream: stream.aclose()) as taken, reference_api(links=[link]) as api:
        await api.ask(["get", "pods"])
        yield {
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
            "PATH": os.environ["PATH"],
            "KUBENTLY_API_URL": api.url,
            "CLUSTER_ID": api.cluster_id,
            "KUBENTLY_TOKEN": api.token,
            "KUBENTLY_LINK": link,
            "KUBENTLY_SPOOL_PATH": str(tmp_path / "spool.db"),
            "KUBENTLY_KUBECTL": str(tmp_path / "bin" / "kubectl"),
            "KUBENTLY_KUBECONFIG": str(tmp_path / "kubeconfig"),
            "KUBENTLY_HEALTH_ADDRESS": "127.0.0.1:0",
            "KUBENTLY_DRAIN_SECONDS": "2",
            "LOG_FORMAT": "text",
            "TAKEN": str(taken),
        }


class Process:
    """One `kubently-agent`, and what it has printed so far."""

    def __init__(self, command: Sequence[str], environ: dict[str, str], log: Path) -> None:
        self._command = command
        self._environ = environ
        self._log = log

    @property
    def printed(self) -> str:
        return self._log.read_text()

    async def run(self, says: str, *, goes_on: bool) -> int:
        """Until it ends; one that goes on is stopped once it has said what it should."""
        with self._log.open("wb") as log, trio.fail_after(60):
            process = await trio.lowlevel.open_process(
                self._command, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            try:
                while goes_on and process.poll() is None and not re.search(says, self.printed):
                    await trio.sleep(0.02)
                if goes_on:
                    process.terminate()
                return await process.wait()
            finally:
                if process.poll() is None:
                    process.kill()
                    with trio.CancelScope(shield=True):
                        await process.wait()


@pytest.mark.parametrize(
    ("link", "mistake"),
    [
        pytest.param(link, mistake, id=f"{link}: {mistake.name}")
        for mistake in MISTAKES
        for link in (BOTH if mistake.name == "wrong token" else ["poll"])
    ],
)
async def test_one_sentence_with_a_remedy(mistake: Mistake, environ: dict[str, str], tmp_path: Path) -> None:
    given = {k: v.format(folder=tmp_path, port=environ["TAKEN"]) for k, v in mistake.environ.items()}
    with mounted(tmp_path / "mount", mistake.mount) if mistake.mount else contextlib.nullcontext():
        mistake.prepare(tmp_path)
        await _both(mistake, {**environ, **given}, tmp_path)


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    if reason := why_not_mounted(folder, options):
        pytest.skip(reason)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def _both(mistake: Mistake, environ: dict[str, str], folder: Path) -> None:
    goes_on = mistake.run is GOES_ON
    running = Process(AGENT, environ, folder / "run.log")
    code = await running.run(mistake.says, goes_on=goes_on)
    assert re.search(mistake.says, running.printed), running.printed
    assert code == (0 if goes_on else mistake.run), running.printed
    assert "Traceback" not in running.printed
    if not goes_on:
        assert len([line for line in running.printed.splitlines() if " INFO " not in line]) == 1, "one sentence"

    found = await failures(environ)
    assert mistake.check in found
    assert re.search(mistake.finds or mistake.says, found[mistake.check]), found[mistake.check]


async def failures(environ: dict[str, str]) -> dict[str, str]:
    """What `check` says of each thing that isn't as it should be."""
    found: list[Finding] = []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        config = await check_everything(environ, found.append)
    assert (config is None) == any(each.mark is Mark.FAILED for each in found if each.area == "Configuration")
    return {each.check: f"{each.words} {each.hint}" for each in found if each.mark is Mark.FAILED}


@pytest.mark.parametrize(("link", "what"), [("poll", "API"), ("stream", "stream of commands")])
async def test_an_expired_ca(link: LinkName, what: str, environ: dict[str, str], tmp_path: Path) -> None:
    old = Authority("Old Root", begins=-400, ends=-35)
    (tmp_path / "ca.pem").write_bytes(old.pem)
    mistake = Mistake(
        "expired CA",
        run=GOES_ON,
        says=rf"{what} can't be reached.* certificate isn't trusted: certificate has expired.*`kubently-agent check`",
        check="TLS",
        finds=r"certificate has expired: it is localhost by Old Root, .*; trusted are KUBENTLY_CA_CERT .* its CA",
    )
    async with tls_server(old.issue(tmp_path / "server.pem", "localhost")) as port:
        more = {"KUBENTLY_API_URL": f"https://localhost:{port}", "KUBENTLY_CA_CERT": str(tmp_path / "ca.pem")}
        await _both(mistake, {**environ, **more}, tmp_path)


@pytest.mark.parametrize("link", BOTH)
async def test_without_a_mistake_all_is_well(link: LinkName, environ: dict[str, str], tmp_path: Path) -> None:
    checking = Process((*AGENT, "check"), environ, tmp_path / "check.log")
    assert await checking.run("", goes_on=False) == 0, checking.printed
    assert "×" not in checking.printed
    assert "19 passed.\n" in checking.printed
    environ["KUBENTLY_TOKEN"] = "an-old-one"
    assert await checking.run("", goes_on=False) == 1, checking.printed
