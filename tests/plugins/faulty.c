/* A component for each way to go wrong (test.faulty), one that sends it work (test.caller), and what a test wants to
 * see survive: a durable counter. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static int turns_since_load;

static int64_t used_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static int ok(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_pack("{s:b, s:O}", "ok", 1, "echo", m->data));
}

static int error(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    return (int)cvm_json_int(m->data, "error", CVM_EINVAL);
}

static int refuse(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_state_put_int(t, "refused", 1)); /* undone with the turn */
    return cvm_refuse(t, "NOT_TODAY", "day", cvm_json_str(m->data, "text", "not today"));
}

static int silent(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_OK;
}

static int twice(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_reply(t, m, json_pack("{s:i}", "reply", 1)));
    int second = cvm_reply(t, m, json_pack("{s:i}", "reply", 2));
    (void)second; /* dropped and counted by the host, whatever it says here */
    return CVM_OK;
}

static int never(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_PENDING;
}

/* Leaves the request open and settles it `delay_ms` later, which may be past its deadline. */
static int later(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_timer(t, "settle_now", cvm_json_int(m->data, "delay_ms", 50), NULL, m->id, NULL));
    return CVM_PENDING;
}

static int settle_now(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:b}", "late", 1), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* What became of it is not known; what is known is the answer. */
static int unsure(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->id, CVM_UNKNOWN, json_pack("{s:s, s:s}", "order", "A-17", "message", "nobody knows yet"),
                      NULL);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static int fault(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    CVM_TRY(cvm_state_put_int(t, "faulted", 1));
    return CVM_EFAULT;
}

/* Faults the first `times` times since the library was loaded. */
static int flaky(cvm_turn *t, const cvm_msg *m)
{
    if (turns_since_load++ < cvm_json_int(m->data, "times", 1))
        return CVM_EFAULT;
    return cvm_reply(t, m, json_pack("{s:i}", "attempts", turns_since_load));
}

static int crash(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    *(volatile int *)NULL = 1;
    return CVM_OK;
}

static int give_up(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    abort();
}

static int deep(int n)
{
    volatile char frame[4096];
    frame[0] = (char)n;
    return n == INT32_MAX ? 0 : deep(n + 1) + frame[0];
}

static int overflow(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_pack("{s:i}", "depth", deep(0)));
}

static int hang(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    volatile bool for_ever = true;
    while (for_ever)
        ;
    return CVM_OK;
}

/* What a handler must never do. Not by sleep(), which vetting sees: by a lock that nobody gives back. */
static int block(cvm_turn *t, const cvm_msg *m)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)cvm_json_int(m->data, "seconds", 60);
    pthread_mutex_lock(&lock);
    pthread_mutex_timedlock(&lock, &until);
    pthread_mutex_unlock(&lock);
    return cvm_reply(t, m, NULL);
}

/* Busy for `ms` of processor time: over its budget, perhaps not over the hard limit. */
static int slow(cvm_turn *t, const cvm_msg *m)
{
    int64_t until = used_ms() + cvm_json_int(m->data, "ms", 50);
    while (used_ms() < until)
        ;
    return cvm_reply(t, m, json_pack("{s:b}", "ok", 1));
}

/* Answers, and crashes the host `delay_ms` later, each time that timer is run. */
static int crash_later(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_timer(t, "boom", cvm_json_int(m->data, "delay_ms", 50), NULL, m->id, NULL));
    return cvm_reply(t, m, json_pack("{s:b}", "ok", 1));
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

/* Sends `n` messages to itself. */
static int flood(cvm_turn *t, const cvm_msg *m)
{
    int64_t n = cvm_json_int(m->data, "n", CVM_TURN_OUTPUTS_MAX - 1);
    for (int64_t i = 0; i < n; i++)
        CVM_TRY(cvm_send(t, "test.faulty", "sink", json_pack("{s:I}", "i", (json_int_t)i)));
    return cvm_reply(t, m, json_pack("{s:I}", "sent", (json_int_t)n));
}

static int sink(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    int64_t n;
    CVM_TRY(cvm_state_int(t, "sunk", &n));
    return cvm_state_put_int(t, "sunk", n + 1);
}

/* Replies with `bytes` of text. */
static int big(cvm_turn *t, const cvm_msg *m)
{
    int64_t bytes = cvm_json_int(m->data, "bytes", 2 * CVM_TURN_BYTES_MAX);
    char *text = malloc((size_t)bytes + 1);
    if (!text)
        return CVM_ENOMEM;
    memset(text, 'x', (size_t)bytes);
    text[bytes] = 0;
    json_t *value = json_string_nocheck(text);
    free(text);
    return cvm_reply(t, m, json_pack("{s:o}", "text", value));
}

/* Sends to a component its manifest does not name; answers with the error. */
static int stray(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_request(t, cvm_json_str(m->data, "to", "test.caller"), "call", NULL, NULL);
    return cvm_reply(t, m, json_pack("{s:i, s:s}", "error", e, "text", cvm_strerror(e)));
}

