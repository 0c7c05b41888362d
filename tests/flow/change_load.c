/* See change_load.h. One thread, one connection, non-blocking. */
#include "change_load.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (1 << 20)

struct customer {
    int64_t sent, answered; /* works 1 to sent are out, 1 to answered have come back */
};

struct load {
    struct flow *f;
    int fd;
    struct customer customers[LOAD_CUSTOMERS];
    int64_t each, answered;
    int64_t paced_from_ms; /* when works were first due */
    int per_second;        /* 0: as fast as they are answered */
    bool apart;            /* a conversation for each work */
    char *in, *out;
    size_t n_in, n_out;
};

struct load *load_new(struct flow *f, int64_t works)
{
    struct load *load = calloc(1, sizeof *load);
    load->f = f;
    load->fd = -1;
    load->each = works / LOAD_CUSTOMERS;
    load->in = malloc(BUFFER_BYTES);
    load->out = malloc(BUFFER_BYTES);
    return load;
}

void load_free(struct load *load)
{
    if (load->fd >= 0)
        close(load->fd);
    free(load->in);
    free(load->out);
    free(load);
}

int64_t load_answered(const struct load *load)
{
    return load->answered;
}

int64_t load_each(const struct load *load)
{
    return load->each;
}

static void reconnect(struct load *load)
{
    FLOW_UNTIL((load->fd = flow_connect(load->f)) >= 0);
    fcntl(load->fd, F_SETFL, O_NONBLOCK);
    load->n_in = load->n_out = 0;
    for (int c = 0; c < LOAD_CUSTOMERS; c++) /* in their order, under their keys */
        load->customers[c].sent = load->customers[c].answered;
}

void load_apart(struct load *load)
{
    load->apart = true;
}

void load_pace(struct load *load, int per_second)
{
    load->per_second = per_second;
    load->paced_from_ms = flow_now_ms();
}

int64_t load_behind_ms(const struct load *load)
{
    return flow_now_ms() - load->paced_from_ms - load->answered * 1000 / load->per_second;
}

/* How many works may be out by now. */
static int64_t due(const struct load *load)
{
    return load->per_second ? (flow_now_ms() - load->paced_from_ms) * load->per_second / 1000 : INT64_MAX;
}

static void fill(struct load *load)
{
    int64_t sent = 0, most = due(load);
    for (int c = 0; c < LOAD_CUSTOMERS; c++)
        sent += load->customers[c].sent;
    for (int c = 0; c < LOAD_CUSTOMERS; c++) {
        struct customer *who = &load->customers[c];
        while (sent < most && who->sent < load->each && who->sent - who->answered < LOAD_WINDOW &&
               BUFFER_BYTES - load->n_out > 512) {
            long long k = (long long)++who->sent;
            sent++;
            load->n_out += (size_t)snprintf(
                load->out + load->n_out, BUFFER_BYTES - load->n_out,
                "{\"id\":%lld,\"do\":\"call\",\"to\":\"test.changing\",\"type\":\"work\",\"key\":\"c%d-%lld\","
                "\"conversation\":\"customer c%d%s%lld\",\"timeout_ms\":60000,"
                "\"data\":{\"customer\":\"c%d\",\"k\":%lld,\"quiet\":true}}\n",
                k * LOAD_CUSTOMERS + c, c, k, c, load->apart ? "/" : "-", load->apart ? k : 0LL, c, k);
        }
    }
}

/* Answers of one customer come in the order of the works: the next one, whole and right. */
static void take(struct load *load, const char *line, size_t len)
{
    json_t *answer = json_loadb(line, len, 0, NULL), *data = json_object_get(answer, "data");
    json_int_t id = json_integer_value(json_object_get(answer, "id"));
    const char *outcome = json_string_value(json_object_get(answer, "outcome"));
    struct customer *who = &load->customers[id % LOAD_CUSTOMERS];
    char name[16];
    snprintf(name, sizeof name, "c%d", (int)(id % LOAD_CUSTOMERS));
    ck_assert_msg(outcome && strcmp(outcome, "REPLIED") == 0, "%.*s", (int)len, line);
    ck_assert_str_eq(json_string_value(json_object_get(data, "customer")), name);
    ck_assert_msg(json_integer_value(json_object_get(data, "k")) == id / LOAD_CUSTOMERS &&
                      id / LOAD_CUSTOMERS == who->answered + 1,
                  "after work %lld of %s came: %.*s", (long long)who->answered, name, (int)len, line);
    who->answered++;
    load->answered++;
    json_decref(answer);
}

static void take_all(struct load *load)
{
    char *at = load->in, *end = load->in + load->n_in, *newline;
    while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
        take(load, at, (size_t)(newline - at));
        at = newline + 1;
    }
    load->n_in = (size_t)(end - at);
    memmove(load->in, at, load->n_in);
}

