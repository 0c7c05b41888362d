#!/bin/sh
# The build option: one folder, configured anew for each switch, of which only the files with it are compiled again.
# Needs CVM_SOURCE.
set -u
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
faults=0
meson setup "$top/build" "$CVM_SOURCE" >"$top/log" 2>&1 || { tail -n 20 "$top/log"; exit 1; }
plugins=''
for name in ledger stream hostile; do plugins="$plugins tests/sim/plugins/$name.so tests/sim/plugins/$name.2.so"; done
# shellcheck disable=SC2013 # one word a line
for pair in $(sed -n 's/^finds \([a-z_]*\) \([a-z]*\)$/\1:\2/p' "$CVM_SOURCE/tests/sim/test_broken.sh"); do
    switch=${pair%%:*}
    # shellcheck disable=SC2086 # words
    if ! meson configure "$top/build" -Dbreak="$switch" >"$top/log" 2>&1 || ! ninja -C "$top/build" host/cvmhost $plugins >>"$top/log" 2>&1; then
        tail -n 20 "$top/log"
        exit 1
    fi
    "$top/build/host/cvmhost" sim --seeds 200 >"$top/out" 2>&1
    grep -q "breaks invariant [0-9]* ${pair##*:}," "$top/out" || { echo "$switch: not found: $(tail -n 3 "$top/out")"; faults=$((faults + 1)); }
done
[ $faults = 0 ]
