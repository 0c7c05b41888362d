/* One run of random messages: each is drawn, sent, and judged by its answer; in between come odd replies, timers and
 * topics. In a child. */
#include "conform/parts.h"

#include "core/internal.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAST_MS (2 * 3600 * INT64_C(1000)) /* for deadlines to pass at the end */

/* ---- judging, in the child -----------------------------------------------------------------------------------------
 */

static bool says_why(const json_t *body)
{
    static const char *const words[] = {"message", "error", "reason", "text", "detail", "code"};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value) for (size_t i = 0; i < sizeof words / sizeof *words;
                                                                     i++)
    {
        if (strstr(name, words[i]) && json_is_string(value) && json_string_length(value))
            return true;
        if (json_is_object(value) && says_why(value))
            return true;
    }
    return false;
}

/* For findings: what was sent, and not what came last. */
static void show(struct conform *c, const struct input *in)
{
    char *text = json_dumps(in->data, JSON_COMPACT);
    snprintf(c->shared->message, sizeof c->shared->message, "%s", text ? text : "");
    free(text);
}

static void judge(struct world *w, const struct input *in)
{
    struct conform *c = w->c;
    show(c, in);
    struct schema_error fault;
    const char *id = in->component->id, *type = in->operation->type;
    if (in->n > 1)
        find(c, "answers", "twice", id, type, "was answered %d times", in->n);
    if (in->injected || !in->n)
        return;
    if (in->outcome == CVM_ERROR && strcmp(cvm_json_str(in->answer, "code", ""), "NO_REPLY") == 0)
        find(c, "answers", "no_reply", id, type,
             "returned CVM_OK and gave no answer: reply, refuse, or return CVM_PENDING and settle later");
    if (in->mutated)
        return;
    if (in->outcome == CVM_REPLIED && schema_check(in->operation->response, in->answer, &fault) < 0)
        find(c, "answers", "response", id, type, "answered otherwise than its \"response\" schema says: %s%s%s",
             fault.field, *fault.field ? ": " : "", fault.text);
    if (in->outcome == CVM_REFUSED && !says_why(in->answer)) {
        char *said = json_dumps(in->answer, JSON_COMPACT);
        find(c, "answers", "refusal", id, type,
             "refused with %.100s, which has neither code nor message: people and programs must learn what would help",
             said ? said : "nothing");
        free(said);
    }
    if (in->outcome == CVM_REPLIED)
        gen_see(w->seen, in->answer);
}

/* Open, and nothing is under way that could end it. */
static void judge_open(struct world *w, const struct input *in)
{
    if (in->n || in->injected || in->operation->ephemeral || !world_quiet(w) || guard_under_way(in->conversation) != 0)
        return;
    show(w->c, in);
    find(w->c, "answers", "unanswered", in->component->id, in->operation->type,
         "left the request open (CVM_PENDING) with no reply, timer or call under way that could end it: the asker "
         "waits for its deadline in vain");
}

/* ---- odd replies, timers and topics --------------------------------------------------------------------------------
 */

/* The next message to `in`'s component becomes one of another type. False: it has no route but its operations. */
static bool inject(struct conform *c, struct gen *g, struct input *in, json_t **ret_data)
{
    const cvm_route *choice = NULL;
    uint64_t n = 0;
    for (const cvm_route *r = guard.routes; r && r->component; r++)
        if (strcmp(r->component, in->component->id) == 0 && !manifest_find_operation(in->component, r->type) &&
            gen_below(g, ++n) == 0)
            choice = r;
    if (!choice || in->operation->ephemeral)
        return false;
    g->document = c->manifest->doc;
    *ret_data = gen_chance(g, 50) ? gen_mutated(g, gen_object(g, NULL)) : gen_object(g, NULL);
    if (gen_chance(g, 40))
        *ret_data = json_pack("{s:i, s:{}, s:o, s:s}", "status", 200 + (int)gen_below(g, 400), "headers", "body",
                              gen_chance(g, 70) ? *ret_data : (json_decref(*ret_data), json_null()), "text", "odd");
    guard.inject = (struct injection){.component = choice->component,
                                      .type = choice->type,
                                      .route = (uint32_t)(choice - guard.routes),
                                      .instead = in->data,
                                      .outcome = (uint8_t)gen_below(g, CVM_UNKNOWN + 1),
                                      .data = *ret_data};
    if (gen_chance(g, 60))
        guard.inject.on_behalf = (cvm_id){1, 0}; /* the request that is handled */
    else if (gen_chance(g, 50))
        guard.inject.on_behalf = (cvm_id){gen_next(g), gen_next(g)};
    in->injected = true;
    snprintf(in->conversation, sizeof in->conversation, "%s-odd", in->key); /* it spoils what others have begun */
    json_object_set_new(guard.odd, in->conversation, json_true());
    return true;
}

static void nobody(void *arg, const struct edge_reply *reply)
{
    (void)arg;
    (void)reply;
}

