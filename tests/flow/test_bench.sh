#!/bin/sh
# The benchmark judges: what was recorded stands in the documents, a row that lost is named and fails, one that did not
# passes, and nothing is judged without a record. Needs CVMHOST_BUILD.
set -u
cd "$(dirname "$0")/../.." || exit 1
bench=$CVMHOST_BUILD/tests/bench/bench
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT

faults=0
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }

# recorded RATIO: as if that had been the ratio of the one row.
recorded() { printf '{"bench": 1, "rows": [{"name": "hop4.fresh", "ratio": %s}]}' "$1" >"$top/recorded.json"; }

"$bench" --pages tests/bench/recorded.json --check README.md docs/performance.md || fault 'the documents show other figures'
sed 's/"value": [0-9.]*/"value": 1.5/' tests/bench/recorded.json >"$top/other.json"
"$bench" --pages "$top/other.json" --check docs/performance.md 2>/dev/null && fault 'other figures are not noticed'

# A row that was not recorded yet.
printf '<!-- figures enquiry.crowd.1000 -->\n<!-- end -->\n' >"$top/page.md"
recorded 1
"$bench" --pages "$top/recorded.json" "$top/page.md" || fault 'a page without figures is not written'
grep -q '^| `enquiry.crowd.1000` | | | | | | p99 <= 300 ms |$' "$top/page.md" || fault 'a row without figures does not stand with its budget'

recorded 0.0001
"$bench" --quick --against "$top/recorded.json" --gate 15 hop4.fresh >"$top/out" || fault 'a row that gained fails'
grep -q 'hop4.fresh.* %$' "$top/out" || fault 'the change is not shown'
recorded 1000
"$bench" --quick --against "$top/recorded.json" --gate 15 hop4.fresh >"$top/out" && fault 'a row that lost passes'
grep -q 'has lost more than 15 %' "$top/out" || fault 'the loss is not named'
recorded 1
mkdir -p "$top/tests/bench" && cp "$bench" "$top/tests/bench/" # there are no plugins beside it
"$top/tests/bench/bench" --quick --against "$top/recorded.json" --gate 15 hop4.fresh >"$top/out" 2>/dev/null && fault 'a row that does not run passes'
grep -q 'hop4.fresh could not be measured' "$top/out" || fault 'what could not be measured is not named'
"$bench" --quick --against "$top/none.json" --gate 15 hop4.fresh >"$top/out" 2>&1
[ $? = 2 ] || fault 'a missing record does not end with 2'

[ $faults = 0 ] || exit 1
