"""A Kubernetes API server of one small cluster on loopback that records what it is asked.

It answers discovery, lists and objects in the shapes that kubectl needs to print something; every object has an old
date, so that ages don't change while a test runs.
"""

import json
import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

NAMESPACED: dict[str, dict[str, str]] = {
    "v1": {
        "pods": "Pod po all", "services": "Service svc all", "configmaps": "ConfigMap cm", "secrets": "Secret",
        "events": "Event ev", "serviceaccounts": "ServiceAccount sa",
        "persistentvolumeclaims": "PersistentVolumeClaim pvc",
        "resourcequotas": "ResourceQuota quota", "limitranges": "LimitRange limits", "endpoints": "Endpoints ep",
        "replicationcontrollers": "ReplicationController rc all",
    },
    "apps/v1": {
        "deployments": "Deployment deploy all", "replicasets": "ReplicaSet rs all", "daemonsets": "DaemonSet ds all",
        "statefulsets": "StatefulSet sts all", "controllerrevisions": "ControllerRevision",
    },
    "batch/v1": {"jobs": "Job all", "cronjobs": "CronJob cj all"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler hpa all"},
    "networking.k8s.io/v1": {"ingresses": "Ingress ing", "networkpolicies": "NetworkPolicy netpol"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget pdb"},
    "coordination.k8s.io/v1": {"leases": "Lease"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
    "metrics.k8s.io/v1beta1": {"pods": "PodMetrics"},
    "external-secrets.io/v1": {"externalsecrets": "ExternalSecret es", "secretstores": "SecretStore"},
    "cert-manager.io/v1": {"certificates": "Certificate cert", "certificaterequests": "CertificateRequest"},
    "gateway.networking.k8s.io/v1": {"gateways": "Gateway", "httproutes": "HTTPRoute"},
    "clustersecret.io/v1": {"clustersecrets": "ClusterSecret csec"},
    "kubernetes.crossplane.io/v1": {"objects": "Object managed"},
    "oauth.openshift.io/v1": {},
}  # fmt: skip
CLUSTER_SCOPED: dict[str, dict[str, str]] = {
    "v1": {"nodes": "Node no", "namespaces": "Namespace ns", "persistentvolumes": "PersistentVolume pv",
           "componentstatuses": "ComponentStatus cs"},
    "storage.k8s.io/v1": {"storageclasses": "StorageClass sc", "volumeattachments": "VolumeAttachment"},
    "rbac.authorization.k8s.io/v1": {"clusterroles": "ClusterRole", "clusterrolebindings": "ClusterRoleBinding"},
    "apiextensions.k8s.io/v1": {"customresourcedefinitions": "CustomResourceDefinition crd crds"},
    "apiregistration.k8s.io/v1": {"apiservices": "APIService"},
    "admissionregistration.k8s.io/v1": {"mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
                                        "validatingwebhookconfigurations": "ValidatingWebhookConfiguration"},
    "certificates.k8s.io/v1": {"certificatesigningrequests": "CertificateSigningRequest csr"},
    "metrics.k8s.io/v1beta1": {"nodes": "NodeMetrics"},
    "external-secrets.io/v1": {"clustersecretstores": "ClusterSecretStore"},
    "oauth.openshift.io/v1": {"oauthaccesstokens": "OAuthAccessToken"},
}  # fmt: skip
CATEGORIES = ("all", "managed")
EMPTY = "empty"
"""A namespace with nothing in it but what is asked for by name."""
LABELS = {"app": "web", "tier": "db"}
CONTAINERS = [{"name": "app", "image": "registry.example/web:1"}]


@dataclass(frozen=True)
class Request:
    """What kubectl asked."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: str
    credentials: str = ""
    """The headers Authorization and Impersonate-User."""

    @property
    def is_discovery(self) -> bool:
        """Whether it only asks which types there are; kubectl keeps the answer in its cache."""
        parts = self.path.strip("/").split("/")
        return (
            parts[0] == "openapi" or (parts[0] == "api" and len(parts) <= 2) or (parts[0] == "apis" and len(parts) <= 3)
        )


class ApiServer:
    """The server; use it as a context manager. `requests` holds everything since the last `clear()`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.scheme = "https" if tls else "http"
        self.requests: list[Request] = []
        self.redirects: dict[str, str] = {}
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

            def answer(self) -> None:
                parts = urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(size).decode("utf-8", "replace")
                query = tuple(sorted(parse_qsl(parts.query, keep_blank_values=True)))
                credentials = " ".join(self.headers.get(name, "") for name in ("Authorization", "Impersonate-User"))
                server.requests.append(Request(self.command, parts.path, query, body, credentials.strip()))
                if parts.path in server.redirects:
                    self.send_response(302)
                    self.send_header("Location", server.redirects[parts.path])
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if EMPTY in parts.path and "watch" in dict(query):
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Connection", "close")
                    self.end_headers()
                    time.sleep(3)  # a real server goes on for minutes
                    return
                status, kind, content = respond(self.command, parts.path, dict(query), body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """kubectl may end while an answer is under way."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self._server.server_address[1]}"

    def clear(self) -> None:
        """Forget what was asked."""
        self.requests.clear()

    def asked(self) -> list[tuple[str, str, tuple[tuple[str, str], ...], str]]:
        """What was asked apart from discovery, sorted: kubectl asks for several types at the same time."""
        return sorted((r.method, r.path, r.query, r.body) for r in self.requests if not r.is_discovery)

    def __enter__(self) -> "ApiServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def respond(method: str, path: str, query: dict[str, str], body: str) -> tuple[int, str, bytes]:
    """The answer to one request: status, content type, content."""
    if path in ("/healthz", "/livez", "/readyz"):
        return 200, "text/plain", b"ok"
    if path.endswith("/log"):
        return 200, "text/plain", b"first line\nsecond line\n"
    found = _discovery(path) or _review(method, path, body) or _resource(path, query)
    if found and "watch" in query:
        return 200, "application/json", _watched(found)
    if found is None:
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        return 404, "application/json", json.dumps({**missing, "message": "not found"}).encode()
    return 200, "application/json", json.dumps(found).encode()


def _watched(found: dict[str, Any]) -> bytes:
    """What is there as events, then the mark that this was all; a real server would wait some minutes more."""
    mark = {"annotations": {"k8s.io/initial-events-end": "true"}, "resourceVersion": "7"}
    end = {"apiVersion": found["apiVersion"], "kind": found["kind"].removesuffix("List"), "metadata": mark}
    events = [*({"type": "ADDED", "object": item} for item in found["items"]), {"type": "BOOKMARK", "object": end}]
    return "".join(json.dumps(event) + "\n" for event in events).encode()


def _versions() -> list[str]:
    return sorted({*NAMESPACED, *CLUSTER_SCOPED})


def _discovery(path: str) -> dict[str, Any] | None:
    if path == "/version":
        return {"major": "1", "minor": "37", "gitVersion": "v1.37.1", "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for name in _versions():
            if "/" in name:
                group = {"groupVersion": name, "version": name.split("/")[1]}
                groups.append({"name": name.split("/")[0], "versions": [group], "preferredVersion": group})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in _versions():
        return None
    found = []
    for namespaced, table in ((True, NAMESPACED), (False, CLUSTER_SCOPED)):
        for plural, words in table.get(version, {}).items():
            kind, *short = words.split()
            found.append({
                "name": plural, "singularName": "" if version == "v1" else kind.lower(), "namespaced": namespaced,
                "kind": kind, "verbs": ["get", "list", "watch", "create", "delete", "patch", "update"],
                "shortNames": [word for word in short if word not in CATEGORIES],
                "categories": [word for word in short if word in CATEGORIES],
            })  # fmt: skip
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}


def _review(method: str, path: str, body: str) -> dict[str, Any] | None:
    if method != "POST":
        return None
    asked: dict[str, Any] = json.loads(body) if body.startswith("{") else {}
    answers: dict[str, dict[str, Any]] = {
        "selfsubjectaccessreviews": {"allowed": True},
        "selfsubjectrulesreviews": {"resourceRules": [], "nonResourceRules": [], "incomplete": False},
        "selfsubjectreviews": {"userInfo": {"username": "system:serviceaccount:kubently:agent"}},
    }
    return {**asked, "status": answers.get(path.rsplit("/", 1)[-1], {})}


def _resource(path: str, query: dict[str, str]) -> dict[str, Any] | None:
    version, _, rest = path.removeprefix("/apis/").removeprefix("/api/").partition("/")
    if path.startswith("/apis/"):
        tail, _, rest = rest.partition("/")
        version = f"{version}/{tail}"
    parts = rest.split("/")
    namespace = "default"
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    known: dict[str, str] = {**NAMESPACED.get(version, {}), **CLUSTER_SCOPED.get(version, {})}
    if parts[0] not in known:
        return None
    kind = known[parts[0]].split()[0]
    if len(parts) > 1:
        return thing(version, kind, parts[1], namespace)
    wanted = dict(pair.split("=", 1) for pair in query.get("fieldSelector", "").split(",") if "=" in pair)
    names = [wanted["metadata.name"]] if "metadata.name" in wanted else ["web-0", "web-1"]
    items = [thing(version, kind, name, namespace) for name in names if namespace != EMPTY]
    return {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "7"}, "items": items}


def thing(version: str, kind: str, name: str, namespace: str) -> dict[str, Any]:
    """An object that prints."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-web", "controller": True}
    metadata: dict[str, Any] = {
        "name": name, "namespace": namespace, "uid": f"u-{name}", "creationTimestamp": "2020-01-01T00:00:00Z",
        "generation": 1, "resourceVersion": "7", "labels": LABELS,
        "annotations": {"deployment.kubernetes.io/revision": "3"},
    }  # fmt: skip
    pod: dict[str, Any] = {"metadata": {"labels": LABELS}, "spec": {"containers": CONTAINERS}}
    found: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {}, "status": {}}
    if kind == "Pod":
        found["spec"] = {**pod["spec"], "nodeName": "n1", "serviceAccountName": "default"}
        state = {"name": "app", "ready": True, "restartCount": 2, "state": {"running": {}}, "image": "i", "imageID": ""}
        found["status"] = {"phase": "Running", "containerStatuses": [state]}
    elif kind == "ReplicaSet":
        metadata["ownerReferences"] = [owner]
        found["spec"] = {"selector": {"matchLabels": LABELS}, "template": pod, "replicas": 1}
    elif kind in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        metadata["uid"] = "u-web"
        found["spec"] = {"selector": {"matchLabels": LABELS}, "template": pod, "replicas": 1,
                         "updateStrategy": {"type": "RollingUpdate"}}  # fmt: skip
        found["status"] = {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
                           "availableReplicas": 1, "currentReplicas": 1}  # fmt: skip
    elif kind == "Service":
        found["spec"] = {"selector": LABELS, "ports": [{"port": 80}], "type": "ClusterIP", "clusterIP": "10.0.0.1"}
    elif kind in ("Secret", "ClusterSecret"):
        found["data"] = {"password": "aHVudGVyMg=="}
    elif kind == "Node":
        found["status"] = {"allocatable": {"cpu": "4", "memory": "8Gi"}, "capacity": {"cpu": "4", "memory": "8Gi"}}
    elif kind == "PodMetrics":
        found["containers"] = [{"name": "app", "usage": {"cpu": "10m", "memory": "20Mi"}}]
    elif kind == "NodeMetrics":
        found["usage"] = {"cpu": "100m", "memory": "2Gi"}
    elif kind == "Event":
        found |= {"involvedObject": {"kind": "Pod", "name": "web-0", "namespace": namespace}, "type": "Warning",
                  "reason": "BackOff", "message": "Back-off", "lastTimestamp": "2020-01-01T00:00:00Z"}  # fmt: skip
    return found
