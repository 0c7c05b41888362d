#!/bin/sh
# case_of.sh SOURCE NAME: prints the Check test case that NAME is, or that holds the test NAME. Exit status 1: neither.
# Tests that a function adds before the first case is made belong to that case.
[ -f "$1" ] || exit 1
awk -v name="$2" '
match($0, /tcase_create\("[^"]*"\)/) {
    tcase = substr($0, RSTART + 14, RLENGTH - 16); if (tcase == name || (early && found == "")) found = tcase }
match($0, /tcase_add_[a-z_]*test[a-z_]*\([^,]*, *[A-Za-z0-9_]+/) {
    test = substr($0, RSTART, RLENGTH); sub(/.*, */, "", test)
    if (test == name && found == "") { if (tcase == "") early = 1; else found = tcase } }
END { if (found == "") exit 1; print found }' "$1"
