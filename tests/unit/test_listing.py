"""docs/deploying.md lists the Python packages that requirements.txt puts into the image."""

import re
from pathlib import Path

from tests.image.listing import ADDED, BEGIN, DOCUMENT, END, Package, packages, table

ROOT = Path(__file__).parents[2]


def test_the_documents_list_is_that_of_the_requirements() -> None:
    shown = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0]
    listed = {
        tuple(name.split()) for row in shown.splitlines()[2:] for name in row.split(" | ")[1].strip("| ").split(", ")
    }
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+)( ; .*)?", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    elsewhere = {name for name, _, marker in pinned if "os_name == 'nt'" in marker}
    ours = {(name, version) for name, version in listed if name not in {*ADDED, "k8s.io/kubernetes"}}
    assert ours == {(name, version) for name, version, _ in pinned if name not in elsewhere}


def spdx(**package: str) -> dict[str, object]:
    plain = {"name": "p", "versionInfo": "1", "licenseDeclared": "NOASSERTION", "licenseConcluded": "NOASSERTION"}
    url = {"referenceType": "purl", "referenceLocator": "pkg:pypi/p@1"}
    found = {"sourceInfo": "file: /opt/kubently-agent/lib/p", "externalRefs": [url]}
    return {
        "packages": [plain | found | package, {"name": "the image itself", "versionInfo": "1"}],
        "hasExtractedLicensingInfos": [{"licenseId": "LicenseRef-X", "name": "X, Version 2"}],
    }


def test_a_licence_is_the_declared_one_or_else_the_concluded_one() -> None:
    cases = {
        "MIT": spdx(licenseDeclared="MIT", licenseConcluded="BSD-3-Clause"),
        "BSD-3-Clause": spdx(licenseConcluded="BSD-3-Clause"),
        "MIT OR X, Version 2": spdx(licenseDeclared="(MIT OR LicenseRef-X)"),
        "not said": spdx(),
    }
    for licence, given in cases.items():
        assert [each.licence for each in packages(given)] == [licence]


def test_only_what_the_image_adds_is_shown() -> None:
    base = Package("pypi", "wheel", "1", "MIT", "file: /usr/lib/python3")
    own = Package("pypi", "trio", "1", "MIT", "file: /opt/kubently-agent/lib")
    assert table([own, base]).splitlines()[2:] == ["| MIT | trio 1 |"]
