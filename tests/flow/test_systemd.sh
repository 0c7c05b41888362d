#!/bin/sh
# Holds the installed units against systemd itself: systemd-analyze finds no fault in them, and what the service is
# exposed to stays small. A program that makes the calls of the filter runs under it elsewhere: flow/test_supervise plays
# the service manager. Needs CVMHOST_BUILD. Exit status 0, 1, or 77: no systemd here.
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

# What processes of plugins need is in the filter; what nobody needs is not.
systemd-analyze syscall-filter @system-service >/dev/null || fault 'systemd knows no @system-service'
for call in seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self; do
    grep -q "^SystemCallFilter=.*\<$call\>" "$top/cvmhost.service" || fault "the filter does not allow $call"
done
[ $faults = 0 ] || { printf '%s faults\n' "$faults"; exit 1; }
