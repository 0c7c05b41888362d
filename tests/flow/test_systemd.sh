#!/bin/sh
# Holds the installed units against systemd itself: systemd-analyze finds no fault in them, what the service is exposed to
# stays small, and the system calls that a host makes (plugins inline and in processes of their own, an upgrade) are in the
# filter. flow/test_supervise plays the service manager. Needs CVMHOST_BUILD. Exit status 0, 1, or 77: no systemd here.
set -u
cd "$(dirname "$0")/../.." || exit 1
command -v systemd-analyze >/dev/null || { echo 'skipped: systemd-analyze is not installed'; exit 77; }
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
faults=0
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }

# The program need not be installed to be looked for.
sed "s|^ExecStart=[^ ]*|ExecStart=$CVMHOST_BUILD/host/cvmhost|" "$CVMHOST_BUILD/config/systemd/cvmhost.service" >"$top/cvmhost.service"
cp config/systemd/cvmhost.socket "$top/"
systemd-analyze verify --man=no --recursive-errors=no "$top/cvmhost.service" "$top/cvmhost.socket" >"$top/verify" 2>&1 ||
    fault "systemd-analyze verify: $(cat "$top/verify")"
grep -E 'cvmhost\.(service|socket)' "$top/verify" && fault 'systemd-analyze verify has something to say'

# In tenths: 2.0 is "OK" at its best; a service without directives has 9.6.
systemd-analyze security --offline=yes --threshold=25 --no-pager "$top/cvmhost.service" >"$top/security" 2>&1 ||
    fault "systemd-analyze security: $(grep -E 'Overall|✗' "$top/security")"
grep 'Overall exposure' "$top/security" || fault "systemd-analyze security: $(head -c 500 "$top/security")"

# The members of a set of the filter, sets in it too.
expand()
{
    systemd-analyze syscall-filter "$1" | sed -n 's/^    //p' | grep -v '^#' | while read -r word; do
        case $word in @*) expand "$word" ;; ?*) echo "$word" ;; esac
    done
}

# The filter's lines in their order: what is allowed in the end.
allowed()
{
    : >"$top/allowed"
    sed -n 's/^SystemCallFilter=//p' "$top/cvmhost.service" >"$top/lines"
    while read -r line; do
        for word in ${line#\~}; do
            case $word in @*) expand "$word" ;; *) echo "$word" ;; esac
        done | sort -u >"$top/set"
        case $line in
        \~*) comm -23 "$top/allowed" "$top/set" >"$top/next" ;;
        *) sort -u "$top/allowed" "$top/set" >"$top/next" ;;
        esac
        mv "$top/next" "$top/allowed"
    done <"$top/lines"
}

# A host's whole life, as far as a test goes. fchown is SQLite's, for root alone.
run_traced()
{
    export CVMHOST_HOME="$top/home" CVMHOST_INSTALLED=
    cvmhost=$CVMHOST_BUILD/host/cvmhost
    mkdir -p "$top/home/config" "$top/home/manifests" "$top/home/plugins"
    for name in faulty mender; do
        cp "tests/plugins/$name.json" "$top/home/manifests/"
        cp "$CVMHOST_BUILD/tests/plugins/$name.so" "$top/home/plugins/"
    done
    echo '{"plugins": {"inline": ["faulty"], "process": ["mender"]}}' >"$top/home/config/cvmhost.json"
    strace -f -qq -o "$top/trace" "$cvmhost" serve --port 0 2>"$top/serve.err" &
    for _ in $(seq 200); do grep -q 'serving on' "$top/serve.err" && break; sleep 0.1; done
    "$cvmhost" faulty count >/dev/null && "$cvmhost" mender tell >/dev/null && "$cvmhost" reload >/dev/null &&
        "$cvmhost" upgrade "$CVMHOST_BUILD/tests/flow/cvmhost_next" || fault "the traced host fails: $(tail -n 5 "$top/serve.err")"
    kill "$(sed -nE 's/^([0-9]+) .*/\1/p' "$top/trace" | head -n 1)"
    wait
    sed -nE 's/^[0-9]+ +([a-z0-9_]+)\(.*/\1/p' "$top/trace" | grep -vx fchown | sort -u >"$top/calls"
    [ "$(wc -l <"$top/calls")" -gt 40 ] || fault 'strace saw too few system calls'
    for call in $(comm -23 "$top/calls" "$top/allowed"); do fault "the filter does not allow $call"; done
}

if command -v strace >/dev/null; then
    allowed
    run_traced
else
    echo 'strace is not installed: what the filter allows was not compared with what the host calls'
fi
[ $faults = 0 ] || { printf '%s faults\n' "$faults"; exit 1; }
