#!/usr/bin/env bash
# Local images under the names of the Dockerfile's two bases, for machines that reach no container registry.
# Needs root, podman and debootstrap; kubectl is the one in .venv. An image that is there already is left alone.
#
#   tests/image/stand_ins.sh && make image ENGINE=podman BUILD_OPTIONS="--pull-never --isolation chroot"
#
# They show that the Dockerfile builds and that what it builds runs; they don't replace a build on the real bases.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in podman debootstrap; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
done
argument() { sed -n "s/^ARG $1=//p" Dockerfile; }
python=$(argument PYTHON_IMAGE)
kubectl=registry.k8s.io/kubectl:v$(argument KUBECTL_VERSION)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! podman image exists "$python"; then
  suite=${python##*-}
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv "$suite" "$work/root" \
    >"$work/log" 2>&1 || { tail "$work/log" >&2; exit 1; }
  # As in the real one: found in /usr/local/bin, free to be added to, its standard library without byte code.
  for name in python python3; do ln -s /usr/bin/python3 "$work/root/usr/local/bin/$name"; done
  ln -s /usr/bin/pip "$work/root/usr/local/bin/pip"
  rm -f "$work"/root/usr/lib/python3*/EXTERNALLY-MANAGED
  rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
  find "$work/root" -name __pycache__ -prune -exec rm -r {} +
  # A machine with certificates of its own (a proxy that looks inside TLS) has them for a reason.
  cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/ca-certificates.crt"
  tar -C "$work/root" -c . | podman import --quiet \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' --change 'CMD ["python3"]' - "$python"
fi

if ! podman image exists "$kubectl"; then
  [[ $(.venv/bin/kubectl version --client) == *"${kubectl##*:}"* ]] ||
    { echo "The Dockerfile wants kubectl ${kubectl##*:}, which the one in .venv isn't" >&2; exit 1; }
  install -D -m 755 .venv/bin/kubectl "$work/kubectl/bin/kubectl"
  tar -C "$work/kubectl" -c . | podman import --quiet --change 'ENTRYPOINT ["/bin/kubectl"]' - "$kubectl"
fi
