/* The network simulator by itself: real process, real sockets. What other tests lean on is proved here: a reference is
 * vended once, what was answered survives kill -9, each trigger does what --help says. The program's path comes in
 * $NETWORK_SIM. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 4
#define CLIENT_VENDS_MAX 4000
#define ROUNDS 4

static char folder[] = "/tmp/network_sim.XXXXXX";
static char ledger_path[64], port_path[64];
static pid_t sim;
static int port;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap(int ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* ---- the simulator's process ---- */

static int read_port(void)
{
    int n = 0;
    FILE *f = fopen(port_path, "r");
    if (f && fscanf(f, "%d", &n) != 1)
        n = 0;
    if (f)
        fclose(f);
    return n;
}

/* Starts it with two more options (NULL for none) and waits until it listens. */
static void start(const char *option, const char *value)
{
    const char *program = getenv("NETWORK_SIM");
    ck_assert_ptr_nonnull(program);
    unlink(port_path);
    fflush(NULL);
    sim = fork();
    ck_assert_int_ge(sim, 0);
    if (sim == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        execl(program, program, "--ledger", ledger_path, "--port-file", port_path, "--quiet", "--slow-ms", "300",
              "--hang-ms", "400", "--settle-ms", "600", option, value, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && (port = read_port()) == 0; i++)
        nap(10);
    ck_assert_int_ne(port, 0);
}

static int stop(int number)
{
    int status = 0;
    ck_assert_int_eq(kill(sim, number), 0);
    ck_assert_int_eq(waitpid(sim, &status, 0), sim);
    sim = 0;
    return status;
}

static void setup(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(ledger_path, sizeof ledger_path, "%s/ledger.jsonl", folder);
    snprintf(port_path, sizeof port_path, "%s/port", folder);
}

static void teardown(void)
{
    if (sim)
        stop(SIGKILL);
    unlink(ledger_path);
    unlink(port_path);
    rmdir(folder);
}

/* ---- a client ---- */

/* Sends one request on a connection of its own. Returns the status, 0 where no answer came; the body (may be NULL) is
 * freed by the caller. */
static int exchange(const char *request, size_t len, char **ret_body)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {5, 0};
    size_t size = 1 << 20, used = 0;
    int status = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char *answer = calloc(1, size);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (answer && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        send(fd, request, len, MSG_NOSIGNAL) == (ssize_t)len) {
        for (ssize_t n; used < size - 1 && (n = recv(fd, answer + used, size - 1 - used, 0)) > 0;)
            used += (size_t)n;
        char *body = strstr(answer, "\r\n\r\n");
        if (body && sscanf(answer, "HTTP/1.1 %d", &status) == 1)
            *ret_body = strdup(body + 4);
    }
    free(answer);
    close(fd);
    return status;
}

/* `headers` are whole lines; `body` NULL makes a GET. */
static int request(const char *path, const char *headers, const char *body, json_t **ret_json)
{
    char text[8192], *answer = NULL;
    int len = snprintf(text, sizeof text,
                       "%s %s HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
                       body ? "POST" : "GET", path, headers, body ? strlen(body) : 0, body ? body : "");
    int status = exchange(text, (size_t)len, &answer);
    *ret_json = answer ? json_loads(answer, 0, NULL) : NULL;
    free(answer);
    return status;
}

#define KEY "X-MTN-API-Key: sim-key\r\n"

static int vend(const char *reference, const char *phone, const char *amount, json_t **ret_json)
{
    char body[512];
    snprintf(body, sizeof body, "{\"phone_number\":\"%s\",\"amount\":%s,\"network\":\"MTN\",\"reference\":\"%s\"}",
             phone, amount, reference);
    return request("/mtn/v1/airtime/vend", KEY, body, ret_json);
}

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* The word that verify gives: a static buffer. */
static const char *verify(const char *reference)
{
    static char word[32];
    char path[256];
    json_t *o = NULL;
    snprintf(path, sizeof path, "/mtn/v1/airtime/verify?reference=%s", reference);
    int status = request(path, KEY, NULL, &o);
    snprintf(word, sizeof word, "%s", status == 200 ? text_of(o, "status") : text_of(o, "error_code"));
    json_decref(o);
    return word;
}

static json_t *ledger(void)
{
    json_t *o = NULL;
    ck_assert_int_eq(request("/ledger?network=MTN", "", NULL, &o), 200);
    return o;
}

