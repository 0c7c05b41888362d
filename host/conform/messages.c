/* Random messages to every operation, and to the routes that take replies, timers and topics; what the plugin makes of
 * them is judged here. The same seed gives the same messages, run twice they must give the same journal. */
#include "conform/parts.h"

#include <cvm/json.h>
#include <dlfcn.h>
#include <link.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CRASHES_MAX 8
#define LAST_MS (2 * 3600 * INT64_C(1000)) /* for deadlines to pass at the end */
#define SURVEY 60                          /* messages of the first look at what is sent to whom */

struct messages {
    char home[CONFORM_PATH];
    int from, count;
    bool quiet;      /* findings are known from a run before */
    int64_t shift_s; /* of the clock that a turn must not ask */
    json_t *skip;    /* "component type" of operations that crashed */
    json_t *totals;  /* outcome -> number */
};

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

static int find_routes(struct dl_phdr_info *info, size_t size, void *home)
{
    (void)size;
    if (!info->dlpi_name || strncmp(info->dlpi_name, home, strlen(home)) != 0)
        return 0;
    void *library = dlopen(info->dlpi_name, RTLD_NOW | RTLD_NOLOAD);
    const cvm_plugin_descriptor *d = library ? dlsym(library, "cvm_plugin") : NULL;
    guard.routes = d ? d->routes : NULL;
    if (library)
        dlclose(library);
    return 1;
}

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

static int run_body(struct conform *c, void *arg)
{
    struct messages *run = arg;
    struct world w;
    char home[CONFORM_PATH];
    struct input *all = calloc((size_t)run->count + 1, sizeof *all);
    guard_begin(c, "messages");
    guard.watch = !run->quiet;
    memory_shift(run->shift_s);
    int e = all ? world_open(&w, c, run->home, WORLD_WILD, 0) : CVM_ENOMEM;
    if (e)
        return e;
    if (realpath(run->home, home))
        dl_iterate_phdr(find_routes, home);
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
    fact_write(c, json_pack("{s:s, s:O, s:O, s:O, s:I}", "kind", "ran", "routes", guard.ran, "timers", guard.timers,
                            "totals", run->totals, "slowest_us", (json_int_t)guard.slowest_us));
    if (guard.watch)
        tell_leaks(c);
    free(all);
    return 0;
}

/* ---- in the parent --------------------------------------------------------------------------------------------------
 */

static void take_learned(struct conform *c, const json_t *facts)
{
    size_t i;
    json_t *fact;
    json_array_foreach((json_t *)(uintptr_t)facts, i, fact)
    {
        const char *to = cvm_json_str(fact, "to", "");
        json_t *types = json_object_get(c->learned, to);
        if (strcmp(cvm_json_str(fact, "kind", ""), "learned") != 0)
            continue;
        if (!types)
            json_object_set_new(c->learned, to, types = json_object());
        json_object_set_new(types, cvm_json_str(fact, "type", ""), json_true());
    }
}

/* First messages, only to see what is sent to whom: then the peers take it. */
static void survey(struct conform *c)
{
    struct messages run = {.count = SURVEY + 2 * (int)operations_count(c), .quiet = true};
    char text[300];
    json_t *facts = NULL;
    if (plan_home(c, c->library, run.home) < 0)
        return;
    child_run(c, run_body, &run, &facts, text, sizeof text);
    take_learned(c, facts);
    json_decref(facts);
    plan_remove(run.home);
}

static const json_t *fact_of(const json_t *facts, const char *kind)
{
    size_t i;
    json_t *fact;
    json_array_foreach((json_t *)(uintptr_t)facts, i,
                       fact) if (strcmp(cvm_json_str(fact, "kind", ""), kind) == 0) return fact;
    return NULL;
}

static void skip_last(struct conform *c, struct messages *run)
{
    const struct manifest_component *component;
    const struct manifest_operation *op = operation_at(c, (size_t)c->shared->at % operations_count(c), &component);
    char name[300];
    snprintf(name, sizeof name, "%s %s", component->id, op->type);
    json_object_set_new(run->skip, name, json_true());
    run->from = (int)c->shared->at + 1;
}

