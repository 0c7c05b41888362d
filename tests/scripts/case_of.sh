#!/bin/sh
# case_of.sh SOURCE NAME: prints the Check test case that NAME is, or that holds the test NAME. Exit status 1: neither.
# Tests that a function adds before the first case is made belong to that case.
[ -f "$1" ] || exit 1
awk -v name="$2" '
{ rest = $0
  while (match(rest, /[A-Za-z0-9_]+ *= *tcase_create\("[^"]*"\)|tcase_create\("[^"]*"\)/)) {
    made = substr(rest, RSTART, RLENGTH); rest = substr(rest, RSTART + RLENGTH)
    variable = made; sub(/ *=.*/, "", variable)
    tcase = made; sub(/.*\("/, "", tcase); sub(/"\)$/, "", tcase); of[variable] = tcase
    if (tcase == name || (early && found == "")) found = tcase } }
match($0, /tcase_add_[a-z_]*test[a-z_]*\([^,]*, *[A-Za-z0-9_]+/) {
    test = substr($0, RSTART, RLENGTH); variable = test; sub(/.*, */, "", test)
    sub(/^[^(]*\(/, "", variable); sub(/,.*/, "", variable)
    if (test == name && found == "") { if (tcase == "") early = 1; else found = variable in of ? of[variable] : tcase } }
END { if (found == "") exit 1; print found }' "$1"
