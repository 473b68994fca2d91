"""What may be done in the cluster: enough to be of use, and nothing beyond reading.

Kubernetes itself is asked (`kubectl auth can-i`), whoever gave the rights. The agent's guard refuses all that is
forbidden here anyway; but rights that aren't there can't be used by whoever gets at the pod's token either.
"""

from pathlib import Path

from agent.check.cluster import Cluster
from agent.check.findings import Area
from agent.errors import AgentError
from agent.kubectl.environment import SERVICE_ACCOUNT

_ROLES = "the roles of kustomize/base (ClusterRoles view and kubently-agent) to this service account."

NEEDED = {
    "get and list pods": ("get pods", "list pods"),
    "read logs": ("get pods/log",),
    "list events": ("list events",),
    "list workloads": ("list deployments.apps",),
    "list nodes": ("list nodes",),
}
"""A check, and what of each `can-i` must be answered with yes."""

FORBIDDEN = {
    "no secrets": ("get secrets", "list secrets", "create serviceaccounts/token"),
    "no changes": (
        *("create pods", "delete pods", "patch deployments.apps", "update configmaps"),
        *("create clusterrolebindings.rbac.authorization.k8s.io", "impersonate users"),
    ),
    "no way into pods": (
        *("create pods/exec", "get pods/exec", "create pods/portforward"),
        *("get pods/proxy", "get services/proxy", "get nodes/proxy"),
    ),
}
CHECKS = (*NEEDED, *FORBIDDEN)

_WHY = {
    "no secrets": "Its kubectl could read credentials. Remove that right (wide-read gives it, and any role with '*').",
    "no changes": "Only reading is needed. Remove the binding that gives it: "
    "`kubectl get clusterrolebindings,rolebindings -A -o wide` lists them.",
    "no way into pods": "With it programs can be run in pods, even by `get`. Remove that right from its roles.",
}
_OF_NO_NAMESPACE = frozenset({"list nodes", "impersonate users", "get nodes/proxy"})


async def check_rights(area: Area, cluster: Cluster) -> None:
    """Ask for everything, one after the other."""
    check = next(iter(NEEDED))
    try:
        scope = await _scope(cluster)
        for check, questions in NEEDED.items():
            await _needed(area, cluster, check, questions, scope)
        for check, questions in FORBIDDEN.items():
            allowed = [each for each in questions if await _may(cluster, each)]
            if allowed:
                area.failed(check, AgentError(f"it may {', '.join(allowed)}", _WHY[check]))
            else:
                area.passed(check, f"refused: {', '.join(questions)}")
    except _UnansweredError as error:
        area.failed(check, error)


async def _scope(cluster: Cluster) -> str:
    """Where pods may be listed: the agent's own namespace if only there, else ""."""
    own = own_namespace()
    return own if not await _may(cluster, "list pods") and await _may(cluster, "list pods", own) else ""


async def _needed(area: Area, cluster: Cluster, check: str, questions: tuple[str, ...], scope: str) -> None:
    if scope and _OF_NO_NAMESPACE.issuperset(questions):
        area.skip(check, "a node belongs to no namespace, and the rights here are for one")
        return
    for question in questions:
        if not await _may(cluster, question, scope):
            area.failed(check, AgentError(f"may not {question}", f"Bind {_ROLES}"))
            return
    if scope:
        area.warned(check, f"in namespace {scope} alone", f"If more is meant: bind {_ROLES}")
    else:
        area.passed(check, "allowed everywhere" if check != "list nodes" else "allowed")


class _UnansweredError(AgentError):
    """Kubernetes said neither yes nor no."""


async def _may(cluster: Cluster, question: str, namespace: str = "") -> bool:
    """What Kubernetes says about "verb resource/subresource", in one namespace or in all."""
    verb, _, resource = question.partition(" ")
    resource, _, subresource = resource.partition("/")
    argv = ["auth", "can-i", verb, resource]
    argv += [f"--subresource={subresource}"] if subresource else []
    if question not in _OF_NO_NAMESPACE:
        argv += [f"--namespace={namespace}" if namespace else "--all-namespaces"]
    said = await cluster.ask(*argv)
    if (answer := said.stdout.strip().split()[:1]) not in (["yes"], ["no"]):
        hint = "Run it yourself to see more: every user may ask that."
        raise _UnansweredError(f"`kubectl {' '.join(argv)}`: {said.words}", hint)
    return answer == ["yes"]


def own_namespace(folder: Path = SERVICE_ACCOUNT) -> str:
    """The pod's namespace; `default` outside a pod."""
    try:
        return (folder / "namespace").read_text("utf-8").strip() or "default"
    except OSError:
        return "default"
