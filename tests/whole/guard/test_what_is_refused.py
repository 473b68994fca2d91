"""What would happen without a rule: each line is run on a real kubectl, its harm is shown, and the guard refuses it.

Whoever loosens a rule finds here what it held back.
"""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from agent.guard import Refused, decide
from tests.whole.guard.apiserver import EMPTY, ApiServer
from tests.whole.guard.bench import TOKEN, Bench, Ran

SECRET_FILE = "the content of a local file"
WORD = "hunter2"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    made = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    return made, file


def context(ca: trustme.CA) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(made)
    return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, ca: tuple[trustme.CA, Path]) -> Iterator[Bench]:
    """With TLS, because kubectl sends a token over nothing else."""
    with ApiServer(context(ca[0])) as server:
        made = Bench(tmp_path_factory.mktemp("refused"), server, ca[1])
        made.run(["get", "pods"])
        yield made


@pytest.fixture
def elsewhere() -> Iterator[ApiServer]:
    """A server that isn't the cluster's."""
    with ApiServer() as server:
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{SECRET_FILE}: {WORD}")
    return path


def program(place: Bench, name: str) -> Path:
    """A program on kubectl's PATH, and the file that it leaves when it is run."""
    trace = place.folder / f"{name}.was-run"
    path = place.folder / "path" / name
    path.write_text(f"#!/bin/sh\necho $* > '{trace}'\n")
    path.chmod(0o755)
    return trace


def refused_but_run(place: Bench, *args: str | Path, **environ: str) -> Ran:
    """Run what the guard refuses."""
    line = [str(arg) for arg in args]
    with pytest.raises(Refused):
        decide(line)
    return place.run(line, environ=place.environ(**environ))


@pytest.mark.parametrize("form", ["go-template-file", "templatefile", "jsonpath-file"])
@pytest.mark.parametrize(
    "verb", [["get", "pods"], ["events"], ["rollout", "history", "deploy/web", "--revision=3"]], ids=str
)
def test_an_output_from_a_file_prints_the_file(place: Bench, file: Path, verb: list[str], form: str) -> None:
    assert WORD in refused_but_run(place, *verb, "-o", f"{form}={file}").out


def test_custom_columns_from_a_file_print_its_first_line(place: Bench, file: Path) -> None:
    file.write_text(f"{WORD}\n.metadata.name\n")
    assert WORD in refused_but_run(place, "get", "pods", "-o", f"custom-columns-file={file}").out


def test_template_is_a_file_name_for_some_outputs(place: Bench, file: Path) -> None:
    assert WORD in refused_but_run(place, "get", "pods", "-o", "go-template-file", "--template", file).out


def test_filename_fetches_an_address(place: Bench, elsewhere: ApiServer) -> None:
    refused_but_run(place, "get", "-f", f"{elsewhere.url}/latest/meta-data.yaml")
    assert [request.path for request in elsewhere.requests] == ["/latest/meta-data.yaml"]


def test_filename_tells_what_a_local_file_holds(place: Bench, tmp_path: Path) -> None:
    manifest = tmp_path / "any.yaml"
    manifest.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-the-file}\n")
    refused_but_run(place, "get", "-f", manifest)
    assert any(path.endswith("/configmaps/from-the-file") for _, path, _, _ in place.server.asked())


def test_kustomize_runs_git(place: Bench) -> None:
    trace = program(place, "git")
    refused_but_run(place, "get", "-k", "https://example.invalid/repository.git")
    assert "fetch" in trace.read_text() or "init" in trace.read_text()


def test_an_unknown_verb_runs_a_program(place: Bench) -> None:
    trace = program(place, "kubectl-hello")
    refused_but_run(place, "hello", "x")
    assert trace.read_text() == "x\n"


