/* The control server against a core of a few functions: what it accepts, refuses and survives; and its questions
 * against a journal in memory. Server and client share the test's thread: waiting for an answer turns the loop. */
#include "core/core.h"
#include "core/edge.h"
#include "core/registry.h"
#include "core/reload.h"
#include "services/control.h"

#include <check.h>
#include <cvm/json.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* ---- a core of a few functions ---- */

struct taken {
    edge_done done;
    void *arg;
    cvm_id id;
    json_t *data;
    char type[64], key[140], session[64], to[64];
    int priority;
    int64_t timeout_ms;
};

struct edge_tap {
    edge_tap_fn fn;
    void *arg;
    cvm_id root;
    bool open;
};

struct question {
    core_rows done;
    void *arg;
    json_t *rows;
    int error;
};

static struct taken taken[5000];
static size_t n_taken;
static size_t n_forgotten;
static struct edge_tap taps[16];
static size_t n_taps;
static struct question questions[64];
static size_t n_questions;
static sqlite3 *db;
static bool query_fails;

int edge_submit(struct core *core, struct edge_in *in, edge_done done, void *arg, cvm_id *ret_id,
                struct edge_error *ret_error)
{
    (void)core;
    json_t *data = in->data ? in->data : json_object();
    in->data = NULL;
    if (strcmp(in->type, "full") == 0) {
        json_decref(data);
        *ret_error = (struct edge_error){CVM_EBUSY, "", "the mailbox is full", 3};
        return CVM_EBUSY;
    }
    ck_assert_uint_lt(n_taken, 5000);
    struct taken *t = &taken[n_taken++];
    *t = (struct taken){done, arg, {7, n_taken}, data, "", "", "", "", in->priority, in->timeout_ms};
    snprintf(t->type, sizeof t->type, "%s", in->type);
    snprintf(t->to, sizeof t->to, "%s", in->to);
    snprintf(t->key, sizeof t->key, "%s", in->key ? in->key : "");
    snprintf(t->session, sizeof t->session, "%s", in->session_id ? in->session_id : "");
    *ret_id = t->id;
    json_t *envelope =
        json_pack("{s:s, s:s, s:s, s:s}", "type", in->type, "sender", "", "recipient", in->to, "text", "at once");
    for (size_t i = 0; i < n_taps; i++)
        if (taps[i].open && (cvm_id_is_none(taps[i].root) || cvm_id_eq(taps[i].root, t->id)))
            taps[i].fn(taps[i].arg, envelope);
    json_decref(envelope);
    return 0;
}

void edge_forget(struct core *core, cvm_id id, void *arg)
{
    (void)core;
    for (size_t i = 0; i < n_taken; i++)
        if (cvm_id_eq(taken[i].id, id) && taken[i].arg == arg) {
            taken[i].done = NULL;
            n_forgotten++;
        }
}

struct edge_tap *edge_tap_open(struct core *core, cvm_id root, edge_tap_fn fn, void *arg)
{
    (void)core;
    if (n_taps == 16)
        return NULL;
    taps[n_taps] = (struct edge_tap){fn, arg, root, true};
    return &taps[n_taps++];
}

void edge_tap_close(struct core *core, struct edge_tap *tap)
{
    (void)core;
    ck_assert(tap->open);
    tap->open = false;
}

const struct operation *registry_operations(const struct core *core, size_t *ret_n)
{
    static const char *args[] = {"name"};
    static struct manifest_expose expose = {.cli = "say hello", .args = {args, 1}, .n_required = 1};
    static struct manifest_operation decls[] = {{.type = "hello", .expose = &expose}, {.type = "other"}};
    static struct operation all[] = {{"a.b", "B", "p", KIND_AGENT, &decls[0], NULL},
                                     {"a.b", "B", "p", KIND_AGENT, &decls[1], NULL}};
    (void)core;
    *ret_n = 2;
    return all;
}

json_t *core_ps(const struct core *core)
{
    (void)core;
    return json_pack("{s:[], s:{}}", "components", "totals");
}

json_t *core_plugins(const struct core *core)
{
    (void)core;
    return json_array();
}

json_t *core_plugin(const struct core *core, const char *name)
{
    (void)core;
    return strcmp(name, "p") == 0 ? json_pack("{s:s}", "name", "p") : NULL;
}

json_t *core_components(const struct core *core)
{
    (void)core;
    return json_pack("[{s:s, s:s}]", "id", "a.b", "alias", "B");
}

int core_canary(struct core *core, const char *plugin, int percent)
{
    (void)core;
    (void)plugin;
    return percent ? CVM_ENOENT : 0;
}

json_t *core_jobs(struct core *core)
{
    (void)core;
    return json_array();
}

json_t *core_models(const struct core *core, const char *plugin)
{
    (void)core;
    (void)plugin;
    return json_array();
}

const char *core_quarantined(const struct core *core, const char *name)
{
    (void)core;
    return strcmp(name, "q.r") == 0 ? "q" : NULL;
}

int core_revive(struct core *core, const char *component)
{
    (void)core;
    return strcmp(component, "a.b") == 0 ? 0 : CVM_ENOENT;
}

/* A change waits until the test lets it end. */
static struct {
    core_change_done done;
    void *arg;
    enum core_change what;
    char plugin[64];
    bool now;
    int error;
    json_t *report;
} changing;

void core_change(struct core *core, enum core_change what, const char *plugin, bool now, core_change_done done,
                 void *arg)
{
    (void)core;
    ck_assert_ptr_null(changing.done);
    changing.done = done;
    changing.arg = arg;
    changing.what = what;
    changing.now = now;
    snprintf(changing.plugin, sizeof changing.plugin, "%s", plugin ? plugin : "(all)");
}

/* So do a prune and a backup. */
static struct {
    core_pruned done;
    void *arg;
    bool dry;
    int64_t before_ms;
    int refused;
} keeping;

int core_prune(struct core *core, bool dry, int64_t before_ms, core_pruned done, void *arg)
{
    (void)core;
    if (keeping.refused)
        return keeping.refused;
    keeping.done = done;
    keeping.arg = arg;
    keeping.dry = dry;
    keeping.before_ms = before_ms;
    return 0;
}

int core_backup(struct core *core, core_pruned done, void *arg)
{
    return core_prune(core, false, 0, done, arg);
}

