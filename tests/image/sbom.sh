#!/usr/bin/env bash
# Lists all that is in an image, in an SPDX file: `sbom.sh ENGINE IMAGE FILE`.
# syft reads the image. It is built once with Go (3 minutes of two cores), from the versions and sums in syft/, into a cache
# outside the repository; `sbom.sh --syft` prints where and builds nothing. Nothing is asked of any server but for its source.
#   GO             another go (1.26.8 or later, or one that may fetch that toolchain itself)
#   XDG_CACHE_HOME where caches live (~/.cache)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

version=$(sed -n 's|^[[:space:]]*github.com/anchore/syft v\([0-9.]*\).*|\1|p' "$here/syft/go.mod")
syft=${XDG_CACHE_HOME:-$HOME/.cache}/kubently/syft/v$version/syft
if [[ ${1:-} == --syft ]]; then echo "$syft"; exit; fi
engine=$1 image=$2 file=$3

if [[ ! -x $syft ]]; then
  GO=${GO:-$(command -v go || echo /usr/local/go/bin/go)}
  command -v "$GO" >/dev/null || { echo "No go was found: install Go 1.26 or later, or name it: GO=/path/to/go" >&2; exit 3; }
  echo "Building syft $version ..."
  mkdir -p "$(dirname "$syft")"
  (cd "$here/syft" && CGO_ENABLED=0 "$GO" build -trimpath -ldflags "-s -w -X main.version=$version" -o "$syft.new" github.com/anchore/syft/cmd/syft)
  mv "$syft.new" "$syft"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $engine in
  docker) docker save --output "$work/image" "$image"; kind=docker-archive ;;
  podman) podman save --quiet --format oci-archive --output "$work/image" "$image"; kind=oci-archive ;;
  buildah) buildah push --quiet "$image" "oci-archive:$work/image"; kind=oci-archive ;;
  *) echo "An image is read from docker, podman or buildah, not from '$engine'" >&2; exit 3 ;;
esac
mkdir -p "$(dirname "$file")"
SYFT_CHECK_FOR_APP_UPDATE=false "$syft" scan --quiet "$kind:$work/image" \
  --source-name "${image%:*}" --source-version "${image##*:}" --output "spdx-json=$file"
