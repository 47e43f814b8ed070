#!/usr/bin/env bash
# with-engine.sh COMMAND…: runs a command that wants Docker and Compose. with-engine.sh --prepare: only fills the cache, if it is needed.
# Where both are there, they are used, and the real images. Otherwise, as root on Debian, an engine is started in namespaces
# of its own, with stand-ins for the images that the files name: Debian's packages, this machine's Bun, Kafka's jars. Nothing of
# it stays behind but a cache in .services/engine. Where neither is possible, it says what is missing and exits with 3.
set -euo pipefail

readonly SUITE=forky # the Debian that has the major versions of the images
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/.services/engine

if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
  if [[ $1 == --prepare ]]; then exit; fi
  echo "The engine that is there, and the real images: Docker $(docker version --format '{{.Server.Version}}')"
  exec "$@"
fi

missing=()
[[ $EUID -eq 0 ]] || missing+=('to be root')
for program in dockerd docker slirp4netns mmdebstrap unshare nsenter ip go bun; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if [[ ${#missing[@]} -eq 0 ]] && ! unshare --net --mount true 2>/dev/null; then missing+=('the right to make namespaces'); fi
if [[ ${#missing[@]} -gt 0 ]]; then
  printf 'There is no Docker engine with Compose here, and none can be started without: %s\n' "${missing[*]}" >&2
  echo 'Debian has docker.io, slirp4netns, mmdebstrap and iproute2.' >&2
  exit 3
fi

work=$(mktemp -d)
tests=
engine=
namespace=
network=
seconds=$SECONDS
step() {
  echo "-- $1: $((SECONDS - seconds)) s"
  seconds=$SECONDS
}

# What an engine of ours left running, mounted or limited.
leftovers() {
  local process group
  for process in /proc/[0-9]*; do
    if [[ $(readlink "$process/ns/net" 2>/dev/null) == "$namespace" ]]; then
      echo "a process: $(tr '\0' ' ' <"$process/cmdline")"
    fi
  done
  grep -F "$work" /proc/mounts | sed 's/^/a mount: /' || true
  for group in $(find /sys/fs/cgroup -type d -name "$(basename "$work")" 2>/dev/null); do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || echo "a control group: $group"
  done
}

finish() {
  local status=$? left
  trap - EXIT
  set +e
  if [[ -n $tests ]] && kill "$tests" 2>/dev/null; then wait "$tests"; fi
  if [[ -n $engine ]]; then
    kill "$engine" 2>/dev/null
    wait "$engine" 2>/dev/null
    if [[ -n $network ]]; then
      kill "$network" 2>/dev/null
      wait "$network" 2>/dev/null
    fi
    left=$(leftovers)
    if [[ -n $left ]]; then
      printf 'Left behind by the engine:\n%s\n' "$left" >&2
      status=1
    fi
  fi
  if [[ $status -ne 0 && -s $work/dockerd.log ]]; then grep -E 'level=(error|fatal)' "$work/dockerd.log" | tail -n 20 >&2; fi
  rm -rf "$work" || status=1
  step 'engine stopped'
  exit "$status"
}
trap finish EXIT
trap 'exit 143' TERM INT HUP

# The tag of the image that the compose file has of a repository.
tag_of() { sed -nE "s|^ *image: $1:(.*)|\1|p" "$root/docker-compose.yml"; }

plugin=$cache/docker-compose-$(sha256sum "$here/compose/go.mod" | head -c 12)
packages=ca-certificates,gosu,wget,netcat-openbsd,haproxy,redis-server,postgresql-$(tag_of postgres | cut -d. -f1),openjdk-21-jre-headless
root_filesystem=$cache/$SUITE-$(echo "$packages" | sha256sum | head -c 12).tar

# Compose's plugin, built from its Go module, once for each version.
make_plugin() {
  if [[ ! -x $plugin ]]; then
    mkdir -p "$cache"
    (cd "$here/compose" && CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off go build -trimpath -ldflags '-s -w' -o "$work/compose" github.com/docker/compose/v2/cmd)
    mv "$work/compose" "$plugin"
  fi
}

# One root filesystem for all stand-ins.
make_root_filesystem() {
  if [[ ! -s $root_filesystem ]]; then
    mkdir -p "$cache"
    # A mirror may hold the suite as it was some time ago.
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
      --include="$packages" "$SUITE" "$work/root.tar"
    mv "$work/root.tar" "$root_filesystem"
  fi
}

# A network and a mount namespace of its own; the way out leads through slirp4netns, so the machine gets no bridge and no rule.
start_engine() {
  mkdir "$work/run"
  echo 'nameserver 10.0.2.3' >"$work/resolv.conf"
  unshare --net --mount sh -ec '
    ip link set lo up
    echo 1 >/proc/sys/net/ipv4/ip_forward
    mount --bind "$1/resolv.conf" "$(readlink -f /etc/resolv.conf)"
    until ip link show tap0 >/dev/null 2>&1; do sleep 0.05; done
    exec dockerd --data-root "$1/data" --exec-root "$1/run" --pidfile "$1/run/pid" --host "unix://$1/run/docker.sock" \
      --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$(basename "$1")"
  ' sh "$work" >"$work/dockerd.log" 2>&1 &
  engine=$!
  until [[ $(readlink "/proc/$engine/ns/net") != "$(readlink /proc/self/ns/net)" ]]; do sleep 0.05; done
  namespace=$(readlink "/proc/$engine/ns/net")
  slirp4netns --configure --mtu=1400 --disable-host-loopback "$engine" tap0 >"$work/network.log" 2>&1 &
  network=$!
  export DOCKER_HOST=unix://$work/run/docker.sock DOCKER_CONFIG=$work/config
  timeout 60 sh -c 'until docker version >/dev/null 2>&1; do sleep 0.1; done' || {
    tail -n 20 "$work/dockerd.log" >&2
    return 1
  }
}

stand_ins() {
  local bun libs image
  bun=$(sed -nE 's/^FROM (oven\S+).*/\1/p' "$root/Dockerfile" | head -n 1)
  libs=$(cd "$root" && bun -e 'console.log(await (await import("./scripts/services/kafka.ts")).downloadKafka())')
  mkdir "$work/context"
  cp "$here"/stand-ins/* /etc/ssl/certs/ca-certificates.crt "$work/context"
  cp -L "$(readlink -f "$(command -v bun)")" "$work/context/bun"
  cp -r "$libs" "$work/context/libs"
  for image in bun haproxy redis postgres kafka; do
    case $image in
      bun) set -- "$bun" ;;
      kafka) set -- "apache/kafka:$(tag_of apache/kafka)" ;;
      *) set -- "$image:$(tag_of $image)" ;;
    esac
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$1" --file "$work/context/Dockerfile" --target "$image" "$work/context" >"$work/build.log" 2>&1 || {
      cat "$work/build.log" >&2
      return 1
    }
    echo "stand-in for $1"
  done
}

make_plugin
step 'Compose'
make_root_filesystem
step 'root filesystem'
if [[ $1 == --prepare ]]; then exit; fi
mkdir -p "$work/config/cli-plugins"
cp "$plugin" "$work/config/cli-plugins/docker-compose"
start_engine
step 'engine'
docker import "$root_filesystem" stand-in >/dev/null
stand_ins
step 'stand-ins'
# Beside this shell, which would take no signal while it runs a command.
nsenter --target "$engine" --net -- "$@" &
tests=$!
status=0
wait "$tests" || status=$?
tests=
step 'tests'
exit "$status"
