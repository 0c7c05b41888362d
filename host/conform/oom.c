/* Without memory: the first request of a handler for memory fails, then the second, and so on until it runs through.
 * The turn may end in an error, a fault or well; it may not crash, and afterwards the component must still answer. A
 * call of the host that gives CVM_ENOMEM counts as a request. */
#include "conform/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DENIALS 1500 /* over all operations */
#define DENIALS_LEAST 24
#define TRIES 3
#define TRIES_AFTER 40 /* peers answer by chance, and most of it may be of no use */
#define PASS_MS 600000

struct oom {
    char home[CONFORM_PATH];
    int from;
    json_t *crashed;
};

static bool try_one(struct world *w, const struct input *like, int64_t nth, bool on, int *number, struct input *ret_in)
{
    char text[600];
    struct input in = *like;
    in.answer = NULL;
    in.n = 0;
    in.data = json_deep_copy(like->data);
    ++*number;
    snprintf(in.key, sizeof in.key, "oom-%d", *number);
    snprintf(in.conversation, sizeof in.conversation, "oom-%d", *number);
    *ret_in = in;
    memory_fail(nth, on);
    if (!world_submit(w, ret_in, text, sizeof text))
        return false;
    world_pass(w, PASS_MS);
    return true;
}

static void deny(struct world *w, const struct input *best, int64_t events, int *number)
{
    struct conform *c = w->c;
    int64_t cap = DENIALS / (int64_t)operations_count(c);
    cap = cap < DENIALS_LEAST ? DENIALS_LEAST : cap;
    int64_t stride = events > cap ? (events + cap - 1) / cap : 1;
    for (int64_t nth = 1; nth <= events; nth += stride) {
        struct input in = {.n = 0};
        c->shared->denied = nth;
        try_one(w, best, nth, nth % 8 == 1, number, &in);
        memory_fail(0, false);
        if (in.n == 0)
            world_pass(w, in.operation->timeout_ms + PASS_MS);
        if (in.n == 0)
            find(c, "memory", "unanswered", in.component->id, in.operation->type,
                 "was never answered after the %lld. request for memory had failed", (long long)nth);
        input_free(&in);
    }
    c->shared->denied = 0;
}

static void one_operation(struct world *w, int i, int *number)
{
    struct conform *c = w->c;
    struct gen g = {.state = gen_mix(c->options.seed, 0x6d656d00u + (uint64_t)i)};
    struct input best = {.n = 0}, in = {.n = 0}, last = {.n = 0};
    int64_t events = -1;
    int outcome = 0;
    for (int k = 0; k < TRIES; k++) {
        struct input drawn;
        in = (struct input){.n = 0};
        draw_input(c, &g, w->seen, i, true, &drawn);
        drawn.forward = false;
        if (!drawn.mutated && try_one(w, &drawn, 0, false, number, &in) && memory_events() > events) {
            events = memory_events();
            outcome = in.n ? in.outcome : -1;
            input_free(&best);
            best = drawn;
            drawn.data = NULL;
        }
        if (in.n && in.outcome == CVM_REPLIED)
            gen_see(w->seen, in.answer);
        input_free(&in);
        input_free(&drawn);
    }
    if (events < 0)
        return;
    deny(w, &best, events, number);
    bool well = false;
    for (int k = 0; k < TRIES_AFTER && !well; k++) { /* peers may refuse: that is no fault of this one */
        input_free(&last);
        try_one(w, &best, 0, false, number, &last);
        well = last.n && last.outcome != CVM_ERROR && last.outcome != CVM_BUSY;
    }
    if (outcome == CVM_REPLIED && !well)
        find(c, "memory", "after", best.component->id, best.operation->type,
             "does not answer as before once requests for memory had failed: something was kept half done");
    input_free(&last);
    input_free(&best);
}

static int oom_body(struct conform *c, void *arg)
{
    struct oom *run = arg;
    struct world w;
    int number = 0;
    guard_begin(c, "memory");
    guard.tolerant = true;
    int e = world_open(&w, c, run->home, WORLD_CALM, 0);
    for (int i = run->from; !e && i < (int)operations_count(c); i++) {
        c->shared->at = c->shared->done = i;
        one_operation(&w, i, &number);
    }
    if (!e) {
        c->shared->at = (int64_t)operations_count(c);
        world_close(&w);
    }
    return e;
}

void check_memory(struct conform *c)
{
    struct oom run = {.from = 0};
    int n = (int)operations_count(c);
    if (c->manifest->program) {
        report(c, "memory", RESULT_SKIPPED,
               "a program: its memory is its own; what it may take is limits.memory_mib, beyond it the process ends");
        return;
    }
    c->shared->of = n;
    while (run.from < n) {
        char text[300], whole[500];
        json_t *facts = NULL;
        if (plan_home(c, c->library, run.home) < 0)
            break;
        enum child_end end = child_run(c, oom_body, &run, &facts, text, sizeof text);
        report_facts(c, facts);
        json_decref(facts);
        plan_remove(run.home);
        if (end == CHILD_DONE)
            break;
        if (end == CHILD_ENDED)
            return;
        if (c->shared->denied)
            snprintf(
                whole, sizeof whole,
                "%s when the %lld. request for memory failed: check what jansson, malloc and the host's calls return",
                text, (long long)c->shared->denied);
        else
            snprintf(whole, sizeof whole, "%s", text);
        report_finding(c, "memory", end == CHILD_HANGS ? "hang" : "crash", c->shared->where, whole, c->shared->message);
        run.from = (int)c->shared->at + 1;
    }
    c->shared->of = 0;
    report(c, "memory", RESULT_OK, "no crash where a request for memory failed, in %d operation%s", n,
           n == 1 ? "" : "s");
}
