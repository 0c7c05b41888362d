/* `sim`: runs the simulation and shows what it found. Needs no host. */
#include "cli/cli.h"

#include "cli/show.h"
#include "sim/sim.h"
#include <inttypes.h>
#include <unistd.h>

static const char usage[] =
    "sim [--seeds N] [--first N] [--seed N] [--plugins DIR] [--jobs N] [--keep-going] [--verbose]";

struct looker {
    struct cli *cli;
    bool verbose, terminal;
};

/* A line for each seed, or one line on a terminal, over and over. */
static void progress(void *arg, int64_t done, int64_t of, const json_t *seed)
{
    const struct looker *l = arg;
    if (l->verbose && seed)
        fprintf(l->cli->out,
                "seed %" PRId64 "  digest %s  %" PRId64 " turns, %" PRId64 " inputs, %" PRId64 " crashes, %" PRId64
                " changes  %s\n",
                cvm_json_int(seed, "seed", 0), cvm_json_str(seed, "digest", "-"), cvm_json_int(seed, "turns", 0),
                cvm_json_int(seed, "inputs", 0), cvm_json_int(seed, "crashes", 0), cvm_json_int(seed, "changes", 0),
                json_object_get(seed, "what") ? cvm_json_str(seed, "name", "") : "ok");
    else if (l->terminal) {
        fprintf(stderr, "\r\033[K%" PRId64 " of %" PRId64 " seeds", done, of);
        fflush(stderr);
    }
}

static bool number(const char *option, const char *text, int64_t least, int64_t most, int64_t *ret_value)
{
    int64_t n = 0;
    if (!text)
        return true;
    if (!cli_read_number(text, &n) || n < least || n > most) {
        cli_fail(CLI_USAGE, "--%s: expected %" PRId64 " to %" PRId64 ", got \"%.40s\"", option, least, most, text);
        return false;
    }
    *ret_value = n;
    return true;
}

static void show_failure(const struct cli *cli, const json_t *f)
{
    json_t *line;
    size_t i;
    int64_t at = cvm_json_int(f, "at_ms", 0);
    fprintf(cli->out, "%sseed %" PRId64 "%s breaks invariant %" PRId64 " %s%s%s, %" PRId64 ".%03d s into its life:\n  ",
            show_bold(cli), cvm_json_int(f, "seed", 0), show_plain(cli), cvm_json_int(f, "invariant", 0), show_red(cli),
            cvm_json_str(f, "name", ""), show_plain(cli), at / 1000, (int)(at % 1000));
    show_text(cli->out, cvm_json_str(f, "what", ""));
    fputs("\n", cli->out);
    json_array_foreach(json_object_get(f, "trace"), i, line)
    {
        fputs("    ", cli->out);
        show_text(cli->out, json_string_value(line));
        fputc('\n', cli->out);
    }
    fprintf(cli->out, "  again: %s\n", cvm_json_str(f, "repeat", ""));
}

static void show_report(const struct cli *cli, const json_t *report)
{
    json_t *f;
    size_t i;
    json_array_foreach(json_object_get(report, "failures"), i, f) show_failure(cli, f);
    fprintf(cli->out,
            "%" PRId64 " seeds, %" PRId64 " failed: %" PRId64 " inputs, %" PRId64 " turns, %" PRId64
            " crashes, %" PRId64 " changes of plugins in %.1f s\n",
            cvm_json_int(report, "seeds", 0), cvm_json_int(report, "failed", 0), cvm_json_int(report, "inputs", 0),
            cvm_json_int(report, "turns", 0), cvm_json_int(report, "crashes", 0), cvm_json_int(report, "changes", 0),
            json_number_value(json_object_get(report, "seconds")));
}

int cli_sim(struct cli *cli)
{
    const char *seeds = NULL, *first = NULL, *seed = NULL, *jobs = NULL, *plugins = NULL;
    const struct cli_option options[] = {
        {"seeds", &seeds}, {"first", &first}, {"seed", &seed}, {"jobs", &jobs}, {"plugins", &plugins}};
    struct looker looker = {.cli = cli};
    char error[1024];
    int64_t n_seeds = SIM_SEEDS, n_first = 1, n_jobs = 1;
    json_t *report = NULL;
    looker.verbose = cli_take_flag(cli, "--verbose", "-v");
    bool keep_going = cli_take_flag(cli, "--keep-going", NULL);
    int status = cli_arguments(cli, usage, options, sizeof options / sizeof *options, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    if (!number("seeds", seeds, 1, SIM_SEEDS_MAX, &n_seeds) || !number("first", first, 0, INT64_MAX / 2, &n_first) ||
        !number("jobs", jobs, 1, SIM_JOBS_MAX, &n_jobs) || !number("seed", seed, 0, INT64_MAX / 2, &n_first))
        return CLI_USAGE;
    if (seed && (seeds || first))
        return cli_fail(CLI_USAGE, "--seed names one seed; --seeds and --first name a row of them");
    if (seed)
        n_seeds = 1;
    looker.terminal = isatty(STDERR_FILENO);
    struct sim_options o = {.first = (uint64_t)n_first,
                            .seeds = n_seeds,
                            .jobs = (int)n_jobs,
                            .keep_going = keep_going,
                            .trace = seed && looker.verbose,
                            .plugins = plugins,
                            .progress = looker.verbose || looker.terminal ? progress : NULL,
                            .arg = &looker};
    looker.verbose = looker.verbose && cli->output != OUTPUT_JSON;
    int e = sim_run(&o, &report, error, sizeof error);
    if (looker.terminal && !looker.verbose)
        fputs("\r\033[K", stderr);
    if (e)
        return cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_CONFIG, "%s", error);
    if (cli->output == OUTPUT_JSON)
        show_json(cli, report);
    else if (cli->output == OUTPUT_CSV)
        show_rows(cli, json_object_get(report, "failures"), NULL);
    else
        show_report(cli, report);
    status = cvm_json_bool(report, "ok", false) ? CLI_OK : CLI_FAILED;
    json_decref(report);
    return status;
}
