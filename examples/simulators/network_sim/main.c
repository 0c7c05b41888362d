/* network_sim: plays the vending interfaces of four mobile networks for tests, demonstrations and benchmarks. Owns the
 * options, the signals and the loop. */
#include "server.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFAULT_KEY "sim-key"

static const char usage[] =
    "Usage: network_sim [OPTIONS]\n"
    "Plays the vending interfaces of MTN, AIRTEL, GLO and 9MOBILE on 127.0.0.1.\n"
    "\n"
    "  --port N            port; 0 chooses one (default 0); the address is printed\n"
    "  --port-file FILE    writes the port there when ready\n"
    "  --ledger FILE       keeps the books in FILE, one JSON object per line, synced before an answer leaves\n"
    "                      (default: in memory)\n"
    "  --key [NET=]KEY     the key of all networks, or of one (default " DEFAULT_KEY ")\n"
    "  --delay-ms MEAN     delays every answer, exponentially distributed (default 0)\n"
    "  --faults RATE       share of requests disturbed, 0 to 1 (default 0): connection cut before or after vending, "
    "503\n"
    "                      before, 502 after, DUPLICATE after, late by --settle-ms; of verify requests: cut or 503\n"
    "  --seed N            of delays and faults (default 1)\n"
    "  --slow-ms N         how late a late answer is (default 40000)\n"
    "  --hang-ms N         when a connection without an answer is closed (default 120000)\n"
    "  --settle-ms N       how long a vend that settles late is pending (default 3000)\n"
    "  --float NAIRA       what each merchant account begins with (default 1000000000)\n"
    "  --quiet             no line per request on stderr\n"
    "\n"
    "Addresses, with NET one of mtn, airtel, glo, 9mobile; \"/v1\" after it may be left out:\n"
    "  POST /NET/v1/airtime/vend (or /airtime/purchase)\n"
    "      {\"phone_number\", \"amount\", \"network\", \"reference\"}; the key Idempotency-Key may stand for the "
    "reference\n"
    "      -> 200 {\"status\", \"transaction_id\", \"reference\", \"phone_number\", \"network\", \"amount\"}\n"
    "      The same reference gives the same result and vends once; with another order it is 409 DUPLICATE.\n"
    "  GET /NET/v1/airtime/verify?reference= (or /airtime/status; or POST {\"reference\"})\n"
    "      -> 200, as above, with status delivered, pending or failed; or {\"status\": \"not_found\", \"reference\"}\n"
    "  GET /NET/v1/merchant/balance -> 200 {\"balance\", \"currency\"}\n"
    "  GET /ledger[?network=NET] -> every entry and the totals, without a key\n"
    "  GET /health\n"
    "The key goes into X-MTN-API-Key (MTN) or Authorization, bare or as Bearer (the others). Amounts are naira, a "
    "number\n"
    "or a decimal string; the ledger holds kobo. Refusals are {\"error_code\", \"message\"} with 4xx.\n"
    "\n"
    "Phone numbers that end in these digits make trouble when something is vended to them:\n";

struct settings {
    struct server_options server;
    struct options vending;
    const char *ledger, *port_file;
};

static bool read_number(const char *text, double max, double *ret_value)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (errno || end == text || *end || !(v >= 0 && v <= max))
        return false;
    *ret_value = v;
    return true;
}

static bool read_key(const char *text, struct server_options *o)
{
    enum network network;
    const char *equals = strchr(text, '=');
    bool one = equals && network_from_name(text, (size_t)(equals - text), &network);
    const char *key = one ? equals + 1 : text;
    if (!*key || strlen(key) > KEY_MAX)
        return false;
    for (int i = 0; i < NET_COUNT; i++)
        if (!one || i == (int)network)
            memcpy(o->keys[i], key, strlen(key) + 1);
    return true;
}

