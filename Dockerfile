# The agent's image: Python, the agent, kubectl, and sqlite3 for looking into the spool. `make image` builds it.
# It runs as a numeric user, on a read-only root, without capabilities; /var/lib/kubently and /tmp are to be writable.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie
# The only place that names kubectl's version. kubectl supports API servers one minor older and newer than itself.
ARG KUBECTL_VERSION=1.37.1

FROM registry.k8s.io/kubectl:v${KUBECTL_VERSION} AS kubectl

FROM ${PYTHON_IMAGE} AS build
COPY requirements.txt /build/
# Wheels by their hashes and nothing else: no source is built, nothing is resolved, and no compiler is needed.
RUN python -m venv --without-pip /opt/kubently-agent \
 && python -m pip --python /opt/kubently-agent/bin/python install --quiet --disable-pip-version-check --no-cache-dir \
      --no-compile --no-deps --require-hashes --only-binary=:all: -r /build/requirements.txt \
 && find /opt/kubently-agent/bin -type f -delete
COPY agent /build/agent
# `-I`: neither PYTHON* variables nor the working folder decide what is imported. `-OO`: nothing here reads a docstring or
# counts on an assert, and docstrings would stay in memory for months, 1.5 MB of them. The byte code is never compared with
# its source: that needs no writable root and no equal clocks. The standard library's is made below, in the final stage.
RUN mv /build/agent /opt/kubently-agent/lib/python3*/site-packages/ \
 && printf '%s\n' '#!/opt/kubently-agent/bin/python -IOO' 'import sys' 'from agent.cli import main' 'sys.exit(main())' \
      > /opt/kubently-agent/bin/kubently-agent \
 && chmod 755 /opt/kubently-agent/bin/kubently-agent \
 && python -m compileall -q -j 0 -o 2 --invalidation-mode unchecked-hash /opt/kubently-agent/lib

FROM ${PYTHON_IMAGE}
# tini is process 1. Without it the agent would be, and the kernel drops a SIGTERM for process 1 as long as no handler is
# set, which is all of the start; and what a killed kubectl leaves behind would stay as zombies.
# The base comes without the standard library's byte code: on a read-only root every start would compile it again.
# pip goes, the copy inside ensurepip too: nothing can be installed into a running container.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends sqlite3 tini >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
 && find / -xdev \( -path '*python3*/pip' -o -path '*python3*/pip-*' -o -path '*python3*/ensurepip' -o -path '*/python-wheels' \
      -o -path '*/bin/pip*' \) -prune -exec rm -rf {} + \
 && python -m compileall -q -j 0 -o 2 --invalidation-mode unchecked-hash -x '/(idlelib|pydoc_data|test|tkinter|turtledemo)/' \
      "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && echo 'kubently:x:65532:65532::/tmp:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'kubently:x:65532:' >> /etc/group \
 && install -d -o 65532 -g 65532 -m 750 /var/lib/kubently
COPY --from=kubectl --chmod=755 /bin/kubectl /usr/local/bin/kubectl
COPY --from=build /opt/kubently-agent /opt/kubently-agent
COPY LICENSE /usr/share/doc/kubently-agent/LICENSE

ARG VERSION=unknown
ARG REVISION=unknown
ARG KUBECTL_VERSION
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="kubently-agent" \
      org.opencontainers.image.description="Runs read-only kubectl commands in a cluster for a central API, and loses none of their results" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      io.kubernetes.kubectl.version="${KUBECTL_VERSION}"
ENV PATH=/opt/kubently-agent/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["tini", "--", "kubently-agent"]
CMD ["run"]
