#!/bin/sh
# The kit for people who write plugins, as it is installed: for each kind `plugin new`, make, make test, vet, and the
# plugin answers in a real host, by command and route; the same for the samples in examples/. Nothing of the source tree is used but this file and its helpers.
# Needs CVMHOST_BUILD. Exit status 0 or 1; a sentence for each difference.
set -u
cd "$(dirname "$0")/../.." || exit 1
top=$(mktemp -d)
. tests/flow/kit.sh
trap 'stop_host; rm -rf "$top"' EXIT

# expect STATUS TEXT COMMAND...: how it must end, and what it must say.
expect()
{
    status=$1 text=$2
    shift 2
    "$@" >"$top/out" 2>&1 </dev/null
    got=$?
    [ $got = "$status" ] || fault "\"$*\" ended with $got, not $status: $(head -c 400 "$top/out")"
    grep -qF -- "$text" "$top/out" || fault "\"$*\" does not say \"$text\": $(head -c 400 "$top/out")"
}

check_installed()
{
    for file in bin/cvmhost include/cvm/cvm.h include/cvm/json.h include/cvm/money.h include/cvm/job.h include/cvm/mail.h include/cvm/harness.h \
        lib/libcvmharness.a lib/pkgconfig/cvmhost-sdk.pc lib/pkgconfig/cvmhost-harness.pc \
        share/cvmhost/manifest.schema.json share/cvmhost/manifests/service.json share/cvmhost/manifests/service/vocabulary.json \
        lib/cvmhost/plugins/service.so share/doc/cvmhost/docs/tutorial.md share/doc/cvmhost/examples/domain/tv/tv.c share/bash-completion/completions/cvmhost; do
        [ -f "$prefix/$file" ] || fault "meson install does not put $file there"
    done
    for manifest in "$prefix"/share/cvmhost/manifests/*.json; do
        schema=$(sed -n 's/.*"\$schema": *"\([^"]*\)".*/\1/p' "$manifest")
        [ -n "$schema" ] && [ -f "${manifest%/*}/$schema" ] || fault "$manifest does not lead an editor to its schema"
    done
    [ -f "$(pkg-config --variable=schema cvmhost-sdk)" ] || fault 'pkg-config does not lead to the schema'
    case $(pkg-config --libs cvmhost-sdk) in *harness*) fault 'a plugin is linked with the harness' ;; esac
}

check_refusals()
{
    expect 2 'character 2 of "aXc"' cvmhost plugin new agent aXc
    expect 2 'begins with a small letter' cvmhost plugin new agent 7up
    expect 2 '2 to 40 characters' cvmhost plugin new agent x
    expect 2 'is taken' cvmhost plugin new agent host
    expect 2 'got "wizard"' cvmhost plugin new wizard merlin
    expect 2 'NAME' cvmhost plugin new agent
    expect 1 'make the folder first' cvmhost plugin new agent fine --dir "$top/none"
    mkdir "$top/there"
    echo mine >"$top/there/Makefile"
    expect 5 'exists already' cvmhost plugin new agent there --dir "$top"
    [ "$(cat "$top/there/Makefile")" = mine ] || fault 'plugin new touched an existing folder'
}

# make_all NAME FOLDER: what every README says: make, make test, the host's judgement, make install.
make_all()
{
    name=$1 folder=$2
    (cd "$folder" && make CC=cc CFLAGS='-std=gnu11 -g -Wall -Wextra -Werror' >"$top/make.log" 2>&1) ||
        fault "$name: make fails: $(tail -n 5 "$top/make.log")"
    (cd "$folder" && make test CC=cc >"$top/make.log" 2>&1) || fault "$name: make test fails: $(tail -n 5 "$top/make.log")"
    grep -qE '^[1-9][0-9]* checks, 0 failed$' "$top/make.log" || fault "$name: its test checks nothing"
    if has_command 'plugin vet'; then expect 0 'inline  yes' cvmhost plugin vet "$folder/$name.so"; fi
    if has_command 'plugin check'; then expect 0 '' cvmhost plugin check "$folder/$name.so" --seed 7; fi
    (cd "$folder" && make install >"$top/make.log" 2>&1) || fault "$name: make install fails: $(tail -n 5 "$top/make.log")"
    # A test that cannot fail tests nothing: with another handler it must.
    sed 's/return cvm_reply(/return cvm_refuse_with(t, json_object()); return cvm_reply(/; s/CVM_REPLIED,/CVM_REFUSED,/' \
        "$folder/$name.c" >"$top/broken.c"
    # shellcheck disable=SC2046
    (cd "$folder" && cc -o "$top/broken" "test_$name.c" "$top/broken.c" $(pkg-config --cflags --libs cvmhost-harness) 2>"$top/make.log") ||
        fault "$name: cannot be broken: $(head -n 3 "$top/make.log")"
    (cd "$folder" && "$top/broken" >/dev/null 2>&1) && fault "$name: its test passes with broken handlers"
}

