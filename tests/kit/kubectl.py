"""A script in kubectl's place: real processes, pipes and signals, with what a real kubectl does not do on demand.

After the guard's `--` it finds `pods WHAT`, where WHAT is one of:

    echo-TEXT       prints TEXT
    show-NAME       prints the file NAME beside the script
    flood-BYTES     prints so many bytes
    sleep-SECONDS   prints "began", sleeps, prints "ended"
    until-NAME      the same until there is a file NAME beside the script: what happens before that is the test's to say
    family-SECONDS  starts a grandchild that sleeps too, prints both pids, sleeps
    fail            prints to both streams and exits with 3

These have an id, and print first WHAT and their own pid, so that two runs of one command never print the same:

    say-0-ID   nap-SECONDS-ID (and then "ended")   pour-BYTES-ID   fail-0-ID

Anything else prints one line. Each start is noted in a file, so that tests can count them.
"""

from pathlib import Path

CONFIG = '{"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"current-context":"c"}'
CLIENT = '{"clientVersion":{"gitVersion":"v1.37.1"}}'
VERSIONS = '{"clientVersion":{"gitVersion":"v1.37.1"},"serverVersion":{"gitVersion":"%s"}}'

SCRIPT = r"""#!/bin/sh
case "$*" in
  *" config view "*) echo 'CONFIG'; exit;;
  *"version --client"*) VERSION
    echo 'CLIENT'; exit;;
  *" version"*) echo 'SERVER'; exit;;
  *" auth can-i "*) RIGHTS
    exit;;
esac
for what; do :; done
echo "$what" >> 'RUNS'
rest=${what#*-}
number=${rest%%-*}
case "$what" in say-*|nap-*|pour-*|fail-*) echo "$what $$";; esac
case "$what" in
  echo-*) echo "$rest";;
  show-*) exec /bin/cat "${0%/*}/$rest";;
  flood-*|pour-*) /usr/bin/head -c "$number" /dev/zero | /usr/bin/tr '\0' x;;
  sleep-*) echo began; /bin/sleep "$number"; echo ended;;
  until-*) echo began; left=1200
    while [ ! -e "${0%/*}/$rest" ] && [ $((left -= 1)) -gt 0 ]; do /bin/sleep 0.05; done; echo ended;;
  nap-*) /bin/sleep "$number"; echo ended;;
  family-*) /bin/sleep "$number" & echo "$$ $!"; /bin/sleep "$number";;
  say-*) ;;
  fail) echo "some output"; echo "no such pod" >&2; exit 3;;
  fail-*) echo "no such pod" >&2; exit 3;;
  *) OTHERWISE;;
esac
"""


def stand_in(
    file: Path,
    *,
    runs: Path | None = None,
    rights: str = "echo yes",
    server: str = "v1.36.4",
    version: str = "",
    otherwise: str = "echo 'a line of output'",
) -> Path:
    """Write it.

    Args:
        file: of the script.
        runs: where each start is noted, by its WHAT; without it nowhere.
        rights: shell that answers `auth can-i`.
        server: its version.
        version: shell to run before the client's version is told, such as `exit 1`.
        otherwise: shell for any other WHAT.
    """
    text = SCRIPT
    for name, value in {
        "CONFIG": CONFIG,
        "CLIENT": CLIENT,
        "SERVER": VERSIONS % server,
        "VERSION": version,
        "RIGHTS": rights,
        "RUNS": str(runs or "/dev/null"),
        "OTHERWISE": otherwise,
    }.items():
        text = text.replace(name, value, 1)
    file.write_text(text)
    file.chmod(0o755)
    return file