static int64_t ledger_count(void)
{
    json_t *o = ledger();
    int64_t n = json_integer_value(json_object_get(o, "count"));
    json_decref(o);
    return n;
}

/* ---- the tests ---- */

START_TEST(same_reference_vends_once)
{
    json_t *first = NULL, *second = NULL, *other = NULL;
    start(NULL, NULL);
    ck_assert_int_eq(vend("A-1", "08031239999", "\"100.50\"", &first), 200);
    ck_assert_str_eq(text_of(first, "amount"), "100.50");
    ck_assert_int_eq(vend("A-1", "+2348031239999", "100.5", &second), 200); /* written otherwise, the same order */
    ck_assert(json_equal(first, second));
    ck_assert_int_eq(vend("A-1", "08031239999", "101", &other), 409);
    ck_assert_str_eq(text_of(other, "error_code"), "DUPLICATE");
    json_decref(other);
    ck_assert_int_eq(vend("A-1", "08031239998", "100.50", &other), 409);
    json_decref(other);
    ck_assert_int_eq(request("/airtel/airtime/purchase",
                             "Authorization: Bearer sim-key\r\nIdempotency-Key: \"A-1\"\r\n",
                             "{\"phone_number\":\"08021239999\",\"amount\":50,\"network\":\"AIRTEL\"}", &other),
                     200);
    ck_assert_str_eq(text_of(other, "reference"), "A-1"); /* references are a network's own */
    json_decref(other);
    other = ledger();
    ck_assert_int_eq(json_integer_value(json_object_get(other, "count")), 1);
    const json_t *entry = json_array_get(json_object_get(other, "entries"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(entry, "amount_kobo")), 10050);
    ck_assert_int_eq(json_integer_value(json_object_get(entry, "attempts")), 2);
    json_decref(other);
    ck_assert_int_eq(stop(SIGTERM), 0);

    start(NULL, NULL); /* the books are read again */
    other = NULL;
    ck_assert_int_eq(vend("A-1", "08031239999", "100.50", &other), 200);
    ck_assert(json_equal(first, other));
    ck_assert_int_eq(ledger_count(), 1);
    json_decref(first);
    json_decref(second);
    json_decref(other);
}
END_TEST

/* ---- data ---- */

static json_t *line(const char *what, const char *phone, int expected)
{
    char path[128];
    json_t *o = NULL;
    snprintf(path, sizeof path, "/mtn/v1/%s?phone_number=%s", what, phone);
    ck_assert_int_eq(request(path, KEY, NULL, &o), expected);
    return o;
}

static int bundle(const char *reference, const char *code, json_t **ret_json)
{
    char body[512];
    snprintf(body, sizeof body,
             "{\"phone_number\":\"08031112220\",\"amount\":1200,\"network\":\"MTN\",\"reference\":\"%s\"%s%s%s}",
             reference, code ? ",\"bundle_code\":\"" : "", code ? code : "", code ? "\"" : "");
    return request("/mtn/v1/data/vend", KEY, body, ret_json);
}

/* A bundle is part of the order, and of what the line has; both outlive a restart. */
START_TEST(bundles_are_in_the_books)
{
    json_t *o = NULL;
    start(NULL, NULL);
    o = line("data/balance", "08031112220", 200); /* bought elsewhere, at 50 MB a day since three days */
    ck_assert_int_eq(json_integer_value(json_object_get(o, "data_mb")), 2048 - 150);
    json_decref(o);
    ck_assert_int_eq(bundle("D-1", NULL, &o), 400);
    ck_assert_str_eq(text_of(o, "error_code"), "INVALID_BUNDLE");
    json_decref(o);
    ck_assert_int_eq(bundle("D-1", "*312*21#", &o), 200);
    ck_assert_str_eq(text_of(o, "bundle_code"), "*312*21#");
    json_decref(o);
    ck_assert_int_eq(bundle("D-1", "*312*20#", &o), 409);
    json_decref(o);
    ck_assert_int_eq(bundle("D-2", "123456789012345678901234", &o), 400);
    ck_assert_str_eq(text_of(o, "error_code"), "INVALID_ITEM");
    json_decref(o);
    ck_assert_int_eq(stop(SIGTERM), 0);
    start(NULL, NULL);
    ck_assert_str_eq(verify("D-1"), "delivered");
    o = line("data/balance", "%2B2348031112220", 200);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "data_mb")), 10240);
    ck_assert_str_eq(text_of(json_array_get(json_object_get(o, "bundles"), 0), "bundle_code"), "*312*21#");
    json_decref(o);
    ck_assert_int_eq(ledger_count(), 1);
}
END_TEST