# build KIND: a new plugin, as the template has it.
build()
{
    expect 0 'make install' cvmhost plugin new "$1" "my-$1" --dir "$top/src"
    grep -rn '@[A-Za-z]*@' "$top/src/my-$1" && fault "my-$1: a placeholder is left"
    make_all "my-$1" "$top/src/my-$1"
}

# The samples, from where they are installed.
build_samples()
{
    cp -R "$prefix/share/doc/cvmhost/examples" "$top/samples"
    for folder in "$top"/samples/plugins/*/ "$top"/samples/domain/*/; do
        [ -f "$folder/README.md" ] || fault "$folder has no README.md"
        [ -f "$folder/Makefile" ] || continue # a program: test_python.sh
        make_all "$(sed -n 's/^NAME = //p' "$folder/Makefile")" "${folder%/}"
    done
}

use_samples()
{
    expect 0 'CB-' cvmhost callback request ada --minutes 20
    expect 0 'ada' cvmhost callback list
    expect 0 'of the usual bill' cvmhost spike match --accounts '[{"id": "A", "now": 5200, "usual": "1800.00"}, {"id": "B", "now": 2100, "usual": 2000}]'
    expect 0 'GW-' cvmhost goodwill apply ada 'no service for a day'
    expect 5 'had a credit lately' cvmhost goodwill apply ada 'no service for a day'
    expect 0 'SEND_VOUCHER' cvmhost voucher describe
    expect 0 'accepted' cvmhost webhook receive ada hello
    expect 5 'No rate' cvmhost rates show USD NGN
    expect 0 'FAMILY' cvmhost tv renew 7021334455 FAMILY
    for kind in agent trigger treatment channel provider; do
        expect 0 "my_$kind.$kind" cvmhost plugin list --kind $kind
    done
    for name in callback spike goodwill voucher webhook rates tv; do expect 0 "$name" cvmhost plugin list; done
}

route() { curl -s -o "$top/body" -w '%{http_code}' "$@" 2>"$top/curl.log"; }

use_them()
{
    now=$(now_ms)
    expect 0 'open from 8 to 6' cvmhost my-agent ask 'When do you open?'
    expect 5 'do not know' cvmhost my-agent ask 'Why?'
    expect 0 'last seen' cvmhost my-trigger match --subjects "[{\"id\": \"A\", \"last_seen_ms\": $((now - 4000000000))}, {\"id\": \"B\", \"last_seen_ms\": $now}]" --output json
    grep -q '"total_matches": *1' "$top/out" || fault "my-trigger finds others than one: $(head -c 300 "$top/out")"
    expect 0 'max_per_day' cvmhost my-treatment describe
    expect 0 'used_today' cvmhost my-treatment apply ada
    expect 5 'had it today' cvmhost my-treatment apply ada
    expect 0 'QUEUED' cvmhost my-channel deliver ada 'Good morning'
    expect 0 'Good morning' cvmhost my-channel outbox
    expect 0 'accepted' cvmhost my-channel receive ada hello
    expect 0 'status: 200' cvmhost my-provider lookup
    expect 0 'ORD-' cvmhost my-domain order chair --quantity 3
    order=$(sed -n 's/^order_id: //p' "$top/out")
    expect 0 'quantity: 3' cvmhost my-domain show "$order"
    got=$(route "http://127.0.0.1:$port/api/v1/my-domain/orders/$order")
    [ "$got" = 200 ] || fault "GET /api/v1/my-domain/orders/... answers $got"
    got=$(route -H 'Content-Type: application/json' -d '{"question": "where are you?"}' "http://127.0.0.1:$port/api/v1/my-agent/questions")
    [ "$got" = 200 ] || fault "POST /api/v1/my-agent/questions answers $got"
    # A whole line of business: understood, led to its agent, answered.
    expect 0 'MY_DOMAIN' cvmhost enquiry classify 'How much is one my domain?'
    expect 0 'costs 1,000' cvmhost enquiry submit 'How much is one my domain?' --customer-phone 08031234567
    expect 0 'my-agent' cvmhost plugin list
}

mkdir "$top/src"
install_kit
check_installed
check_refusals
make_home
configure ", \"agents\": { \"my_provider.provider\": { \"settings\": { \"base_url\": \"http://127.0.0.1:$port\" } } }"
start_host
for kind in agent trigger treatment channel provider domain; do build $kind; done
build_samples
expect 0 'added' cvmhost reload # the host was there before any of them
use_them
use_samples
[ $faults = 0 ] || { printf '%s\n' "$faults differences"; exit 1; }
