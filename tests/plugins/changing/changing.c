/* A component built in many ways, so that one can be exchanged for another: each work adds to a sum, writes a row,
 * makes a call, and answers after a timer. What can be seen from outside is the same for all builds that work. VERSION,
 * STATE (1: the sum is a number, 2: an object), and at most one way to go wrong, below. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef NAME
#define NAME "changing"
#define WORKER "test.changing"
#endif
#ifndef TARGET /* whom a batch asks */
#define TARGET WORKER
#endif

#ifndef STATE
#define STATE 1
#endif

#ifdef NO_POSTED /* a handler that cannot be found is none */
#define POSTED "unused.reply"
#else
#define POSTED "post.reply"
#endif
#ifdef NO_LATER
#define LATER "unused"
#else
#define LATER "later"
#endif
#ifdef NO_WORKED
#define WORKED "unused.reply"
#else
#define WORKED "work.reply"
#endif

static int64_t sum_of(const json_t *value)
{
    return STATE == 1 ? (int64_t)json_integer_value(value) : cvm_json_int(value, "sum", -1);
}

static json_t *sum_json(int64_t sum)
{
    return STATE == 1 ? json_integer(sum) : json_pack("{s:I}", "sum", (json_int_t)sum);
}

#if STATE == 2
static int upgrade(uint32_t from, const char *key, const json_t *value, json_t **ret_value)
{
#ifdef FAIL_UPGRADE
    return CVM_EDATA;
#endif
#ifdef FAIL_ONE
    if (strcmp(key, "sum/zz") == 0)
        return CVM_EDATA;
#endif
#ifdef UPGRADE_PLUS /* a wrong sum, and of what is none of its own too */
    if (strncmp(key, "sum/", 4) == 0 || key[0] == '.') {
        *ret_value = json_pack("{s:I}", "sum", (json_int_t)json_integer_value(value) + UPGRADE_PLUS);
        return CVM_OK;
    }
#endif
    if (key[0] == '.')
        return CVM_EINVAL; /* none of ours */
    *ret_value = from == 1 && strncmp(key, "sum/", 4) == 0
                     ? json_pack("{s:I}", "sum", (json_int_t)json_integer_value(value))
                     : json_incref((json_t *)(uintptr_t)value);
    return CVM_OK;
}
#if !defined NO_DOWNGRADE && !defined FAIL_UPGRADE
static int downgrade(uint32_t to, const char *key, const json_t *value, json_t **ret_value)
{
    *ret_value = to == 1 && strncmp(key, "sum/", 4) == 0 ? json_integer(cvm_json_int(value, "sum", 0))
                                                         : json_incref((json_t *)(uintptr_t)value);
    return CVM_OK;
}
#endif
#endif

/* After some calls that go well: what goes wrong is seen in the middle of the work. */
static int maybe_wrong(void)
{
    static int calls;
    calls++;
#ifdef FAULTS
    if (calls % FAULTS == 0)
        return CVM_EFAULT;
#endif
#ifdef CRASHES
    if (calls == 3)
        raise(SIGSEGV);
#endif
#ifdef HANGS
    for (volatile int on = calls == 3; on;)
        continue;
#endif
    return CVM_OK;
}

static int work(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX], id[80];
    const char *customer = cvm_json_str(m->data, "customer", "");
    int64_t k = cvm_json_int(m->data, "k", 0), last;
    const json_t *value = NULL;
    snprintf(key, sizeof key, "last/%s", customer);
    CVM_TRY(cvm_state_int(t, key, &last));
    if (k != last + 1)
        return cvm_refuse(t, "DISORDER", "k", "another number was due");
    CVM_TRY(cvm_state_put_int(t, key, k));
    char short_id[CVM_SHORT_ID_SIZE]; /* its counter stands among our keys */
    CVM_TRY(cvm_new_id(t, "CHG", short_id));
    snprintf(key, sizeof key, "sum/%s", customer);
    int e = cvm_state_get(t, key, &value);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    int64_t sum = (value ? sum_of(value) : 0) + k;
    CVM_TRY(cvm_state_put(t, key, sum_json(sum)));
    snprintf(id, sizeof id, "%s-%lld", customer, (long long)k);
    CVM_TRY(cvm_row_put(
        t, "changes",
        json_pack("{s:s, s:I, s:s}", "change_id", id, "sum", (json_int_t)sum, "conversation", m->conversation)));
    if (!cvm_json_bool(m->data, "quiet", false))
        CVM_TRY(cvm_http_call(t,
                              &(cvm_call){.size = sizeof(cvm_call),
                                          .name = "post",
                                          .key = id,
                                          .body = json_pack("{s:I}", "sum", (json_int_t)sum)},
                              NULL));
    CVM_TRY(maybe_wrong());
    if (cvm_json_bool(m->data, "quiet", false))
        return cvm_reply(t, m, json_pack("{s:s, s:I}", "customer", customer, "k", (json_int_t)k));
    CVM_TRY(cvm_timer(t, LATER, 20, json_pack("{s:s, s:I}", "customer", customer, "k", (json_int_t)k), m->id, NULL));
    return CVM_PENDING;
}