START_TEST(lines_by_their_last_digits)
{
    json_t *o;
    int64_t sum = 0;
    size_t i;
    const json_t *day;
    start(NULL, NULL);
    o = line("data/usage", "08031112222", 200);
    json_array_foreach(json_object_get(o, "days"), i, day) sum += json_integer_value(json_object_get(day, "used_mb"));
    ck_assert_int_eq(sum, 7 * 150);
    json_decref(o);
    o = line("data/balance", "08031110021", 200);
    ck_assert_int_eq(json_integer_value(json_object_get(o, "data_mb")), 0);
    json_decref(o);
    json_decref(line("data/balance", "08031110022", 404));
    json_decref(line("data/usage", "08031110023", 503));
    json_decref(line("data/usage", "", 400));
    static const char *const states[][2] = {
        {"08031112222", "ok"}, {"08031110024", "degraded"}, {"08031110025", "outage"}};
    for (i = 0; i < 3; i++) {
        o = line("network/status", states[i][0], 200);
        ck_assert_str_eq(text_of(o, "status"), states[i][1]);
        json_decref(o);
    }
}
END_TEST

static const struct {
    const char *digits;
    int status;       /* 0: no answer */
    const char *code; /* error_code, or "" */
    const char *verified, *later;
} triggers[] = {
    {"9999", 200, "", "delivered", NULL},
    {"0001", 402, "INSUFFICIENT_BALANCE", "not_found", NULL},
    {"0002", 400, "INVALID_PHONE", "not_found", NULL},
    {"0003", 0, "", "pending", "pending"},
    {"0004", 409, "DUPLICATE", "not_found", NULL},
    {"0005", 424, "NETWORK_ERROR", "not_found", NULL},
    {"0006", 0, "", "not_found", NULL},
    {"0007", 0, "", "pending", "delivered"},
    {"0008", 0, "", "delivered", NULL},
    {"0009", 200, "", "delivered", NULL},
    {"0010", 200, "", "delivered", NULL},
    {"0011", 503, "UNAVAILABLE", "not_found", NULL},
    {"0012", 0, "", "pending", "failed"},
    {"0013", 0, "", "UNAVAILABLE", "UNAVAILABLE"},
    {"0014", 0, "", "not_found", NULL},
    {"0015", 502, "BAD_GATEWAY", "delivered", NULL},
    {"0016", 409, "DUPLICATE", "delivered", NULL},
};

START_TEST(trigger)
{
    json_t *answer = NULL;
    char phone[16];
    snprintf(phone, sizeof phone, "0803123%s", triggers[_i].digits);
    start(NULL, NULL);
    int64_t began = now_ms();
    ck_assert_int_eq(vend("T-1", phone, "100", &answer), triggers[_i].status);
    int64_t took = now_ms() - began;
    ck_assert_str_eq(text_of(answer, "error_code"), triggers[_i].code);
    ck_assert_str_eq(verify("T-1"), triggers[_i].verified);
    if (strcmp(phone + 7, "0009") == 0)
        ck_assert_int_ge(took, 300);
    if (strcmp(phone + 7, "0003") == 0)
        ck_assert_int_ge(took, 400);
    if (strcmp(phone + 7, "0010") == 0)
        ck_assert_ptr_null(answer);
    json_decref(answer);
    answer = NULL;
    if (strcmp(phone + 7, "0014") == 0) {
        ck_assert_int_eq(vend("T-1", phone, "100", &answer), 200);
        json_decref(answer);
    }
    if (triggers[_i].later) {
        nap(700);
        ck_assert_str_eq(verify("T-1"), triggers[_i].later);
        stop(SIGKILL); /* and it is remembered */
        start(NULL, NULL);
        ck_assert_str_eq(verify("T-1"), triggers[_i].later);
    }
    ck_assert_int_eq(stop(SIGTERM), 0);
}
END_TEST

