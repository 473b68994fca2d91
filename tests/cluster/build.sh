#!/usr/bin/env bash
# Builds what tests/cluster runs, once: etcd, kube-apiserver, kube-controller-manager and two kubectls.
# They go to a folder outside the repository, named after the release; `build.sh --where` prints it and builds nothing.
# A first build takes about 10 minutes of two cores, 3.3 GB of Go's caches and 330 MB for the programs;
# after an interruption it goes on where it stopped.
#   GO             another go (1.26 or later, or one that may fetch that toolchain itself)
#   XDG_CACHE_HOME where caches live (~/.cache)
set -euo pipefail
cd "$(dirname "$0")"

release() { sed -n 's|^[[:space:]]*k8s.io/kubernetes \(v[0-9.]*\).*|\1|p' "$1/go.mod"; }
where=${XDG_CACHE_HOME:-$HOME/.cache}/kubently/controlplane/$(release .)
if [[ ${1:-} == --where ]]; then echo "$where"; exit; fi

GO=${GO:-$(command -v go || echo /usr/local/go/bin/go)}
mkdir -p "$where"

build() {  # module folder, package, name of the program
  local version major minor stamp=""
  version=$(release "$1"); IFS=. read -r major minor _ <<<"${version#v}"
  if [[ -x $where/$3 ]]; then return; fi
  command -v "$GO" >/dev/null || { echo "No go was found: install Go 1.26 or later, or name it: GO=/path/to/go" >&2; exit 3; }
  # Kubernetes reports v0.0.0 otherwise, and kubectl warns about it.
  for package in k8s.io/client-go/pkg/version k8s.io/component-base/version; do
    stamp+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
    stamp+=" -X $package.gitTreeState=clean"
  done
  echo "Building $3 ($2, Kubernetes $version) ..."
  (cd "$1" && CGO_ENABLED=0 "$GO" build -trimpath -ldflags "-s -w$stamp" -o "$where/.$3" "$2")
  mv "$where/.$3" "$where/$3"
}

build . go.etcd.io/etcd/server/v3 etcd
build . k8s.io/kubernetes/cmd/kubectl kubectl
build . k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver
build . k8s.io/kubernetes/cmd/kube-controller-manager kube-controller-manager
build older-kubectl k8s.io/kubernetes/cmd/kubectl kubectl-older
echo "The control plane is in $where"