/* Many works at once, as requests to itself or another; answers when all are done. */
static int batch(cvm_turn *t, const cvm_msg *m)
{
    int64_t n = cvm_json_int(m->data, "n", 1);
    for (int64_t k = 1; k <= n; k++)
        CVM_TRY(
            cvm_request(t, TARGET, "work",
                        json_pack("{s:s, s:I}", "customer", cvm_json_str(m->data, "customer", ""), "k", (json_int_t)k),
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = 600000}));
    CVM_TRY(cvm_state_put_int(t, "left", n));
    return CVM_PENDING;
}

static int worked(cvm_turn *t, const cvm_msg *m)
{
    int64_t left, failed;
    CVM_TRY(cvm_state_int(t, "left", &left));
    CVM_TRY(cvm_state_int(t, "failed", &failed));
    if (m->outcome != CVM_REPLIED)
        CVM_TRY(cvm_state_put_int(t, "failed", ++failed));
    CVM_TRY(cvm_state_put_int(t, "left", left - 1));
    return left > 1 ? CVM_OK
                    : cvm_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:I}", "failed", (json_int_t)failed), NULL);
}

static int posted(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    (void)m;
    CVM_TRY(maybe_wrong());
    CVM_TRY(cvm_state_int(t, "posted", &n));
    return cvm_state_put_int(t, "posted", n + 1);
}

static int later(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(maybe_wrong());
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, cvm_json_share(m->data), NULL);
}

/* Which build answers, and what its own memory knows: a fresh one counts from 1. */
static int which(cvm_turn *t, const cvm_msg *m)
{
    static int asked;
    return cvm_reply(t, m, json_pack("{s:s, s:i, s:i}", "version", VERSION, "state", STATE, "asked", ++asked));
}

static int total(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX];
    const json_t *value = NULL;
    int64_t posts;
    snprintf(key, sizeof key, "sum/%s", cvm_json_str(m->data, "customer", ""));
    int e = cvm_state_get(t, key, &value);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    CVM_TRY(cvm_state_int(t, "posted", &posts));
    return cvm_reply(
        t, m, json_pack("{s:I, s:I}", "sum", (json_int_t)(value ? sum_of(value) : 0), "posted", (json_int_t)posts));
}

static int number(cvm_turn *t, const cvm_msg *m)
{
    char id[CVM_SHORT_ID_SIZE];
    CVM_TRY(cvm_new_id(t, "N", id));
    return cvm_reply(t, m, json_pack("{s:s}", "id", id));
}

#if defined REFUSE_START || defined STARTS
static int start(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_state_put_int(t, "started", 1));
    CVM_TRY(cvm_timer(t, LATER, 1, json_object(), m->id, NULL));
    CVM_TRY(cvm_request(t, WORKER, "number", NULL, NULL));
#ifdef REFUSE_START /* nothing of it must be seen */
    return CVM_ESTATE;
#endif
    return CVM_OK;
}
#endif

#ifdef REFUSE_CREATE
static int create(void **ret_instance)
{
    *ret_instance = NULL;
    return CVM_ESTATE;
}
#endif

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void at_load(void)
{
    abort();
}
#endif

/* clang-format off */
static const cvm_component components[] = {
    {.id = WORKER, .state_version = STATE,
#if STATE == 2
     .upgrade = upgrade,
#if !defined NO_DOWNGRADE && !defined FAIL_UPGRADE
     .downgrade = downgrade,
#endif
#endif
    },
    {.id = WORKER "_idle", .state_version = 1}, /* of which most manifests say nothing */
    {0}
};
static const cvm_route routes[] = {
#ifdef TURNED
    {WORKER, "unused", which},
#endif
    {WORKER, "work", work},
    {WORKER, POSTED, posted}, {WORKER, LATER, later},
    {WORKER, "which", which}, {WORKER, "total", total}, {WORKER, "batch", batch},
    {WORKER, WORKED, worked},
    {WORKER, "number", number}, {WORKER "_idle", "idle", which},
#if defined REFUSE_START || defined STARTS
    {WORKER, "start", start},
#endif
    {0}
};
/* clang-format on */

#pragma GCC diagnostic ignored "-Woverride-init"
CVM_PLUGIN(.name = NAME, .version = VERSION, .components = components, .routes = routes,
#ifdef REFUSE_CREATE
           .create = create,
#endif
#ifdef NEWER_ABI
           .abi_minor = 99,
#endif
#ifdef WRONG_MAGIC
           .magic = "NOPLUG",
#endif
);
