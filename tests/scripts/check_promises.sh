#!/bin/sh
# Holds docs/guarantees.md against the tests and the switches that break a rule: check_promises.sh [PAGE]. A link to a test has
# the test's name as its text, unit/test_noun:case or folder/script, and leads to its file. Prints what is not so.
set -u
page=${1:-docs/guarantees.md}

# Every test that is named is there.
grep -oE '\[[^]]*\]\(\.\./tests/[^)]*\)' "$page" | sed 's/^\[\(.*\)\](\.\.\/\(.*\))$/\1 \2/' | sort -u | while read -r test file; do
    key=${test%%:*} case=''
    [ "$key" = "$test" ] || case=${test#*:}
    [ "${file%.*}" = "tests/$key" ] || echo "$page: $test leads to $file"
    [ -f "$file" ] || { echo "$page: there is no $file"; continue; }
    case $file in
    tests/unit/*.c | tests/flow/*.c)
        [ -n "$case" ] || echo "$page: $test names no test of it"
        tests/scripts/case_of.sh "$file" "$case" >/dev/null || echo "$page: $file has no test $case"
        ;;
    esac
done

# Every promise, a paragraph that begins in bold letters, names a test; every rule, one with a number, names a switch.
awk -v page="$page" -v RS='' '/^\*\*/ {
    promise = $0; sub(/^\*\*/, "", promise); sub(/\*\*.*/, "", promise)
    if ($0 !~ /\]\(\.\.\/tests\//) print page ": no test shows: " promise
    if (promise ~ /^[0-9]/ && $0 !~ /\*Broken by\* `/) print page ": nothing breaks: " promise
    rules += promise ~ /^[0-9]/ }
END { if (rules != 9) print page ": " rules + 0 " rules of 9" }' "$page"

# The switches there are, and no others.
there=$(sed -n 's/^ *X(\([a-z_]*\)).*/\1/p' host/core/broken.h | grep -vx none)
named=$(tr '\n' ' ' <"$page" | grep -oE '\*Broken by\* [^.]*\.' | grep -oE '`[a-z_]+`' | tr -d '`')
for switch in $there; do echo "$named" | grep -qx "$switch" || echo "$page: which rule does $switch break?"; done
for switch in $named; do echo "$there" | grep -qx "$switch" || echo "$page: there is no switch $switch"; done