START_TEST(bad_input_is_refused)
{
    /* clang-format off */
    static const struct { const char *path, *headers, *body; int status; const char *code; } cases[] = {
        {"/mtn/airtime/vend", "", "{}", 401, "UNAUTHORIZED"},
        {"/mtn/airtime/vend", "X-MTN-API-Key: sim-ke\r\n", "{}", 401, "UNAUTHORIZED"},
        {"/mtn/airtime/vend", "Authorization: sim-key\r\n", "{}", 401, "UNAUTHORIZED"},
        {"/mtn/airtime/vend", KEY, NULL, 405, "METHOD_NOT_ALLOWED"},
        {"/vodafone/airtime/vend", KEY, "{}", 404, "NO_SUCH_ADDRESS"},
        {"/", "", NULL, 404, "NO_SUCH_ADDRESS"},
        {"/mtn/airtime/vend", KEY, "", 400, "INVALID_JSON"},
        {"/mtn/airtime/vend", KEY, "[1]", 400, "INVALID_JSON"},
        {"/mtn/airtime/vend", KEY, "{\"network\":\"GLO\"}", 400, "INVALID_NETWORK"},
        {"/mtn/airtime/vend", KEY, "{\"network\":\"MTN\",\"phone_number\":\"0803\"}", 400, "INVALID_PHONE"},
        {"/mtn/airtime/vend", KEY, "{\"network\":\"MTN\",\"phone_number\":8031239999}", 400, "INVALID_PHONE"},
        {"/mtn/airtime/vend", KEY, "{\"network\":\"MTN\",\"phone_number\":\"08031239999\",\"amount\":0}", 400, "INVALID_AMOUNT"},
        {"/mtn/airtime/vend", KEY, "{\"network\":\"MTN\",\"phone_number\":\"08031239999\",\"amount\":-5}", 400, "INVALID_AMOUNT"},
        {"/mtn/airtime/vend", KEY, "{\"network\":\"MTN\",\"phone_number\":\"08031239999\",\"amount\":1.005}", 400, "INVALID_AMOUNT"},
        {"/mtn/airtime/vend", KEY, "{\"network\":\"MTN\",\"phone_number\":\"08031239999\",\"amount\":1e300}", 400, "INVALID_AMOUNT"},
        {"/mtn/airtime/vend", KEY, "{\"network\":\"MTN\",\"phone_number\":\"08031239999\",\"amount\":5,\"reference\":\"a b\"}", 400, "INVALID_REFERENCE"},
        {"/mtn/airtime/vend", KEY "Idempotency-Key: other\r\n", "{\"network\":\"MTN\",\"phone_number\":\"08031239999\",\"amount\":5,\"reference\":\"a\"}", 400, "INVALID_REFERENCE"},
        {"/mtn/airtime/verify", KEY, NULL, 400, "INVALID_REFERENCE"},
        {"/ledger?network=VODAFONE", "", NULL, 400, "INVALID_NETWORK"},
    };
    /* clang-format on */
    char *large = malloc(6001);
    json_t *answer = NULL;
    start(NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(request(cases[i].path, cases[i].headers, cases[i].body, &answer) == cases[i].status &&
                          strcmp(text_of(answer, "error_code"), cases[i].code) == 0 && *text_of(answer, "message"),
                      "case %zu gave %s", i, text_of(answer, "error_code"));
        json_decref(answer);
    }
    ck_assert_ptr_nonnull(large);
    memset(large, '[', 6000);
    large[6000] = '\0';
    ck_assert_int_eq(request("/mtn/airtime/vend", KEY, large, &answer), 413);
    json_decref(answer);
    free(large);
    ck_assert_int_eq(ledger_count(), 0);
}
END_TEST

struct client {
    pthread_t thread;
    int id, from, round;
    int n_answered; /* references from..n_answered-1 were answered with the ids */
    char ids[CLIENT_VENDS_MAX][32];
};

static void reference_of(const struct client *c, int i, char *buf, size_t size)
{
    snprintf(buf, size, "K-%d-%d", c->id, i);
}

/* Vends one reference after another until the simulator is gone. */
static void *client_run(void *arg)
{
    struct client *c = arg;
    char reference[32];
    for (; c->n_answered < CLIENT_VENDS_MAX; c->n_answered++) {
        json_t *answer = NULL;
        reference_of(c, c->n_answered, reference, sizeof reference);
        int status = vend(reference, "08031239999", "50", &answer);
        if (status == 200)
            snprintf(c->ids[c->n_answered], sizeof c->ids[0], "%s", text_of(answer, "transaction_id"));
        json_decref(answer);
        if (status != 200)
            return NULL;
    }
    return NULL;
}