def test_diff_runs_a_program_and_sends_a_patch(place: Bench, tmp_path: Path) -> None:
    trace = program(place, "diff")
    manifest = tmp_path / "any.yaml"
    manifest.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web-0}\ndata: {a: b}\n")
    refused_but_run(place, "diff", "--server-side", "-f", manifest)
    assert "PATCH" in {request.method for request in place.server.requests}
    assert trace.exists()


def test_profile_output_overwrites_a_file(place: Bench, file: Path) -> None:
    refused_but_run(place, "version", "--client", "--profile=block", f"--profile-output={file}")
    assert SECRET_FILE not in file.read_text(errors="replace")


def test_cache_dir_writes_where_it_is_told(place: Bench, tmp_path: Path) -> None:
    refused_but_run(place, "get", "pods", f"--cache-dir={tmp_path}/new")
    assert list((tmp_path / "new").rglob("*.json"))


def test_cluster_info_dump_writes_files(place: Bench, tmp_path: Path) -> None:
    refused_but_run(place, "cluster-info", "dump", f"--output-directory={tmp_path}/dump")
    assert list((tmp_path / "dump").rglob("*.json"))


def test_server_with_a_ca_of_the_sender_gets_the_token(place: Bench, tmp_path: Path) -> None:
    theirs = trustme.CA()
    theirs.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with ApiServer(context(theirs)) as server:
        refused_but_run(place, "get", "pods", "-s", server.url, f"--certificate-authority={tmp_path}/ca.pem")
        assert f"Bearer {TOKEN}" in {request.credentials for request in server.requests}


