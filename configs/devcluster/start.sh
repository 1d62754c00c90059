#!/usr/bin/env bash
# A cluster for development on this host, with the ports of uber/kraken's development cluster:
#   proxy 15000, origin 15001 (peers) and 15002, tracker 15003, build-index 15004,
#   agents 16000, 17000 (registry), 16001, 17001 (peers), 16002, 17002 (API).
# Usage: configs/devcluster/start.sh [DATA_DIR]      KRAKEND names the program, HOST the address (127.0.0.1).
# Ctrl-C ends it. If one of the three processes ends by itself, its last lines are shown and the rest ends too.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
krakend=${KRAKEND:-krakend}
host=${HOST:-127.0.0.1}
data=${1:-${TMPDIR:-/tmp}/krakend-devcluster}
mkdir -p "$data"

names=(herd agent-one agent-two)
pids=()

start() {
  local name=$1
  shift
  : > "$data/$name.log"
  "$krakend" --listen-address="$host" --peer-ip="$host" --data-dir="$data/$name" "$@" 2> "$data/$name.log" &
  pids+=($!)
}

# The log tells when it is ready.
await() {
  local name=$1 pid=$2
  until grep -q ' ready$' "$data/$name.log"; do
    kill -0 "$pid" 2> /dev/null || return 0 # the loop below tells why
    sleep 0.1
  done
  echo "$name: ready, log in $data/$name.log"
}

stop() {
  trap - INT TERM
  kill "${pids[@]}" 2> /dev/null || true
  wait || true
}
trap 'stop; exit 0' INT TERM

start herd --role=herd --config="$here/herd.yaml"
await herd "${pids[0]}"
start agent-one --role=agent --config="$here/agent.yaml" \
  --agent-registry-port=16000 --peer-port=16001 --agent-server-port=16002
start agent-two --role=agent --config="$here/agent.yaml" \
  --agent-registry-port=17000 --peer-port=17001 --agent-server-port=17002
await agent-one "${pids[1]}"
await agent-two "${pids[2]}"
echo "push to $host:15000, pull from $host:16000 and $host:17000"

wait -n "${pids[@]}" || true
for i in "${!pids[@]}"; do
  kill -0 "${pids[$i]}" 2> /dev/null && continue
  echo "${names[$i]} has ended; the end of its log:" >&2
  tail -n 100 "$data/${names[$i]}.log" >&2
done
stop
exit 1