static void add_totals(json_t *to, const json_t *from)
{
    const char *name;
    json_t *n;
    json_object_foreach((json_t *)(uintptr_t)from, name, n) json_object_set_new(
        to, name, json_integer(json_integer_value(n) + json_integer_value(json_object_get(to, name))));
}

static void tell_routes(struct conform *c, const json_t *ran, const json_t *totals, int messages, int64_t slowest_us)
{
    size_t i, n = 0, missed = 0; /* routes */
    json_t *route, *value;
    const char *key;
    char text[400] = "", all[200] = "";
    size_t at = 0;
    json_array_foreach(c->routes, i, route)
    {
        char name[300];
        snprintf(name, sizeof name, "%s %s", cvm_json_str(route, "component", ""), cvm_json_str(route, "type", ""));
        if (json_object_get(ran, name))
            n++;
        else if (missed++ < 4)
            at += (size_t)snprintf(text + at, at < sizeof text ? sizeof text - at : 0, "%s%.90s", at ? ", " : "", name);
    }
    at = 0;
    json_object_foreach((json_t *)(uintptr_t)totals, key, value) at += (size_t)snprintf(
        all + at, at < sizeof all ? sizeof all - at : 0, ", %lld %s", (long long)json_integer_value(value), key);
    char slow[100] = "";
    if (slowest_us > c->manifest->limits.turn_budget_ms * 1000)
        snprintf(slow, sizeof slow, "; one turn took %lld ms, its turn_budget_ms is %lld",
                 (long long)(slowest_us / 1000), (long long)c->manifest->limits.turn_budget_ms);
    report(c, "messages", RESULT_OK, "%d messages%s; %zu of %zu routes ran%s%s%s%s", messages, all, n, n + missed,
           missed ? ", not: " : "", text, missed > 4 ? ", .." : "", slow);
}

/* ---- the same again -------------------------------------------------------------------------------------------------
 */

static sqlite3_stmt *turns_of(const char *home, sqlite3 **ret_db)
{
    static const char sql[] = "SELECT seq, at_ms, conversation, component, hex(message), type, sender, outcome, record "
                              "FROM turns ORDER BY seq";
    char path[CONFORM_PATH + 32];
    sqlite3_stmt *s = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    if (sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(*ret_db, sql, -1, &s, NULL) != SQLITE_OK)
        return NULL;
    return s;
}

static const char *column(sqlite3_stmt *s, int i)
{
    const unsigned char *text = sqlite3_column_text(s, i);
    return text ? (const char *)text : "";
}

/* Where the texts part, a little before. */
static const char *parting(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    size_t back = i > 30 ? 30 : i;
    while (back < i && ((unsigned char)a[i - back] & 0xc0) == 0x80)
        back++;
    return a + i - back;
}

static void compare(struct conform *c, const char *home_a, const char *home_b)
{
    sqlite3 *da = NULL, *db = NULL;
    sqlite3_stmt *a = turns_of(home_a, &da), *b = turns_of(home_b, &db);
    long long n = 0;
    int ra = SQLITE_ROW, rb = SQLITE_ROW;
    bool same = a && b;
    while (same && (ra = sqlite3_step(a)) == SQLITE_ROW && (rb = sqlite3_step(b)) == SQLITE_ROW) {
        n++;
        for (int i = 0; i < sqlite3_column_count(a) && same; i++) {
            const char *x = column(a, i), *y = column(b, i);
            if (strcmp(x, y) == 0)
                continue;
            char text[500], where[300];
            const char *px = parting(x, y);
            snprintf(where, sizeof where, "%s, %s", column(a, 3), column(a, 5));
            snprintf(text, sizeof text,
                     "the same messages gave another journal, first in turn %lld (%s): \"%.80s\" and \"%.80s\"; clock, "
                     "random numbers and ids come from the turn, and nothing is kept in memory",
                     n, sqlite3_column_name(a, i), px, y + (px - x));
            report_finding(c, "determinism", "journal", where, text, "");
            same = false;
        }
    }
    if (same && sqlite3_step(ra == SQLITE_ROW ? a : b) == SQLITE_ROW)
        report_finding(c, "determinism", "journal", "", "the same messages gave a longer journal the second time", "");
    report(c, "determinism", a && b ? RESULT_OK : RESULT_SKIPPED,
           a && b ? "%lld turns, run twice, gave the same journal" : "the journal could not be read", n);
    sqlite3_finalize(a);
    sqlite3_finalize(b);
    sqlite3_close(da);
    sqlite3_close(db);
}

