"""The child's environment, each seen from inside a real child."""

import dataclasses
import json
import os
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.errors import KubectlError
from agent.kubectl import Kubectl
from agent.kubectl.environment import data_limit
from tests.whole.kubectl.conftest import Kept, write_config, write_script

Inside = Callable[[str], Awaitable[Kubectl]]


@pytest.fixture
def inside(tmp_path: Path, config: Path) -> Inside:
    """A script in place of kubectl, prepared as the agent prepares the real one."""

    async def make(body: str) -> Kubectl:
        view = json.dumps({"clusters": [{"cluster": {"server": "http://x"}}], "current-context": "lab"})
        program = write_script(tmp_path / "kubectl", f"[ \"$2\" = config ] && echo '{view}' && exit\n{body}")
        return await Kubectl.prepare(kubectl=str(program), kubeconfig=config, home=tmp_path / "home")

    return make


async def seen(prepared: Awaitable[Kubectl], *argv: str) -> str:
    kubectl, sink = await prepared, Kept()
    ended = await kubectl.run(argv, timeout=20.0, max_bytes=1 << 20, sink=sink)
    assert (ended.exit_code, sink.stderr) == (0, "")
    return sink.stdout


async def test_the_environment_is_exactly_this(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBENTLY_TOKEN", "HTTPS_PROXY", "KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_MASTER"):
        monkeypatch.setenv(name, "of the agent's own")
    given = (await seen(inside("/bin/cat /proc/$$/environ"))).replace("\ufffd", "\n").splitlines()
    home = tmp_path / "home"
    assert sorted(given) == [
        "GOGC=400",
        f"GOMEMLIMIT={data_limit() // 2}",
        f"HOME={home}",
        f"KUBECACHEDIR={home}/cache",
        "KUBECTL_KUBERC=false",
        "KUBERC=off",
        f"PATH={home}/empty",
    ]


async def test_path_and_the_working_folder_are_empty(inside: Inside, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "empty"
    assert await seen(inside('/bin/pwd; /bin/ls -A . "$PATH"')) == f"{folder}\n.:\n\n{folder}:\n"
    assert folder.stat().st_mode & 0o777 == 0o500


async def test_kubeconfig_and_context_come_first(inside: Inside, config: Path) -> None:
    line = await seen(inside('for each in "$@"; do echo "$each"; done'), "get", "pods", "--", "x y")
    assert line.splitlines() == [f"--kubeconfig={config}", "--context=lab", "get", "pods", "--", "x y"]


async def test_stdin_is_empty(inside: Inside) -> None:
    assert await seen(inside("/bin/readlink /proc/$$/fd/0")) == "/dev/null\n"


async def test_no_descriptor_is_inherited(inside: Inside, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for descriptor in (ours.fileno(), theirs.fileno()):
            os.set_inheritable(descriptor, True)
        listed = await seen(inside("/bin/ls -l /proc/$$/fd"))
    held = [line.split(" -> ")[1].split(":")[0] for line in listed.splitlines() if " -> " in line]
    # The shell's own for its script, besides the three.
    assert sorted(held) == sorted(["/dev/null", "pipe", "pipe", str(tmp_path / "kubectl")])


async def test_a_session_and_a_group_of_its_own(inside: Inside) -> None:
    fields = (await seen(inside("read line < /proc/$$/stat; echo $line"))).rsplit(")", 1)[1].split()
    group, session = int(fields[2]), int(fields[3])
    assert group == session != os.getsid(0)


async def test_signals_are_as_at_the_start_of_any_program(inside: Inside) -> None:
    status = dict(line.split(":\t") for line in (await seen(inside("exec /bin/cat /proc/self/status"))).splitlines())
    assert int(status["SigBlk"], 16) == 0
    ordinary = (1 << 31) - 1  # real-time signals, from bit 31 on, are the environment's own
    pythons = {signal.SIGPIPE, signal.SIGXFSZ}
    inherited = {each for each in signal.valid_signals() if signal.getsignal(each) == signal.SIG_IGN} - pythons
    assert int(status["SigIgn"], 16) & ordinary == sum(1 << each - 1 for each in inherited) & ordinary


async def test_its_limits(inside: Inside) -> None:
    """They are set right after the start, so a script looks a moment later."""
    lines = (await seen(inside("/bin/sleep 0.1; /bin/cat /proc/$$/limits"))).splitlines()
    limits = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert limits["Max data size"] == [str(data_limit())] * 2
    assert limits["Max core file size"] == ["0"] * 2


async def test_a_lower_limit_of_the_machines_own_keeps_no_other_from_being_set(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = resource.prlimit

    def prlimit(pid: int, which: int, limits: tuple[int, int]) -> None:
        if which == resource.RLIMIT_DATA:
            raise PermissionError
        real(pid, which, limits)

    monkeypatch.setattr(resource, "prlimit", prlimit)
    lines = (await seen(inside("/bin/sleep 0.1; /bin/cat /proc/$$/limits"))).splitlines()
    assert next(line for line in lines if "core" in line)[26:].split()[:2] == ["0"] * 2


async def test_what_it_writes_is_its_own(inside: Inside) -> None:
    assert await seen(inside("umask")) == "0077\n"


async def test_a_template_bomb_ends_at_the_memory_limit(real: Path, config: Path, tmp_path: Path, kept: Kept) -> None:
    """The guard refuses this one; here is what holds if it didn't."""
    double = '{{$a := "xxxxxxxxxxxxxxxx"}}' + "".join("{{$a = printf `%s%s` $a $a}}" for _ in range(30)) + "{{$a}}"
    kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
    argv = ("config", "view", "-o", f"go-template={double}")
    ended = await kubectl.run(argv, timeout=60.0, max_bytes=1 << 20, sink=kept)
    assert (ended.exit_code, "kubectl ran out of memory" in str(ended.error)) == (2, True)


async def test_one_that_needs_more_than_its_share_fails_alone(
    real: Path, config: Path, tmp_path: Path, kept: Kept
) -> None:
    """In a container with 256 MiB: an answer that would take all of them, the agent's too."""
    kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
    kubectl.environment = dataclasses.replace(kubectl.environment, data_bytes=192 << 20)
    assert (await kubectl.version()).startswith("v")
    double = '{{$a := "xxxxxxxxxxxxxxxx"}}' + "".join("{{$a = printf `%s%s` $a $a}}" for _ in range(23)) + "{{len $a}}"
    argv = ("config", "view", "-o", f"go-template={double}")
    ended = await kubectl.run(argv, timeout=60.0, max_bytes=1 << 20, sink=kept)
    assert (ended.exit_code, "kubectl ran out of memory" in str(ended.error)) == (2, True)


async def test_two_agents_in_turn_use_the_same_home(real: Path, config: Path, tmp_path: Path) -> None:
    for _ in range(2):
        kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
        assert (await kubectl.version()).startswith("v")


async def test_no_program_is_found_in_path(real: Path, config: Path, tmp_path: Path, kept: Kept) -> None:
    """A plugin that the agent's own PATH holds isn't run, and one in kubectl's PATH folder refuses the start."""
    kubectl = await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")
    ended = await kubectl.run(("plugin", "list"), timeout=20.0, max_bytes=1000, sink=kept)
    assert (ended.exit_code, "unable to find any kubectl plugins" in kept.stderr) == (1, True)
    (tmp_path / "home" / "empty").chmod(0o700)
    write_script(tmp_path / "home" / "empty" / "kubectl-evil", "echo evil")
    with pytest.raises(KubectlError, match=r"empty/kubectl-evil .* Remove it"):
        await Kubectl.prepare(kubectl=str(real), kubeconfig=config, home=tmp_path / "home")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "current-context must exist"),
        ("{{{ not yaml", "yaml"),
        ('{"current-context": "gone"}', "gone"),
        ('{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c"}}]}', "ended with code 1"),
        (
            '{"current-context": "a", "contexts": [{"name": "a", "context": {"cluster": "c"}}],'
            ' "clusters": [{"name": "c", "cluster": {}}]}',
            "doesn't tell server",
        ),
    ],
)
async def test_kubeconfigs_that_would_mean_localhost(real: Path, tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(KubectlError, match=words) as caught:
        await Kubectl.prepare(str(real), file, tmp_path / "home")
    assert "config view --minify" in str(caught.value)


async def test_a_relative_kubeconfig_is_made_absolute(
    real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_config(tmp_path / "relative", "http://127.0.0.1:1", context="here")
    kubectl = await Kubectl.prepare(str(real), Path("relative"), tmp_path / "home")
    assert kubectl.environment.flags == (f"--kubeconfig={tmp_path}/relative", "--context=here")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo hello", "isn't usable: `config view --minify` doesn't tell server and current-context. Name a kubectl"),
        ("echo '[]'", "doesn't tell"),
        ("exit 1", "ended with code 1. Name a kubectl"),
        ("exec /bin/sleep 60", "didn't end"),
    ],
)
async def test_a_program_that_is_no_kubectl(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    monkeypatch.setattr("agent.kubectl.client.ASK_SECONDS", 0.3)
    program = write_script(tmp_path / "kubectl", body)
    with pytest.raises(KubectlError, match=words):
        await Kubectl.prepare(str(program), config, tmp_path / "home")
