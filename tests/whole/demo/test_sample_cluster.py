"""The sample cluster as the real kubectl sees it."""

import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trustme

from demo.cluster.api import SampleCluster, sample_cluster
from demo.server import Tls

KUBECTL = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="no kubectl beside this Python or on PATH")

Kubectl = Callable[..., Awaitable["subprocess.CompletedProcess[str]"]]


@pytest.fixture
async def cluster() -> AsyncIterator[SampleCluster]:
    async with sample_cluster() as running:
        yield running


@pytest.fixture
def kubectl(cluster: SampleCluster, tmp_path: Path) -> Kubectl:
    return runner(cluster, tmp_path)


def runner(cluster: SampleCluster, folder: Path) -> Kubectl:
    kubeconfig = folder / "kubeconfig"
    cluster.write_kubeconfig(kubeconfig)

    async def run(*args: str) -> subprocess.CompletedProcess[str]:
        done = await trio.run_process(
            [str(KUBECTL), f"--kubeconfig={kubeconfig}", *args],
            env={"HOME": str(folder), "KUBECACHEDIR": str(folder / "cache"), "PATH": ""},
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        return subprocess.CompletedProcess(args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


async def crashing(kubectl: Kubectl) -> str:
    done = await kubectl("get", "pods", "-n", "shop", "-o", "json")
    return next(
        str(pod["metadata"]["name"])
        for pod in json.loads(done.stdout)["items"]
        if pod["metadata"]["name"].startswith("checkout-") and not pod["status"]["containerStatuses"][0]["ready"]
    )


async def test_get_pods_has_the_columns_of_a_real_server(kubectl: Kubectl) -> None:
    done = await kubectl("get", "pods", "-A")
    assert done.stdout.splitlines()[0].split() == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert " 0/1     CrashLoopBackOff   11 (" in done.stdout
    assert "ImagePullBackOff" in done.stdout
    wide = (await kubectl("get", "pods", "-n", "shop", "-o", "wide")).stdout.splitlines()
    assert wide[0].split()[5:] == ["IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES"]
    assert "10.244." in wide[1]


@pytest.mark.parametrize(
    ("what", "header"),
    [
        ("nodes", "NAME STATUS ROLES AGE VERSION"),
        ("deployments", "NAME READY UP-TO-DATE AVAILABLE AGE"),
        ("replicasets", "NAME DESIRED CURRENT READY AGE"),
        ("services", "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE"),
        ("configmaps", "NAME DATA AGE"),
        ("events", "LAST SEEN TYPE REASON OBJECT MESSAGE"),
        ("jobs", "NAME STATUS COMPLETIONS DURATION AGE"),
        ("cronjobs", "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST SCHEDULE AGE"),
        ("statefulsets", "NAME READY AGE"),
        ("hpa", "NAME REFERENCE TARGETS MINPODS MAXPODS REPLICAS AGE"),
        ("pvc", "NAME STATUS VOLUME CAPACITY ACCESS MODES STORAGECLASS VOLUMEATTRIBUTESCLASS AGE"),
        ("endpointslices", "NAME AGE"),
    ],
)
async def test_every_type_prints(kubectl: Kubectl, what: str, header: str) -> None:
    done = await kubectl("get", what, "-n", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert " ".join(lines[0].split()) == header
    assert len(lines) > 1


async def test_selectors(kubectl: Kubectl) -> None:
    async def names(*args: str) -> set[str]:
        done = await kubectl("get", "pods", "-A", "-o", "name", *args)
        assert done.returncode == 0, done.stderr
        return {line.removeprefix("pod/").split("-")[0] for line in done.stdout.splitlines()}

    assert await names("-l", "app in (web, catalog)") == {"web", "catalog"}
    assert await names("-l", "app=web,!nothing") == {"web"}
    assert await names("-l", "app=none") == set()
    assert "web" not in await names("-l", "app,app notin (web)")
    assert await names("--field-selector=status.phase=Pending") == {"recommender", "report"}
    assert await names("--field-selector=metadata.name=orders-db-0,status.phase!=Pending") == {"orders"}
    wrong = await kubectl("get", "pods", "--field-selector=spec.colour=red")
    assert "field label not supported: spec.colour" in wrong.stderr


async def test_the_story_can_be_read(kubectl: Kubectl) -> None:
    pod = await crashing(kubectl)
    described = (await kubectl("describe", "pod", pod, "-n", "shop")).stdout
    assert "Reason:       CrashLoopBackOff" in described
    assert "Restart Count:  11" in described
    assert "Back-off restarting failed container checkout" in described
    log = (await kubectl("logs", pod, "-n", "shop", "--previous")).stdout
    assert "PAYMENT_GATEWAY_URL is not set" in log
    assert len(log.splitlines()) == 7
    events = (await kubectl("events", "-n", "shop", "--for", f"pod/{pod}", "--types=Warning")).stdout
    assert len(events.splitlines()) == 2
    assert "PAYMENTS_URL" in (await kubectl("get", "cm", "checkout-config", "-n", "shop", "-o", "yaml")).stdout
    assert "3 desired | 1 updated | 4 total" in (await kubectl("describe", "deploy/checkout", "-n", "shop")).stdout


async def test_logs_are_cut_as_asked(kubectl: Kubectl) -> None:
    async def lines(*args: str) -> list[str]:
        done = await kubectl("logs", "-n", "shop", "orders-db-0", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    everything = await lines()
    assert len(everything) == 11
    assert await lines("--tail=3") == everything[-3:]
    assert await lines("--tail=0") == []
    assert await lines("--since=16m") == everything[-3:]
    assert (await lines("--timestamps", "--tail=1"))[0].endswith(everything[-1])
    assert len("\n".join(await lines("--limit-bytes=100"))) <= 100
    none = await kubectl("logs", "-n", "shop", "orders-db-0", "--previous")
    assert 'previous terminated container "postgres" in pod "orders-db-0" not found' in none.stderr


async def test_describe_works_for_all_there_is(kubectl: Kubectl) -> None:
    kinds = "pods,deploy,rs,sts,svc,cm,pvc,job,cronjob,hpa,endpointslices"
    done = await kubectl("describe", kinds, "-n", "shop")
    assert (done.returncode, done.stderr) == (0, "")
    nodes = await kubectl("describe", "node", "worker-1")
    assert "HolderIdentity:  worker-1" in nodes.stdout
    assert "Non-terminated Pods:" in nodes.stdout


@pytest.mark.parametrize(
    ("args", "within"),
    [
        ("api-resources", "deployments"),
        ("api-versions", "apps/v1"),
        ("version", "Server Version: v1.36"),
        ("explain pods", "KIND:       Pod"),
        ("explain pods.spec.containers.readinessProbe", "httpGet"),
        ("explain deployments.spec --recursive", "minReadySeconds"),
        ("cluster-info", "Kubernetes control plane is running"),
        ("top pods -n shop", "CPU(cores)"),
        ("top nodes", "worker-2"),
        ("get --raw /readyz?verbose", "readyz check passed"),
        ("rollout status deploy/web -n shop --watch=false --timeout=10s", "successfully rolled out"),
        ("rollout history deploy/checkout -n shop", "18"),
        ("auth can-i get pods", "yes"),
        ("auth can-i list nodes", "yes"),
        ("auth whoami", "system:serviceaccount:kubently:kubently-agent"),
        ("auth can-i --list", "pods/log"),
        ("get all -n shop", "deployment.apps/checkout"),
        ("get pods -n shop --sort-by=.metadata.name -L app", "APP"),
    ],
)
async def test_other_questions(kubectl: Kubectl, args: str, within: str) -> None:
    done = await kubectl(*args.split())
    assert done.returncode == 0, done.stderr
    assert within in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("get pod nope", 'pods "nope" not found'),
        (
            "get secrets -n shop",
            'secrets is forbidden: User "system:serviceaccount:kubently:kubently-agent" cannot list',
        ),
        ("get all,secrets -n shop", "secrets is forbidden"),
        ("explain pods.spec.colour", 'field "colour" does not exist'),
        ("get colours", 'the server doesn\'t have a resource type "colours"'),
        ("logs report-2026 -n shop -c x", "container x is not valid"),
        ("auth can-i delete pods", "no"),
        ("auth can-i get secrets", "no"),
        ("auth can-i get pods --subresource=exec", "no"),
    ],
)
async def test_what_it_answers_with_no(kubectl: Kubectl, args: str, words: str) -> None:
    done = await kubectl(*args.split())
    assert done.returncode == 1
    assert words in done.stdout + done.stderr


async def test_writes_are_refused_and_remembered(kubectl: Kubectl, cluster: SampleCluster) -> None:
    await kubectl("auth", "can-i", "get", "pods")
    await kubectl("get", "pods", "-n", "shop")
    assert not cluster.writes
    done = await kubectl("delete", "pod", "orders-db-0", "-n", "shop", "--wait=false")
    assert 'cannot delete resource "pods"' in done.stderr
    done = await kubectl("scale", "deploy/web", "--replicas=0", "-n", "shop")
    assert 'cannot patch resource "deployments/scale"' in done.stderr
    assert [call.method for call in cluster.writes] == ["DELETE", "PATCH"]
    assert (await kubectl("get", "pod", "orders-db-0", "-n", "shop")).returncode == 0


async def test_a_stranger_learns_nothing(cluster: SampleCluster, tmp_path: Path) -> None:
    kubectl = runner(cluster, tmp_path)
    cluster.token = "another"
    done = await kubectl("get", "pods")
    assert "must be logged in" in done.stderr
    assert {call.status for call in cluster.calls} == {401}


async def test_with_tls_the_token_travels_as_a_header(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with sample_cluster(tls=Tls(context, authority.cert_pem.bytes().decode())) as cluster:
        kubectl = runner(cluster, tmp_path)
        done = await kubectl("get", "nodes", "-o", "name")
        assert done.stdout.split() == ["node/control-1", "node/worker-1", "node/worker-2"]
        cluster.token = "another"
        assert (await kubectl("get", "nodes")).returncode == 1
