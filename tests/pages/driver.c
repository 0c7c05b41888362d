/* Owns the chromedriver of one test: its process, its folder, the connection to it.
 *
 * A browser is a dozen processes in sessions of their own, which the end of the driver does not always reach. So the
 * driver is started by a keeper: it adopts what loses its parent, and kills whatever it has when the test ends. */
#include "driver.h"

#include "flow.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX (64u << 20) /* a picture of a long page */

/* ---- processes ---- */

/* Kills the children there are; what they leave behind becomes ours, hence again. */
static void kill_children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    for (int rounds = 0; rounds < 1000; rounds++) {
        FILE *file = fopen(path, "r");
        if (!file)
            return;
        int pid = 0, n = 0;
        while (fscanf(file, "%d", &pid) == 1) {
            kill(pid, SIGKILL);
            n++;
        }
        fclose(file);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        if (n == 0)
            return;
        usleep(2000);
    }
}

static void start_driver(const struct driver *d, const sigset_t *usual)
{
    char port[32], log[600];
    snprintf(port, sizeof port, "--port=%d", d->port);
    snprintf(log, sizeof log, "%s/driver.log", d->folder);
    sigprocmask(SIG_SETMASK, usual, NULL);
    int null = open("/dev/null", O_RDWR), out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    dup2(null, STDIN_FILENO);
    dup2(out < 0 ? null : out, STDOUT_FILENO);
    dup2(out < 0 ? null : out, STDERR_FILENO);
    setenv("HOME", d->folder, 1); /* else the browser writes into the user's own */
    setenv("TMPDIR", d->folder, 1);
    execl(DRIVER_PROGRAM, DRIVER_PROGRAM, port, "--allowed-ips=127.0.0.1", (char *)NULL);
    _exit(127);
}

static void keep(const struct driver *d, pid_t parent)
{
    sigset_t waited, usual;
    sigemptyset(&waited);
    sigaddset(&waited, SIGTERM);
    sigprocmask(SIG_BLOCK, &waited, &usual);
    setsid(); /* Check ends the test by a signal to its group; the keeper is to outlive that by a moment */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent) {
        if (fork() == 0)
            start_driver(d, &usual);
        int number = 0;
        sigwait(&waited, &number);
    }
    kill_children();
    _exit(0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    remove(path);
    return 0;
}

/* ---- requests ---- */

struct answer {
    char *text;
    size_t len;
};

static size_t receive(char *bytes, size_t size, size_t n, void *arg)
{
    struct answer *a = arg;
    size_t len = size * n;
    if (a->len + len > ANSWER_MAX)
        return 0;
    char *text = realloc(a->text, a->len + len + 1);
    if (!text)
        return 0;
    memcpy(text + a->len, bytes, len);
    a->text = text;
    a->len += len;
    a->text[a->len] = '\0';
    return len;
}

json_t *driver_ask(struct driver *d, const char *method, const char *path, json_t *body, int *ret_status)
{
    char url[512];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", d->port, path);
    struct answer a = {0};
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json; charset=utf-8");
    curl_easy_reset(d->curl);
    curl_easy_setopt(d->curl, CURLOPT_URL, url);
    curl_easy_setopt(d->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(d->curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(d->curl, CURLOPT_TIMEOUT_MS, 60000L);
    curl_easy_setopt(d->curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(d->curl, CURLOPT_WRITEDATA, &a);
    if (strcmp(method, "POST") == 0)
        curl_easy_setopt(d->curl, CURLOPT_POSTFIELDS, text ? text : "{}");
    long status = 0;
    if (curl_easy_perform(d->curl) == CURLE_OK)
        curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    free(text);
    json_t *whole = a.text ? json_loadb(a.text, a.len, JSON_ALLOW_NUL, NULL) : NULL;
    json_t *value = json_incref(json_object_get(whole, "value"));
    json_decref(whole);
    free(a.text);
    if (ret_status)
        *ret_status = (int)status;
    return value ? value : json_null();
}

/* ---- its life ---- */

void driver_start(struct driver *d)
{
    memset(d, 0, sizeof *d);
    mkdir(flow_build("pages"), 0755);
    snprintf(d->folder, sizeof d->folder, "%s-XXXXXX", flow_build("pages/browser"));
    ck_assert_msg(mkdtemp(d->folder) != NULL, "%s: %s", d->folder, strerror(errno));
    d->port = flow_free_port();
    d->curl = curl_easy_init();
    ck_assert(d->curl != NULL);
    pid_t parent = getpid();
    d->keeper = fork();
    ck_assert_int_ge(d->keeper, 0);
    if (d->keeper == 0)
        keep(d, parent);
    int status = 0;
    for (int64_t until = flow_now_ms() + FLOW_WAIT_MS; status != 200; flow_sleep_ms(10)) {
        json_decref(driver_ask(d, "GET", "/status", NULL, &status));
        ck_assert_msg(status == 200 || flow_now_ms() < until, "chromedriver does not answer; see %s/driver.log",
                      d->folder);
    }
}

void driver_stop(struct driver *d)
{
    if (d->keeper > 0) {
        kill(d->keeper, SIGTERM);
        waitpid(d->keeper, NULL, 0);
    }
    curl_easy_cleanup(d->curl);
    if (d->folder[0])
        nftw(d->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    memset(d, 0, sizeof *d);
}
