/* Support tickets while the host is killed, again and again, at any moment and at the named points of
 * host/core/crash.h: each ticket ends in the one state that what was done to it leads to, no activity that has an
 * effect outside ran twice, and waits end when they should. What happened outside is in the ledger of a recorder, under
 * a key of each run of the activity: a second run would be a second key.
 *
 * CVM_TICKETS (100) tickets, CVM_KILLS (5) deaths, CVM_SEED with which luck (the clock). */
#include "core/crash.h"
#include "flow.h"
#include "recorder.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS 8
#define POINT_WAIT_MS 4000 /* a point that is not passed by then: the host is killed as it is */
#define LATE_MS 5000       /* a wait may end so much after its deadline, and after the host is up again */
#define PATIENCE_MS 60000

/* What is done to a ticket, by its number. */
enum fate { APPROVE, APPROVE_EARLY, REJECT, NOT_ENTITLED, UNKNOWN_CUSTOMER, LEAVE, FATES };

static int n_tickets, n_kills;
static uint64_t seed;
static atomic_int may_create, may_decide; /* how many tickets so far */
static atomic_int given_up;
static char url[64];
static char *decided; /* of each ticket: 'y' the decision was taken, 'n' it was refused as too late, 0 none was made */

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? (int)strtol(text, NULL, 10) : otherwise;
}

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static enum fate fate_of(int i)
{
    static const enum fate fates[] = {APPROVE, APPROVE_EARLY, APPROVE,          REJECT, APPROVE,
                                      APPROVE, NOT_ENTITLED,  UNKNOWN_CUSTOMER, LEAVE,  APPROVE};
    return fates[i % 10];
}

/* ---- clients ------------------------------------------------------------------------------------------------------
 */

static size_t swallow(char *data, size_t size, size_t n, void *arg)
{
    char *text = arg;
    size_t have = strlen(text), room = 500 - have;
    memcpy(text + have, data, size * n < room ? size * n : room);
    return size * n;
}

/* Asks until there is an answer that is final; the same key each time. Gives the status; 0: none in all the time. */
static int insist(CURL *curl, const char *path, const char *key, const char *body)
{
    char target[200], header[100], text[512];
    int64_t until = flow_now_ms() + PATIENCE_MS;
    long status = 0;
    snprintf(target, sizeof target, "%s%s", url, path);
    snprintf(header, sizeof header, "Idempotency-Key: %s", key);
    struct curl_slist *headers = curl_slist_append(curl_slist_append(NULL, "Content-Type: application/json"), header);
    curl_easy_setopt(curl, CURLOPT_URL, target);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 5000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    while (flow_now_ms() < until) {
        memset(text, 0, sizeof text);
        if (curl_easy_perform(curl) == CURLE_OK &&
            curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status < 500)
            break;
        status = 0;
        usleep(20000);
    }
    curl_slist_free_all(headers);
    if (status != 200 && status != 409)
        fprintf(stderr, "%s %s: %ld %s\n", path, key, status, text);
    return (int)status;
}

static void create(CURL *curl, int i)
{
    char key[32], body[200];
    enum fate fate = fate_of(i);
    snprintf(key, sizeof key, "c-%d", i);
    snprintf(body, sizeof body, "{\"ticket_id\":\"K%d\",\"customer_id\":\"%s\",\"description\":\"kill test%s\"}", i,
             fate == NOT_ENTITLED       ? "CUST003"
             : fate == UNKNOWN_CUSTOMER ? "CUST99"
                                        : "CUST001",
             fate == APPROVE_EARLY ? " slow_expert=200" : "");
    if (insist(curl, "/support/ticket", key, body) != 200)
        atomic_fetch_add(&given_up, 1);
}

static void decide(CURL *curl, int i)
{
    char key[32], path[64];
    snprintf(key, sizeof key, "d-%d", i);
    snprintf(path, sizeof path, "/support/approve/K%d", i);
    int status = insist(curl, path, key,
                        fate_of(i) == REJECT ? "{\"approved\":false}" : "{\"approved\":true,\"support_notes\":\"go\"}");
    decided[i] = status == 200 ? 'y' : status == 409 ? 'n' : '?';
    if (decided[i] == '?')
        atomic_fetch_add(&given_up, 1);
}

static void *client(void *arg)
{
    CURL *curl = curl_easy_init();
    int first = (int)(intptr_t)arg;
    for (int i = first; i < n_tickets; i += CLIENTS) {
        while (atomic_load(&may_create) <= i)
            usleep(2000);
        create(curl, i);
        if (fate_of(i) == APPROVE_EARLY)
            decide(curl, i);
    }
    for (int i = first; i < n_tickets; i += CLIENTS) {
        while (atomic_load(&may_decide) <= i)
            usleep(2000);
        if (fate_of(i) == APPROVE || fate_of(i) == REJECT)
            decide(curl, i);
    }
    curl_easy_cleanup(curl);
    return NULL;
}