static bool gone(ssize_t n)
{
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

bool load_run(struct load *load, int ms)
{
    int64_t until = flow_now_ms() + ms;
    while (flow_now_ms() < until && load->answered < load->each * LOAD_CUSTOMERS) {
        if (load->fd < 0)
            reconnect(load);
        fill(load);
        struct pollfd p = {.fd = load->fd, .events = (short)(POLLIN | (load->n_out ? POLLOUT : 0))};
        poll(&p, 1, load->per_second ? 2 : 20);
        ssize_t n = 1;
        if (load->n_out && (p.revents & POLLOUT)) {
            n = send(load->fd, load->out, load->n_out, MSG_NOSIGNAL);
            if (n > 0) {
                load->n_out -= (size_t)n;
                memmove(load->out, load->out + n, load->n_out);
            }
        }
        if (!gone(n) && (p.revents & (POLLIN | POLLHUP | POLLERR))) {
            n = recv(load->fd, load->in + load->n_in, BUFFER_BYTES - load->n_in, 0);
            load->n_in += n > 0 ? (size_t)n : 0;
            take_all(load);
        }
        if (gone(n)) {
            close(load->fd);
            load->fd = -1;
        }
    }
    return load->answered < load->each * LOAD_CUSTOMERS;
}

json_t *load_ask(struct flow *f, json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT), *line = calloc(1, BUFFER_BYTES);
    int fd = flow_connect(f);
    size_t have = 0;
    ssize_t n = 1;
    json_t *data = NULL;
    if (fd >= 0 && send(fd, text, strlen(text), MSG_NOSIGNAL) > 0 && send(fd, "\n", 1, MSG_NOSIGNAL) == 1)
        while (!memchr(line, '\n', have) && have < BUFFER_BYTES - 1 &&
               (n = recv(fd, line + have, BUFFER_BYTES - 1 - have, 0)) > 0)
            have += (size_t)n;
    json_t *answer = have ? json_loadb(line, have, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    data = json_incref(json_object_get(answer, "data"));
    json_decref(answer);
    json_decref(request);
    if (fd >= 0)
        close(fd);
    free(text);
    free(line);
    return data;
}

pid_t change_process(struct flow *f)
{
    json_t *data = load_ask(f, json_pack("{s:i, s:s, s:s}", "id", 1, "do", "plugin", "name", "changing"));
    const json_t *process = json_object_get(data, "process");
    const char *state = json_string_value(json_object_get(process, "state"));
    pid_t pid = state && strcmp(state, "up") == 0 ? (pid_t)json_integer_value(json_object_get(process, "pid")) : 0;
    json_decref(data);
    return pid;
}

int64_t change_resident_kib(pid_t pid)
{
    char path[64], line[256];
    int64_t kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtoll(line + 6, NULL, 10);
    if (status)
        fclose(status);
    return kib;
}

void change_copy(const char *from, const char *to)
{
    char buffer[65536], temporary[300];
    size_t n;
    snprintf(temporary, sizeof temporary, "%s.new", to);
    FILE *in = fopen(from, "re"), *out = fopen(temporary, "we");
    ck_assert_msg(in && out, "%s or %s cannot be opened", from, temporary);
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        ck_assert_uint_eq(fwrite(buffer, 1, n, out), n);
    fclose(in);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_int_eq(rename(temporary, to), 0);
}

void change_put(struct flow *f, const char *build)
{
    char from[128], to[200];
    snprintf(from, sizeof from, "tests/plugins/changing/%s.so", build);
    snprintf(to, sizeof to, "%s/plugins/changing.so", f->home);
    change_copy(flow_build(from), to);
    snprintf(from, sizeof from, "tests/plugins/changing/%s.json", build);
    snprintf(to, sizeof to, "%s/manifests/changing.json", f->home);
    change_copy(flow_build(from), to);
}

void load_check_books(struct flow *f, const struct load *load)
{
    long long each = (long long)load_each(load);
    char sql[256];
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM changes"), each * LOAD_CUSTOMERS);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM state WHERE key LIKE 'last/%%' AND value = '%lld'", each);
    ck_assert_int_eq(flow_sql_int(f, sql), LOAD_CUSTOMERS);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM state WHERE key LIKE 'sum/%%' AND value = '%lld'",
             each * (each + 1) / 2);
    ck_assert_int_eq(flow_sql_int(f, sql), LOAD_CUSTOMERS);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM dead_letters"), 0);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM open_items"), 0);
    EXPECT(f, 0, "the chain holds", "audit", "verify", "--output", "table");
}
