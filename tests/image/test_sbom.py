"""The list of what is in the image is whole, as far as the image itself can tell."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.image.listing import Package, packages
from tests.image.podman import IMAGE, inspect, run

SBOM = Path(__file__).with_name("sbom.sh")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> list[Package]:
    syft = subprocess.run([SBOM, "--syft"], capture_output=True, text=True, check=True).stdout.strip()
    if not Path(syft).exists():
        pytest.skip(f"no {syft}: `make sbom ENGINE=podman` builds it with Go")
    file = tmp_path_factory.mktemp("sbom") / "image.spdx.json"
    subprocess.run([SBOM, "podman", IMAGE, file], check=True, stdin=subprocess.DEVNULL)
    return list(packages(json.loads(file.read_text())))


def names(listed: list[Package], kind: str, found: str = "") -> set[str]:
    return {f"{each.name} {each.version}" for each in listed if each.kind == kind and found in each.found}


def test_it_has_every_package_of_debian(listed: list[Package]) -> None:
    installed = run("dpkg-query", "--show", "--showformat=${Package} ${Version}\n").stdout.splitlines()
    assert names(listed, "deb") == set(installed)


def test_it_has_every_python_package_of_the_agent(listed: list[Package]) -> None:
    look = "import importlib.metadata as m; print(*(f'{d.name} {d.version}' for d in m.distributions()), sep='\\n')"
    installed = run("/opt/kubently-agent/bin/python", "-I", "-c", look).stdout.replace("_", "-").splitlines()
    assert names(listed, "pypi", "/opt/kubently-agent/") == set(installed)


def test_it_has_the_modules_inside_kubectl(listed: list[Package]) -> None:
    version = inspect(IMAGE)["Config"]["Labels"]["io.kubernetes.kubectl.version"]
    modules = names(listed, "golang", "/usr/local/bin/kubectl")
    assert f"k8s.io/kubernetes v{version}" in modules
    assert {name.split()[0] for name in modules} > {"stdlib", "github.com/spf13/cobra", "golang.org/x/net"}


def test_nothing_else_was_found(listed: list[Package]) -> None:
    assert {each.kind for each in listed} == {"deb", "golang", "oci", "pypi"}