/* ---- deaths -------------------------------------------------------------------------------------------------------
 */

#define CRASH_X(id, name) name,
static const char *const points[] = {CRASH_POINTS(CRASH_X)};
#undef CRASH_X

/* Every third at any moment, the others at a point, each in turn; line i is that of host i. */
static void plan(struct flow *f, uint64_t *random)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    for (int i = 0; i < n_kills; i++)
        if (i % 3 == 0)
            fputs("-\n", file);
        else
            fprintf(file, "%s:%d\n", points[(i - 1 - i / 3) % (CRASH_RECOVERY + 1)], 1 + (int)(draw(random) % 60));
    fputs("-\n", file);
    fclose(file);
    flow_write(f, "crash", text);
    free(text);
}

static int deaths(struct flow *f, bool *ret_up)
{
    char *text = flow_read(f, "serve.err"), *last = text, *at = text;
    int n = 0;
    for (; (at = strstr(at, "supervisor: the host died (")); last = at++)
        n++;
    at = strstr(last, "serving on http://");
    *ret_up = at && strchr(at, '\n');
    if (*ret_up)
        f->host = (pid_t)strtol(strstr(at, "(pid ") + 5, NULL, 10);
    free(text);
    return n;
}

static void die(struct flow *f, int before, uint64_t *random)
{
    bool up;
    int64_t until = flow_now_ms() + (before % 3 == 0 ? 50 + (int64_t)(draw(random) % 600) : POINT_WAIT_MS);
    while (deaths(f, &up) == before) {
        if (up && flow_now_ms() > until) {
            kill(f->host, SIGKILL);
            until = flow_now_ms() + POINT_WAIT_MS;
        }
        flow_sleep_ms(5);
    }
    FLOW_UNTIL((deaths(f, &up), up));
}

/* ---- the end ------------------------------------------------------------------------------------------------------
 */

static int64_t left(struct flow *f)
{
    return flow_sql_int(f, "select count(*) from support_tickets where status not in ('COMPLETED', 'REJECTED', "
                           "'TIMED_OUT', 'FAILED', 'TERMINATED')");
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void check_states(struct flow *f, const json_t *rows)
{
    int completed = 0;
    ck_assert_int_eq(json_array_size(rows), n_tickets);
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *row = json_array_get(rows, r);
        int i = (int)strtol(text_of(row, "ticket_id") + 1, NULL, 10);
        enum fate fate = fate_of(i);
        const char *is = text_of(row, "status"), *wanted = "COMPLETED";
        if (fate == UNKNOWN_CUSTOMER)
            wanted = "FAILED";
        else if (fate == LEAVE || (fate != NOT_ENTITLED && decided[i] == 'n'))
            wanted = "TIMED_OUT";
        else if (fate == REJECT)
            wanted = "REJECTED";
        ck_assert_msg(strcmp(is, wanted) == 0, "K%d is %s, not %s (fate %d, decision %c): %s", i, is, wanted, (int)fate,
                      decided[i] ? decided[i] : '-', text_of(row, "output"));
        completed += strcmp(is, "COMPLETED") == 0;
    }
    ck_assert_int_gt(completed, n_tickets / 3);
}

/* Keys of the ledger are TICKET/RUN: one run for those who were told something, none for the others. */
static void check_effects(struct flow *f, const json_t *rows)
{
    char *text = flow_read(f, "ledger"), *save = NULL;
    json_t *runs = json_object();
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char ticket[64];
        snprintf(ticket, sizeof ticket, "%.*s", (int)strcspn(line, "/"), line);
        json_t *of = json_object_get(runs, ticket);
        if (!of)
            json_object_set_new(runs, ticket, of = json_object());
        json_object_set_new(of, line, json_true());
    }
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *row = json_array_get(rows, r);
        const char *id = text_of(row, "ticket_id");
        size_t wanted = strcmp(text_of(row, "status"), "COMPLETED") == 0;
        ck_assert_msg(json_object_size(json_object_get(runs, id)) == wanted, "%s: its customer was told %zu times", id,
                      json_object_size(json_object_get(runs, id)));
    }
    json_decref(runs);
    free(text);
}

/* No activity finished twice, and none began again after it had. */
static void check_activities(struct flow *f)
{
    ck_assert_int_eq(flow_sql_int(f,
                                  "select count(*) from (select 1 from support_audit where what = 'finished' group by "
                                  "ticket_id, step having count(*) > 1)"),
                     0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from (select 1 from support_audit where what = 'ended' group by "
                                     "ticket_id having count(*) > 1)"),
                     0);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from support_audit where what = 'failed'"), 0);
}

static int64_t ms_of(const char *time) /* of its day */
{
    int h, m, s, ms;
    ck_assert_msg(sscanf(time + 11, "%d:%d:%d.%dZ", &h, &m, &s, &ms) == 4, "\"%s\"", time);
    return ((h * 60 + m) * 60 + s) * 1000 + ms;
}

