#!/bin/sh
# Checks of the sources that no compiler makes. Each check is one result in $CVM_RESULTS/scripts, findings on stdout.
# Run by ./dev check scripts, from the top folder.
set -u
c_files=$(find host sdk plugins examples tests -name '*.[ch]' | sort)
found=$(mktemp)
trap 'rm -f "$found"' EXIT

# rule NAME SENTENCE COMMAND...: what the command prints are the findings.
rule()
{
    name=$1 sentence=$2
    shift 2
    "$@" >"$found" 2>&1
    if [ -s "$found" ]; then
        echo "$sentence"
        sed -n '1,12s/^/    /p' "$found"
        [ "$(wc -l <"$found")" -le 12 ] || echo "    and $(($(wc -l <"$found") - 12)) more"
        echo 1 >"$CVM_RESULTS/scripts/$name.rc"
    else
        echo 0 >"$CVM_RESULTS/scripts/$name.rc"
    fi
}

unsafe_calls()
{
    printf '%s\n' "$c_files" | xargs grep -nE '\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok|system|popen|alloca|tmpnam|mktemp)\(' /dev/null
}

core_is_general()
{
    find host sdk -type f | sort |
        xargs grep -niwE 'airtime|disco|discos|naira|kobo|mtn|meter|meters|churn|telco|telecom|prepaid|recharge' /dev/null |
        grep -vE 'sdk/include/cvm/money\.h'
}

# A plugin sees the SDK, libc, libm, jansson, and the parts of other plugins that it has a copy of; the SDK sees nothing of the host. The harness is linked by tests only and
# may look for a library.
plugin_includes()
{
    find plugins sdk ! -path 'sdk/harness/*' -name '*.[ch]' | sort | xargs grep -nE '^#include' /dev/null |
        grep -vE '#include (<(cvm/[a-z_]+|jansson|assert|ctype|errno|float|inttypes|limits|math|pthread|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|time)\.h>|"(\.\./(\.\./([a-z]+/)?)?[a-z_]+/)?[a-z_]+\.h")'
    find plugins sdk -name '*.[ch]' | sort | xargs grep -nE '#include "(core|services|cli|host)/' /dev/null
}

unfinished_marks()
{
    find host sdk plugins examples tests manifests config docs dev .ci -type f ! -path '*/fuzz/*' | sort |
        xargs grep -nIE '(/\*|//|^ *\*|^ *#|<!--).*\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' /dev/null
}

# Paths of one machine, which mean nothing on another.
local_paths()
{
    find host sdk plugins examples tests manifests config docs dev ./*.md -type f | sort |
        xargs grep -nIE '(^|[^a-z.])/(wo[r]k|ro[o]t|ho[m]e/[a-z]+)/' /dev/null
}

# A page puts every text in as text, and what it does stands in files of its own: what the listener forbids is not tried.
page_markup()
{
    find manifests -path '*/pages/*' -name '*.js' | sort |
        xargs grep -nE 'innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|createContextualFragment|DOMParser|\beval\(|new Function' /dev/null
    find manifests -path '*/pages/*' -name '*.html' | sort |
        xargs grep -nEi '<style|<script([^>]*)>[^<]|[ "]style=| on[a-z]+="|javascript:|(src|href)="(https?:)?//' /dev/null
}

# docs/reference/sdk.md is made of the headers.
sdk_reference()
{
    sdk/doc.sh | diff - docs/reference/sdk.md
}

shell_syntax()
{
    sh -n dev 2>&1
    find tests examples sdk .ci config -name '*.sh' | sort | while read -r f; do sh -n "$f" 2>&1; done
    command -v bash >/dev/null && bash -n .ci/run 2>&1
    if command -v shellcheck >/dev/null; then
        find dev tests examples sdk -name '*.sh' -o -name dev -type f | sort | xargs shellcheck -s sh -S warning -e SC2034,SC2154 2>&1
    fi
}

formatted()
{
    printf '%s\n' "$c_files" | xargs -r clang-format --dry-run 2>&1 | sed -n 's/^\([^ :]*\):.* warning: .*/\1/p' | uniq
}

rule unsafe_calls 'Calls that have safer forms:' unsafe_calls
rule core_is_general 'The core knows no line of business; these words belong into plugins:' core_is_general
rule plugin_includes 'Plugins include <cvm/...>, libc, libm and jansson only:' plugin_includes
rule unfinished_marks 'Unfinished marks:' unfinished_marks
rule page_markup 'Pages with markup in strings, or with scripts and styles of their own in them:' page_markup
rule local_paths 'Paths of one machine:' local_paths
rule sdk_reference 'docs/reference/sdk.md is not what the headers say (sdk/doc.sh >docs/reference/sdk.md):' sdk_reference
rule promises 'docs/guarantees.md and the tests:' tests/scripts/check_promises.sh
rule shell_syntax 'Shell scripts:' shell_syntax
if command -v clang-format >/dev/null; then
    rule formatted 'Not formatted (./dev format does it):' formatted
else
    echo 77 >"$CVM_RESULTS/scripts/formatted.rc"
fi
