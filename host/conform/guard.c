/* Stands around the handlers of the plugin: gives them a table of functions that looks before it calls the host's,
 * watches what they do with what they are lent, and says what went wrong. In a child. */
#include "conform/parts.h"

#include "core/json_text.h"
#include <cvm/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct guard guard;

void guard_begin(struct conform *c, const char *check)
{
    guard = (struct guard){.c = c, .check = check, .watch = true};
    guard.ran = json_object();
    guard.timers = json_object();
    guard.odd = json_object();
    guard.open = json_object();
}

int64_t guard_under_way(const char *conversation)
{
    const json_t *n = json_object_get(guard.open, conversation);
    return json_is_null(n) ? -1 : (int64_t)json_integer_value(n);
}

void guard_call(void)
{
    if (!guard.kill_at || ++guard.calls != guard.kill_at)
        return;
    pid_t pid = guard.process_of(guard.process_arg);
    guard.kill_at = 0;
    if (pid > 0 && kill(pid, SIGKILL) == 0)
        guard.killed++;
}

/* ---- around a handler ----------------------------------------------------------------------------------------------
 */

static int64_t cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* For whoever finds the child dead. */
static void leave_word(const cvm_msg *m)
{
    struct board *page = guard.c->shared;
    struct text text;
    text_init(&text, 1024 * 1024);
    text_json(&text, m->data);
    if (!text.failed)
        text_char(&text, 0);
    snprintf(page->where, sizeof page->where, "%s, %s", m->recipient, m->type);
    snprintf(page->message, sizeof page->message, "%s", text.failed ? "" : text.at);
    text_free(&text);
}

static void look(const cvm_msg *m, int result, int64_t us)
{
    char text[200];
    const char *wrong = borrow_end(text), *memory = memory_wrong();
    const struct manifest_limits *limits = &guard.c->manifest->limits;
    int64_t hard = limits->turn_budget_ms * 10 > 250 ? limits->turn_budget_ms * 10 : 250;
    if (wrong)
        find(guard.c, "references", "borrowed", m->recipient, m->type, "%s", wrong);
    if (memory)
        find(guard.c, "references", "freed", m->recipient, m->type, "%s", memory);
    if (us > hard * 1000)
        find(guard.c, guard.check, "slow", m->recipient, m->type,
             "ran for %lld ms of processor time; the watchdog ends the host after %lld (turn_budget_ms x 10)",
             (long long)(us / 1000), (long long)hard);
    if (result == CVM_EFAULT && guard.apart)
        find(guard.c, guard.check, "fault", m->recipient, m->type,
             "its process ended, broke a rule of the link, did not return, or said that it is broken (CVM_EFAULT)");
    else if (result == CVM_EFAULT && !memory_failed())
        find(
            guard.c, guard.check, "fault", m->recipient, m->type,
            "returned CVM_EFAULT; return it only when the component is broken, for bad data refuse or give CVM_EINVAL");
    if (result > CVM_PENDING || result < CVM_ETIMEOUT)
        find(guard.c, guard.check, "result", m->recipient, m->type,
             "returned %d, which is neither CVM_OK, CVM_PENDING nor an error of cvm.h", result);
    guard.slowest_us = us > guard.slowest_us ? us : guard.slowest_us;
}

/* What came is no longer under way, what was asked for is. */
static void count_open(const cvm_msg *m, int result, bool odd)
{
    const char *name;
    json_t *n;
    if (*m->conversation) {
        json_int_t was = json_integer_value(json_object_get(guard.open, m->conversation));
        bool came = !odd && (!cvm_id_is_none(m->in_reply_to) || json_object_get(guard.timers, m->type));
        json_object_set_new(guard.open, m->conversation, json_integer(came && was > 0 ? was - 1 : was));
    }
    if (result >= 0)
        json_object_foreach((json_t *)(uintptr_t)guard_asked(), name, n)
        {
            json_int_t was = json_integer_value(json_object_get(guard.open, name));
            json_object_set_new(guard.open, name, json_integer(was + json_integer_value(n)));
        }
}

static int run(const struct core_handler *h, const cvm_msg *m, uint32_t route)
{
    struct board *page = guard.c->shared;
    char name[300];
    const cvm_host *real = h->t->host;
    cvm_host host = guard_table(real, m);
    snprintf(name, sizeof name, "%s %s", m->recipient, m->type);
    leave_word(m);
    borrow_begin();
    borrow("the message's data", m->data, true);
    borrow("the message's tags", m->tags, true);
    bool odd = guard.tolerant;
    guard.tolerant = odd || json_object_get(guard.odd, m->conversation);
    page->turns++;
    guard.turns++;
    page->cpu_us = cpu_us();
    page->running = 1;
    int64_t began = page->cpu_us;
    if (!guard.apart)
        memory_enter(name);
    guard.calls = 0;
    if (guard.process_of) /* now and then, at a call that most turns come to */
        guard.kill_at = guard.turns % 5 == 0 ? 1 + (uint32_t)guard.turns / 5 % 7 : 0;
    h->t->host = &host;
    int result = h->turn(h->instance, h->t, m, route);
    h->t->host = real;
    if (!guard.apart)
        memory_enter(NULL);
    page->running = 0;
    if (guard.watch)
        look(m, result, cpu_us() - began);
    else
        borrow_end(name);
    count_open(m, result, h->m != m);
    guard.tolerant = odd;
    json_object_set_new(guard.ran, name, json_true());
    return result == CVM_EFAULT || result < CVM_ETIMEOUT ? CVM_EINVAL : result; /* told; strikes would end the test */
}

int guard_around(void *arg, const struct core_handler *h)
{
    (void)arg;
    if (!h->plugin)
        return core_handler_run(h);
    const struct injection *in = &guard.inject;
    if (!in->component || in->instead != h->m->data)
        return run(h, h->m, h->route);
    cvm_msg m = *h->m; /* the turn is that of the message, what the handler sees is another one */
    m.type = in->type;
    m.data = in->data;
    m.outcome = in->outcome;
    m.on_behalf = in->on_behalf.hi == 1 && !in->on_behalf.lo ? m.id : in->on_behalf;
    m.in_reply_to = (cvm_id){m.id.hi, m.id.lo ^ 1};
    m.message_type = CVM_RESPONSE;
    m.requires_response = 0;
    int result = run(h, &m, in->route);
    guard.inject.component = NULL;
    return result;
}
