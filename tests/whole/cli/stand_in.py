"""A kubectl that answers what `check` and a starting agent ask, at once and as it is told to."""

from pathlib import Path

from tests.kit.kubectl import stand_in

READER = """
case "$*" in
  *"secrets"*|*"create "*|*"delete "*|*"patch "*|*"update "*|*"impersonate "*) echo no; exit 1;;
  *"subresource=exec"*|*"subresource=proxy"*|*"subresource=portforward"*) echo no; exit 1;;
  *) echo yes; exit 0;;
esac"""
NOBODY = "echo no; exit 1"
ADMIN = "echo yes; exit 0"
ONE_NAMESPACE = f"""
case "$*" in
  *"--all-namespaces"*|*"nodes"*) echo no; exit 1;;
esac
{READER}"""

FORBIDDEN = (
    """echo 'Error from server (Forbidden): pods is forbidden: User "agent" cannot list resource "pods"' >&2; exit 1"""
)


def kubectl(file: Path, *, rights: str = READER, server: str = "v1.36.4", version: str = "") -> Path:
    """Write it. `rights` and `version` are shell: for `auth can-i`, and for `version` in place of an answer."""
    return stand_in(file, rights=rights, server=server, version=version, otherwise=FORBIDDEN)
