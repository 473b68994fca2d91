"""The sample cluster is data: a file more is a pod more, and what is wrong with a file is said in a sentence."""

import shutil
from pathlib import Path

import pytest

from agent.redact import Redactor
from demo.cluster.api import sample_cluster
from demo.cluster.store import OBJECTS, BadObject, Store
from tests.whole.demo.test_sample_cluster import KUBECTL, runner

TROUBLED = """\
recorded: 2020-02-29T12:00:00Z
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: lost, namespace: mine, creationTimestamp: 2019-11-21T11:50:30Z}
  spec: {nodeName: worker-1, containers: [{name: main, image: "example.com/lost:1"}]}
  status:
    phase: Running
    containerStatuses:
    - name: main
      image: example.com/lost:1
      ready: false
      restartCount: 4
      state: {waiting: {reason: CrashLoopBackOff}}
      lastState: {terminated: {exitCode: 137, reason: OOMKilled, finishedAt: "2020-02-18T11:58:00Z"}}
- apiVersion: v1
  kind: Event
  metadata: {name: lost.1, namespace: mine}
  involvedObject: {kind: Pod, name: lost}
  type: Warning
  reason: BackOff
  message: Back-off restarting failed container main
  count: 9
  firstTimestamp: 2020-02-29T11:51:00Z
  lastTimestamp: 2020-02-29T11:59:30Z
  source: {component: kubelet, host: worker-1}
- kind: Log
  metadata: {name: lost, namespace: mine}
  container: main
  current: |
    2020-02-29T09:00:00Z what is too old to be shown
    2020-02-29T11:57:59.5Z 2020-02-29T11:57:59Z loading
    2020-02-29T11:58:00Z heap is full
"""


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl beside this Python or on PATH")
async def test_a_troubled_pod_is_one_more_file(tmp_path: Path) -> None:
    objects = tmp_path / "objects"
    shutil.copytree(OBJECTS, objects)
    (objects / "mine.yaml").write_text(TROUBLED)
    async with sample_cluster(objects=objects) as cluster:
        kubectl = runner(cluster, tmp_path)
        listed = (await kubectl("get", "pods", "-n", "mine", "--no-headers")).stdout
        assert listed.split() == ["lost", "0/1", "CrashLoopBackOff", "4", "(11d", "ago)", "100d"]
        described = (await kubectl("describe", "pod", "lost", "-n", "mine")).stdout
        assert "OOMKilled" in described
        assert "Back-off restarting failed container main" in described, "the event belongs to the pod: by its uid"
        log = (await kubectl("logs", "lost", "-n", "mine", "--since=1h")).stdout.splitlines()
        assert [line.split()[-1] for line in log] == ["loading", "full"]
        assert not log[0].startswith("2020"), "times in the text are moved too"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("items: []\n", "`recorded: TIME` and `items:` are wanted"),
        ("recorded: 2020-02-29T12:00:00Z\n", "`items:` are wanted"),
        ("recorded: yesterday\nitems: []\n", "Invalid isoformat"),
        ("recorded: 2020-02-29T12:00:00Z\nitems: [{]\n", "mine.yaml"),
        (TROUBLED.replace("kind: Event", "kind: Surprise"), r"item 2 \(Surprise lost.1\): .*is no type of types.yaml"),
        (TROUBLED.replace("{name: lost.1, ", "{"), r"item 2 .*'name' is missing"),
        ("recorded: 2020-02-29T12:00:00Z\nitems: [text]\n", r"item 1 \(no metadata\)"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadObject, match=words) as said:
        Store(tmp_path)
    assert str(tmp_path / "mine.yaml") in str(said.value)


async def test_there_is_something_to_search_for_and_something_to_hide(tmp_path: Path) -> None:
    async with sample_cluster() as cluster:
        kubectl = runner(cluster, tmp_path)
        lines = (await kubectl("logs", "-n", "shop", "-l", "app=web", "--tail=-1", "--prefix")).stdout.splitlines()
        errors = [line for line in lines if "ERROR" in line]
        assert len({line.partition(" ")[0] for line in errors}) == len(errors) == 3
        assert "value: Quiet-Harbour-2291" in (await kubectl("get", "pods", "-n", "shop", "-o", "yaml")).stdout
        assert "Bearer 7Jq2" in (await kubectl("logs", "-n", "shop", "-l", "app=catalog", "--tail=1")).stdout


async def test_redaction_takes_these_and_nothing_else(tmp_path: Path) -> None:
    taken = set()
    async with sample_cluster() as cluster:
        kubectl = runner(cluster, tmp_path)
        for args in (
            ("get", "all,cm,events,nodes,pvc,endpointslices", "-A", "-o", "yaml"),
            ("describe", "pods,deploy,rs,nodes", "-A"),
            ("logs", "-n", "shop", "-l", "app in (web, catalog, payments, checkout)", "--tail=-1", "--prefix"),
        ):
            printed = (await kubectl(*args)).stdout
            redactor = Redactor()
            left = redactor.feed(printed) + redactor.end()
            pairs = zip(printed.splitlines(), left.splitlines(), strict=True)
            taken |= {
                before.replace(after.partition("<redacted>")[0], "") for before, after in pairs if before != after
            }
    assert taken == {"Quiet-Harbour-2291", "7Jq2mXvR0bTnKzL5sWcE8yHdGu3fPa"}
