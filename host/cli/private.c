/* Finds the host that a command talks to; where none runs in the home, starts one for as long as there are commands
 * that use it. Such a private host takes the home's lock and socket like any other, so of two commands that start one
 * at the same time one finds the home taken and becomes a client of the other's. One thread. */
#include "cli/private.h"

#include "cli/installed.h"
#include "cli/serve.h"
#include "core/log.h"
#include "services/home.h"
#include <cvm/json.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 60000 /* a large journal is recovered meanwhile */
#define STARTS_MAX 20  /* each time another command was quicker, and its host gone when we came */
#define POLL_MS 2
#define SAID_MAX_BYTES 65536

struct start {
    pid_t pid; /* 0: none under way */
    int said;  /* memory file: what it wrote to standard error; -1: it writes to ours */
};

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- is it a home? ---- */

static bool has_file(const char *home, const char *folder, const char *ending)
{
    char path[HOME_PATH_MAX];
    DIR *dir = home_path(home, folder, path, sizeof path) == 0 ? opendir(path) : NULL;
    bool found = false;
    for (struct dirent *file; dir && !found && (file = readdir(dir));) {
        size_t len = strlen(file->d_name), n = strlen(ending);
        found = file->d_name[0] != '.' && len >= n && strcmp(file->d_name + len - n, ending) == 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* A folder that a host has served before, or that has what one is made of. In any other, such as a tree of sources,
 * none is started, because it would make its data there. */
static bool is_home(const char *home)
{
    const char *installed = getenv("CVMHOST_INSTALLED");
    if (!installed)
        installed = CVMHOST_INSTALLED;
    return has_file(home, "data", ".db") || has_file(home, "plugins", ".so") ||
           (*installed && has_file(installed, "plugins", ".so") && has_file(home, "config", "cvmhost.json") &&
            !has_file(home, "manifests", ".json"));
}

/* Root would make files that the host's own user cannot write. */
static int check_owner(const struct cli *cli)
{
    char path[HOME_PATH_MAX];
    struct stat st;
    if (geteuid() != 0 || home_path(cli->home, HOME_DATABASE, path, sizeof path) < 0 || stat(path, &st) < 0 ||
        st.st_uid == 0)
        return CLI_OK;
    return cli_fail(CLI_FAILED,
                    "no host is running in %s, and root starts none there, because its data belong to user %u: run the "
                    "command as that user (sudo -u '#%u' cvmhost ..)",
                    cli->home, (unsigned)st.st_uid, (unsigned)st.st_uid);
}

/* Most often the home is not the one that was meant. */
static int fail_no_home(const struct cli *cli)
{
    char here[HOME_PATH_MAX];
    struct stat st;
    if (stat(cli->home, &st) < 0 || !S_ISDIR(st.st_mode))
        return cli_fail(CLI_FAILED, "there is no home at %s: name another one with --home or CVMHOST_HOME", cli->home);
    bool current = strcmp(cli->home, ".") == 0 && getcwd(here, sizeof here);
    return cli_fail(
        CLI_FAILED,
        "no host is running in %.300s%s, and it is no home: there are no manifests with their plugins in it; name "
        "another home with --home or CVMHOST_HOME",
        current ? here : cli->home, current ? ", the working directory" : "");
}

/* ---- starting ---- */

static void run_host(const struct cli *cli, int said)
{
    const char *argv[12] = {"cvmhost", "serve", "--private", "--home", cli->home};
    int n = 5, null = open("/dev/null", O_RDWR);
    if (cli->config_file) {
        argv[n++] = "--config";
        argv[n++] = cli->config_file;
    }
    if (cli->log_level) {
        argv[n++] = "--log-level";
        argv[n++] = cli->log_level;
    }
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        (said >= 0 && dup2(said, STDERR_FILENO) < 0))
        _exit(127);
    close_range(3, ~0U, 0);
    unsetenv("NOTIFY_SOCKET"); /* it is not the service that somebody waits for */
    setsid();                  /* Ctrl-C ends this command, not the host that others may use */
    execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int start_host(const struct cli *cli, struct start *start)
{
    /* The host may outlive this command a little: what waits for the end of our output must not wait for the host's. A
     * level that was asked for is asked for to be seen. */
    if (start->said < 0 && !cli->log_level)
        start->said = memfd_create("cvmhost-said", MFD_CLOEXEC);
    if (start->said >= 0 && (ftruncate(start->said, 0) < 0 || lseek(start->said, 0, SEEK_SET) < 0))
        return CVM_EIO;
    fflush(NULL);
    start->pid = fork();
    if (start->pid == 0)
        run_host(cli, start->said);
    return start->pid < 0 ? CVM_EIO : 0;
}

/* The first error it told, without time and level; all of what it said where there is none. For free(). */
static char *what_it_said(int said)
{
    char *text = calloc(1, SAID_MAX_BYTES + 1), *at;
    ssize_t n = text && said >= 0 ? pread(said, text, SAID_MAX_BYTES, 0) : 0;
    if (!text || n <= 0)
        return text;
    if ((at = strstr(text, " ERROR ")) && (at = strstr(at, ": ")))
        memmove(text, at + 2, strlen(at + 2) + 1);
    else if (strncmp(text, "cvmhost: ", 9) == 0)
        memmove(text, text + 9, strlen(text + 9) + 1);
    text[strcspn(text, "\n")] = 0;
    return text;
}

/* The host that was started has ended. CLI_OK: because another one runs, or ran a moment ago. */
static int start_ended(const struct cli *cli, struct start *start, int wait_status)
{
    int status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : CLI_FAILED;
    start->pid = 0;
    if (status == SERVE_TAKEN || status == 0)
        return CLI_OK;
    char *said = what_it_said(start->said);
    status = cli_fail(status == 3 ? CLI_CONFIG : CLI_FAILED, "no host runs in %s, and none can be started there: %s",
                      cli->home, said && *said ? said : "its log says why: cvmhost log tail");
    free(said);
    return status;
}

/* ---- meeting it ---- */

/* A host that has answered knows of us: a private one will stay until we go. CVM_EIO: it has just ended. */
static int greet(struct client *client, int64_t timeout_ms, bool *ret_private)
{
    json_t *answer = NULL;
    int error = client_send(client, json_pack("{s:i, s:s}", "id", 0, "do", "hello"));
    if (error == 0)
        error = client_next(client, timeout_ms, &answer);
    if (error == 0)
        *ret_private = cvm_json_bool(json_object_get(answer, "data"), "private", false);
    json_decref(answer);
    return error;
}

/* One try: CLI_OK with or without a client, or the end with a sentence. */
static int try_open(struct cli *cli, struct client **ret_client, bool *ret_nobody)
{
    char text[512];
    struct client *client = NULL;
    bool is_private = false;
    *ret_nobody = false;
    int error = client_open(cli->home, &client, text, sizeof text);
    if (error == CVM_ENOENT) {
        *ret_nobody = true;
        return cli->no_start ? cli_fail(CLI_FAILED, "%s", text) : CLI_OK;
    }
    if (error < 0)
        return cli_fail(CLI_FAILED, "%s", text);
    if (cli->greeted) {
        *ret_client = client;
        return CLI_OK;
    }
    error = greet(client, START_MS, &is_private);
    if (error == CVM_ETIMEOUT) {
        client_free(client);
        return cli_fail(CLI_FAILED, "the host in %s does not answer; is it still starting? See: cvmhost log tail",
                        cli->home);
    }
    if (error < 0) {
        client_free(client);
        return CLI_OK; /* it has just ended, and its socket with it; the next try shows */
    }
    cli->greeted = true;
    if (!is_private) {
        *ret_client = client;
        return CLI_OK;
    }
    cli->keeper = client; /* it stays for as long as the command runs; the work has a connection of its own */
    return try_open(cli, ret_client, ret_nobody);
}

/* Tries, and starts a host as often as none is there, until one answers. */
static int meet(struct cli *cli, struct start *start, struct client **ret_client)
{
    int64_t until = clock_ms() + START_MS;
    int starts = 0, wait_status, status;
    for (bool nobody;;) {
        status = try_open(cli, ret_client, &nobody);
        if (status != CLI_OK || *ret_client)
            return status;
        if (start->pid && waitpid(start->pid, &wait_status, WNOHANG) == start->pid) {
            status = start_ended(cli, start, wait_status);
            if (status != CLI_OK)
                return status;
        }
        if (nobody && !start->pid && home_owner(cli->home) == 0) {
            if (!is_home(cli->home))
                return fail_no_home(cli);
            if ((status = check_owner(cli)) != CLI_OK)
                return status;
            if (starts++ == STARTS_MAX || start_host(cli, start) < 0)
                return cli_fail(CLI_FAILED, "no host runs in %s, and none can be started there", cli->home);
        }
        if (clock_ms() > until)
            return cli_fail(CLI_FAILED, "the host in %s does not come up; its log may say why: cvmhost log tail",
                            cli->home);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
}

int cli_open(struct cli *cli, struct client **ret_client)
{
    struct start start = {.said = -1};
    struct client *client = NULL;
    int status = meet(cli, &start, &client);
    if (start.said >= 0)
        close(start.said);
    if (status == CLI_OK)
        *ret_client = client;
    return status;
}

bool cli_host_runs(struct cli *cli)
{
    char text[512];
    struct client *client = NULL;
    bool is_private = true;
    bool runs = client_open(cli->home, &client, text, sizeof text) == 0 && greet(client, START_MS, &is_private) == 0 &&
                !is_private;
    client_free(client);
    return runs;
}

void cli_close(struct cli *cli)
{
    client_free(cli->keeper);
    cli->keeper = NULL;
}

bool cli_may_start(void)
{
    const char *value = getenv("CVMHOST_NO_START");
    return !value || !*value || strcmp(value, "0") == 0;
}
