"""What the Dockerfile puts into the image, out of its SPDX file: `python -m tests.image.listing FILE` (`make sbom`).

Prints it, and writes it into docs/deploying.md between the marks. The base's own packages are left to the file, as they
differ with the base.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[2] / "docs/deploying.md"
BEGIN, END = "<!-- listing: begin -->\n", "<!-- listing: end -->"
UNKNOWN = "NOASSERTION"
ADDED = ("sqlite3", "tini")
"""The packages of Debian that the Dockerfile installs."""


@dataclass(frozen=True, order=True)
class Package:
    kind: str
    """As in package URLs: pypi, deb, golang."""
    name: str
    version: str
    licence: str
    found: str
    """Where, in syft's words."""


def packages(spdx: dict[str, Any]) -> Iterator[Package]:
    names = {each["licenseId"]: each["name"] for each in spdx["hasExtractedLicensingInfos"]}
    for each in spdx["packages"]:
        urls = [ref["referenceLocator"] for ref in each.get("externalRefs", []) if ref["referenceType"] == "purl"]
        if urls:
            kind = urls[0].removeprefix("pkg:").partition("/")[0]
            yield Package(kind, each["name"], each["versionInfo"], licence(each, names), each.get("sourceInfo", ""))


def licence(package: dict[str, Any], names: dict[str, str]) -> str:
    """As the package itself declares it, else as syft concludes from its text."""
    declared, concluded = package["licenseDeclared"], package["licenseConcluded"]
    words = (declared if declared != UNKNOWN else concluded).strip("()").split()
    said = " ".join(names.get(word, word) for word in words)
    return "not said" if said == UNKNOWN else said


def added(found: list[Package]) -> list[Package]:
    """What isn't the base's: the agent's own Python packages, kubectl, and two of Debian's."""
    return [
        each
        for each in found
        if (each.kind == "pypi" and "/opt/kubently-agent/" in each.found)
        or (each.kind == "deb" and each.name in ADDED)
        or each.name == "k8s.io/kubernetes"
    ]


def table(found: list[Package]) -> str:
    """A row for each licence."""
    by_licence: dict[str, list[str]] = {}
    for each in sorted(added(found), key=lambda each: (each.licence, each.name)):
        by_licence.setdefault(each.licence, []).append(f"{each.name} {each.version}")
    rows = [f"| {licence} | {', '.join(names)} |" for licence, names in by_licence.items()]
    return "\n".join(["| licence | packages |", "|---|---|", *rows]) + "\n"


def main(file: Path) -> None:
    found = list(packages(json.loads(file.read_text())))
    shown = table(found)
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}{shown}{END}{rest.split(END)[1]}")
    print(shown)
    for kind in sorted({each.kind for each in found}):
        print(f"{sum(each.kind == kind for each in found):4} {kind}")
    print(f"All of it: {file}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
