/* `cvmhost upgrade`: another program takes over from the running host. Checks it first, asks the host, which asks its
 * supervisor, and waits for how it ended: the new host, or the old one again, tells. */
#include "cli/cli.h"

#include "cli/client.h"
#include "cli/show.h"
#include "services/home.h"
#include "services/program.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 120000
#define LOOK_MS 50
#define ANSWER_MS 30000

struct wish {
    char path[PAGE_PATH_MAX]; /* "": what the supervisor was started from */
    bool check, one_way;
};

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Where nothing is named, this program itself is looked at: whoever installs one installs the other. */
static int check_program(struct cli *cli, struct wish *wish, struct program *ret_program, json_t **ret_host)
{
    char error[768], self[PAGE_PATH_MAX];
    program_self(self, sizeof self);
    int e = program_open(*wish->path ? wish->path : self, ret_program, error, sizeof error);
    if (e < 0)
        return cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s", error);
    int status = cli_ask(cli, json_pack("{s:s}", "do", "hello"), ret_host);
    if (status == CLI_OK &&
        program_fits(ret_program, cvm_json_int(*ret_host, "database", 0), wish->one_way, error, sizeof error) < 0)
        status = cli_fail(CLI_REFUSED, "%s", error);
    return status;
}

static int read_wish(struct cli *cli, struct wish *ret_wish)
{
    struct wish w = {.check = cli_take_flag(cli, "--check", NULL), .one_way = cli_take_flag(cli, "--one-way", NULL)};
    const char *path = NULL;
    int status = cli_arguments(cli, "upgrade [PROGRAM] [--check] [--one-way]", NULL, 0, &path, 0, 1);
    if (status != CLI_OK)
        return status;
    char *whole = path ? realpath(path, NULL) : NULL;
    if (path && !whole)
        return cli_fail(CLI_NOT_FOUND, "%s: %s", path, strerror(errno));
    int n = snprintf(w.path, sizeof w.path, "%s", whole ? whole : "");
    free(whole);
    if (n < 0 || (size_t)n >= sizeof w.path)
        return cli_fail(CLI_USAGE, "the path of the program is longer than %d bytes", PAGE_PATH_MAX - 1);
    *ret_wish = w;
    return CLI_OK;
}

/* One question on a connection of its own; NULL: there was no answer, which is as it should be while the hosts change.
 */
static json_t *look(struct cli *cli)
{
    char text[512];
    struct client *client = NULL;
    json_t *answer = NULL, *data = NULL;
    if (client_open(cli->home, &client, text, sizeof text) < 0)
        return NULL;
    if (client_send(client, json_pack("{s:i, s:s}", "id", 1, "do", "upgrade.status")) == 0 &&
        client_next(client, ANSWER_MS, &answer) == 0)
        data = json_incref(json_object_get(answer, "data"));
    json_decref(answer);
    client_free(client);
    return data;
}

/* Gives the state in which it ended; NULL: it did not within WAIT_MS, or nobody has the home any more. */
static json_t *wait_for_end(struct cli *cli)
{
    for (int64_t until = clock_ms() + WAIT_MS; clock_ms() < until;) {
        json_t *status = look(cli);
        const char *state = cvm_json_str(status, "state", "asked");
        if (strcmp(state, "asked") != 0 && strcmp(state, "none") != 0)
            return status;
        json_decref(status);
        if (!status && home_owner(cli->home) == 0)
            return NULL;
        nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
    }
    return NULL;
}

static int show_end(struct cli *cli, json_t *status)
{
    const char *state = cvm_json_str(status, "state", ""), *text = cvm_json_str(status, "text", "");
    if (!status)
        return cli_fail(CLI_FAILED, "nobody told how the upgrade ended; see: cvmhost log tail");
    if (strcmp(state, "done") != 0)
        return cli_fail(strcmp(state, "refused") == 0 ? CLI_REFUSED : CLI_FAILED, "not upgraded: %s", text);
    if (cli->output == OUTPUT_DEFAULT || cli->output == OUTPUT_TABLE)
        fprintf(cli->out, "upgraded %s\n", text);
    else
        show_result(cli, status, NULL, NULL);
    return CLI_OK;
}

int cli_upgrade(struct cli *cli)
{
    struct wish wish;
    struct program program = {.fd = -1};
    json_t *host = NULL, *asked = NULL;
    cli->no_start = true; /* nothing is upgraded where nothing runs */
    int status = read_wish(cli, &wish);
    if (status == CLI_OK)
        status = check_program(cli, &wish, &program, &host);
    if (status != CLI_OK)
        goto out;
    if (wish.check) {
        json_t *result =
            json_pack("{s:s, s:s, s:s, s:I}", "program", program.path, "running", cvm_json_str(host, "version", "?"),
                      "version", program.version, "database", (json_int_t)program.database);
        show_result(cli, result, NULL, NULL);
        json_decref(result);
        goto out;
    }
    json_t *request = json_pack("{s:s, s:b}", "do", "upgrade", "one_way", (int)wish.one_way);
    if (*wish.path)
        json_object_set_new(request, "program", json_string(wish.path));
    status = cli_ask(cli, request, &asked);
    if (status == CLI_OK) {
        json_t *end = wait_for_end(cli);
        status = show_end(cli, end);
        json_decref(end);
    }
out:
    program_close(&program);
    json_decref(host);
    json_decref(asked);
    return status;
}
