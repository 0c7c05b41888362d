#!/bin/sh
# The agent in plain Python, examples/plugins/python/, which speaks the link itself: vetted and checked, dropped into a
# real host, used by command and route, its process killed, a second version with converted state, cvmhost dev.
# Needs CVMHOST_BUILD. Exit status 0 or 1; 77 without python3; a sentence for each difference.
set -u
cd "$(dirname "$0")/../.." || exit 1
sources=$PWD/examples/plugins/python cvmhost=$CVMHOST_BUILD/host/cvmhost
command -v python3 >/dev/null || { echo 'there is no python3 here: not tested'; exit 77; }
[ -x /usr/bin/python3 ] || { echo 'there is no /usr/bin/python3, which the plugin may read: not tested'; exit 77; }
top=$(mktemp -d)
. examples/demo/lib.sh
export CVMHOST_HOME="$top/home"
faults=0
dev_pid=''
trap '[ -z "$dev_pid" ] || kill "$dev_pid" 2>/dev/null; stop_host; rm -rf "$top"' EXIT
host_pid=''
fault() { printf '%s\n' "$*"; faults=$((faults + 1)); }
stop_host()
{
    [ -z "$host_pid" ] || { kill "$host_pid" 2>/dev/null; wait "$host_pid" 2>/dev/null; }
    host_pid=''
}

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

# member NAME COMMAND...: a member of its answer.
member()
{
    name=$1
    shift
    "$cvmhost" "$@" --output json | python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1].split("."): value = value[name]
print(value)' "$name"
}

start_host()
{
    "$cvmhost" serve --port "$port" >"$top/host.log" 2>&1 &
    host_pid=$!
    wait_for 20 grep -q 'serving on' "$top/host.log" || { tail -n 20 "$top/host.log"; die 'The host did not start.'; }
}

check_file()
{
    expect 5 'always in a process of its own' "$cvmhost" plugin vet "$sources/approval.py"
    expect 0 '1 plugin with 1 component' "$cvmhost" config check
    mkdir "$top/bad"
    sed '1s/.*/#!\/usr\/bin\/env no-such-interpreter/' "$sources/approval.py" >"$top/bad/approval.py"
    cp "$sources/approval.json" "$top/bad/"
    expect 3 'asks for no-such-interpreter' "$cvmhost" plugin vet "$top/bad/approval.py"
    echo 'no program' >"$top/bad/approval.py"
    expect 3 'is no program' "$cvmhost" plugin vet "$top/bad/approval.py"
    expect 3 'is no program' "$cvmhost" plugin check "$top/bad/approval.py"
    expect 0 'the same journal of 200 messages' "$cvmhost" plugin check "$sources/approval.py" --seed 1 --messages 200 --kills 10
}

use_it()
{
    id=$(member approval_id approval request 'a lorry' --amount-minor 5000)
    expect 0 'a lorry' "$cvmhost" approval list
    expect 5 'At most 10000000' "$cvmhost" approval request 'a ship' --amount-minor 10000001
    curl -s -H 'Content-Type: application/json' -d '{"what": "a boat"}' "http://127.0.0.1:$port/api/v1/approvals" | grep -q '"status":"open"' ||
        fault 'the route does not answer'
    "$cvmhost" approval wait "$id" >"$top/waited" 2>&1 &
    waiter=$!
    sleep 0.3
    pid=$(member process.pid plugin info approval)
    kill -9 "$pid"
    expect 0 'status: approved' "$cvmhost" approval decide "$id" --approve true --by eve
    wait "$waiter" || fault "who waits hears nothing: $(cat "$top/waited")"
    grep -q 'by: eve' "$top/waited" || fault "who waits hears: $(cat "$top/waited")"
    [ "$(member process.pid plugin info approval)" != "$pid" ] || fault 'it is the same process'
    expect 5 'It is approved already' "$cvmhost" approval decide "$id" --approve true --by eve
    expect 4 '' "$cvmhost" approval decide AP-000000000000 --approve true --by eve
    expect 0 "$id" "$cvmhost" state list approval.agent
}

# Version 2 keeps the people who decided as a list; it reads what version 1 wrote.
second_version()
{
    sed -e 's/Plugin("approval", "1.0.0")/Plugin("approval", "2.0.0")/' \
        -e 's/^plugin.component(AGENT, state_version=1)/def upgrade(version, key, value):\
    return dict(value, version=2) if isinstance(value, dict) else value\
\
\
plugin.component(AGENT, state_version=2, upgrade=upgrade)/' "$sources/approval.py" >"$top/approval.py"
    sed -e 's/"version": "1.0.0"/"version": "2.0.0"/' -e 's/"state_version": 1/"state_version": 2/' "$sources/approval.json" >"$top/approval.json"
    cp "$top/approval.py" "$top/approval.json" "$CVMHOST_HOME/plugins/"
    expect 0 '2.0.0' "$cvmhost" reload
    expect 0 'a boat' "$cvmhost" approval list
    boat=$(member approvals approval list | grep -o 'AP-[0-9a-f]*' | head -n 1)
    expect 0 'status: declined' "$cvmhost" approval decide "$boat" --approve false --by eve
    "$cvmhost" state list approval.agent | grep "$boat" | grep -q '"version":2' || fault 'the state was not converted'
    sed 's/^HEADER, PACKET.*/raise SystemExit("it does not work")/' "$top/approval.py" >"$CVMHOST_HOME/plugins/approval.py"
    expect 3 'it does not work' "$cvmhost" reload
    expect 0 'approval_id' "$cvmhost" approval request 'goes on'
    cp "$top/approval.py" "$CVMHOST_HOME/plugins/"
}

develop()
{
    "$cvmhost" dev --port "$port" >"$top/dev.log" 2>&1 &
    dev_pid=$!
    wait_for 20 grep -q 'serving on' "$top/dev.log" || fault "dev does not serve: $(tail -n 5 "$top/dev.log")"
    sed 's/"At most %d can be approved here."/"No more than %d here."/' "$top/approval.py" >"$CVMHOST_HOME/plugins/approval.py"
    wait_for 20 grep -q 'reloading approval' "$top/dev.log" || fault "dev sees no change: $(tail -n 5 "$top/dev.log")"
    sleep 1
    expect 5 'No more than 10000000 here' "$cvmhost" approval request 'a ship' --amount-minor 10000001
    kill "$dev_pid"
    wait "$dev_pid" 2>/dev/null
    dev_pid=''
}

mkdir -p "$CVMHOST_HOME/config" "$CVMHOST_HOME/plugins"
echo '{}' >"$CVMHOST_HOME/config/cvmhost.json"
cp "$sources/approval.py" "$sources/approval.json" "$CVMHOST_HOME/plugins/"
port=$(free_port $((28100 + $$ % 4000)))
check_file
start_host
use_it
second_version
stop_host
develop
[ "$faults" = 0 ]
