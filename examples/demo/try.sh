# What to try while the demo's host runs.
cat <<TXT
    export CVMHOST_HOME=$home PATH=$build/host:\$PATH

    cvmhost help                                       every command there is
    cvmhost enquiry submit 'I want 200 naira airtime on MTN' --customer-phone 08031234567
    cvmhost buy airtime AIRTEL 08021234567 500         --trace shows every message it causes
    cvmhost buy power EKEDC 45012345678 5000 --customer-phone 08031234567
    cvmhost transaction list
    cvmhost why ID                                     of an enquiry, transaction or message
    cvmhost bus tail                                   watch messages while something happens
    cvmhost lifecycle next-day                         a day of the simulated customers
    cvmhost support ticket create --customer CUST001 --description 'The sidecar cannot reach our application'
    cvmhost learn compare --seeds 20                   which policy learns more
    $simulator --help      numbers that make trouble
    $disco_simulator --help          meters that do
    $vtpass_simulator --help, $payment_simulator --help

    cvmhost vtpass bundles MTN                         what the simulated aggregator VTpass sells
    sed -i '1s/.*/{ "roles": { "network": ["provider.network.vtpass"], "disco": ["provider.power.vtpass"] },/' $home/config/cvmhost.json
    cvmhost reload                                     ..and from now on all is sold through it

Pages:
    http://127.0.0.1:$port/ui/            overview; from there: Decisions, Lifecycle, Support desk

Addresses:
    http://127.0.0.1:$port/health         http://127.0.0.1:$port/metrics
    http://127.0.0.1:$port/api/v1/enquiries and the rest of the API: cvmhost plugin info service
    http://127.0.0.1:$sim_port/ledger     the simulated networks' books
    http://127.0.0.1:$disco_port/ledger     the simulated electricity companies' books
    http://127.0.0.1:$vtpass_port/ledger     those of the simulated aggregator VTpass
    http://127.0.0.1:$payment_port/ledger     those of the simulated payment providers

    curl -s http://127.0.0.1:$port/api/v1/enquiries -H 'Content-Type: application/json' \\
         -d '{"customer_phone": "08031234567", "message": "I want 1000 naira MTN airtime", "channel": "SMS"}'

The home is $home; docs/howto/first-steps.md goes on from here. ./dev demo starts afresh.
TXT
