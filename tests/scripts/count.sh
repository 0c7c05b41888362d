#!/bin/sh
# count.sh RESULTS      prints "PASSED FAILED SKIPPED" of what run_one.sh left in the folder RESULTS
# count.sh -f RESULTS   prints the failures, with the end of the output of a program that told of none itself
# count.sh -v RESULTS   prints every test
# A Check program counts by its tests; any other, and one that died before it reported, counts as one.
mode=sum
case $1 in -f) mode=failures; shift ;; -v) mode=all; shift ;; esac
find "$1" -name '*.rc' | sort | while read -r rc; do
    key=${rc#"$1"/}
    key=${key%.rc}
    log=${rc%.rc}.log
    [ -f "$log" ] || log=/dev/null
    echo "== $key $(cat "$rc")"
    cat "$log"
done | awk -v mode=$mode -v results="$1" '
function close_one() {
    if (key == "") return
    if (status == "77") { skipped++; state = "skipped" }
    else if (status != "0" && bad == 0) { failed++; state = status == "killed" ? "ran too long" : "exit status " status }
    else if (good + bad == 0) { passed++; state = "passed" }
    else state = ""
    if (state != "" && (mode == "all" || (mode == "failures" && state != "passed" && state != "skipped")))
        print "  " key ": " state
    if (mode == "failures" && state != "" && state != "passed" && state != "skipped")
        system("tail -n 15 \"" results "/" key ".out\" 2>/dev/null | sed \"s/^/    /\"")
}
/^== / { close_one(); key = $2; status = $3; good = bad = 0; next }
match($0, /:[PFES]:[^:]*:[^:]*:[0-9]+: /) {
    split(substr($0, RSTART + 1), part, ":")
    ok = part[1] == "P"
    if (ok) { good++; passed++ } else { bad++; failed++ }
    if (mode == "all" || (mode == "failures" && !ok))
        print "  " key ":" part[3] (ok ? " passed" : " failed: " substr($0, RSTART + RLENGTH) " (" substr($0, 1, RSTART - 1) ")")
}
END { close_one(); if (mode == "sum") print passed + 0, failed + 0, skipped + 0 }'