/* ---- a durable counter ------------------------------------------------------------------------------------------- */

static int count(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    CVM_TRY(cvm_state_int(t, "count", &n));
    CVM_TRY(cvm_state_put_int(t, "count", n + 1));
    return cvm_reply(t, m, json_pack("{s:I}", "count", (json_int_t)(n + 1)));
}

static int counted(cvm_turn *t, const cvm_msg *m)
{
    int64_t n, sunk, faulted, refused;
    CVM_TRY(cvm_state_int(t, "count", &n));
    CVM_TRY(cvm_state_int(t, "sunk", &sunk));
    CVM_TRY(cvm_state_int(t, "faulted", &faulted));
    CVM_TRY(cvm_state_int(t, "refused", &refused));
    return cvm_reply(t, m,
                     json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)n, "sunk", (json_int_t)sunk, "faulted",
                               (json_int_t)faulted, "refused", (json_int_t)refused));
}

/* Declared not durable, yet wants to write: answers with the error. */
static int scribble(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_state_put_int(t, "scribbled", 1);
    return cvm_reply(t, m, json_pack("{s:i}", "error", e));
}

/* An agent in a conversation: does what structured_data.do says, else answers. */
static int handle(cvm_turn *t, const cvm_msg *m)
{
    const char *what = cvm_json_str(json_object_get(json_object_get(m->data, "message"), "structured_data"), "do", "");
    if (strcmp(what, "fault") == 0)
        return CVM_EFAULT;
    if (strcmp(what, "error") == 0)
        return CVM_EINVAL;
    if (strcmp(what, "crash") == 0)
        return crash(t, m);
    return cvm_reply(t, m, json_pack("{s:s, s:{}, s:n, s:b}", "content", "done", "structured_data", "next", "end", 1));
}

/* ---- test.caller ------------------------------------------------------------------------------------------------- */

/* Sends one request of `type` with `data` to `to` and answers with what became of it. */
static int call(cvm_turn *t, const cvm_msg *m)
{
    cvm_request_opts opts = {.on_behalf = m->id, .timeout_ms = cvm_json_int(m->data, "timeout_ms", 0)};
    const json_t *data = json_object_get(m->data, "data");
    CVM_TRY(cvm_request(t, cvm_json_str(m->data, "to", "test.faulty"), cvm_json_str(m->data, "type", "ok"),
                        cvm_json_share(data), &opts));
    return CVM_PENDING;
}

static int called(cvm_turn *t, const cvm_msg *m)
{
    static const char *const outcomes[] = {"REPLIED", "REFUSED", "ERROR", "TIMEOUT", "BUSY", "UNKNOWN"};
    return cvm_settle(t, m->on_behalf, CVM_REPLIED,
                      json_pack("{s:s, s:O}", "outcome", outcomes[m->outcome], "data", m->data), NULL);
}

#define CALLER "test.caller"
#define FAULTY "test.faulty"

/* clang-format off */
static const cvm_component components[] = {{.id = FAULTY, .state_version = 1}, {.id = CALLER, .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {FAULTY, "ok", ok},
    {FAULTY, "error", error},
    {FAULTY, "refuse", refuse},
    {FAULTY, "silent", silent},
    {FAULTY, "twice", twice},
    {FAULTY, "never", never},
    {FAULTY, "later", later},
    {FAULTY, "settle_now", settle_now},
    {FAULTY, "unsure", unsure},
    {FAULTY, "fault", fault},
    {FAULTY, "flaky", flaky},
    {FAULTY, "crash", crash},
    {FAULTY, "abort", give_up},
    {FAULTY, "overflow", overflow},
    {FAULTY, "hang", hang},
    {FAULTY, "block", block},
    {FAULTY, "slow", slow},
    {FAULTY, "crash_later", crash_later},
    {FAULTY, "boom", crash},
    {FAULTY, "flood", flood},
    {FAULTY, "sink", sink},
    {FAULTY, "big", big},
    {FAULTY, "stray", stray},
    {FAULTY, "count", count},
    {FAULTY, "counted", counted},
    {FAULTY, "scribble", scribble},
    {FAULTY, "handle", handle},
    {CALLER, "call", call},
    {CALLER, "ok.reply", called},
    {CALLER, "error.reply", called},
    {CALLER, "refuse.reply", called},
    {CALLER, "silent.reply", called},
    {CALLER, "twice.reply", called},
    {CALLER, "never.reply", called},
    {CALLER, "later.reply", called},
    {CALLER, "fault.reply", called},
    {CALLER, "flaky.reply", called},
    {CALLER, "crash.reply", called},
    {CALLER, "hang.reply", called},
    {CALLER, "slow.reply", called},
    {CALLER, "flood.reply", called},
    {CALLER, "count.reply", called},
    {0}
};
/* clang-format on */

CVM_PLUGIN(.name = "faulty", .version = "1.0.0", .components = components, .routes = routes);