json_t *core_keeping(const struct core *core)
{
    (void)core;
    return json_pack("{s:i}", "keep_days", 90);
}

static void end_change(int error, const char *report)
{
    core_change_done done = changing.done;
    changing.done = NULL;
    done(changing.arg, error, report ? json_loads(report, 0, NULL) : NULL);
}

char *core_metrics(const struct core *core)
{
    (void)core;
    return strdup("cvm_up 1\n");
}

json_t *config_show(const struct config *config)
{
    (void)config;
    return json_pack("{s:{s:i}, s:{s:{s:i}}}", "http", "port", 8000, "agents", "a.b", "concurrency", 4);
}

int core_query(struct core *core, const char *sql, json_t *binds, size_t limit, core_rows done, void *arg)
{
    (void)core;
    ck_assert_uint_lt(n_questions, 64);
    struct question *q = &questions[n_questions++];
    *q = (struct question){done, arg, json_array(), query_fails ? CVM_EIO : 0};
    sqlite3_stmt *s = NULL;
    int e = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    ck_assert_msg(e == SQLITE_OK, "%s: %s", sqlite3_errmsg(db), sql);
    for (size_t i = 0; i < json_array_size(binds); i++) {
        const json_t *v = json_array_get(binds, i);
        if (json_is_integer(v))
            sqlite3_bind_int64(s, (int)i + 1, json_integer_value(v));
        else
            sqlite3_bind_text(s, (int)i + 1, json_string_value(v), -1, SQLITE_TRANSIENT);
    }
    json_decref(binds);
    while (sqlite3_step(s) == SQLITE_ROW && json_array_size(q->rows) < limit) {
        json_t *row = json_object();
        for (int c = 0; c < sqlite3_column_count(s); c++) {
            int type = sqlite3_column_type(s, c);
            json_object_set_new(row, sqlite3_column_name(s, c),
                                type == SQLITE_INTEGER ? json_integer(sqlite3_column_int64(s, c))
                                : type == SQLITE_NULL  ? json_null()
                                                       : json_string((const char *)sqlite3_column_text(s, c)));
        }
        json_array_append_new(q->rows, row);
    }
    sqlite3_finalize(s);
    return 0;
}

static void answer_questions(void)
{
    while (n_questions > 0) {
        struct question q = questions[0];
        memmove(questions, questions + 1, --n_questions * sizeof *questions);
        if (q.error) {
            json_decref(q.rows);
            q.rows = NULL;
        }
        q.done(q.arg, q.error, q.rows, false);
    }
}

static void answer(size_t i, int outcome, json_t *data)
{
    struct edge_reply reply = {.request = taken[i].id, .outcome = outcome, .data = data, .content = ""};
    edge_done done = taken[i].done;
    taken[i].done = NULL;
    if (done)
        done(taken[i].arg, &reply);
    json_decref(data);
}

/* ---- the server and its clients ---- */

static char folder[64];
static uv_loop_t loop;
static struct control *control;
static int idle_calls;
static bool is_closed;

struct peer {
    int fd;
    char *in;
    size_t len;
};

static struct sockaddr_un address(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/s", folder);
    return a;
}

static void on_idle(void *arg)
{
    (void)arg;
    idle_calls++;
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/cvm-control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    struct sockaddr_un a = address();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    uv_loop_init(&loop);
    n_taken = n_forgotten = n_taps = n_questions = 0;
    idle_calls = 0;
    is_closed = query_fails = false;
    struct control_options options = {
        .loop = &loop, .core = NULL, .config = (struct config *)&loop, .fd = fd, .idle = on_idle};
    ck_assert_int_eq(control_open(&options, &control), 0);
    ck_assert_int_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
}

static void turn(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
    answer_questions();
}

static void teardown(void)
{
    control_close(control, on_closed, &is_closed);
    for (int i = 0; i < 100 && !is_closed; i++)
        turn();
    answer_questions();
    ck_assert(is_closed);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_NOWAIT), 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    for (size_t i = 0; i < n_taken; i++) {
        ck_assert_ptr_null(taken[i].done); /* every open call was forgotten */
        json_decref(taken[i].data);
    }
    for (size_t i = 0; i < n_taps; i++)
        ck_assert(!taps[i].open);
    sqlite3_close(db);
    struct sockaddr_un a = address();
    unlink(a.sun_path);
    rmdir(folder);
}

static struct peer join(void)
{
    struct sockaddr_un a = address();
    struct peer p = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ck_assert_int_eq(connect(p.fd, (struct sockaddr *)&a, sizeof a), 0);
    turn();
    return p;
}

static void leave(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->in);
    *p = (struct peer){-1, NULL, 0};
    turn();
    turn();
}

static void say_bytes(struct peer *p, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(p->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the server has closed: what follows in the test says whether it should have */
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
        turn();
    }
}

static void say(struct peer *p, const char *line)
{
    say_bytes(p, line, strlen(line));
    say_bytes(p, "\n", 1);
}