/* Returns -1 to go on, else the exit status. */
static int read_options(int argc, char **argv, struct settings *s)
{
    enum { PORT, PORT_FILE, LEDGER, KEY, DELAY, FAULTS, SEED, SLOW, HANG, SETTLE, FLOAT, QUIET, HELP };
    /* clang-format off */
    static const struct option known[] = {
        {"port", 1, NULL, PORT}, {"port-file", 1, NULL, PORT_FILE}, {"ledger", 1, NULL, LEDGER}, {"key", 1, NULL, KEY},
        {"delay-ms", 1, NULL, DELAY}, {"faults", 1, NULL, FAULTS}, {"seed", 1, NULL, SEED}, {"slow-ms", 1, NULL, SLOW},
        {"hang-ms", 1, NULL, HANG}, {"settle-ms", 1, NULL, SETTLE}, {"float", 1, NULL, FLOAT}, {"quiet", 0, NULL, QUIET},
        {"help", 0, NULL, HELP}, {0}};
    static const double most[] = {
        [PORT] = 65535, [DELAY] = 600000, [FAULTS] = 1, [SEED] = 0x1p52, [SLOW] = 600000, [HANG] = 600000,
        [SETTLE] = 86400000, [FLOAT] = 1e12};
    /* clang-format on */
    int c, which = 0;
    while ((c = getopt_long(argc, argv, "", known, &which)) != -1) {
        double v = 0;
        bool good = c != '?';
        if (good && c != PORT_FILE && c != LEDGER && c != KEY && c != QUIET && c != HELP)
            good = read_number(optarg, most[c], &v) && (c == FAULTS || c == FLOAT || v == floor(v));
        /* clang-format off */
        switch (good ? c : '?') {
        case PORT: s->server.port = (int)v; break;
        case PORT_FILE: s->port_file = optarg; break;
        case LEDGER: s->ledger = optarg; break;
        case KEY: good = read_key(optarg, &s->server); break;
        case DELAY: s->vending.delay_ms = (int64_t)v; break;
        case FAULTS: s->vending.faults = v; break;
        case SEED: s->vending.seed = (uint64_t)v; break;
        case SLOW: s->vending.slow_ms = (int64_t)v; break;
        case HANG: s->vending.hang_ms = (int64_t)v; break;
        case SETTLE: s->vending.settle_ms = (int64_t)v; break;
        case FLOAT: s->vending.float_kobo = (int64_t)nearbyint(v * 100); break;
        case QUIET: s->server.quiet = true; break;
        case HELP:
            fputs(usage, stdout);
            vend_print_triggers(stdout);
            return 0;
        }
        /* clang-format on */
        if (!good) {
            if (c != '?')
                fprintf(stderr, "network_sim: --%s: \"%s\" is not allowed\n", known[which].name, optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "network_sim: \"%s\" is not an option; see --help\n", argv[optind]);
        return 2;
    }
    return -1;
}

/* Under another name first, so that a reader never sees half of it. */
static int write_port(const char *path, int port)
{
    char part[4096];
    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part)
        return -1;
    FILE *f = fopen(part, "we");
    if (!f)
        return -1;
    bool good = fprintf(f, "%d\n", port) > 0;
    return fclose(f) == 0 && good ? rename(part, path) : -1;
}

static void on_signal(uv_signal_t *signal, int number)
{
    uv_stop(signal->loop);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= CONNECTIONS_MAX + 64)
        return;
    limit.rlim_cur = limit.rlim_max < CONNECTIONS_MAX + 64 ? limit.rlim_max : CONNECTIONS_MAX + 64;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        fprintf(stderr, "network_sim: few connections: %s\n", strerror(errno));
}

int main(int argc, char **argv)
{
    struct settings s = {
        .vending = {
            .slow_ms = 40000, .hang_ms = 120000, .settle_ms = 3000, .float_kobo = INT64_C(100000000000), .seed = 1}};
    read_key(DEFAULT_KEY, &s.server);
    int status = read_options(argc, argv, &s);
    if (status >= 0)
        return status;

    static struct vending vending;
    uv_signal_t signals[2];
    uv_loop_t *loop = uv_default_loop();
    struct server *server;
    char error[512];
    vending.options = s.vending;
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    if (ledger_open(s.ledger, &vending.ledger, error, sizeof error) < 0 ||
        server_start(loop, &s.server, &vending, &server, error, sizeof error) < 0) {
        fprintf(stderr, "network_sim: %s\n", error);
        ledger_close(vending.ledger);
        return 1;
    }
    for (int i = 0; i < 2; i++)
        if (uv_signal_init(loop, &signals[i]) < 0 || uv_signal_start(&signals[i], on_signal, i ? SIGINT : SIGTERM) < 0)
            abort();
    if (s.port_file && write_port(s.port_file, server_port(server)) < 0) {
        fprintf(stderr, "network_sim: %s: cannot be written\n", s.port_file);
        status = 1;
    } else {
        printf("http://127.0.0.1:%d\n", server_port(server));
        fflush(stdout);
        uv_run(loop, UV_RUN_DEFAULT);
        status = 0;
    }
    server_stop(server);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    server_free(server);
    uv_loop_close(loop);
    ledger_close(vending.ledger);
    return status;
}