/* Counts the lines of the ledger's file in which the reference stands. */
static int lines_with(const char *reference)
{
    char line[1024], needle[64];
    int n = 0;
    FILE *f = fopen(ledger_path, "r");
    ck_assert_ptr_nonnull(f);
    snprintf(needle, sizeof needle, "\"reference\":\"%s\"", reference);
    while (fgets(line, sizeof line, f))
        n += strstr(line, needle) != NULL;
    fclose(f);
    return n;
}

START_TEST(killed_in_the_middle)
{
    struct client *clients = calloc(CLIENTS, sizeof *clients);
    char reference[32];
    ck_assert_ptr_nonnull(clients);
    for (int round = 0; round < ROUNDS; round++) {
        start(NULL, NULL);
        for (int i = 0; i < CLIENTS; i++) {
            clients[i].id = i;
            ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, client_run, &clients[i]), 0);
        }
        nap(60 + 37 * round);
        stop(SIGKILL);
        for (int i = 0; i < CLIENTS; i++)
            pthread_join(clients[i].thread, NULL);
        FILE *f = fopen(ledger_path, "a"); /* what a crash between two writes leaves */
        ck_assert_ptr_nonnull(f);
        fputs("{\"n\":99999,\"time_ms\":17952", f);
        fclose(f);
    }
    start(NULL, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        struct client *c = &clients[i];
        ck_assert_int_gt(c->n_answered, 0);
        for (int k = 0; k < c->n_answered; k += 7) {
            json_t *answer = NULL;
            reference_of(c, k, reference, sizeof reference);
            ck_assert_int_eq(vend(reference, "08031239999", "50", &answer), 200);
            ck_assert_str_eq(text_of(answer, "transaction_id"), c->ids[k]);
            json_decref(answer);
        }
        reference_of(c, c->n_answered - 1, reference, sizeof reference);
        ck_assert_str_eq(verify(reference), "delivered");
        ck_assert_int_eq(lines_with(reference), 1);
    }
    ck_assert_int_eq(stop(SIGTERM), 0);
    free(clients);
}
END_TEST

START_TEST(damaged_ledger_is_not_used)
{
    const char *program = getenv("NETWORK_SIM");
    int status = 0;
    FILE *f = fopen(ledger_path, "w");
    ck_assert_ptr_nonnull(f);
    fputs("{\"n\":1,\"time_ms\":0}\n{}\n", f);
    fclose(f);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        execl(program, program, "--ledger", ledger_path, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
END_TEST

/* Every request disturbed: whatever was said, verify tells what the ledger holds, and nothing is vended twice. */
START_TEST(faults_never_vend_twice)
{
    char reference[32];
    int answered = 0;
    start("--faults", "0.7");
    for (int i = 0; i < 24; i++) {
        const char *word = "UNAVAILABLE";
        int status = 0;
        snprintf(reference, sizeof reference, "F-%d", i);
        for (int attempt = 0; attempt < 40 && status != 200; attempt++) {
            json_t *answer = NULL;
            status = vend(reference, "08031239999", "50", &answer);
            json_decref(answer);
        }
        answered += status == 200;
        for (int attempt = 0; attempt < 40 && strcmp(word, "delivered") != 0; attempt++)
            word = verify(reference);
        ck_assert_str_eq(word, "delivered");
        ck_assert_int_eq(lines_with(reference), 1);
    }
    ck_assert_int_eq(answered, 24);
    ck_assert_int_eq(ledger_count(), 24);
    json_t *o = ledger();
    ck_assert_int_gt(
        json_integer_value(json_object_get(json_object_get(json_object_get(o, "totals"), "MTN"), "disturbed")), 24);
    json_decref(o);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("network_sim");
    TCase *tc = tcase_create("network_sim");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, same_reference_vends_once);
    tcase_add_loop_test(tc, trigger, 0, (int)(sizeof triggers / sizeof triggers[0]));
    tcase_add_test(tc, bundles_are_in_the_books);
    tcase_add_test(tc, lines_by_their_last_digits);
    tcase_add_test(tc, bad_input_is_refused);
    tcase_add_test(tc, killed_in_the_middle);
    tcase_add_test(tc, damaged_ledger_is_not_used);
    tcase_add_test(tc, faults_never_vend_twice);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
