/* The program around a trade: owns the options, the signals and the loop. */
#include "simulator.h"

#include "hooks.h"
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

static bool read_key(const struct trade *trade, const char *text, struct server_options *o)
{
    int vendor;
    const char *equals = strchr(text, '=');
    bool one = equals && ledger_vendor(&trade->form, text, (size_t)(equals - text), &vendor);
    const char *key = one ? equals + 1 : text;
    if (!*key || strlen(key) > KEY_MAX)
        return false;
    for (int i = 0; i < VENDORS_MAX; i++)
        if (!one || i == vendor)
            memcpy(o->keys[i], key, strlen(key) + 1);
    return true;
}

/* Returns -1 to go on, else the exit status. */
static int read_options(const struct trade *trade, int argc, char **argv, struct settings *s)
{
    enum {
        PORT,
        PORT_FILE,
        LEDGER,
        KEY,
        DELAY,
        FAULTS,
        SEED,
        SLOW,
        HANG,
        SETTLE,
        FLOAT,
        QUIET,
        HELP,
        HOOKS,
        HOOK_MS,
        HOOK_FAULTS,
        STRICT
    };
    /* clang-format off */
    static const struct option known[] = {
        {"port", 1, NULL, PORT}, {"port-file", 1, NULL, PORT_FILE}, {"ledger", 1, NULL, LEDGER}, {"key", 1, NULL, KEY},
        {"delay-ms", 1, NULL, DELAY}, {"faults", 1, NULL, FAULTS}, {"seed", 1, NULL, SEED}, {"slow-ms", 1, NULL, SLOW},
        {"hang-ms", 1, NULL, HANG}, {"settle-ms", 1, NULL, SETTLE}, {"float", 1, NULL, FLOAT}, {"quiet", 0, NULL, QUIET},
        {"help", 0, NULL, HELP}, {"webhooks", 1, NULL, HOOKS}, {"webhook-ms", 1, NULL, HOOK_MS},
        {"webhook-faults", 1, NULL, HOOK_FAULTS}, {"strict", 0, NULL, STRICT}, {0}};
    static const double most[] = {
        [PORT] = 65535, [DELAY] = 600000, [FAULTS] = 1, [SEED] = 0x1p52, [SLOW] = 600000, [HANG] = 600000,
        [SETTLE] = 86400000, [FLOAT] = 1e12, [HOOK_MS] = 600000, [HOOK_FAULTS] = 1};
    /* clang-format on */
    int c, which = 0;
    while ((c = getopt_long(argc, argv, "", known, &which)) != -1) {
        double v = 0;
        bool good = c != '?';
        bool number = c != PORT_FILE && c != LEDGER && c != KEY && c != QUIET && c != HELP && c != HOOKS && c != STRICT;
        if (good && number)
            good = read_number(optarg, most[c], &v) && (c == FAULTS || c == FLOAT || c == HOOK_FAULTS || v == floor(v));
        if (c >= HOOKS && c <= STRICT)
            good = good && trade->answer;
        /* clang-format off */
        switch (good ? c : '?') {
        case PORT: s->server.port = (int)v; break;
        case PORT_FILE: s->port_file = optarg; break;
        case LEDGER: s->ledger = optarg; break;
        case KEY: good = read_key(trade, optarg, &s->server); break;
        case DELAY: s->vending.delay_ms = (int64_t)v; break;
        case FAULTS: s->vending.faults = v; break;
        case SEED: s->vending.seed = (uint64_t)v; break;
        case SLOW: s->vending.slow_ms = (int64_t)v; break;
        case HANG: s->vending.hang_ms = (int64_t)v; break;
        case SETTLE: s->vending.settle_ms = (int64_t)v; break;
        case FLOAT: s->vending.float_kobo = (int64_t)nearbyint(v * 100); break;
        case QUIET: s->server.quiet = true; break;
        case HOOKS: s->vending.webhooks = optarg; break;
        case HOOK_MS: s->vending.webhook_ms = (int64_t)v; break;
        case HOOK_FAULTS: s->vending.webhook_faults = v; break;
        case STRICT: s->vending.strict = true; break;
        case HELP:
            fputs(trade->usage, stdout);
            vend_print_triggers(trade, stdout);
            return 0;
        }
        /* clang-format on */
        if (!good) {
            if (c != '?')
                fprintf(stderr, "%s: --%s: \"%s\" is not allowed\n", trade->program, known[which].name, optarg);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: \"%s\" is not an option; see --help\n", trade->program, argv[optind]);
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

static void raise_file_limit(const struct trade *trade)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= CONNECTIONS_MAX + 64)
        return;
    limit.rlim_cur = limit.rlim_max < CONNECTIONS_MAX + 64 ? limit.rlim_max : CONNECTIONS_MAX + 64;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        fprintf(stderr, "%s: few connections: %s\n", trade->program, strerror(errno));
}

int simulator_main(const struct trade *trade, int argc, char **argv)
{
    struct settings s = {.vending = {.webhook_ms = 300,
                                     .slow_ms = 40000,
                                     .hang_ms = 120000,
                                     .settle_ms = 3000,
                                     .float_kobo = INT64_C(100000000000),
                                     .seed = 1}};
    read_key(trade, SIMULATOR_KEY, &s.server);
    int status = read_options(trade, argc, argv, &s);
    if (status >= 0)
        return status;

    static struct vending vending;
    uv_signal_t signals[2];
    uv_loop_t *loop = uv_default_loop();
    struct server *server;
    char error[512];
    vending.trade = trade;
    vending.options = s.vending;
    vending.keys = (const char(*)[KEY_MAX + 1]) s.server.keys;
    vending.hooks = s.vending.webhooks ? hooks_start(trade->program) : NULL;
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit(trade);
    if (ledger_open(&trade->form, s.ledger, &vending.ledger, error, sizeof error) < 0 ||
        server_start(loop, &s.server, &vending, &server, error, sizeof error) < 0) {
        fprintf(stderr, "%s: %s\n", trade->program, error);
        ledger_close(vending.ledger);
        return 1;
    }
    for (int i = 0; i < 2; i++)
        if (uv_signal_init(loop, &signals[i]) < 0 || uv_signal_start(&signals[i], on_signal, i ? SIGINT : SIGTERM) < 0)
            abort();
    if (s.port_file && write_port(s.port_file, server_port(server)) < 0) {
        fprintf(stderr, "%s: %s: cannot be written\n", trade->program, s.port_file);
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
    hooks_end(vending.hooks);
    uv_loop_close(loop);
    ledger_close(vending.ledger);
    return status;
}
