#!/usr/bin/env bash
# Installs what building, running and testing krakend needs: Debian 12/13, Ubuntu 22.04/24.04. Needs root and apt.
# Idempotent; prints what it adds. Usage: packaging/deps.sh [build] [test] [bench]   (default: build test)
set -euo pipefail

build=(g++ cmake ninja-build ccache lld pkg-config libasio-dev libcpp-httplib-dev nlohmann-json3-dev libcli11-dev
  libfmt-dev libspdlog-dev libssl-dev libyaml-cpp-dev libre2-dev libprotozero-dev libisal-dev libexpected-dev libsqlite3-dev
  libsqlitecpp-dev prometheus-cpp-dev zlib1g-dev catch2)
test=(skopeo curl openssl python3 python3-pytest python3-jsonschema python3-yaml busybox-static
  podman buildah umoci containerd runc docker.io)  # the other real clients; their services are not used
bench=(nginx-light docker-registry wrk hey skopeo curl openssl iproute2 procps python3)  # yardsticks, and a network namespace of their own

groups=("$@")
[ ${#groups[@]} -gt 0 ] || groups=(build test)
wanted=()
for group in "${groups[@]}"; do
  case "$group" in
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    *) echo "deps.sh: unknown group \"$group\": use build, test or bench" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "deps: everything is installed"
  exit 0
fi
echo "deps: adding ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Only the programs are wanted: no service of theirs may start here.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get -qq update
apt-get -qq install -y -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}" > /dev/null
