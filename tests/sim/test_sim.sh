#!/bin/sh
# Lives of the host: none breaks an invariant, the same seed gives the same bytes, and what fails can be repeated by the
# command that is printed. Needs CVMHOST; CVM_SEEDS is how many (200).
set -u
seeds=${CVM_SEEDS:-200}
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
faults=0
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }

"$CVMHOST" sim --seeds "$seeds" --keep-going >"$top/all" || fault "$(cat "$top/all")"
tail -n 1 "$top/all"

"$CVMHOST" sim --seeds 12 --verbose >"$top/a" || fault 'some of 12 seeds failed'
"$CVMHOST" sim --seeds 12 --verbose --jobs 2 >"$top/b" || fault 'some of 12 seeds failed'
sed -n 's/^\(seed .*\)/\1/p' "$top/a" | sort >"$top/a.sorted"
sed -n 's/^\(seed .*\)/\1/p' "$top/b" | sort >"$top/b.sorted"
cmp -s "$top/a.sorted" "$top/b.sorted" || fault "the same seeds gave other lives: $(diff "$top/a.sorted" "$top/b.sorted")"
[ "$(wc -l <"$top/a.sorted")" = 12 ] || fault 'not every seed has its line'

"$CVMHOST" sim --seeds 2 --output json >"$top/json" || fault 'with --output json it failed'
grep -q '"ok": *true' "$top/json" || fault "no report: $(cat "$top/json")"
"$CVMHOST" sim --plugins "$top" >"$top/text" 2>&1
[ $? = 4 ] || fault "a folder without plugins: $(cat "$top/text")"
"$CVMHOST" sim --seeds none >"$top/text" 2>&1
[ $? = 2 ] || fault "--seeds none: $(cat "$top/text")"

# An operator's plugins: of the messages it knows only the schemas.
own=$(dirname "$CVMHOST")/../tests/sim/plugins
mkdir "$top/own" && cp "$own"/stream.so "$own"/stream.json "$own"/ledger.so "$own"/ledger.json "$top/own/"
"$CVMHOST" sim --plugins "$top/own" --seeds 20 >"$top/text" 2>&1 || fault "plugins of a folder: $(cat "$top/text")"
# One that cannot be loaded is said, and is no fault of the host.
head -c 4000 "$own/ledger.so" >"$top/own/ledger.so"
"$CVMHOST" sim --plugins "$top/own" --seeds 20 >"$top/text" 2>&1
[ $? = 3 ] || fault "a broken library: $(cat "$top/text")"
grep -q 'ledger' "$top/text" || fault "which library is broken is not said: $(cat "$top/text")"
grep -q 'invariant' "$top/text" && fault "a broken library is not a broken invariant: $(cat "$top/text")"
[ $faults = 0 ]
