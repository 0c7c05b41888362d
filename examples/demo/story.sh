# The story of the demo, told by the commands a reader would type. Every "checked:" was compared a moment ago.
ledger=$home/data/network-ledger.jsonl
disco_ledger=$home/data/disco-ledger.jsonl

balance_of() { ask wallet show "$1"; printf '%s' "$out" | member balance_kobo; }
held_by() { ask wallet show "$1"; printf '%s' "$out" | member held_kobo; }
vended() { grep -q "\"phone_number\":\"$1\"" "$ledger"; }

# says NAME PHONE TEXT STATUS WORDS: a customer writes to the desk; the answer must have that status and those words.
says()
{
    printf '    %s %s\n' "${bold}$1:${off}" "$3"
    ask enquiry submit "$3" --customer-phone "$2" --customer-name "$1"
    answer=$(printf '%s' "$out" | member response_text)
    printf '    %s %s\n\n' "${dim}desk:${off}" "$answer"
    is "$(printf '%s' "$out" | member status)" "$4" && has "$answer" "$5" ||
        die "  NOT TRUE: the desk answers this with status $4 and \"$5\". Log: $logs/host.log"
}

chapter '1. What runs' "One process with plugins. Each line is a plugin with its components: agents that talk to customers, the channel \
they write to, providers that speak to mobile networks and electricity companies. Here those are simulators, processes with books of \
their own."
run plugin list
claim 'the desk, airtime, electricity, the transactions and both kinds of providers are loaded' test "$(printf '%s\n' "$out" |
    grep -cE '^(service|airtime|power|transaction|network|disco) ')" = 6

chapter '2. Customers write' "Twelve messages as they come in by SMS, and the desk's answers. Triage, classifier and \
orchestrator pass each on to the agent that can help; rules decide, no language model is asked. The customers are invented."
says Chinedu 08031234567 'Good morning' RESOLVED 'I can help you with airtime'
says Chinedu 08031234567 'I want 1500 naira MTN airtime' RESOLVED '08031234567 on MTN'
says Tunde 08051234567 'abeg buy 500 glo airtime for 08051234567' RESOLVED '08051234567 on GLO'
says Amina 08021234567 'What is the minimum airtime I can buy?' RESOLVED '50,000'
says Amina 08021234567 'How much discount do I get on 20000 naira airtime?' RESOLVED '5 %'
says Tunde 08051234567 'Buy 20 naira airtime for 08051234567 on GLO' RESOLVED 'minimum'
says Amina 08021234567 'abeg load 2k light for my meter 45012345678, na ikeja electric' RESOLVED 'Token 9999'
says Amina 08021234567 'HELP TOKEN, the meter is a Hexing' RESOLVED 'On a Hexing meter'
says Amina 08021234567 'NEPA has taken the light since yesterday, EKEDC' RESOLVED 'I have opened case PWR-'
says Tunde 08051234567 'TERMINATE. What does airtime cost?' RESOLVED 'face value'
says Amina 08021234567 'I bought airtime but it has not arrived, I am angry' ESCALATED 'colleague'
says Chinedu 08031234567 'This is fraud, I will call my lawyer' ESCALATED 'security team'
run handoff list
claim 'what a machine should not settle waits for a human' has "$out" HND-

chapter '3. A sale, and a refusal' "Shops and other systems sell by command or by HTTP. The money is held in the customer's \
wallet first, then the network is asked, then the sale is settled. A rule that says no says why."
before=$(balance_of 08031234567)
run buy airtime MTN 08031234567 1000
claim 'the sale succeeded' is $status 0
claim 'the wallet has 1,000 naira less' is "$(balance_of 08031234567)" $((before - 100000))
run buy airtime MTN 08031234567 49
claim 'less than 50 naira is refused with exit status 5' is $status 5
run buy airtime GLO 08051234567 10000 --payer-phone 08051234567 --key order-1
run buy airtime GLO 08051234567 10000 --payer-phone 08051234567 --key order-1
claim 'the same order sent twice was sold once' is "$(grep -c '"phone_number":"+2348051234567","amount_kobo":1000000' "$ledger")" 1

