#!/bin/sh
# The demo: a home in build/home, simulated networks, a host, and a story that checks its own claims. Started by
# ./dev demo, after the build. --once ends after the story; else the host stays until Ctrl-C.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${CVMHOST_BUILD:-$PWD/build}
home=$build/home
logs=$build/log
. examples/demo/lib.sh
. examples/demo/home.sh

once=0
for arg in "$@"; do
    case $arg in
    --once) once=1 ;;
    *) echo "demo: unknown option $arg (there is --once)" >&2; exit 2 ;;
    esac
done

end()
{
    trap '' INT TERM
    trap - EXIT
    stop_all
    exit "$1"
}
trap 'end $?' EXIT
trap 'end 130' INT
trap 'end 143' TERM HUP

make_home
start_simulator
start_host
. examples/demo/story.sh
[ $once = 0 ] || exit 0

chapter 'Your turn' "The host serves until you press Ctrl-C. In another terminal:"
. examples/demo/try.sh
wait "$host_pid"
status=$?
host_pid=''
die "The host ended with status $status: $logs/host.log"
