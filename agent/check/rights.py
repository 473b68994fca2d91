"""What may be done in the cluster: enough to be of use, and nothing beyond reading.

Kubernetes itself is asked (`kubectl auth can-i`), whoever gave the rights. The agent's guard refuses all that is
forbidden here anyway; but rights that aren't there can't be used by whoever gets at the pod's token either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.check.cluster import Cluster, asked
from agent.check.findings import Area
from agent.kubectl.surroundings import SERVICE_ACCOUNT

NAMESPACED = ("get and list pods", "read logs", "list events", "list workloads")
CHECKS = (*NAMESPACED, "list nodes", "no secrets", "no changes", "no way into pods")

_ROLES = "Bind the roles of kustomize/base (ClusterRoles view and kubently-agent) to this service account."


@dataclass(frozen=True, slots=True)
class Question:
    """One `kubectl auth can-i`."""

    verb: str
    resource: str
    subresource: str = ""

    def argv(self, *where: str) -> tuple[str, ...]:
        """Its command line."""
        flag = (f"--subresource={self.subresource}",) if self.subresource else ()
        return ("auth", "can-i", self.verb, self.resource, *flag, *where)

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'/{self.subresource}' if self.subresource else ''}"


NEEDED: dict[str, tuple[Question, ...]] = {
    "get and list pods": (Question("get", "pods"), Question("list", "pods")),
    "read logs": (Question("get", "pods", "log"),),
    "list events": (Question("list", "events"),),
    "list workloads": (Question("list", "deployments.apps"),),
    "list nodes": (Question("list", "nodes"),),
}

FORBIDDEN: dict[str, tuple[Question, ...]] = {
    "no secrets": (
        Question("get", "secrets"),
        Question("list", "secrets"),
        Question("create", "serviceaccounts", "token"),
    ),
    "no changes": (
        Question("create", "pods"),
        Question("delete", "pods"),
        Question("patch", "deployments.apps"),
        Question("update", "configmaps"),
        Question("create", "clusterrolebindings.rbac.authorization.k8s.io"),
        Question("impersonate", "users"),
    ),
    "no way into pods": (
        Question("create", "pods", "exec"),
        Question("get", "pods", "exec"),
        Question("create", "pods", "portforward"),
        Question("get", "pods", "proxy"),
        Question("get", "services", "proxy"),
        Question("get", "nodes", "proxy"),
    ),
}

_WHY = {
    "no secrets": "Its kubectl could read credentials. Remove that right (wide-read gives it, and any role with '*').",
    "no changes": "Only reading is needed. Remove the binding that gives it: "
    "`kubectl get clusterrolebindings,rolebindings -A -o wide` lists them.",
    "no way into pods": "With it programs can be run in pods, even by `get`. Remove that right from its roles.",
}


async def check_rights(area: Area, cluster: Cluster) -> None:
    """Ask for everything, one after the other."""
    scope = await _scope(area, cluster)
    if scope is None:
        return
    for check, questions in NEEDED.items():
        await _needed(area, cluster, check, questions, scope)
    for check, questions in FORBIDDEN.items():
        await _forbidden(area, cluster, check, questions)


async def _scope(area: Area, cluster: Cluster) -> tuple[str, ...] | None:
    """Where pods may be listed: in all namespaces or in the agent's own; None if nothing can be found out."""
    if await _allowed(area, cluster, Question("list", "pods"), "--all-namespaces") is not False:
        return ("--all-namespaces",)
    own = own_namespace()
    here = (f"--namespace={own}",)
    return here if await _allowed(area, cluster, Question("list", "pods"), *here) else ("--all-namespaces",)


async def _needed(
    area: Area, cluster: Cluster, check: str, questions: Sequence[Question], scope: tuple[str, ...]
) -> None:
    for question in questions:
        allowed = await _allowed(area, cluster, question, *(scope if check in NAMESPACED else ()))
        if allowed is None:
            return
        if not allowed and check == "list nodes" and scope[0].startswith("--namespace"):
            area.skip(check, "a node belongs to no namespace, and the rights here are for one")
            return
        if not allowed:
            area.failed(check, f"may not {question}", _ROLES)
            return
    if scope[0].startswith("--namespace"):
        name = scope[0].partition("=")[2]
        area.warned(check, f"in namespace {name} alone", f"If more is meant: {_ROLES[0].lower()}{_ROLES[1:]}")
    else:
        area.passed(check, "allowed everywhere" if check in NAMESPACED else "allowed")


async def _forbidden(area: Area, cluster: Cluster, check: str, questions: Sequence[Question]) -> None:
    allowed = []
    for question in questions:
        where = ("--all-namespaces",) if question.resource not in {"nodes", "users"} else ()
        answer = await _allowed(area, cluster, question, *where)
        if answer is None:
            return
        if answer:
            allowed.append(str(question))
    if allowed:
        area.failed(check, f"it may {', '.join(allowed)}", _WHY[check])
    else:
        area.passed(check, f"refused: {', '.join(map(str, questions))}")


async def _allowed(area: Area, cluster: Cluster, question: Question, *where: str) -> bool | None:
    """Kubernetes' answer; None if there was none, which is told as a failure of the check asked for."""
    argv = question.argv(*where)
    said = await cluster.ask(*argv)
    answer = said.stdout.strip().split()
    if answer[:1] in (["yes"], ["no"]):
        return answer[0] == "yes"
    check = next((c for c, all_of in (NEEDED | FORBIDDEN).items() if question in all_of), "get and list pods")
    area.failed(check, f"`{asked(argv)}`: {said.words}", "Run it yourself to see more: every user may ask that.")
    return None


def own_namespace(folder: Path = SERVICE_ACCOUNT) -> str:
    """The pod's namespace; `default` outside a pod."""
    try:
        return (folder / "namespace").read_text("utf-8").strip() or "default"
    except OSError:
        return "default"
