#!/bin/sh
# What people who come to the project find: one command that builds and shows, one that runs all tests or one of them,
# the rules for changes, the licence, and what is played by a simulator. Needs CVMHOST_BUILD.
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT

faults=0
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }

# says FILE PATTERN...: each extended regular expression is found in FILE, without regard to case.
says()
{
    file=$1
    shift
    for pattern in "$@"; do grep -qiE -- "$pattern" "$file" || fault "$file does not say: $pattern"; done
}

# ---- the script ----

./dev help >"$top/help" 2>&1 || fault './dev help fails'
says "$top/help" '^\./dev demo ' '^\./dev check .*-v' '^ +coverage ' 'WHAT: unit ' '^ +flow ' '^ +NAME  +one test program' \
    '^ +NAME:CASE '
./dev nonsense >/dev/null 2>&1
[ $? = 2 ] || fault './dev nonsense does not end with 2'

# One module, one case of it, every test told: what ./dev check NAME:CASE -v does, with the program as it is built.
case=$(tests/scripts/case_of.sh tests/unit/test_config.c overrides) || fault 'case_of.sh does not find a case'
mkdir -p "$top/results"
CVM_RESULTS=$top/results CK_RUN_CASE=$case tests/scripts/run_one.sh "$CVMHOST_BUILD/tests/unit/test_config" >/dev/null 2>&1 ||
    fault 'a single module does not run'
tests/scripts/count.sh -v "$top/results" >"$top/told"
says "$top/told" 'unit/test_config:overrides passed'
sum=$(tests/scripts/count.sh "$top/results")
case $sum in [1-9]*' 0 0') ;; *) fault "a single module counts $sum" ;; esac

# ---- rules for changes ----

says HACKING.md '\./dev check +#' '\./dev check unit' '\./dev check [a-z]+:[a-z_]+ -v' '\./dev check coverage' 'CVMHOST_CRASH'
says CONTRIBUTING.md '\./dev check' 'core\.hooksPath \.ci/hooks' '^## Code style' '\./dev format' 'area: verb object' 'MIT'
[ -x .ci/hooks/pre-commit ] || fault 'there is no commit hook .ci/hooks/pre-commit'
says .ci/hooks/pre-commit '\./dev check scripts'
[ -f .clang-format ] || fault 'there is no .clang-format'
says README.md '\./dev demo' '\./dev check'

# ---- licence and notices ----

says README.md '\bMIT\b.*LICENSE' 'no warranty' '\*\*simulators\*\*' 'not real people' 'no language model'
for folder in examples/simulators/*/; do
    says README.md "${folder%/}"
done
# Whatever stands for an outside service is named.
for name in MTN AIRTEL GLO 9MOBILE; do says README.md "$name"; done
says LICENSE '^MIT License' '^Copyright' 'WITHOUT WARRANTY OF ANY KIND'

[ $faults = 0 ] || { printf '%s\n' "$faults differences"; exit 1; }
