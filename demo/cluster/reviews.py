"""`kubectl auth can-i` and `whoami`: questions that are put by POST and change nothing."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from demo.cluster import protobuf, status
from demo.cluster.types import READ, Object

_PATHS = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": "SelfSubjectRulesReview",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": "SelfSubjectReview",
}
_FORBIDDEN_RESOURCES = {"secrets"}
_READABLE_SUBRESOURCES = {"", "log", "status", "scale"}


def is_review(path: str) -> bool:
    """Whether this URL takes a question."""
    return path in _PATHS


async def answer(request: Request, path: str) -> Response:
    """The review with its status filled in."""
    kind = _PATHS[path]
    spec: Object = {}
    body = await request.body()
    if kind == "SelfSubjectReview":
        groups = ["system:serviceaccounts", "system:serviceaccounts:kubently", "system:authenticated"]
        found: Object = {"userInfo": {"username": status.USER, "groups": groups}}
    elif kind == "SelfSubjectRulesReview":
        found = _rules()
    else:
        try:
            spec = protobuf.review_spec(body) if body.startswith(protobuf.MAGIC) else json.loads(body)["spec"]
            found = {"allowed": _allowed(spec), "reason": ""}
        except (ValueError, KeyError, TypeError, AttributeError):
            return status.failure(400, "the request body isn't a SelfSubjectAccessReview")
    group_version = path.removeprefix("/apis/").rpartition("/")[0]
    made = {"kind": kind, "apiVersion": group_version, "metadata": {}, "spec": spec, "status": found}
    return JSONResponse(made, 201)


def _allowed(spec: Object) -> bool:
    if "nonResourceAttributes" in spec:
        return bool(spec["nonResourceAttributes"].get("verb") == "get")
    asked = spec.get("resourceAttributes", {})
    return (
        asked.get("verb") in READ
        and asked.get("resource") not in {*_FORBIDDEN_RESOURCES, "*"}
        and asked.get("subresource", "") in _READABLE_SUBRESOURCES
    )


def _rules() -> Object:
    readable = ["configmaps", "events", "namespaces", "nodes", "pods", "pods/log", "services"]
    return {
        "resourceRules": [
            {"verbs": list(READ), "apiGroups": [""], "resources": readable},
            {"verbs": list(READ), "apiGroups": ["apps", "autoscaling", "batch"], "resources": ["*"]},
        ],
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version"]}],
        "incomplete": False,
    }
