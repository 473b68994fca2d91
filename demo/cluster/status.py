"""Refusals, as Status objects with the words of a real API server."""

from starlette.responses import JSONResponse

from demo.cluster.types import Object, ResourceType

USER = "system:serviceaccount:kubently:kubently-agent"

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
}


def failure(code: int, message: str, details: Object | None = None) -> JSONResponse:
    """Any refusal."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS[code],
        "code": code,
    }
    if details:
        status["details"] = details
    return JSONResponse(status, code)


def not_found(kind: ResourceType, name: str) -> JSONResponse:
    """No object of that name."""
    named = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    details = {"name": name, "kind": kind.plural} | ({"group": kind.group} if kind.group else {})
    return failure(404, f'{named} "{name}" not found', details)


def no_such_path() -> JSONResponse:
    """Nothing is served there."""
    return failure(404, "the server could not find the requested resource")


def forbidden(verb: str, group: str, plural: str, *, namespace: str, name: str) -> JSONResponse:
    """What role-based access control says."""
    named = f"{plural}.{group}" if group else plural
    subject = f'{named} "{name}"' if name else named
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    what = f'cannot {verb} resource "{plural}" in API group "{group}" {where}'
    message = f'{subject} is forbidden: User "{USER}" {what}'
    return failure(403, message, {"name": name, "group": group, "kind": plural})