/* The next line; NULL: the server has closed the connection. Fails the test after five seconds. */
static json_t *hear(struct peer *p)
{
    for (time_t end = time(NULL) + 5; time(NULL) <= end;) {
        char *newline = p->in ? memchr(p->in, '\n', p->len) : NULL;
        if (newline) {
            json_t *line = json_loadb(p->in, (size_t)(newline - p->in), 0, NULL);
            ck_assert_ptr_nonnull(line);
            p->len -= (size_t)(newline + 1 - p->in);
            memmove(p->in, newline + 1, p->len);
            return line;
        }
        turn();
        p->in = realloc(p->in, p->len + 65536);
        ssize_t n = recv(p->fd, p->in + p->len, 65536, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return NULL;
        p->len += n > 0 ? (size_t)n : 0;
    }
    ck_abort_msg("the server does not answer");
    return NULL;
}

static const char *error_code(const json_t *line)
{
    return cvm_json_str(json_object_get(line, "error"), "code", "none");
}

static void expect_error(struct peer *p, const char *code, const char *field)
{
    json_t *line = hear(p);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(error_code(line), code);
    ck_assert_str_eq(cvm_json_str(json_object_get(line, "error"), "field", "none"), field);
    json_decref(line);
}

static void expect_alive(struct peer *p)
{
    say(p, "{\"id\":99,\"do\":\"ps\"}");
    json_t *line = hear(p);
    ck_assert_int_eq(cvm_json_int(line, "id", 0), 99);
    ck_assert(json_is_object(json_object_get(line, "data")));
    json_decref(line);
}

/* ---- lines ---- */

START_TEST(refuses_what_is_no_request)
{
    struct peer p = join();
    say(&p, "hello");
    expect_error(&p, "INVALID", "");
    say(&p, "{\"id\":1,\"do\":\"ps\"");
    expect_error(&p, "INVALID", "");
    say(&p, "{\"id\":1,\"id\":2,\"do\":\"ps\"}");
    expect_error(&p, "INVALID", "");
    say(&p, "[1]");
    expect_error(&p, "INVALID", "");
    say(&p, "{\"id\":{},\"do\":\"ps\"}");
    expect_error(&p, "INVALID", "id");
    say(&p, "{\"id\":1}");
    expect_error(&p, "INVALID", "do");
    say(&p, "{\"id\":1,\"do\":7}");
    expect_error(&p, "INVALID", "do");
    say(&p, "{\"id\":1,\"do\":\"dance\"}");
    expect_error(&p, "INVALID", "do");
    say_bytes(&p, "\0\xff\xfe\n", 4);
    expect_error(&p, "INVALID", "");
    say(&p, "");
    say(&p, "\r");
    expect_alive(&p);
    leave(&p);
}
END_TEST

START_TEST(refuses_deep_nesting)
{
    struct peer p = join();
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    say(&p, deep);
    free(deep);
    expect_error(&p, "INVALID", "");
    expect_alive(&p);
    leave(&p);
}
END_TEST

START_TEST(joins_half_lines)
{
    struct peer p = join();
    const char *line = "{\"id\":5,\"do\":\"ps\"}\n{\"id\":6,\"do\":\"ps\"}\n";
    for (size_t i = 0; i < strlen(line); i++)
        say_bytes(&p, line + i, 1);
    for (int id = 5; id <= 6; id++) {
        json_t *answer_line = hear(&p);
        ck_assert_int_eq(cvm_json_int(answer_line, "id", 0), id);
        json_decref(answer_line);
    }
    say_bytes(&p, "{\"id\":7,", 8); /* and goes in the middle of a line */
    leave(&p);
    struct peer q = join();
    expect_alive(&q);
    leave(&q);
}
END_TEST

static char *padded(size_t len)
{
    char *line = malloc(len + 1);
    int n = snprintf(line, len, "{\"id\":1,\"do\":\"ps\",\"x\":\"");
    memset(line + n, 'a', len - (size_t)n);
    memcpy(line + len - 2, "\"}", 3);
    return line;
}

START_TEST(takes_a_line_of_a_mebibyte)
{
    struct peer p = join();
    char *line = padded(CONTROL_LINE_MAX_BYTES);
    say(&p, line);
    free(line);
    json_t *got = hear(&p);
    ck_assert_ptr_nonnull(json_object_get(got, "data"));
    json_decref(got);
    leave(&p);
}
END_TEST

START_TEST(closes_on_a_longer_line)
{
    struct peer p = join();
    char *line = padded(CONTROL_LINE_MAX_BYTES + 1);
    say(&p, line);
    expect_error(&p, "LIMIT", "");
    ck_assert_ptr_null(hear(&p));
    leave(&p);
    p = join();
    for (int i = 0; i < 3; i++) /* no newline at all */
        say_bytes(&p, line, CONTROL_LINE_MAX_BYTES);
    free(line);
    expect_error(&p, "LIMIT", "");
    ck_assert_ptr_null(hear(&p));
    leave(&p);
}
END_TEST

/* ---- connections ---- */

START_TEST(serves_64_connections)
{
    struct peer peers[CONTROL_CONNECTIONS_MAX];
    for (int i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        peers[i] = join();
    struct peer more = join();
    expect_error(&more, "BUSY", "");
    ck_assert_ptr_null(hear(&more));
    leave(&more);
    for (int i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        expect_alive(&peers[i]);
    ck_assert_int_eq(idle_calls, 0);
    for (int i = 0; i < CONTROL_CONNECTIONS_MAX; i++)
        leave(&peers[i]);
    ck_assert_int_eq(idle_calls, 1);
    more = join();
    expect_alive(&more);
    leave(&more);
}
END_TEST

START_TEST(forgets_the_calls_of_one_that_goes)
{
    struct peer p = join(), q = join();
    say(&p, "{\"id\":1,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\",\"trace\":true}");
    say(&p, "{\"id\":2,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\"}");
    say(&q, "{\"id\":3,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\"}");
    say(&p, "{\"id\":4,\"do\":\"tail\"}");
    turn();
    ck_assert_uint_eq(n_taken, 3);
    leave(&p);
    ck_assert_uint_eq(n_forgotten, 2);
    answer(2, CVM_REPLIED, json_pack("{s:i}", "x", 1));
    json_t *line = hear(&q);
    ck_assert_int_eq(cvm_json_int(line, "id", 0), 3);
    json_decref(line);
    leave(&q);
}
END_TEST

START_TEST(answers_one_that_only_stops_sending)
{
    struct peer p = join();
    say(&p, "{\"id\":1,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\"}");
    shutdown(p.fd, SHUT_WR);
    turn();
    turn();
    ck_assert_uint_eq(n_forgotten, 0);
    answer(0, CVM_REPLIED, json_object());
    json_t *line = hear(&p);
    ck_assert_str_eq(cvm_json_str(line, "outcome", ""), "REPLIED");
    json_decref(line);
    ck_assert_ptr_null(hear(&p));
    leave(&p);
}
END_TEST

START_TEST(cuts_off_one_that_does_not_read)
{
    struct peer p = join();
    say(&p, "{\"id\":1,\"do\":\"tail\"}");
    turn();
    char *text = malloc(100001);
    memset(text, 'x', 100000);
    text[100000] = 0;
    json_t *envelope = json_pack("{s:s}", "content", text);
    free(text);
    int n = 0;
    for (; n < 1000 && taps[0].open; n++) {
        taps[0].fn(taps[0].arg, envelope);
        turn();
    }
    ck_assert_int_gt(n, 100);
    ck_assert_int_lt(n, 400); /* 16 MiB and what the socket holds */
    json_decref(envelope);
    leave(&p);
}
END_TEST

/* ---- calls ---- */

START_TEST(calls_and_answers)
{
    struct peer p = join();
    say(&p,
        "{\"id\":\"x\",\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\",\"data\":{\"n\":1},\"key\":\"k1\",\"priority\":"
        "\"HIGH\",\"timeout_ms\":1500}");
    turn();
    ck_assert_uint_eq(n_taken, 1);
    ck_assert_str_eq(taken[0].key, "k1");
    ck_assert_int_eq(taken[0].priority, CVM_HIGH);
    ck_assert_int_eq(taken[0].timeout_ms, 1500);
    ck_assert_int_eq(cvm_json_int(taken[0].data, "n", 0), 1);
    ck_assert_int_eq(strncmp(taken[0].session, "SES-", 4), 0);
    ck_assert_uint_eq(strlen(taken[0].session), 16);
    answer(0, CVM_REFUSED, json_pack("{s:s}", "code", "NO"));
    json_t *line = hear(&p);
    ck_assert_str_eq(cvm_json_str(line, "id", ""), "x");
    ck_assert_str_eq(cvm_json_str(line, "outcome", ""), "REFUSED");
    ck_assert_str_eq(cvm_json_str(json_object_get(line, "data"), "code", ""), "NO");
    ck_assert_str_eq(cvm_json_str(line, "message_id", ""), "MSG-00000000000000070000000000000001");
    json_decref(line);
    say(&p, "{\"id\":2,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"full\"}");
    line = hear(&p);
    ck_assert_str_eq(error_code(line), "BUSY");
    ck_assert_int_eq(cvm_json_int(json_object_get(line, "error"), "retry_after_s", 0), 3);
    json_decref(line);
    leave(&p);
}
END_TEST

START_TEST(gives_the_same_session_for_the_same_key)
{
    struct peer p = join();
    for (int i = 0; i < 2; i++)
        say(&p, "{\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\",\"key\":\"k\"}");
    say(&p, "{\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\"}");
    turn();
    ck_assert_str_eq(taken[0].session, taken[1].session);
    ck_assert_str_ne(taken[0].session, taken[2].session);
    leave(&p);
}
END_TEST

static const struct {
    const char *members, *field;
} bad_calls[] = {
    {"", "to"},
    {"\"to\":\"a\"", "type"},
    {"\"to\":1,\"type\":\"t\"", "to"},
    {"\"to\":\"\",\"type\":\"t\"", "to"},
    {"\"to\":\"a\",\"type\":\"t\",\"data\":[]", "data"},
    {"\"to\":\"a\",\"type\":\"t\",\"key\":\"\"", "key"},
    {"\"to\":\"a\",\"type\":\"t\",\"priority\":\"URGENT\"", "priority"},
    {"\"to\":\"a\",\"type\":\"t\",\"timeout_ms\":-1", "timeout_ms"},
    {"\"to\":\"a\",\"type\":\"t\",\"timeout_ms\":604800001", "timeout_ms"},
    {"\"to\":\"a\",\"type\":\"t\",\"trace\":1", "trace"},
    {"\"to\":\"a\",\"type\":\"t\",\"dta\":{}", "dta"},
    {"\"envelope\":[]", "envelope"},
    {"\"to\":\"a\",\"envelope\":{}", "to"},
};

START_TEST(names_the_wrong_member_of_a_call)
{
    struct peer p = join();
    char line[256];
    snprintf(line, sizeof line, "{\"id\":1,\"do\":\"call\"%s%s}", bad_calls[_i].members[0] ? "," : "",
             bad_calls[_i].members);
    say(&p, line);
    expect_error(&p, "INVALID", bad_calls[_i].field);
    ck_assert_uint_eq(n_taken, 0);
    leave(&p);
}
END_TEST

START_TEST(limits_open_calls)
{
    struct peer p = join();
    for (int i = 0; i <= CONTROL_CALLS_MAX; i++)
        say(&p, "{\"id\":1,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\"}");
    expect_error(&p, "BUSY", "");
    ck_assert_uint_eq(n_taken, CONTROL_CALLS_MAX);
    answer(17, CVM_REPLIED, json_object());
    json_decref(hear(&p));
    say(&p, "{\"id\":1,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\"}");
    turn();
    ck_assert_uint_eq(n_taken, CONTROL_CALLS_MAX + 1);
    leave(&p);
}
END_TEST

START_TEST(traces_from_the_first_envelope)
{
    struct peer p = join(), other = join();
    say(&p, "{\"id\":1,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"t\",\"trace\":true}");
    say(&other, "{\"id\":2,\"do\":\"call\",\"to\":\"a.b\",\"type\":\"noise\"}");
    json_t *line = hear(&p);
    ck_assert_str_eq(cvm_json_str(json_object_get(line, "trace"), "type", ""), "t");
    json_decref(line);
    answer(0, CVM_REPLIED, json_object());
    line = hear(&p);
    ck_assert_str_eq(cvm_json_str(line, "outcome", ""), "REPLIED");
    json_decref(line);
    leave(&p);
    leave(&other);
}
END_TEST

/* ---- envelopes ---- */

static const char good_envelope[] =
    "{\"message_id\":\"MSG-5f0c0c2a9d7e4b1f8a6d3e2b1c0f9a8d\",\"timestamp\":\"2026-11-20T09:34:02.117Z\",\"sender\":"
    "\"me\",\"recipient\":\"a.b\",\"message_type\":\"request\",\"type\":\"t\",\"content\":\"\",\"structured_data\":"
    "{\"n\":2},\"enquiry_id\":\"\",\"customer_id\":\"\",\"session_id\":\"SES-1\",\"priority\":\"LOW\","
    "\"requires_response\":true,\"tags\":[\"a\"],\"confidence\":0.5,\"in_reply_to\":null,\"deadline_ms\":7000,"
    "\"schema_version\":1}";

static const struct {
    const char *member, *value, *field; /* NULL value: the member is missing */
} bad_envelopes[] = {
    {"sender", NULL, "sender"},
    {"recipient", NULL, "recipient"},
    {"message_type", NULL, "message_type"},
    {"type", NULL, "type"},
    {"content", NULL, "content"},
    {"enquiry_id", NULL, "enquiry_id"},
    {"customer_id", NULL, "customer_id"},
    {"session_id", NULL, "session_id"},
    {"session_id", "\"\"", "session_id"},
    {"message_type", "\"question\"", "message_type"},
    {"message_type", "\"response\"", "message_type"},
    {"priority", "\"URGENT\"", "priority"},
    {"priority", "3", "priority"},
    {"confidence", "1.01", "confidence"},
    {"confidence", "-0.1", "confidence"},
    {"confidence", "\"1\"", "confidence"},
    {"tags", "\"a\"", "tags"},
    {"tags", "[\"a\",1]", "tags[1]"},
    {"schema_version", "2", "schema_version"},
    {"schema_version", "\"1\"", "schema_version"},
    {"timestamp", "\"yesterday\"", "timestamp"},
    {"timestamp", "\"2026-13-20T09:34:02Z\"", "timestamp"},
    {"timestamp", "\"2026-11-20T09:34:02\"", "timestamp"},
    {"timestamp", "1", "timestamp"},
    {"message_id", "\"MSG-1\"", "message_id"},
    {"in_reply_to", "\"x\"", "in_reply_to"},
    {"deadline_ms", "-1", "deadline_ms"},
    {"deadline_ms", "1.5", "deadline_ms"},
    {"requires_response", "\"yes\"", "requires_response"},
    {"structured_data", "[]", "structured_data"},
    {"content", "1", "content"},
    {"colour", "1", "colour"},
};

static void say_envelope(struct peer *p, json_t *envelope)
{
    json_t *line = json_pack("{s:i, s:s, s:o}", "id", 1, "do", "call", "envelope", envelope);
    char *text = json_dumps(line, JSON_COMPACT);
    say(p, text);
    free(text);
    json_decref(line);
}

START_TEST(takes_an_envelope)
{
    struct peer p = join();
    say_envelope(&p, json_loads(good_envelope, 0, NULL));
    turn();
    ck_assert_uint_eq(n_taken, 1);
    ck_assert_str_eq(taken[0].to, "a.b");
    ck_assert_str_eq(taken[0].type, "t");
    ck_assert_str_eq(taken[0].session, "SES-1");
    ck_assert_str_eq(taken[0].key, "MSG-5f0c0c2a9d7e4b1f8a6d3e2b1c0f9a8d");
    ck_assert_int_eq(taken[0].priority, CVM_LOW);
    ck_assert_int_eq(taken[0].timeout_ms, 7000);
    ck_assert_int_eq(cvm_json_int(taken[0].data, "n", 0), 2);
    leave(&p);
}
END_TEST

START_TEST(names_the_wrong_member_of_an_envelope)
{
    struct peer p = join();
    json_t *envelope = json_loads(good_envelope, 0, NULL);
    const char *value = bad_envelopes[_i].value;
    if (value)
        json_object_set_new(envelope, bad_envelopes[_i].member, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(envelope, bad_envelopes[_i].member);
    say_envelope(&p, envelope);
    expect_error(&p, "INVALID", bad_envelopes[_i].field);
    ck_assert_uint_eq(n_taken, 0);
    leave(&p);
}
END_TEST

/* ---- watching ---- */

START_TEST(tails_what_is_asked_for)
{
    struct peer p = join(), all = join();
    say(&p, "{\"id\":1,\"do\":\"tail\",\"component\":\"B\",\"type\":\"t\"}"); /* an alias */
    say(&all, "{\"id\":2,\"do\":\"tail\",\"topic\":\"news\"}");
    json_decref(hear(&p));
    json_decref(hear(&all));
    json_t *wanted = json_pack("{s:s, s:s, s:s}", "sender", "x", "recipient", "a.b", "type", "t");
    json_t *other = json_pack("{s:s, s:s, s:s}", "sender", "x", "recipient", "c.d", "type", "t");
    json_t *topic = json_pack("{s:s, s:s, s:s, s:s}", "sender", "x", "recipient", "c.d", "type", "news", "conversation",
                              "topic:news/c.d");
    for (size_t i = 0; i < n_taps; i++) {
        taps[i].fn(taps[i].arg, other);
        taps[i].fn(taps[i].arg, wanted);
        taps[i].fn(taps[i].arg, topic);
    }
    json_decref(other);
    json_decref(wanted);
    json_decref(topic);
    json_t *line = hear(&p);
    ck_assert_str_eq(cvm_json_str(json_object_get(line, "envelope"), "recipient", ""), "a.b");
    json_decref(line);
    expect_alive(&p);
    line = hear(&all);
    ck_assert_str_eq(cvm_json_str(json_object_get(line, "envelope"), "type", ""), "news");
    json_decref(line);
    say(&all, "{\"id\":3,\"do\":\"tail\",\"component\":\"nobody\"}");
    expect_error(&all, "NOT_FOUND", "component");
    leave(&p);
    leave(&all);
}
END_TEST

/* ---- questions ---- */

static json_t *ask(struct peer *p, const char *line)
{
    say(p, line);
    json_t *answer_line = hear(p);
    json_t *data = json_incref(json_object_get(answer_line, "data"));
    if (!data)
        ck_abort_msg("%s", cvm_json_str(json_object_get(answer_line, "error"), "text", "no answer"));
    json_decref(answer_line);
    return data;
}

START_TEST(describes_operations)
{
    struct peer p = join();
    json_t *data = ask(&p, "{\"id\":1,\"do\":\"operations\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(data, "operations")), 2);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"operations\",\"command\":\"say\"}");
    json_t *entry = json_array_get(json_object_get(data, "operations"), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(data, "operations")), 1);
    ck_assert_str_eq(cvm_json_str(json_object_get(entry, "expose"), "cli", ""), "say hello");
    ck_assert_int_eq(cvm_json_int(json_object_get(entry, "expose"), "required", 0), 1);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"operations\",\"command\":\"sa\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(data, "operations")), 0);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"operations\",\"component\":\"B\",\"type\":\"other\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(data, "operations")), 1);
    json_decref(data);
    leave(&p);
}
END_TEST

START_TEST(answers_simple_questions)
{
    struct peer p = join();
    json_t *data = ask(&p, "{\"id\":1,\"do\":\"config\",\"path\":\"http.port\"}");
    ck_assert_int_eq(json_integer_value(data), 8000);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"config\",\"path\":\"agents.a.b.concurrency\"}");
    ck_assert_int_eq(json_integer_value(data), 4);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"metrics\"}");
    ck_assert_str_eq(cvm_json_str(data, "text", ""), "cvm_up 1\n");
    json_decref(data);
    say(&p, "{\"id\":1,\"do\":\"config\",\"path\":\"http.prt\"}");
    expect_error(&p, "NOT_FOUND", "path");
    say(&p, "{\"id\":1,\"do\":\"plugin\",\"name\":\"q\"}");
    expect_error(&p, "NOT_FOUND", "name");
    say(&p, "{\"id\":1,\"do\":\"plugin\"}");
    expect_error(&p, "INVALID", "name");
    say(&p, "{\"id\":1,\"do\":\"revive\",\"name\":\"x\"}");
    expect_error(&p, "NOT_FOUND", "name");
    data = ask(&p, "{\"id\":1,\"do\":\"revive\",\"name\":\"a.b\"}");
    ck_assert(cvm_json_bool(data, "revived", false));
    json_decref(data);
    leave(&p);
}
END_TEST

static void run_sql(const char *sql)
{
    char *message = NULL;
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK, "%s: %s", message, sql);
}

