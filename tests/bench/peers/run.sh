#!/bin/bash
# The same work on peers and on cvmhost, in one run: README.md beside this file.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
build=${CVMHOST_BUILD:-$top/build}
peers=$build/peers
export SECONDS_EACH=${SECONDS_EACH:-3}
parts=${PARTS:-hop http}
die() { echo "$*" >&2; exit 1; }
for tool in node npm; do command -v "$tool" >/dev/null || die "needs $tool (node 20 or newer)"; done

mkdir -p "$peers"
if [ ! -d "$peers/node_modules/moleculer" ]; then
    echo "installing moleculer, fastify and langgraph into $peers" >&2
    (cd "$peers" && { [ -f package.json ] || npm init -y >/dev/null; } &&
        npm install --no-audit --no-fund --loglevel=error moleculer@0.15 fastify@5 @langchain/langgraph@1.3 @langchain/core@1.2 zod@4 >&2) || die "npm cannot install them"
fi
cp "$here"/*.js "$here"/*.mjs "$peers/"
echo "building cvmhost" >&2
(cd "$top" && ./dev bench --quick floor >/dev/null 2>&1 || true)
bench=$build/release/tests/bench/bench
[ -x "$bench" ] || die "no benchmark at $bench: ./dev bench builds it"

hop()
{
    printf '%-34s %5s %11s %10s %10s\n' "hop" "width" "requests/s" "p50 us" "p99 us"
    (cd "$peers" && SECONDS=$SECONDS_EACH node moleculer_hop.js && SECONDS=$SECONDS_EACH node langgraph_hop.mjs)
    "$bench" --json hop4.shared | node -e '
        const row = JSON.parse(require("fs").readFileSync(0)).rows.find((r) => r.name === "hop4.shared");
        console.log(`${"cvmhost".padEnd(34)} ${"1".padStart(5)} ${"".padStart(11)} ${row.p50_us.toFixed(2).padStart(10)} ${row.p99_us.toFixed(2).padStart(10)}`);
        console.log(`${"cvmhost".padEnd(34)} ${"64".padStart(5)} ${row.value.toFixed(0).padStart(11)}`);'
}

server=
stop()
{
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    server=
}
trap stop EXIT

# load NAME PORT PATH: a row for 64 and for 1,000 connections.
load()
{
    for width in 64 1000; do
        wrk -t1 -c$width -d"${SECONDS_EACH}s" --latency -s "$here/post.lua" "http://127.0.0.1:$2$3" |
            awk -v name="$1 $3" -v width=$width '/Requests\/sec/ { rate = $2 } $1 == "50%" { p50 = $2 } $1 == "99%" { p99 = $2 } /Non-2xx|Socket errors/ { bad = $0 }
                END { printf "%-34s %5d %11.0f %10s %10s %s\n", name, width, rate, p50, p99, bad }'
    done
}

http()
{
    command -v wrk >/dev/null || { echo "the HTTP part needs wrk (apt-get install wrk)" >&2; return; }
    printf '%-34s %5s %11s %10s %10s\n' "http" "width" "requests/s" "p50" "p99"
    for kind in fastify moleculer; do
        (cd "$peers" && exec node http_peers.js 18311 $kind) &
        server=$!
        sleep 2
        load "$kind" 18311 /bench/echo
        load "$kind" 18311 /bench/chain
        stop
    done
    home=$(mktemp -d)
    mkdir -p "$home/config" "$home/plugins" "$home/manifests"
    echo '{"http": {"connections": 2048, "per_address": 2048}}' >"$home/config/cvmhost.json"
    cp "$build/release/tests/bench/relay.so" "$home/plugins/"
    cp "$top/tests/bench/relay.json" "$home/manifests/"
    "$build/release/host/cvmhost" serve --home "$home" --port 18312 --trust-all >"$home/log" 2>&1 &
    server=$!
    for _ in $(seq 50); do curl -fs http://127.0.0.1:18312/health >/dev/null && break; sleep 0.1; done
    load cvmhost 18312 /bench/echo
    load "cvmhost, on disk" 18312 /bench/chain
    stop
    rm -rf "$home"
}

for part in $parts; do $part; done
