#!/bin/sh
# Each switch of core/broken.h breaks one rule of the host; the simulation must find that within 200 seeds, and name the
# invariant that the rule is for. Needs BREAKABLE, the program that has them all.
set -u
faults=0
# finds SWITCH INVARIANT
finds()
{
    out=$(CVMHOST_BREAK=$1 "$BREAKABLE" sim --seeds 200 2>&1)
    status=$?
    name=$(printf '%s\n' "$out" | sed -n 's/^seed \([0-9]*\) breaks invariant [0-9]* \([a-z]*\),.*/\2 with seed \1/p' | head -n 1)
    case "$status $name" in
    "1 $2 with seed "*) echo "$1: $name" ;;
    *)
        echo "$1: expected $2 to be found, got status $status and \"$name\""
        printf '%s\n' "$out" | head -n 2
        faults=$((faults + 1))
        ;;
    esac
}

finds lost_open once
finds twice_answered once
finds early_effect durable
finds early_answer durable
finds early_event durable
finds new_key charged
finds no_verify charged
finds stale_state limit
finds any_recipient reach
finds any_secret reach
finds no_strikes service
finds no_rotation service
finds no_validation input
finds loose_random same
finds no_reads explained

# What is not broken is not said to be.
CVMHOST_BREAK=none "$BREAKABLE" sim --seeds 10 >/dev/null || { echo 'none: something was found'; faults=$((faults + 1)); }
[ $faults = 0 ]
