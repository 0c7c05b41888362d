#!/bin/sh
# The demo: a home in build/home, simulated networks, a host, and a story that checks its own claims. Started by
# ./dev demo, after the build. --once ends after the story; else the host stays until Ctrl-C.
set -u
cd "$(dirname "$0")/../.." || exit 1
here=examples/demo
build=${CVMHOST_BUILD:-$PWD/build}
home=$build/home
logs=$build/log
cvmhost=$build/host/cvmhost
simulator=$build/examples/simulators/network_sim/network_sim
. "$here/lib.sh"

once=0
for arg in "$@"; do
    case $arg in
    --once) once=1 ;;
    *) echo "demo: unknown option $arg (there is --once)" >&2; exit 2 ;;
    esac
done

sim_pid='' host_pid=''
stop()
{
    trap '' INT TERM
    trap - EXIT
    for pid in $host_pid $sim_pid; do kill "$pid" 2>/dev/null; done
    for pid in $host_pid $sim_pid; do wait "$pid" 2>/dev/null; done
    exit "$1"
}
trap 'stop $?' EXIT
trap 'stop 130' INT
trap 'stop 143' TERM

make_home()
{
    owner=$(cat "$home/data/lock" 2>/dev/null)
    if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null; then
        die "A demo is running already (process $owner). End it with Ctrl-C there, or: kill $owner"
    fi
    rm -rf "$home"
    mkdir -p "$home/config" "$home/manifests" "$home/plugins" "$home/data" "$logs"
    cp -R manifests/. "$home/manifests/"
    find "$build/plugins" -name '*.so' -exec cp {} "$home/plugins/" \;
    find config -maxdepth 1 -type f ! -name cvmhost.json -exec cp {} "$home/config/" \;
    sim_key=demo-$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
    (umask 077 && sed "s/^\([A-Z0-9_]*_API_KEY\)=.*/\1=$sim_key/" .env.example >"$home/.env")
}

start_simulator()
{
    "$simulator" --port-file "$home/data/network.port" --ledger "$home/data/network-ledger.jsonl" --key "$sim_key" \
        --settle-ms 3000 >"$logs/network_sim.log" 2>&1 &
    sim_pid=$!
    wait_for 10 test -s "$home/data/network.port" || die "The network simulator did not start: $logs/network_sim.log"
    sim_port=$(cat "$home/data/network.port")
}

start_host()
{
    port=$(free_port 8000)
    sed -e "s/@PORT@/$port/" -e "s/@NETWORK@/127.0.0.1:$sim_port/" "$here/cvmhost.json.in" >"$home/config/cvmhost.json"
    "$cvmhost" serve --home "$home" >"$logs/host.log" 2>&1 &
    host_pid=$!
    wait_for 20 host_ready || { tail -n 20 "$logs/host.log" >&2; die "The host did not start: $logs/host.log"; }
}

make_home
start_simulator
start_host
. "$here/story.sh"