static void make_journal(void)
{
    run_sql(
        "CREATE TABLE host_configs(id INTEGER PRIMARY KEY, hash TEXT, at_ms INTEGER, doc TEXT);CREATE TABLE turns(seq "
        "INTEGER PRIMARY KEY, at_ms, conversation INTEGER, component TEXT, message BLOB, type"
        " TEXT, sender TEXT, outcome TEXT, us INTEGER, build TEXT, key_id INTEGER, record TEXT);"
        "CREATE TABLE contexts(conversation INTEGER PRIMARY KEY, name TEXT, parent INTEGER, version, opened_ms,"
        " ended_ms, key_id INTEGER, doc TEXT);"
        "CREATE TABLE state(component TEXT, key TEXT, value TEXT, version, turn, key_id, PRIMARY KEY(component, key));"
        "CREATE TABLE dead_letters(id INTEGER PRIMARY KEY, at_ms, message BLOB, component TEXT, type TEXT, reason"
        " TEXT, envelope TEXT);"
        "CREATE TABLE folded(conversation INTEGER PRIMARY KEY, name TEXT, folded_ms, first_seq, last_seq, first_ms,"
        " last_ms, turns INTEGER, key_id, doc TEXT);"
        "CREATE TABLE audit_stubs(seq INTEGER PRIMARY KEY, digest BLOB);"
        "CREATE TABLE open_items(no INTEGER PRIMARY KEY, kind, doc); CREATE TABLE inbox(source, key);"
        "CREATE TABLE orders(order_id TEXT PRIMARY KEY, total INTEGER, conversation TEXT);"
        "INSERT INTO orders VALUES('ORD-1', 5, 'ENQ-1'), ('ORD-2', 6, 'ENQ-2');");
}