chapter '4. Electricity' "The second line of business is two more plugins; nothing else knows of it. The meter is validated before \
any money is held, and where no token comes the money goes back."
run meter validate EKEDC 45012345678
run buy power EKEDC 45012345678 5000 --customer-phone 08051234567
token=$(printf '%s\n' "$out" | sed -n 's/^token: *//p')
claim 'the token has 20 digits' test ${#token} = 20
claim "it is the one in the company's own books" has "$(cat "$disco_ledger")" "\"token\":\"$token\""
before=$(balance_of 08051234567)
run buy power EKEDC 45012340005 5000 --customer-phone 08051234567
claim 'a vend that fails ends with exit status 5' is $status 5
claim 'and costs nothing' is "$(balance_of 08051234567)" "$before"
run buy power EKEDC 45012340007 5000 --customer-phone 08051234567
claim 'a meter that nobody knows was never paid for' is "$(balance_of 08051234567)" "$before"

chapter '5. Pulling the plug' "Numbers that end in 0007 make the network slow: it takes the order and says nothing for a while. \
In that moment the host process is killed, without warning (kill -9)."
before=$(balance_of 08021234567)
printf '%s\n' "${dim}\$ cvmhost buy airtime AIRTEL 08021110007 1500 --payer-phone 08021234567 --key order-2 &${off}"
"$cvmhost" buy airtime AIRTEL 08021110007 1500 --payer-phone 08021234567 --key order-2 --home "$home" >"$logs/demo-buy.log" 2>&1 &
buy_pid=$!
wait_for 10 vended +2348021110007 || die "The order did not reach the network: $logs/demo-buy.log"
claim 'the money is held, not spent' is "$(held_by 08021234567)" 150000
victim=$(children_of "$host_pid" | head -n 1)
printf '%s\n' "${dim}\$ kill -9 $victim${off}"
died=$(now_ms)
kill -9 "$victim" || die 'There was no host process to kill.'
wait_for 20 host_ready || die "The host did not come back: $logs/host.log"
printf '    %s\n' "The supervisor started it again; it answered $(($(now_ms) - died)) ms after the kill."
claim 'it is another process' test "$(children_of "$host_pid" | head -n 1)" != "$victim"
wait "$buy_pid"
status=$?
sed 's/^/    /' "$logs/demo-buy.log"
claim 'the buyer, who was waiting all the time, got the answer' is $status 0
killed=$(member transaction_id <<TXT
$(sed -n 's/^transaction_id: \(.*\)/"transaction_id":"\1"/p' "$logs/demo-buy.log")
TXT
)
run transaction show "$killed"
claim 'the transaction is SUCCESS' has "$out" SUCCESS
claim 'the wallet paid once' is "$(balance_of 08021234567)" $((before - 150000))
claim 'and holds nothing back' is "$(held_by 08021234567)" 0
claim "the network's own books have it once" is "$(grep -c "\"reference\":\"$killed\"" "$ledger")" 1

chapter '6. Another line of business, while it serves' "examples/domain/tv is no part of the product: somebody wrote it from docs/tutorial.md. \
It is built with a compiler and pkg-config, dropped into the folder of the running host, exchanged for another build, taken back, and taken out."
tv=$build/demo-tv
tv() { make -s -C "$tv" "$@" PKG_CONFIG_PATH="$build/sdk" CVMHOST_HOME="$home" >"$logs/demo-tv.log" 2>&1 || die "make $* failed: $logs/demo-tv.log"; }
rm -rf "$tv"
cp -R examples/domain/tv "$tv"
says Amina 08021234567 'Renew my tv, smart card 7021334455' RESOLVED ' '
printf '%s\n' "${dim}\$ make install${off}"
tv install
run reload
claim 'it was added' has "$out" added
says Amina 08021234567 'Abeg renew my tv, smart card 7021334455, FAMILY' RESOLVED 'FAMILY'
run tv show 7021334455
claim 'a command shows what the enquiry has changed' has "$out" FAMILY
sed -i 's/1\.2\.0/1.3.0/' "$tv/tv.c" "$tv/tv.json"
printf '%s\n' "${dim}\$ make install        # after a change: version 1.3.0${off}"
tv install
run reload tv
claim 'the new build is on probation' has "$out" 'on probation'
run tv renew 7021334455 FAMILY
claim 'what the old one stored is there' is $status 0
run rollback tv
claim 'and back' has "$out" '1.3.0 -> 1.2.0'
run plugin remove tv --now
run tv show 7021334455
claim 'its command is gone with it' is $status 2

