#!/bin/sh
# meson's test wrapper: runs one test and leaves in $CVM_RESULTS/<folder>/<name>.rc its exit status, in .out what it
# printed and, for a Check program, in .log one line per test. A test killed by meson leaves the status "killed".
# CVM_RESULTS_AS: another run of the same program, which is not to stand in for the first.
key=$(basename "$(dirname "$1")")/$(basename "$1" .sh)${CVM_RESULTS_AS:+-$CVM_RESULTS_AS}
mkdir -p "$CVM_RESULTS/$(dirname "$key")"
rm -f "$CVM_RESULTS/$key.log"
echo killed >"$CVM_RESULTS/$key.rc"
CK_LOG_FILE_NAME=$CVM_RESULTS/$key.log "$@" >"$CVM_RESULTS/$key.out" 2>&1
status=$?
cat "$CVM_RESULTS/$key.out"
echo $status >"$CVM_RESULTS/$key.rc"
exit $status