static void add_context(const char *name, const char *parent, const char *doc)
{
    char sql[512];
    snprintf(sql, sizeof sql, "INSERT INTO contexts VALUES(%lld, '%s', %lld, 1, 1763680000117, 0, 0, '%s')",
             (long long)conversation_key(name), name, parent ? (long long)conversation_key(parent) : 0, doc);
    run_sql(sql);
}

static void add_turn(const char *conversation, const char *type, const char *record)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "INSERT INTO turns VALUES(NULL, 1763680000117, %lld, 'a.b', x'00000000000000070000000000000001', '%s', '',"
             " 'OK', 250, 'b', 0, '%s')",
             (long long)conversation_key(conversation), type, record);
    run_sql(sql);
}

START_TEST(tells_why)
{
    make_journal();
    /* IN-1 keeps no context: only the turns and its child tell of it */
    add_context("ENQ-1", "IN-1", "{\"intent\":\"BUY\"}");
    add_context("ENQ-1/child", "ENQ-1", "{}");
    add_context("ENQ-2", "IN-1", "{}"); /* a brother: not part of the story */
    add_context("OWN-1", "component:a.b", "{}");
    add_turn("component:a.b", "tick", "{}");
    add_turn("OWN-1", "handle", "{}");
    add_turn("IN-1", "open", "{\"in\":{\"conversation\":\"IN-1\"}}");
    add_turn(
        "ENQ-1", "handle",
        "{\"notes\":[[\"decision\",{\"chosen\":\"x\"}]],\"rows\":[[\"orders\",\"ORD-1\"]],\"out\":[{\"type\":\"far\","
        "\"conversation\":\"FAR-1\"},{\"type\":\"news\",\"conversation\":\"topic:news/c.d\",\"message_id\":"
        "\"MSG-000000000000000900000000000000ab\"}]}");
    add_turn("ENQ-1/child", "apply", "{}");
    add_turn("ENQ-2", "handle", "{}");
    add_turn("FAR-1", "far", "{}");
    add_context("topic:news/c.d", "ENQ-1", "{}");
    add_turn("topic:news/c.d", "others-news", "{}");
    add_turn("topic:news/c.d", "news", "{\"out\":[{\"type\":\"later\",\"conversation\":\"LATER-1\"}]}");
    run_sql("UPDATE turns SET message = x'000000000000000900000000000000ab' WHERE type = 'news'");
    add_turn("LATER-1", "later", "{}");
    struct peer p = join();
    static const char *const names[] = {"ENQ-1", "ORD-1"};
    for (int i = 0; i < 2; i++) {
        char line[100];
        snprintf(line, sizeof line, "{\"id\":1,\"do\":\"why\",\"what\":\"%s\"}", names[i]);
        json_t *story = ask(&p, line);
        ck_assert_uint_eq(json_array_size(json_object_get(story, "conversations")), 5);
        const json_t *turns = json_object_get(story, "turns");
        static const char *const types[] = {"open", "handle", "apply", "far", "news", "later"};
        ck_assert_uint_eq(json_array_size(turns), 6);
        for (size_t k = 0; k < 6; k++)
            ck_assert_str_eq(cvm_json_str(json_array_get(turns, k), "type", ""), types[k]);
        ck_assert_str_eq(cvm_json_str(json_array_get(turns, 5), "conversation", ""), "LATER-1");
        ck_assert_str_eq(cvm_json_str(json_array_get(turns, 0), "at", ""), "2025-11-20T23:06:40.117Z");
        ck_assert_str_eq(cvm_json_str(json_array_get(turns, 0), "message_id", ""),
                         "MSG-00000000000000070000000000000001");
        const json_t *rows = json_object_get(story, "rows");
        ck_assert_uint_eq(json_array_size(rows), 1);
        ck_assert_int_eq(cvm_json_int(json_object_get(json_array_get(rows, 0), "row"), "total", 0), 5);
        json_decref(story);
    }
    char message[128], id[40];
    id_text((cvm_id){(uint64_t)conversation_key("ENQ-1/child"), 5}, id);
    snprintf(message, sizeof message, "{\"id\":1,\"do\":\"why\",\"what\":\"%s\"}", id);
    json_t *story = ask(&p, message);
    ck_assert_uint_ge(json_array_size(json_object_get(story, "turns")), 3);
    json_decref(story);
    id_text((cvm_id){(uint64_t)conversation_key("topic:news/c.d"), 0xab}, id); /* a message in a lane of many */
    char update[160];
    snprintf(update, sizeof update, "UPDATE turns SET message = x'%s' WHERE type = 'news'", id + 4);
    run_sql(update);
    snprintf(message, sizeof message, "{\"id\":1,\"do\":\"why\",\"what\":\"%s\"}", id);
    story = ask(&p, message);
    ck_assert_uint_eq(json_array_size(json_object_get(story, "turns")), 2);
    ck_assert_str_eq(cvm_json_str(json_array_get(json_object_get(story, "turns"), 0), "type", ""), "news");
    json_decref(story);
    story = ask(&p, "{\"id\":1,\"do\":\"why\",\"what\":\"OWN-1\"}"); /* opened from a lane of many */
    ck_assert_uint_eq(json_array_size(json_object_get(story, "turns")), 1);
    json_decref(story);
    say(&p, "{\"id\":1,\"do\":\"why\",\"what\":\"'; DROP TABLE turns; --\"}");
    expect_error(&p, "NOT_FOUND", "what");
    leave(&p);
}
END_TEST