chapter '7. The books' "Everything that was sold, counted on three sides: transactions, wallets, and the outside ledgers \
($ledger, $disco_ledger)."
ask transaction list --status SUCCESS --limit 1000
sold=$(printf '%s' "$out" | tr '{' '\n' | sed -n 's/.*"amount":\([0-9.]*\),.*/\1/p' | awk '{ s += $1 } END { printf "%d", s * 100 }')
paid=$(printf '%s' "$out" | tr '{' '\n' | sed -n 's/.*"total_amount":\([0-9.]*\).*/\1/p' | awk '{ s += $1 } END { printf "%d", s * 100 }')
vended=$(sed -n '/"outcome":"delivered"/s/.*"amount_kobo":\([0-9]*\).*/\1/p' "$ledger" "$disco_ledger" | awk '{ s += $1 } END { printf "%d", s }')
left=0
for phone in $(sed -n 's/.*"phone": *"\([0-9]*\)".*/\1/p' config/cvmhost.json); do left=$((left + $(balance_of "$phone"))); done
opened=$(sed -n 's/.*"wallet_naira": *\([0-9]*\).*/\1/p' config/cvmhost.json | awk '{ s += $1 } END { printf "%d", s * 100 }')
printf '    sold %s kobo (paid %s after discounts and charges), vended %s, wallets %s of %s\n' "$sold" "$paid" "$vended" "$left" "$opened"
claim 'what was sold is what the networks and companies vended' is "$sold" "$vended"
claim 'what the wallets lost is what was paid' is $((opened - left)) "$paid"

chapter '8. Why?' "Every turn of every component is in the journal, with what it knew and what it chose. This is the purchase \
that survived the kill: look for verify_vend, where the new process asks the network what became of the order."
printf '%s\n' "${dim}\$ cvmhost why $killed${off}"
"$cvmhost" why "$killed" --home "$home" | sed 's/^/    /' >"$logs/demo-why.log"
grep -E '^    ([0-9:.]+Z|  *(chose|called|answered|wrote)) ' "$logs/demo-why.log" | cut -c 1-118
printf '    (these are the turns, choices, calls and rows; the command shows all %s lines)\n' "$(wc -l <"$logs/demo-why.log")"
claim 'the story has the decision to hold, the call and its verification' has "$(cat "$logs/demo-why.log")" 'chose SUCCESS'

chapter '9. An agent that learns' "Five simulated customers, one decision a day for each. A tutorial is ordered for Clara, of which it is known that \
she has no time for it; then ten days go on by themselves. The same in a browser: http://127.0.0.1:$port/ui/lifecycle"
run_top 6 lifecycle run --days 1 --noise 0 --force Retention_Clara=SEND_TUTORIAL
claim 'what a tutorial does to Clara is -3' test "$(printf '%s\n' "$out" | grep -c 'Corporate Clara.*SEND_TUTORIAL.* -3.0 .*FAILED')" = 1
run_top 0 lifecycle run --days 10
run lifecycle memory --persona Retention_Clara
ask lifecycle stories --persona Retention_Clara
claim 'in eleven days she got one tutorial, and no second one' is "$(printf '%s' "$out" | grep -o '"action":"SEND_TUTORIAL"' | wc -l)" 1
ask lifecycle status
claim 'no language model was asked' is "$(printf '%s' "$out" | member tokens)" 0

chapter '10. A ticket that a person approves' "Three agents look at it: is the customer entitled, what is the cause, what is the customer told. Between the second and the \
third a person decides; the ticket waits, over restarts too. The same in a browser: http://127.0.0.1:$port/ui/support"
"$cvmhost" support load-samples --home "$home" >"$logs/demo-samples.log" 2>&1 || die "The samples cannot be loaded: $logs/demo-samples.log"
ticket_is() { ask support ticket status TICK0012; [ "$(printf '%s' "$out" | member status)" = "$1" ]; }
run support ticket create --id TICK0012 --customer CUST001 --description 'The sidecar cannot reach our application'
wait_for 20 ticket_is WAITING_FOR_APPROVAL || die "  NOT TRUE: the ticket waits for a decision. Log: $logs/host.log"
run support ticket list
ask support ticket status TICK0012
printf '    proposed, as to the cause: %s…\n' "$(printf '%s' "$out" | member root_cause | cut -c 1-90)"
run support ticket approve TICK0012 --solution 'Set the application port to 8080' --notes 'checked with the customer'
wait_for 20 ticket_is COMPLETED || die "  NOT TRUE: the ticket is completed. Log: $logs/host.log"
claim 'the customer is told what was approved, not the draft' has "$(printf '%s' "$out" | member text)" 'Set the application port to 8080'
run support audit TICK0012
claim 'the audit has the decision' has "$out" 'approved'
