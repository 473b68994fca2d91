"""Selectors, durations and reviews of the sample cluster."""

import pytest

from demo.cluster.ages import human_duration
from demo.cluster.api import target_of
from demo.cluster.protobuf import MAGIC, review_spec
from demo.cluster.selectors import BadSelector, fields_match, labels_match
from demo.cluster.types import type_at

POD = {
    "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app=web,tier=back", False),
        ("app!=web", False),
        ("colour!=red", True),
        ("app in (web,api)", True),
        ("app in ( api )", False),
        ("app notin (api)", True),
        ("app", True),
        ("!app", False),
        ("!colour, app", True),
        ("app=", False),
    ],
)
def test_labels(selector: str, matches: bool) -> None:
    assert labels_match(selector)(POD) is matches


@pytest.mark.parametrize("selector", ["app=web,,", "=web", "app in web", "!app=web", "app~web"])
def test_labels_that_make_no_sense(selector: str) -> None:
    with pytest.raises(BadSelector):
        labels_match(selector)


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("metadata.name=web-1", True),
        ("metadata.name==web-2", False),
        ("status.phase!=Running", False),
        ("status.podIP=", True),
    ],
)
def test_fields(selector: str, matches: bool) -> None:
    kind = type_at("", "v1", "pods")
    assert kind
    assert fields_match(selector, kind)(POD) is matches


def test_fields_that_a_type_does_not_know() -> None:
    kind = type_at("apps", "v1", "deployments")
    assert kind
    for selector in ("status.phase=Running", "nonsense"):
        with pytest.raises(BadSelector):
            fields_match(selector, kind)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (119, "119s"),
        (120, "2m"),
        (145, "2m25s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (12_345, "3h25m"),
        (8 * 3600, "8h"),
        (47.9 * 3600, "47h"),
        (48 * 3600, "2d"),
        (53 * 3600, "2d5h"),
        (8 * 86400, "8d"),
        (100 * 86400, "100d"),
    ],
)
def test_ages_as_kubectl_prints_them(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/pods", ("pods", "", "", "")),
        ("/api/v1/namespaces/shop/pods/web-1/log", ("pods", "shop", "web-1", "log")),
        ("/api/v1/namespaces/shop", ("namespaces", "", "shop", "")),
        ("/api/v1/namespaces/shop/status", ("namespaces", "", "shop", "status")),
        ("/apis/apps/v1/namespaces/shop/deployments/web", ("deployments", "shop", "web", "")),
        ("/api/v1/nodes/worker-1/proxy/metrics", ("nodes", "", "worker-1", "proxy/metrics")),
    ],
)
def test_paths(path: str, found: tuple[str, str, str, str]) -> None:
    target = target_of(path)
    assert target
    assert (target.kind.plural, target.namespace, target.name, target.subresource) == found


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/apis/apps/v1", "/api/v1/colours", "/apis/x/v1/pods", "/version"]
)
def test_paths_that_are_about_nothing(path: str) -> None:
    assert target_of(path) is None


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def test_a_review_in_kubernetes_protobuf() -> None:
    attributes = field(1, b"shop") + field(2, b"get") + field(5, b"pods") + field(6, b"log")
    review = field(1, b"") + field(2, field(1, attributes))
    envelope = MAGIC + field(1, field(1, b"authorization.k8s.io/v1")) + field(2, review)
    assert review_spec(envelope) == {
        "resourceAttributes": {"namespace": "shop", "verb": "get", "resource": "pods", "subresource": "log"}
    }


@pytest.mark.parametrize("body", [b"", b"{}", MAGIC + b"\x0d\x00", MAGIC + b"\x12\xff"])
def test_what_is_no_review(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        review_spec(body)