static void publish(struct world *w, struct gen *g, int number)
{
    struct conform *c = w->c;
    const char *topic = NULL;
    uint64_t n = 0;
    for (size_t i = 0; i < c->manifest->n_components; i++)
        for (size_t k = 0; k < c->manifest->components[i].subscribes.n; k++)
            if (gen_below(g, ++n) == 0)
                topic = c->manifest->components[i].subscribes.at[k];
    if (!topic)
        return;
    struct edge_error error;
    char key[48];
    snprintf(key, sizeof key, "topic-%d", number);
    struct edge_in in = {.source = "check", .key = key, .to = "check.sender", .type = "publish", .priority = -1};
    in.data = json_pack("{s:s, s:o}", "type", topic, "data", gen_object(g, NULL));
    (void)edge_submit(w->core, &in, nobody, NULL, NULL, &error);
}

/* ---- one run, in the child -----------------------------------------------------------------------------------------
 */

static void count(json_t *totals, const struct input *in, bool refused_by_edge)
{
    static const char *const names[] = {"replied", "refused", "error", "timeout", "busy", "unknown"};
    const char *name = refused_by_edge ? "edge" : !in->n ? "open" : names[in->outcome];
    json_object_set_new(totals, name, json_integer(1 + json_integer_value(json_object_get(totals, name))));
}

static bool skipped(const struct messages *run, const struct input *in)
{
    char name[300];
    snprintf(name, sizeof name, "%s %s", in->component->id, in->operation->type);
    return json_object_get(run->skip, name) != NULL;
}

static void one_message(struct world *w, struct messages *run, struct input *in, int i)
{
    char text[600];
    json_t *odd = NULL;
    struct gen g = {.state = gen_mix(w->c->options.seed, (uint64_t)i)};
    draw_input(w->c, &g, w->seen, i, false, in);
    if (skipped(run, in)) {
        input_free(in);
        return;
    }
    if (gen_chance(&g, 12))
        inject(w->c, &g, in, &odd);
    if (gen_chance(&g, 10))
        publish(w, &g, i);
    if (!world_submit(w, in, text, sizeof text)) {
        count(run->totals, in, true);
        input_free(in);
    }
    if (odd || gen_chance(&g, 60) || i % 4 == 3)
        world_pass(w, (int64_t)gen_below(&g, 3000));
    if (odd && guard.inject.component) /* it never came to its handler */
        guard.inject.component = NULL;
    json_decref(odd);
}

static void tell_leaks(struct conform *c)
{
    json_t *counts = json_object(), *n;
    const char *where;
    memory_left(counts);
    json_object_foreach(counts, where, n)
    {
        char component[200];
        const char *space = strchr(where, ' ');
        snprintf(component, sizeof component, "%.*s", space ? (int)(space - where) : 0, where);
        c->shared->message[0] = 0;
        find(c, "leaks", "leak", component, space ? space + 1 : where,
             "%lld blocks of memory that it asked for were never freed, by it or by who was given them, also not by "
             "destroy()",
             (long long)json_integer_value(n));
    }
    json_decref(counts);
}

static pid_t process_of(void *arg)
{
    struct remote *r = world_remote(arg);
    return r ? remote_pid(r) : 0;
}

static void kills_begin(struct world *w)
{
    guard.process_of = process_of;
    guard.process_arg = w;
}

int messages_run(struct conform *c, void *arg)
{
    struct messages *run = arg;
    struct world w;
    struct input *all = calloc((size_t)run->count + 1, sizeof *all);
    guard_begin(c, "messages");
    guard.watch = !run->quiet;
    memory_shift(run->shift_s);
    int e = all ? world_open(&w, c, run->home, WORLD_WILD, 0) : CVM_ENOMEM;
    if (e)
        return e;
    guard.routes = world_descriptor(&w)->routes;
    if (run->kills)
        kills_begin(&w);
    run->totals = json_object();
    int judged = run->from;
    for (int i = run->from; i < run->count; i++) {
        c->shared->at = c->shared->done = i;
        one_message(&w, run, &all[i], i);
        for (int k = judged; k <= i; k++) {
            if (all[k].n == 1 && all[k].data) { /* the answer has come */
                judge(&w, &all[k]);
                count(run->totals, &all[k], false);
                input_free(&all[k]);
            } else if (all[k].data && i - k > 8) {
                judge_open(&w, &all[k]);
            }
            judged += judged == k && !all[k].data;
        }
    }
    world_pass(&w, LAST_MS);
    for (int k = judged; k < run->count; k++) {
        if (!all[k].data)
            continue;
        judge(&w, &all[k]);
        count(run->totals, &all[k], false);
    }
    c->shared->at = run->count;
    for (int k = run->from; k < run->count; k++)
        input_free(&all[k]);
    world_close(&w);
    fact_write(c,
               json_pack("{s:s, s:i, s:O, s:O, s:O, s:I}", "kind", "ran", "killed", guard.killed, "routes", guard.ran,
                         "timers", guard.timers, "totals", run->totals, "slowest_us", (json_int_t)guard.slowest_us));
    if (guard.watch && !guard.apart)
        tell_leaks(c);
    free(all);
    return 0;
}
