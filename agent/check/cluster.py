"""kubectl, the cluster's API server as kubectl reaches it, and what may be done there: enough reading, and no more.

Kubernetes itself is asked (`kubectl auth can-i`), whoever gave the rights. The agent's guard refuses all that is
forbidden here anyway; but rights that aren't there can't be used by whoever gets at the pod's token either.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agent.check import Area, Mark
from agent.config import Config
from agent.errors import AgentError
from agent.kubectl import Kubectl
from agent.kubectl.environment import SERVICE_ACCOUNT
from agent.model import Outcome

SERVER_SECONDS = 15.0  # for each answer of kubectl
NEEDED = {  # a check, and what of each `can-i` must be answered with yes
    "get and list pods": "get pods, list pods",
    "read logs": "get pods/log",
    "list events": "list events",
    "list workloads": "list deployments.apps",
    "list nodes": "list nodes",
}
FORBIDDEN = {  # a check, what must be answered with no, and what to do if it isn't
    "no secrets": (
        "get secrets, list secrets, create serviceaccounts/token",
        "Its kubectl could read credentials. Remove that right (wide-read gives it, and any role with '*').",
    ),
    "no changes": (
        "create pods, delete pods, patch deployments.apps, update configmaps, "
        "create clusterrolebindings.rbac.authorization.k8s.io, impersonate users",
        "Only reading is needed. Remove the binding that gives it: "
        "`kubectl get clusterrolebindings,rolebindings -A -o wide` lists them.",
    ),
    "no way into pods": (
        "create pods/exec, get pods/exec, create pods/portforward, get pods/proxy, get services/proxy, get nodes/proxy",
        "With it programs can be run in pods, even by `get`. Remove that right from its roles.",
    ),
}
_ROLES = "the roles of kustomize/base (ClusterRoles view and kubently-agent) to this service account."


async def check_cluster(area: Area, config: Config) -> None:
    """Make all checks, with one kubectl at a time: a running agent's own share the same memory limit."""
    area.check = "kubectl"
    with tempfile.TemporaryDirectory(prefix="kubently-check-") as folder:  # a running agent's own isn't touched
        kubectl = await Kubectl.prepare(config.kubectl, config.kubeconfig, Path(folder) / "kubectl")
        area.passed(f"{await kubectl.version()}, {kubectl.path}")
        await _check_server(area, kubectl)
        await _check_rights(area, kubectl)


async def _check_server(area: Area, kubectl: Kubectl) -> None:
    area.check = "API server"
    printed, complaint = await _ask(kubectl, ("version", "--output=json", "--request-timeout=10s"))
    try:
        server = json.loads(printed)["serverVersion"]["gitVersion"]
    except (ValueError, LookupError, TypeError):
        hint = "Look at network policies, and at the service account or the kubeconfig: its server, its CA, its token."
        raise AgentError(complaint or "it says nothing", hint) from None
    area.passed(f"{server} answers")
    if complaint:  # kubectl's own warning, that client and server are too far apart
        hint = "Most reading works; for the rest use an image whose kubectl is of the server's version."
        area.found(Mark.WARNED, complaint, hint)


async def _ask(kubectl: Kubectl, argv: Sequence[str]) -> tuple[str, str]:
    """What it prints, and its error: the last line of stderr, which has the conclusion."""
    ended, stdout, stderr = await kubectl.ask(argv, SERVER_SECONDS)
    *_, last = ("", *filter(None, map(str.strip, stderr.splitlines())))
    return stdout, "no answer in time" if ended.outcome is Outcome.TIMED_OUT else last[:240]


async def _check_rights(area: Area, kubectl: Kubectl) -> None:
    own, narrow = own_namespace(), False
    for check, questions in NEEDED.items():
        area.check = check
        missing = await _refused(kubectl, questions, "--all-namespaces")
        if not missing:
            area.passed("allowed everywhere")
        elif not await _refused(kubectl, questions, f"--namespace={own}"):
            narrow = True
            area.found(Mark.WARNED, f"in namespace {own} alone", f"If more is meant: bind {_ROLES}")
        elif narrow and check == "list nodes":
            area.found(Mark.SKIPPED, "a node belongs to no namespace, and the rights here are for one")
        else:
            area.found(Mark.FAILED, f"may not {missing[0]}", f"Bind {_ROLES}")
    for check, (questions, hint) in FORBIDDEN.items():
        area.check = check
        refused = await _refused(kubectl, questions, "--all-namespaces")
        if allowed := [each for each in questions.split(", ") if each not in refused]:
            area.found(Mark.FAILED, f"it may {', '.join(allowed)}", hint)
        else:
            area.passed(f"refused: {questions}")


async def _refused(kubectl: Kubectl, questions: str, where: str) -> list[str]:
    """Those that Kubernetes answers with no; each is "verb resource/subresource"."""
    refused = []
    for question in questions.split(", "):
        argv = ["auth", "can-i", *question.replace("/", " --subresource=").split(), where]
        printed, complaint = await _ask(kubectl, argv)
        answer = printed.strip().partition(" ")[0]  # "no - and why"
        if answer not in {"yes", "no"}:
            raise AgentError(f"`kubectl {' '.join(argv)}`: {complaint}", "Run it yourself: every user may ask that.")
        if answer == "no":
            refused.append(question)
    return refused


def own_namespace(folder: Path = SERVICE_ACCOUNT) -> str:
    """The pod's namespace; `default` outside a pod."""
    file = folder / "namespace"
    return file.read_text("utf-8").strip() if file.exists() else "default"
