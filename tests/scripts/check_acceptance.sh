#!/bin/sh
# Holds docs/acceptance.md against the tests: check_acceptance.sh LOGS [TABLE]. A row is "met" only if it names tests, each
# is in the sources, and each passed in the last run of ./dev check (whose results stand in the folder LOGS).
set -u
logs=$1 table=${2:-docs/acceptance.md}
faults=$(mktemp)
trap 'rm -f "$faults"' EXIT

fault() { echo "$*" >>"$faults"; }

# ran KEY CASE: the program (and of it the test or test case) is in the results and passed everywhere it ran.
ran()
{
    seen=0
    for run in "$logs"/plain "$logs"/scripts "$logs"/coverage; do
        [ -f "$run/$1.rc" ] || continue
        seen=1
        if [ -z "$2" ]; then
            [ "$(cat "$run/$1.rc")" = 0 ] || return 1
            continue
        fi
        grep -qE ":P:([^:]*:$2|$2:[^:]*):[0-9]+: " "$run/$1.log" 2>/dev/null || return 1
        ! grep -qE ":[FE]:([^:]*:$2|$2:[^:]*):[0-9]+: " "$run/$1.log" || return 1
    done
    [ $seen = 1 ]
}

check_test() # ROW TEST
{
    row=$1 test=$2
    key=${test%%:*} case=''
    [ "$key" = "$test" ] || case=${test#*:}
    case $key in
    scripts/*) source=tests/scripts/check_sources.sh ;;
    unit/* | flow/* | pages/*)
        source=tests/$key.c
        [ -f "$source" ] || source=tests/$key.sh
        ;;
    *) fault "$row: \"$test\" is not of the form unit/test_noun:case, flow/test_capability:case or pages/test_page:case"; return ;;
    esac
    [ -f "$source" ] || { fault "$row: there is no tests/$key.c"; return; }
    if [ -n "$case" ] && ! tests/scripts/case_of.sh "$source" "$case" >/dev/null; then
        fault "$row: $source has no test $case"
    elif ! ran "$key" "$case"; then
        fault "$row: $test did not pass in the last ./dev check"
    fi
}

rows=0 met=0 last=0
while IFS='|' read -r _ id _ state tests _; do
    id=${id# } state=${state# } tests=${tests# }
    id=${id% } state=${state% } tests=${tests% }
    case $id in R-[0-9][0-9][0-9]) ;; *) continue ;; esac
    rows=$((rows + 1)) expected=$(printf 'R-%03d' $((last + 1)))
    [ "$id" = "$expected" ] || fault "$id stands where $expected belongs"
    last=${id#R-} last=${last#0} last=${last#0}
    case $state in
    met)
        met=$((met + 1))
        [ -n "$tests" ] || fault "$id is met but names no test"
        for test in $(echo "$tests" | tr ',' ' '); do check_test "$id" "$test"; done
        ;;
    'not yet') ;;
    *) fault "$id: the state is \"met\" or \"not yet\", not \"$state\"" ;;
    esac
done <"$table"
[ $rows -ge 299 ] || fault "$table has $rows rows of 299"

cat "$faults"
echo "$met of $rows rows met"
[ ! -s "$faults" ]
