# Makes a home with everything in it (config/ of this tree, but with the simulators' addresses), starts the simulated networks and distribution
# companies and the host on it, stops them. Needs lib.sh and the variables build, home, logs.
cvmhost=$build/host/cvmhost
simulator=$build/examples/simulators/network_sim/network_sim
disco_simulator=$build/examples/simulators/disco_sim/disco_sim
vtpass_simulator=$build/examples/simulators/vtpass_sim/vtpass_sim
payment_simulator=$build/examples/simulators/payment_sim/payment_sim
sim_pid='' disco_pid='' vtpass_pid='' payment_pid='' host_pid=''

stop_all()
{
    for pid in $host_pid $sim_pid $disco_pid $vtpass_pid $payment_pid; do kill "$pid" 2>/dev/null; done
    for pid in $host_pid $sim_pid $disco_pid $vtpass_pid $payment_pid; do wait "$pid" 2>/dev/null; done
}

make_home()
{
    owner=$(cat "$home/data/lock" 2>/dev/null)
    if tr '\0' ' ' 2>/dev/null <"/proc/${owner:-none}/cmdline" | grep -qF "$home"; then
        die "A host runs in $home already (process $owner). End it with Ctrl-C there, or: kill $owner"
    fi
    rm -rf "$home"
    mkdir -p "$home/config" "$home/manifests" "$home/plugins" "$home/data" "$logs"
    cp -R manifests/. "$home/manifests/"
    find "$build/plugins" -name '*.so' -exec cp {} "$home/plugins/" \;
    [ ! -d config ] || cp -R config/. "$home/config/"
    sim_key=demo-$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
    # Keys for the simulators alone: with one for a language model or for vectors the host would ask outside.
    (umask 077 && sed -E "/^(OPENAI|HOSTED_LLM|EMBED)_/!s/^([A-Z0-9_]*_(KEY|HASH))=.*/\\1=$sim_key/" .env.example >"$home/.env")
}

# start_one PROGRAM NAME OPTION...: in the background, its address in $sim_at. Its books are data/NAME-ledger.jsonl.
start_one()
{
    program=$1 name=$2
    shift 2
    "$program" --port-file "$home/data/$name.port" --ledger "$home/data/$name-ledger.jsonl" --key "$sim_key" --settle-ms 3000 "$@" \
        >"$logs/${name}_sim.log" 2>&1 &
    started=$!
    wait_for 10 test -s "$home/data/$name.port" || die "A simulator did not start: $logs/${name}_sim.log"
    sim_at=127.0.0.1:$(cat "$home/data/$name.port")
}

start_simulator()
{
    start_one "$simulator" network
    sim_pid=$started sim_port=${sim_at#*:}
    start_one "$disco_simulator" disco
    disco_pid=$started disco_port=${sim_at#*:}
}

# The aggregator and the payment providers, which tell the host at $port by itself. Nothing is sold through them before the operator says so.
start_vendors()
{
    start_one "$vtpass_simulator" vtpass --webhooks "http://127.0.0.1:$port/webhooks"
    vtpass_pid=$started vtpass_port=${sim_at#*:}
    start_one "$payment_simulator" payment --webhooks "http://127.0.0.1:$port/webhooks"
    payment_pid=$started payment_port=${sim_at#*:}
}

host_ready() { [ -S "$home/data/cvmhost.sock" ] && "$cvmhost" ps --home "$home" --timeout 5; }

start_host()
{
    port=$(free_port 8000)
    [ -n "$vtpass_pid" ] || start_vendors
    sed -e "s/@VTPASS@/127.0.0.1:$vtpass_port/" -e "s/@PAYMENT@/127.0.0.1:$payment_port/" \
        -e "s/@NETWORK@/127.0.0.1:$sim_port/g" -e "s/@DISCO@/127.0.0.1:$disco_port/g" examples/demo/providers.json.in \
        >"$home/data/providers.json"
    sed -e "s/\"port\": *[0-9]*/\"port\": $port/" -e "/\"agents\": *{/r $home/data/providers.json" config/cvmhost.json \
        >"$home/config/cvmhost.json"
    rm "$home/data/providers.json"
    "$cvmhost" serve --home "$home" >"$logs/host.log" 2>&1 &
    host_pid=$!
    wait_for 20 host_ready || { tail -n 20 "$logs/host.log" >&2; die "The host did not start: $logs/host.log"; }
}
