#!/bin/sh
# docs/howto/campaign.md, carried out as it is written, on a real host in a home of its own. Blocks whose first line has
# the word "campaign" are typed, in order; "file=NAME" is a file's content. In a console block what follows a command is
# what it must print: "…" stands for anything in a line, alone for any lines. RUN-… in a command is the newest campaign.
# The folder that CVM_SHARED_DATA names has the page's file: then what is printed is compared too. Otherwise a base of the
# same columns is made, and commands must end as the page says. Needs CVMHOST_BUILD. Exit status 0 or 1.
set -u
cd "$(dirname "$0")/../.." || exit 1
page=$PWD/docs/howto/campaign.md top=$(mktemp -d)
home=$top/home
. tests/flow/kit.sh
block='' line=''

finish()
{
    status=$?
    stop_host
    [ $status = 0 ] || { echo "docs/howto/campaign.md: failed at: $line"; cat "$top/why" "$top/out" 2>/dev/null | head -n 40; tail -n 5 "$top/host.log"; }
    rm -rf "$top"
}
trap finish EXIT

make_product()
{
    make_home
    mkdir -p "$home/data" "$home/logs"
    cp -R manifests/. "$home/manifests/"
    find "$CVMHOST_BUILD/plugins" -name '*.so' -exec cp {} "$home/plugins/" \;
    mkdir -p "$top/bin"
    ln -s "$CVMHOST_BUILD/host/cvmhost" "$top/bin/cvmhost"
    # shellcheck disable=SC2034 # of start_host
    cvmhost=$top/bin/cvmhost
    PATH="$top/bin:$PATH"
    export PATH
    configure ''
}

# The columns of the public file; who stays short, by the month and over fibre, leaves more often.
make_base()
{
    awk 'BEGIN {
        srand(7)
        print "customerID,gender,SeniorCitizen,Partner,Dependents,tenure,PhoneService,MultipleLines,InternetService,OnlineSecurity," \
              "OnlineBackup,DeviceProtection,TechSupport,StreamingTV,StreamingMovies,Contract,PaperlessBilling,PaymentMethod," \
              "MonthlyCharges,TotalCharges,Churn"
        for (i = 0; i < 1000; i++) {
            id = i ? sprintf("%04d-MADE", i) : "0023-HGHWL"
            tenure = i ? int(rand() * 72) : 1; month = !i || rand() < .55; fibre = !i || rand() < .45
            spend = fibre ? 70 + int(rand() * 45) : 20 + int(rand() * 50)
            left = rand() < .05 + month * .3 + fibre * .15 + (tenure < 12) * .2
            printf "%s,Male,0,No,No,%d,Yes,No,%s,No,No,No,No,No,No,%s,Yes,Mailed check,%d.5,%d,%s\n", id, tenure,
                   fibre ? "Fiber optic" : "DSL", month ? "Month-to-month" : "Two year", spend, spend * tenure, left ? "Yes" : "No"
        }
    }'
}

split_page()
{
    mkdir "$top/blocks"
    awk -v dir="$top/blocks" '
        /^```/ && inside { inside = 0; close(out); next }
        inside { print > out; next }
        /^```[a-z]+ .*campaign/ {
            inside = 1; n++; out = sprintf("%s/%03d.text", dir, n)
            info = sprintf("%s/%03d.info", dir, n); print substr($0, 4) > info; close(info)
            printf "" > out
        }' "$page"
}

# matches EXPECTED OUTPUT: line by line.
matches()
{
    awk '
        function pattern(text) {
            gsub(/[][\\.^$*+?(){}|\/]/, "\\\\&", text)
            gsub(/…/, ".*", text)
            return "^" text "$"
        }
        FNR == NR { expected[++n] = $0; next }
        { output[++m] = $0 }
        END {
            at = 1
            for (i = 1; i <= n; i++) {
                if (expected[i] == "…") { skip = 1; continue }
                while (skip && at <= m && output[at] !~ pattern(expected[i])) at++
                if (at > m || output[at] !~ pattern(expected[i])) { print "expected: " expected[i]; exit 1 }
                at++; skip = 0
            }
            if (!skip && at <= m) { print "not expected: " output[at]; exit 1 }
        }' "$1" "$2"
}

run_command() # COMMAND
{
    line=$1 expected=0
    case $1 in *'# exit status '*) expected=${1##*# exit status } ;; esac
    run=$(cvmhost campaign list --output csv 2>/dev/null | sed -n '2s/,.*//p')
    sh -c "$(printf '%s\n' "$1" | sed "s/RUN-…/$run/")" >"$top/out" 2>&1 </dev/null
    got=$?
    [ $got = "$expected" ] || { echo "exit status $got, not $expected" >"$top/why"; exit 1; }
    [ "$real" = no ] || [ ! -s "$top/expected" ] || matches "$top/expected" "$top/out" >"$top/why" || exit 1
    ran=$((ran + 1))
}

run_console()
{
    command=''
    : >"$top/expected"
    while IFS= read -r text; do
        case $text in
        '$ '*) [ -z "$command" ] || run_command "$command"; command=${text#??}; : >"$top/expected" ;;
        *) printf '%s\n' "$text" >>"$top/expected" ;;
        esac
    done <"$1"
    [ -z "$command" ] || run_command "$command"
}

make_product
split_page
mkdir "$top/here" && cd "$top/here" || exit 1
real=no ran=0
if [ -f "${CVM_SHARED_DATA:-}/telco/telco-customer-churn.csv" ]; then
    cp "$CVM_SHARED_DATA/telco/telco-customer-churn.csv" telco-customer-churn.csv
    real=yes
else
    make_base >telco-customer-churn.csv
    echo 'CVM_SHARED_DATA names no folder with the public file: comparing what is printed is skipped, a made base is used'
fi
start_host
for block in "$top"/blocks/*.info; do
    info=$(cat "$block") text=${block%.info}.text
    case $info in
    *file=*) name=${info##*file=}; cp "$text" "${name%% *}" ;;
    *) run_console "$text" ;;
    esac
done
[ $ran -ge 15 ] || { echo "only $ran commands were found" >"$top/why"; exit 1; }
echo "$ran commands of docs/howto/campaign.md"
