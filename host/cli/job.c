/* Jobs: what `job list` shows, and how far the job of a command is that waits on a terminal. */
#include "cli/job.h"

#include "cli/private.h"
#include "cli/show.h"
#include <stdio.h>
#include <unistd.h>

#define LOOK_MS 500      /* between two looks at how far it is */
#define JOBS_ID 0x6a6f62 /* the number of that question, beside the call's own */

int cli_job_list(struct cli *cli)
{
    json_t *jobs = NULL;
    int status = cli_arguments(cli, "job list", NULL, 0, NULL, 0, 0);
    if (status == CLI_OK)
        status = cli_ask(cli, json_pack("{s:s}", "do", "jobs"), &jobs);
    if (status != CLI_OK)
        return status;
    json_t *columns = show_names("job component state seconds done total what conversation");
    show_rows(cli, jobs, cli->output == OUTPUT_JSON ? NULL : columns);
    json_decref(columns);
    json_decref(jobs);
    return CLI_OK;
}

/* "import: 12000 of 50000 rows (24 %)", on one line that is written over again and again. */
static void show(struct job_watch *watch, const json_t *jobs)
{
    const json_t *job = json_array_get(jobs, 0);
    int64_t done = cvm_json_int(job, "done", 0), total = cvm_json_int(job, "total", 0);
    const char *what = cvm_json_str(job, "what", "");
    if (!job) {
        job_watch_end(watch);
        return;
    }
    watch->shown = true;
    fprintf(stderr, "\r\033[K%s: ", cvm_json_str(job, "job", ""));
    if (strcmp(cvm_json_str(job, "state", ""), "waiting") == 0)
        fputs("waits for its turn", stderr);
    else if (total > 0)
        fprintf(stderr, "%lld of %lld%s%s (%d %%)", (long long)done, (long long)total, *what ? " " : "", what,
                (int)(done >= total ? 100 : (double)done / (double)total * 100));
    else if (done > 0)
        fprintf(stderr, "%lld%s%s", (long long)done, *what ? " " : "", what);
    else
        fprintf(stderr, "%s", *what ? what : "runs");
    fflush(stderr);
}

void job_watch_end(struct job_watch *watch)
{
    if (watch->shown)
        fputs("\r\033[K", stderr);
    watch->shown = false;
    fflush(stderr);
}

int job_watch_next(struct job_watch *watch, struct client *client, int64_t patience_ms, json_t **ret_line)
{
    if (!watch->on)
        return client_next(client, patience_ms, ret_line);
    for (int64_t waited = 0;;) {
        int64_t slice = patience_ms < 0 || patience_ms - waited > LOOK_MS ? LOOK_MS : patience_ms - waited;
        json_t *line = NULL;
        int e = client_next(client, slice > 0 ? slice : 0, &line);
        if (e == 0 && cvm_json_int(line, "id", 0) == JOBS_ID) {
            show(watch, json_object_get(line, "data"));
            json_decref(line);
            watch->asked = false;
            continue;
        }
        if (e != CVM_ETIMEOUT || (patience_ms >= 0 && waited + slice >= patience_ms)) {
            job_watch_end(watch);
            watch->asked = watch->asked && e == 0;
            *ret_line = line;
            return e;
        }
        waited += slice;
        if (!watch->asked)
            e = client_send(client, json_pack("{s:i, s:s, s:b}", "id", JOBS_ID, "do", "jobs", "own", 1));
        if (e < 0 && e != CVM_ETIMEOUT)
            return e;
        watch->asked = true;
    }
}

void job_watch_begin(struct job_watch *watch, const struct cli *cli)
{
    *watch = (struct job_watch){.on = !cli->trace && isatty(STDERR_FILENO)};
}