@pytest.mark.parametrize(
    "args", [["--raw", "/api/v1/nodes/n1/proxy/metrics"], ["nodes", "n1", "--subresource=proxy"]], ids=str
)
def test_a_proxied_pod_gets_the_token_by_a_redirect(
    place: Bench, ca: tuple[trustme.CA, Path], args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ApiServer(context(ca[0])) as server:
        for path in ("/api/v1/nodes/n1/proxy/metrics", "/api/v1/nodes/n1/proxy"):
            monkeypatch.setitem(place.server.redirects, path, f"{server.url}/collected")
        refused_but_run(place, "get", *args)
        assert f"Bearer {TOKEN}" in {request.credentials for request in server.requests}


def test_as_acts_as_somebody_else(place: Bench) -> None:
    refused_but_run(place, "get", "pods", "--as=system:admin")
    assert any("system:admin" in request.credentials for request in place.server.requests)


def test_a_kuberc_is_found_inside_any_argument(place: Bench, tmp_path: Path) -> None:
    kuberc = tmp_path / "kuberc"
    default = {"command": "get", "options": [{"name": "namespace", "default": "of-the-file"}]}
    kuberc.write_text(
        json.dumps({"apiVersion": "kubectl.config.k8s.io/v1beta1", "kind": "Preference", "defaults": [default]})
    )
    refused_but_run(place, "get", "pods", f"-lx--kuberc={kuberc}", KUBECTL_KUBERC="true")
    assert any("/of-the-file/" in path for _, path, _, _ in place.server.asked())


def test_the_log_level_is_found_inside_any_argument(place: Bench) -> None:
    asked = ["get", "pods", "-l", "app-v=9"]
    assert "Response Body" in place.run(asked).err
    assert "Response" not in place.run(decide(asked)).err  # this one may run, as written by the guard


@pytest.mark.parametrize("level", [["-v=9"], ["-v9"], ["--v", "8"]], ids=str)
def test_the_log_level_shows_whole_answers(place: Bench, level: list[str]) -> None:
    assert "Response Body" in refused_but_run(place, "get", "secrets", "-o", "name", *level).err


def test_a_subcommand_hides_behind_a_value(place: Bench) -> None:
    refused_but_run(place, "rollout", "-n", "history", "restart", "deploy/web")
    assert ("PATCH", "/apis/apps/v1/namespaces/history/deployments/web") in {
        (ask[0], ask[1]) for ask in place.server.asked()
    }


def test_a_verb_hides_behind_a_value(place: Bench) -> None:
    refused_but_run(place, "-n", "get", "delete", "pod", "web-0", "--wait=false")
    assert ("DELETE", "/api/v1/namespaces/get/pods/web-0") in {(ask[0], ask[1]) for ask in place.server.asked()}


@pytest.mark.parametrize(
    "args",
    ["get secrets.v1. -o yaml", "get SECRET/db -o json", "get pods,secrets -o yaml", "get -Aoyaml -- secret",
     "get --raw /api/v1/namespaces/x/secrets/y", "get --raw /api/v1/namespaces/x/./secrets/../secrets/y"],
)  # fmt: skip
def test_a_secret_has_many_spellings(place: Bench, args: str) -> None:
    assert any("secrets" in path for _, path, _, _ in refused_but_run(place, *args.split()).asked)


@pytest.mark.parametrize(
    "args", ["get csec -o yaml", "get ClusterSecret x -o json", "describe clustersecrets.clustersec x"]
)
def test_a_custom_type_can_be_a_secret(place: Bench, args: str) -> None:
    assert "aHVudGVyMg==" in refused_but_run(place, *args.split()).out


def test_a_category_prints_what_is_in_it(place: Bench) -> None:
    assert any("/objects" in path for _, path, _, _ in refused_but_run(place, "get", "managed", "-o", "yaml").asked)


def test_logs_reads_the_object_before_it_complains(place: Bench) -> None:
    asked = refused_but_run(place, "logs", "secret/x").asked
    assert ("GET", "/api/v1/namespaces/default/secrets/x") in {(ask[0], ask[1]) for ask in asked}


def test_config_view_prints_the_token(place: Bench) -> None:
    assert TOKEN in refused_but_run(place, "config", "view", "--raw").out


@pytest.mark.parametrize(
    ("args", "asked"), [("get pods -w", "watch"), ("get pods --watch false", "watch"), ("logs web-0 -pf", "follow")]
)
def test_what_does_not_end_is_asked_for(place: Bench, args: str, asked: str) -> None:
    ran = refused_but_run(place, *args.split(), "--request-timeout=1s")
    assert any(asked in dict(query) for _, _, query, _ in ran.asked)


def test_a_template_doubles_its_own_output(place: Bench) -> None:
    doubling = "{{$s := `x`}}" + "{{$s = print $s $s}}" * 16 + "{{$s}}"
    assert len(refused_but_run(place, "get", "pods", "-o", f"go-template={doubling}").out) == 2**16


def test_a_template_counts(place: Bench) -> None:
    assert len(refused_but_run(place, "get", "pods", "-o", "go-template={{range 100000}}x{{end}}").out) == 100_000


def test_a_template_goes_over_a_list_within_itself(place: Bench) -> None:
    nested = "{{range $.items}}" * 9 + "x" + "{{end}}" * 9
    assert len(refused_but_run(place, "get", "pods", "-o", f"go-template={nested}").out) == 2**9


def test_a_union_multiplies_what_was_fetched(place: Bench) -> None:
    name = "[" + ",".join(["'name'"] * 40) + "]"
    items = "[" + ",".join(["'metadata'"] * 40) + "]"
    assert refused_but_run(place, "get", "pod", "web-0", "-o", f"jsonpath={{{items}{name}}}").out.count("web-0") == 1600


def test_a_range_in_a_range_finds_everything_again(place: Bench) -> None:
    nested = "{range ..}" * 6 + "x" + "{end}" * 6
    once = place.run(["get", "pods", "-o", "jsonpath={range ..}x{end}"]).out
    assert len(refused_but_run(place, "get", "pods", "-o", f"jsonpath={nested}").out) > 100 * len(once)


def test_logs_of_a_workload_without_pods_says_so(place: Bench) -> None:
    """kubectl would wait 20 s for a pod, which is longer than many commands may run."""
    assert "timed out waiting" in place.run(decide(["logs", "deploy/web", "-n", EMPTY])).err