static void again(struct conform *c, const char *first)
{
    struct messages run = {.count = c->options.messages, .quiet = true, .shift_s = 100000};
    char text[300];
    json_t *facts = NULL;
    if (plan_home(c, c->library, run.home) < 0)
        return;
    if (child_run(c, run_body, &run, &facts, text, sizeof text) != CHILD_DONE)
        report_finding(c, "determinism", "second run", c->shared->where, text, c->shared->message);
    else
        compare(c, first, run.home);
    json_decref(facts);
    plan_remove(run.home);
}

void check_messages(struct conform *c)
{
    static const char *const found_on_the_way[][2] = {
        {"answers", "every request was answered, as its schemas say"},
        {"limits", "every call of the host was allowed and within its limits"},
        {"references", "what was lent was given back as it was"},
        {"leaks", "all memory that handlers asked for was freed"}};
    if (!operations_count(c)) {
        report(c, "messages", RESULT_SKIPPED, "the plugin has no operation to send to");
        return;
    }
    survey(c);
    plan_peers(c);
    struct messages run = {.count = c->options.messages, .skip = json_object()};
    json_t *ran = json_object(), *timers = json_object(), *totals = json_object();
    enum child_end end = CHILD_ENDED;
    c->shared->of = run.count;
    int crashes = 0;
    int64_t slowest_us = 0;
    while (crashes < CRASHES_MAX && run.from < run.count) {
        char text[300];
        json_t *facts = NULL;
        if (plan_home(c, c->library, run.home) < 0)
            break;
        end = child_run(c, run_body, &run, &facts, text, sizeof text);
        report_facts(c, facts);
        const json_t *fact = fact_of(facts, "ran");
        json_object_update(ran, json_object_get(fact, "routes"));
        json_object_update(timers, json_object_get(fact, "timers"));
        add_totals(totals, json_object_get(fact, "totals"));
        slowest_us =
            slowest_us > cvm_json_int(fact, "slowest_us", 0) ? slowest_us : cvm_json_int(fact, "slowest_us", 0);
        json_decref(facts);
        if (end == CHILD_DONE)
            break;
        crashes++;
        report_finding(c, "messages", end == CHILD_HANGS ? "hang" : "crash", c->shared->where, text,
                       c->shared->message);
        skip_last(c, &run);
        plan_remove(run.home);
    }
    c->shared->of = 0;
    tell_routes(c, ran, totals, c->options.messages, slowest_us);
    for (size_t i = 0; i < sizeof found_on_the_way / sizeof *found_on_the_way; i++)
        report(c, found_on_the_way[i][0], i == 3 && end != CHILD_DONE ? RESULT_SKIPPED : RESULT_OK, "%s",
               i == 3 && end != CHILD_DONE ? "not known, as it crashed" : found_on_the_way[i][1]);
    if (wanted(c, "determinism")) {
        if (crashes == 0 && end == CHILD_DONE)
            again(c, run.home);
        else
            report(c, "determinism", RESULT_SKIPPED, "not known, as it crashed");
    }
    plan_remove(run.home);
    json_decref(run.skip);
    json_decref(ran);
    json_decref(timers);
    json_decref(totals);
}