START_TEST(reads_state_and_dead_letters)
{
    make_journal();
    run_sql(
        "INSERT INTO state VALUES('a.b', 'x/1', '{\"n\":1}', 1, 1, 0), ('a.b', 'x/2', '7', 1, 1, 0),"
        " ('a.b', 'y', 'null', 1, 1, 0), ('c.d', 'x/1', '0', 1, 1, 0);"
        "INSERT INTO dead_letters VALUES(3, 1763680000117, x'00000000000000070000000000000001', 'a.b', 't', 'crashed"
        " twice', '{\"type\":\"t\"}');");
    struct peer p = join();
    json_t *data = ask(&p, "{\"id\":1,\"do\":\"state.stores\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(data, "rows")), 2);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"state.list\",\"store\":\"B\",\"prefix\":\"x/\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(data, "rows")), 2);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"state.list\",\"store\":\"a.b\",\"after\":\"x/1\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(data, "rows")), 2);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"state.get\",\"store\":\"a.b\",\"key\":\"x/1\"}");
    ck_assert_int_eq(cvm_json_int(json_object_get(data, "value"), "n", 0), 1);
    json_decref(data);
    say(&p, "{\"id\":1,\"do\":\"state.get\",\"store\":\"a.b\",\"key\":\"z\"}");
    expect_error(&p, "NOT_FOUND", "");
    say(&p, "{\"id\":1,\"do\":\"state.list\",\"store\":\"a.b\",\"limit\":0}");
    expect_error(&p, "INVALID", "limit");
    data = ask(&p, "{\"id\":1,\"do\":\"dlq.list\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(data, "rows")), 1);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"dlq.show\",\"no\":3}");
    ck_assert_str_eq(cvm_json_str(json_object_get(data, "envelope"), "type", ""), "t");
    json_decref(data);
    say(&p, "{\"id\":1,\"do\":\"dlq.show\",\"no\":4}");
    expect_error(&p, "NOT_FOUND", "");
    add_context("ENQ-1", NULL, "{\"processing_steps\":[{\"agent\":\"A\"}]}");
    add_turn("ENQ-1", "handle", "{}");
    data = ask(&p, "{\"id\":1,\"do\":\"conversation\",\"name\":\"ENQ-1\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(data, "steps")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(data, "turns")), 1);
    json_decref(data);
    leave(&p);
}
END_TEST

static void expect_change(struct peer *p, const char *code, const char *text)
{
    json_t *line = hear(p), *error = json_object_get(json_object_get(line, "data"), "error");
    ck_assert_str_eq(cvm_json_str(error, "code", "none"), code);
    ck_assert_str_eq(cvm_json_str(error, "text", "none"), text);
    json_decref(line);
}

START_TEST(changes_plugins)
{
    struct peer p = join();
    say(&p, "{\"id\":1,\"do\":\"change\",\"what\":\"reload\"}");
    ck_assert(changing.done && changing.what == CHANGE_RELOAD && !changing.now);
    ck_assert_str_eq(changing.plugin, "(all)");
    end_change(0, "{\"result\":\"switched\",\"plugins\":[],\"error\":null}");
    json_t *line = hear(&p);
    ck_assert_str_eq(cvm_json_str(json_object_get(line, "data"), "result", ""), "switched");
    json_decref(line);
    say(&p, "{\"id\":2,\"do\":\"change\",\"what\":\"remove\",\"plugin\":\"p\",\"now\":true}");
    ck_assert(changing.done && changing.what == CHANGE_REMOVE && changing.now);
    ck_assert_str_eq(changing.plugin, "p");
    end_change(CVM_ENOENT, "{\"result\":\"refused\",\"plugins\":[],\"error\":{\"text\":\"no p\"}}");
    expect_change(&p, "NOT_FOUND", "no p");
    say(&p, "{\"id\":3,\"do\":\"change\",\"what\":\"rollback\",\"plugin\":\"p\"}");
    end_change(CVM_ESTATE, NULL);
    expect_change(&p, "BAD_STATE", cvm_strerror(CVM_ESTATE));
    static const char *const wrong[][2] = {{"\"what\":\"explode\"", "what"},
                                           {"\"what\":\"rollback\"", "plugin"},
                                           {"\"what\":\"reload\",\"plugin\":7", "plugin"},
                                           {"\"what\":\"reload\",\"plugin\":\"\"", "plugin"},
                                           {"\"what\":\"disable\",\"plugin\":\"p\",\"now\":1", "now"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"id\":4,\"do\":\"change\",%s}", wrong[i][0]);
        say(&p, text);
        expect_error(&p, "INVALID", wrong[i][1]);
    }
    say(&p, "{\"id\":5,\"do\":\"change\",\"what\":\"enable\",\"plugin\":\"p\"}");
    leave(&p); /* the change goes on, nobody waits for its end */
    end_change(0, "{\"result\":\"switched\",\"plugins\":[],\"error\":null}");
}
END_TEST

/* The turns are gone, what they decided, wrote and led to is not. */
START_TEST(why_tells_of_folded_turns)
{
    char sql[512];
    make_journal();
    add_context("ENQ-1", NULL, "{}");
    add_turn("ENQ-9", "child", "{}");
    snprintf(sql, sizeof sql,
             "INSERT INTO folded VALUES(%lld, 'ENQ-1', 1763680000117, 1, 3, 0, 0, 3, 0, '{\"notes\":[{\"what\":"
             "\"decision\"}],\"rows\":[[\"orders\",\"ORD-1\"]],\"led_to\":[\"ENQ-9\"]}')",
             (long long)conversation_key("ENQ-1"));
    run_sql(sql);
    struct peer p = join();
    json_t *data = ask(&p, "{\"id\":1,\"do\":\"why\",\"what\":\"ENQ-1\"}");
    const json_t *folded = json_array_get(json_object_get(data, "folded"), 0);
    ck_assert_str_eq(cvm_json_str(folded, "folded_at", ""), "2025-11-20T23:06:40.117Z");
    ck_assert_uint_eq(json_array_size(json_object_get(folded, "notes")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(data, "rows")), 1);
    ck_assert_uint_eq(json_array_size(json_object_get(data, "turns")), 1);
    json_decref(data);
    data = ask(&p, "{\"id\":1,\"do\":\"conversation\",\"name\":\"ENQ-1\"}");
    ck_assert_int_eq(cvm_json_int(data, "folded_turns", 0), 3);
    json_decref(data);
    leave(&p);
}
END_TEST

START_TEST(prunes_and_backs_up)
{
    make_journal();
    add_turn("ENQ-1", "t", "{}");
    struct peer p = join();
    json_t *data = ask(&p, "{\"id\":1,\"do\":\"journal.stats\"}");
    ck_assert_int_eq(cvm_json_int(data, "turns", 0), 1);
    ck_assert_int_eq(cvm_json_int(data, "keep_days", 0), 90);
    json_decref(data);
    say(&p, "{\"id\":1,\"do\":\"journal.prune\",\"dry_run\":true,\"before_ms\":7}");
    ck_assert(keeping.dry && keeping.before_ms == 7);
    keeping.done(keeping.arg, 0, json_pack("{s:i}", "turns", 5));
    json_t *line = hear(&p);
    ck_assert_int_eq(cvm_json_int(json_object_get(line, "data"), "turns", 0), 5);
    json_decref(line);
    say(&p, "{\"id\":1,\"do\":\"backup\"}");
    keeping.done(keeping.arg, CVM_EIO, json_pack("{s:s}", "text", "no room"));
    expect_error(&p, "IO", "");
    say(&p, "{\"id\":1,\"do\":\"journal.prune\",\"before_ms\":\"soon\"}");
    expect_error(&p, "INVALID", "before_ms");
    keeping.refused = CVM_EBUSY;
    say(&p, "{\"id\":1,\"do\":\"backup\"}");
    expect_error(&p, "BUSY", "");
    keeping.refused = CVM_EINVAL;
    say(&p, "{\"id\":1,\"do\":\"journal.prune\",\"before_ms\":9}");
    expect_error(&p, "INVALID", "before_ms");
    leave(&p);
    keeping.refused = 0;
}
END_TEST

START_TEST(survives_a_store_that_fails_and_a_client_that_goes)
{
    make_journal();
    struct peer p = join();
    query_fails = true;
    say(&p, "{\"id\":1,\"do\":\"why\",\"what\":\"x\"}");
    expect_error(&p, "IO", "");
    query_fails = false;
    say_bytes(&p, "{\"id\":1,\"do\":\"why\",\"what\":\"x\"}\n", 32);
    uv_run(&loop, UV_RUN_NOWAIT);
    close(p.fd);
    p.fd = -1;
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
    answer_questions();
    leave(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tests = tcase_create("control");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, refuses_what_is_no_request);
    tcase_add_test(tests, refuses_deep_nesting);
    tcase_add_test(tests, joins_half_lines);
    tcase_add_test(tests, takes_a_line_of_a_mebibyte);
    tcase_add_test(tests, closes_on_a_longer_line);
    tcase_add_test(tests, serves_64_connections);
    tcase_add_test(tests, forgets_the_calls_of_one_that_goes);
    tcase_add_test(tests, answers_one_that_only_stops_sending);
    tcase_add_test(tests, cuts_off_one_that_does_not_read);
    tcase_add_test(tests, calls_and_answers);
    tcase_add_test(tests, gives_the_same_session_for_the_same_key);
    tcase_add_loop_test(tests, names_the_wrong_member_of_a_call, 0, sizeof bad_calls / sizeof *bad_calls);
    tcase_add_test(tests, limits_open_calls);
    tcase_add_test(tests, traces_from_the_first_envelope);
    tcase_add_test(tests, takes_an_envelope);
    tcase_add_loop_test(tests, names_the_wrong_member_of_an_envelope, 0, sizeof bad_envelopes / sizeof *bad_envelopes);
    tcase_add_test(tests, tails_what_is_asked_for);
    tcase_add_test(tests, describes_operations);
    tcase_add_test(tests, answers_simple_questions);
    tcase_add_test(tests, tells_why);
    tcase_add_test(tests, reads_state_and_dead_letters);
    tcase_add_test(tests, changes_plugins);
    tcase_add_test(tests, why_tells_of_folded_turns);
    tcase_add_test(tests, prunes_and_backs_up);
    tcase_add_test(tests, survives_a_store_that_fails_and_a_client_that_goes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
