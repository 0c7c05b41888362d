#!/bin/sh
# coverage.sh BUILD: lines covered by the tests that ran in BUILD (configured with b_coverage), by folder, from gcov.
set -u
find "$1" -name '*.gcda' | sort | xargs -n 64 gcov -n -r -s "$PWD" 2>/dev/null | awk -F"'" '
/^File / { file = $2; sub(/^.*\.\.\//, "", file) }
/^Lines executed:/ && file ~ /^(host|plugins|sdk)\/.*\.[ch]$/ {
    split($0, part, /[:% ]+/); percent = part[3]; lines = part[5]
    covered = percent * lines / 100
    if (!(file in total) || covered > hit[file]) { total[file] = lines; hit[file] = covered }
    file = ""
}
END {
    for (file in total) {
        n = split(file, part, "/"); folder = part[1] "/" part[2]
        folder_total[folder] += total[file]; folder_hit[folder] += hit[file]
        all += total[file]; all_hit += hit[file]
    }
    for (folder in folder_total)
        printf "  %-34s %5.1f %% of %d lines\n", folder, 100 * folder_hit[folder] / folder_total[folder], folder_total[folder] | "sort"
    close("sort")
    if (all) printf "  %-34s %5.1f %% of %d lines\n", "together", 100 * all_hit / all, all
}'