/* What timed out did so at the deadline with which the wait began, whatever happened meanwhile; or when a host was
 * there again. */
static void check_deadlines(struct flow *f)
{
    json_t *rows = flow_sql(f, "select w.ticket_id, substr(w.input, -24) as due, e.time as ended, (select max(s.time) "
                               "from (select strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') as time from "
                               "turns where component = 'host' and type = 'host.started') s where s.time <= e.time) as "
                               "up from support_audit w, support_audit e where w.ticket_id = e.ticket_id and w.what = "
                               "'waiting' and e.what = 'timed_out'");
    ck_assert_int_gt(json_array_size(rows), 0);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *due = text_of(row, "due"), *up = text_of(row, "up"), *ended = text_of(row, "ended");
        int64_t late = ms_of(ended) - ms_of(strcmp(up, due) > 0 ? up : due);
        late += late < -43200000 ? 86400000 : 0;
        ck_assert_msg(strcmp(ended, due) >= 0 && late <= LATE_MS, "%s: due %s, host up %s, ended %s",
                      text_of(row, "ticket_id"), due, up, ended);
    }
    json_decref(rows);
}

/* ---- the test -----------------------------------------------------------------------------------------------------
 */

static struct flow *home(struct recorder **ret_recorder, uint64_t *random)
{
    char path[128], outside[64];
    struct flow *f = flow_new();
    f->port = flow_free_port(); /* the same after each start */
    snprintf(path, sizeof path, "%s/ledger", f->home);
    *ret_recorder = recorder_start(path, 23);
    snprintf(outside, sizeof outside, "http://127.0.0.1:%d", recorder_port(*ret_recorder));
    flow_plugin(f, "support");
    flow_plugin(f, "stores");
    flow_plugin(f, "crew");
    flow_config(f, "support.approval_timeout_hours", json_real(setting("CVM_WAIT_S", 15) / 3600.0));
    flow_config(f, "support.base_url", json_string(outside));
    flow_config(f, "http.per_address", json_integer(256));
    flow_config(f, "journal.wal_checkpoint_mib", json_integer(1));
    flow_config(f, "journal.group_max", json_integer(2)); /* many commits: many moments between two of them */
    flow_config(f, "supervisor.restart_delay_ms", json_integer(20));
    flow_config(f, "supervisor.restarts", json_integer(100000));
    snprintf(path, sizeof path, "@%s/crash", f->home);
    flow_env(f, "CVMHOST_CRASH", path);
    plan(f, random);
    flow_start(f);
    snprintf(url, sizeof url, "%s", f->url);
    return f;
}

START_TEST(tickets_survive_deaths)
{
    struct recorder *recorder;
    pthread_t threads[CLIENTS];
    n_tickets = setting("CVM_TICKETS", 100);
    n_kills = setting("CVM_KILLS", 5);
    seed = (uint64_t)setting("CVM_SEED", (int)(flow_now_ms() & 0xffffff));
    fprintf(stderr, "CVM_SEED=%llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    decided = calloc((size_t)n_tickets, 1);
    curl_global_init(CURL_GLOBAL_ALL);
    struct flow *f = home(&recorder, &random);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, client, (void *)(intptr_t)i);
    for (int n = 0; n < n_kills; n++) { /* in the middle nearly all of them are open */
        int part = 2 * n_tickets * (n + 1) / n_kills;
        atomic_store(&may_create, part < n_tickets ? part : n_tickets);
        atomic_store(&may_decide, part > n_tickets ? part - n_tickets : 0);
        die(f, n, &random);
    }
    atomic_store(&may_create, n_tickets);
    atomic_store(&may_decide, n_tickets);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&given_up), 0);
    int64_t until = flow_now_ms() + setting("CVM_WAIT_S", 15) * 1000 + PATIENCE_MS;
    while (left(f) && flow_now_ms() < until)
        flow_sleep_ms(100);
    ck_assert_int_eq(left(f), 0);
    json_t *rows = flow_sql(f, "select ticket_id, status, output from support_tickets");
    check_states(f, rows);
    check_effects(f, rows);
    check_activities(f);
    check_deadlines(f);
    ck_assert_int_eq(flow_sql_int(f, "select count(*) from state where component = 'support.workflow' and "
                                     "key not in ('audit', 'all') and value <> 'false'"),
                     0);
    EXPECT(f, 0, "the chain holds", "audit", "verify", "--output", "table");
    fprintf(stderr, "%d tickets, %d deaths, %d calls outside\n", n_tickets, n_kills, recorder_calls(recorder));
    json_decref(rows);
    free(decided);
    flow_end(f);
    recorder_stop(recorder);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("kill");
    tcase_set_timeout(c, 1800);
    tcase_add_test(c, tickets_survive_deaths);
    return flow_main("support_kill", (TCase *[]){c, NULL});
}
