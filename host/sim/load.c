/* Clients: what they send, with keys and without, what they are told, and that the same key is told the same. */
#include "sim/parts.h"

#include "core/edge.h"
#include "core/internal.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 12
#define HEAL_ROUNDS 60

static const char *const outcome_names[] = {"REPLIED", "REFUSED", "ERROR", "TIMEOUT", "BUSY", "UNKNOWN"};

void load_free(struct sim *s)
{
    for (size_t i = 0; i < s->n_clients; i++) {
        json_decref(s->clients[i]->data);
        json_decref(s->clients[i]->answer);
        free(s->clients[i]);
    }
    s->n_clients = 0;
}

void load_crashed(struct sim *s)
{
    for (size_t i = 0; i < s->n_clients; i++)
        s->clients[i]->running = false;
}

/* ---- what is sent --------------------------------------------------------------------------------------------------
 */

struct wish {
    const char *to, *type;
    unsigned weight;
    bool ephemeral;
};

/* Of the plugins whose meaning is known. */
static const struct wish wishes[] = {
    {"sim.ledger", "transfer", 30, false}, {"sim.stream", "work", 30, false}, {"sim.stream", "wait", 6, false},
    {"sim.stream", "hand", 6, false},      {"sim.stream", "never", 3, false}, {"sim.stream", "ask", 5, false},
    {"sim.stream", "finish", 4, false},    {"sim.stream", "count", 6, true},  {"sim.ledger", "used", 3, true},
    {"sim.ledger", "sweep", 2, false},     {"sim.hostile", "act", 0, false}};

static json_t *hostile_data(struct sim *s)
{
    static const char *const whats[] = {"fault",   "fault", "fault", "flood", "flood",  "keys",
                                        "garbage", "reach", "reach", "hold",  "silent", "spin"};
    return json_pack("{s:s, s:i, s:i}", "what", whats[gen_below(&s->gen, sizeof whats / sizeof *whats)], "n",
                     (int)gen_below(&s->gen, 40), "depth", (int)gen_below(&s->gen, 3));
}

static json_t *data_of(struct sim *s, const char *type)
{
    struct gen *g = &s->gen;
    char text[32];
    if (strcmp(type, "transfer") == 0) {
        snprintf(text, sizeof text, "r%llu", (unsigned long long)gen_below(g, 60));
        return json_pack("{s:s, s:i, s:b}", "ref", text, "amount", 1 + (int)gen_below(g, 1000), "unit",
                         (int)gen_chance(g, 50));
    }
    snprintf(text, sizeof text, "c%llu", (unsigned long long)gen_below(g, 5));
    if (strcmp(type, "work") == 0)
        return json_pack("{s:s, s:b}", "customer", text, "picky", (int)gen_chance(g, 30));
    if (strcmp(type, "count") == 0)
        return json_pack("{s:s}", "customer", text);
    if (strcmp(type, "wait") == 0)
        return json_pack("{s:i}", "ms", (int)gen_below(g, gen_chance(g, 50) ? 100 : 60000));
    if (strcmp(type, "act") == 0)
        return hostile_data(s);
    return json_object();
}

static void draw_known(struct sim *s, struct client *c)
{
    unsigned total = 0, hostile = s->temper.hostile / 2;
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        total += wishes[i].weight ? wishes[i].weight : hostile;
    int64_t at = (int64_t)gen_below(&s->gen, total);
    size_t i = 0;
    for (; i + 1 < sizeof wishes / sizeof *wishes; i++)
        if ((at -= wishes[i].weight ? wishes[i].weight : hostile) < 0)
            break;
    snprintf(c->to, sizeof c->to, "%s", wishes[i].to);
    snprintf(c->type, sizeof c->type, "%s", wishes[i].type);
    c->durable = !wishes[i].ephemeral;
    c->data = data_of(s, c->type);
    if (c->durable && strcmp(c->type, "act") != 0 && gen_chance(&s->gen, 40)) /* customers share lanes */
        snprintf(c->conversation, sizeof c->conversation, "lane-%llu", (unsigned long long)gen_below(&s->gen, 6));
}

static const struct manifest_operation *draw_operation(struct sim *s, const struct sim_plugin **ret_plugin,
                                                       const struct manifest_component **ret_component)
{
    for (int tries = 0; tries < 50; tries++) {
        const struct sim_plugin *p = &s->plugins->at[gen_below(&s->gen, s->plugins->n)];
        const struct manifest_component *c = &p->decl->components[gen_below(&s->gen, p->decl->n_components)];
        if (!c->n_operations)
            continue;
        *ret_plugin = p;
        *ret_component = c;
        return &c->operations[gen_below(&s->gen, c->n_operations)];
    }
    return NULL;
}

/* Whether it is as the schema says. */
static bool draw_data(struct sim *s, const struct sim_plugin *p, const struct manifest_operation *op, bool odd,
                      json_t **ret_data)
{
    struct schema_error fault;
    struct gen g = {.state = gen_next(&s->gen), .document = p->decl->doc, .words = s->plugins->words};
    json_t *data = NULL;
    bool good = odd;
    for (int i = 0; i < TRIES && good == odd; i++) {
        json_decref(data);
        data = gen_object(&g, op->request_schema);
        if (odd)
            data = gen_mutated(&g, data);
        good = json_is_object(data) && schema_check(op->request, data, &fault) == 0;
        if (!odd && good)
            break;
    }
    *ret_data = data;
    return good;
}

static bool draw_any(struct sim *s, struct client *c)
{
    const struct sim_plugin *p = NULL;
    const struct manifest_component *component = NULL;
    const struct manifest_operation *op = draw_operation(s, &p, &component);
    if (!op || !draw_data(s, p, op, false, &c->data))
        return false;
    snprintf(c->to, sizeof c->to, "%s", component->id);
    snprintf(c->type, sizeof c->type, "%s", op->type);
    c->durable = !op->ephemeral;
    if (gen_chance(&s->gen, 30))
        snprintf(c->conversation, sizeof c->conversation, "lane-%llu", (unsigned long long)gen_below(&s->gen, 6));
    return true;
}

struct client *load_new(struct sim *s)
{
    if (s->n_clients == SIM_CLIENTS_MAX)
        return NULL;
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->priority = gen_chance(&s->gen, 70) ? -1 : (int)gen_below(&s->gen, 4);
    bool good = true;
    if (s->plugins->own)
        draw_known(s, c);
    else
        good = draw_any(s, c);
    c->keyed = c->durable && gen_chance(&s->gen, 75);
    snprintf(c->key, sizeof c->key, "key-%d", ++s->number);
    s->clients[s->n_clients++] = c;
    if (!good)
        c->alone = true;
    return c;
}

/* ---- what comes back -----------------------------------------------------------------------------------------------
 */

static void check_durable(struct sim *s, const struct client *c, const struct edge_reply *reply)
{
    auditor_read(s);
    const json_t *answer = auditor_answer(s, reply->request);
    if (s->failed)
        return;
    if (!answer)
        sim_fail(s, INV_DURABLE, "%s %s was answered %s before that was durable", c->to, c->type,
                 outcome_names[reply->outcome]);
    else if (strcmp(json_string_value(json_array_get(answer, 1)), outcome_names[reply->outcome]) != 0 ||
             !json_equal(json_array_get(answer, 2), reply->data))
        sim_fail(s, INV_EXPLAINED, "%s %s was answered otherwise than the journal says", c->to, c->type);
}

static void answered(void *arg, const struct edge_reply *reply)
{
    struct client *c = arg;
    struct sim *s = c->sim;
    sim_event(s, "%s %s %s: %s", c->keyed ? c->key : "-", c->to, c->type, outcome_names[reply->outcome]);
    if (s->failed)
        return;
    if (c->alone) {
        sim_fail(s, INV_ONCE, "%s: the key was taken with another body", c->key);
        return;
    }
    if (!c->running)
        sim_fail(s, INV_ONCE, "%s %s was answered twice", c->to, c->type);
    c->running = false;
    if (c->durable)
        check_durable(s, c, reply);
    if (c->settled && (c->outcome != reply->outcome || !json_equal(c->answer, reply->data)))
        sim_fail(s, INV_ONCE, "the key %s was answered %s, and now %s", c->key, outcome_names[c->outcome],
                 outcome_names[reply->outcome]);
    json_decref(c->answer);
    c->answer = json_deep_copy(reply->data);
    c->outcome = reply->outcome;
    c->settled = reply->outcome != CVM_BUSY || !c->keyed;
}

/* Gives 0 or the edge's error. */
static int submit(struct sim *s, struct client *c, json_t *data, struct edge_error *ret_error)
{
    struct edge_in in = {.source = "sim",
                         .key = c->keyed ? c->key : NULL,
                         .to = c->to,
                         .type = c->type,
                         .data = data,
                         .conversation = *c->conversation ? c->conversation : NULL,
                         .priority = c->priority};
    c->sim = s;
    return edge_submit(s->core, &in, answered, c, &c->id, ret_error);
}

void load_submit(struct sim *s, struct client *c)
{
    struct edge_error error = {0};
    if (c->running || c->alone || (!c->keyed && c->tries))
        return;
    c->tries++;
    c->turns_then = s->hostile_turns;
    c->at_ms = sim_now(s);
    int e = submit(s, c, json_incref(c->data), &error);
    c->running = e == 0;
    s->inputs += e == 0;
    sim_event(s, "%s %s %s%s%s", c->keyed ? c->key : "-", c->to, c->type,
              e              ? ": "
              : c->tries > 1 ? " again"
                             : "",
              e ? error.text : "");
    if (e == CVM_EEXIST)
        sim_fail(s, INV_ONCE, "%s: its own body is said to be another one", c->key);
    if (e == CVM_EINVAL || e == CVM_ELIMIT || e == CVM_EACCES)
        sim_fail(s, INV_INPUT, "%s %s: good input was refused: %s: %s", c->to, c->type, error.field, error.text);
}

/* Takes `data`. */
static struct client *load_this(struct sim *s, const char *to, const char *type, json_t *data, bool ephemeral)
{
    struct client *c = s->n_clients < SIM_CLIENTS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        json_decref(data);
        return NULL;
    }
    snprintf(c->key, sizeof c->key, "key-%d", ++s->number);
    snprintf(c->to, sizeof c->to, "%s", to);
    snprintf(c->type, sizeof c->type, "%s", type);
    c->data = data;
    c->durable = !ephemeral;
    c->probe = ephemeral;
    c->priority = CVM_CRITICAL;
    s->clients[s->n_clients++] = c;
    return c;
}

void load_flood(struct sim *s)
{
    if (!s->plugins->own)
        return;
    for (int i = 0; i < 3; i++) {
        struct client *c = load_this(s, "sim.hostile", "act",
                                     json_pack("{s:s, s:i, s:i}", "what", "flood", "n", 40, "depth", 2), false);
        if (c)
            load_submit(s, c);
    }
    sim_ticks(s, 6 + (int)gen_below(&s->gen, 6));
    struct client *probe =
        s->failed ? NULL : load_this(s, "sim.stream", "count", json_pack("{s:s}", "customer", "c1"), true);
    if (probe)
        load_submit(s, probe);
    if (!s->failed)
        sim_run_on(s, 0);
}

/* ---- bad input -----------------------------------------------------------------------------------------------------
 */

struct position {
    int64_t seq;
    uint64_t runnable, inputs;
    uint32_t conversations;
    int64_t bytes;
};

static struct position position_of(const struct sim *s)
{
    return (struct position){s->core->seq, s->core->runnable, s->core->total.inputs, s->core->n_conversations,
                             s->core->bytes_queued};
}

static bool same_position(const struct position *a, const struct position *b)
{
    return a->seq == b->seq && a->runnable == b->runnable && a->inputs == b->inputs &&
           a->conversations == b->conversations && a->bytes == b->bytes;
}

static void refused_one(struct sim *s, struct client *c, json_t *data, const char *how)
{
    struct edge_error error = {0};
    struct position before = position_of(s), after;
    char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
    int e = submit(s, c, data, &error);
    after = position_of(s);
    sim_event(s, "bad input, %s: %s", how, e < 0 ? error.text : "taken");
    if (e == 0)
        sim_fail(s, INV_INPUT, "%s %s took bad input (%s): %.200s", c->to, c->type, how, text ? text : "");
    else if (e == CVM_EINVAL && !error.text[0])
        sim_fail(s, INV_INPUT, "%s %s refused bad input without a sentence", c->to, c->type);
    else if (!same_position(&before, &after))
        sim_fail(s, INV_INPUT, "%s %s refused bad input (%s), and something changed", c->to, c->type, how);
    if (e == 0) { /* its end is nobody's */
        c->running = true;
        c->alone = false;
    }
    free(text);
}

/* A known key with another body. */
static bool other_body(struct sim *s)
{
    struct client *of = s->n_clients ? s->clients[gen_below(&s->gen, s->n_clients)] : NULL;
    if (!of || !of->keyed || of->alone || !of->tries || !(of->running || of->settled))
        return false;
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return false;
    *c = *of;
    c->answer = NULL;
    c->data = json_deep_copy(of->data);
    json_t *other = strcmp(c->type, "transfer") == 0 ? json_pack("{s:s, s:i}", "ref", "r77777", "amount", 7)
                    : strcmp(c->type, "work") == 0   ? json_pack("{s:s}", "customer", "c777")
                                                     : NULL;
    c->alone = true;
    c->running = c->settled = false;
    bool able = other && s->n_clients < SIM_CLIENTS_MAX;
    if (able) {
        s->clients[s->n_clients++] = c;
        struct edge_error error = {0};
        int e = submit(s, c, json_incref(other), &error);
        sim_event(s, "%s with another body: %s", c->key, e < 0 ? error.text : "taken");
        if (e == 0 || e == CVM_EINVAL)
            sim_fail(s, INV_ONCE, "the key %s was taken with another body", c->key);
    } else {
        json_decref(c->data);
        free(c);
    }
    json_decref(other);
    return able;
}

void load_bad(struct sim *s)
{
    const struct sim_plugin *p = NULL;
    const struct manifest_component *component = NULL;
    if (gen_chance(&s->gen, 40) && other_body(s))
        return;
    const struct manifest_operation *op = draw_operation(s, &p, &component);
    json_t *data = NULL;
    struct client *c = op && s->n_clients < SIM_CLIENTS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return;
    s->clients[s->n_clients++] = c;
    c->alone = true;
    c->priority = -1;
    snprintf(c->to, sizeof c->to, "%s", component->id);
    snprintf(c->type, sizeof c->type, "%s", op->type);
    if (gen_chance(&s->gen, 20)) {
        snprintf(c->type, sizeof c->type, "no.such.type");
        refused_one(s, c, json_object(), "no such operation");
    } else if (!op->ephemeral && gen_chance(&s->gen, 20)) {
        static const char *const keys[] = {"", "caf\xe9"};
        c->keyed = true;
        snprintf(c->key, sizeof c->key, "%s", keys[gen_below(&s->gen, 2)]);
        if (draw_data(s, p, op, false, &data))
            refused_one(s, c, data, "a bad key");
        else
            json_decref(data);
    } else if (!draw_data(s, p, op, true, &data)) {
        refused_one(s, c, data, "not as its schema says");
    } else {
        json_decref(data); /* an operation that takes anything */
    }
}

/* ---- the end -------------------------------------------------------------------------------------------------------
 */

static bool sweep(struct sim *s)
{
    struct client *c = s->plugins->own ? load_this(s, "sim.ledger", "sweep", json_object(), false) : NULL;
    if (!c)
        return true;
    c->keyed = true;
    load_submit(s, c);
    sim_run_on(s, 420000);
    return c->settled && c->outcome == CVM_REPLIED && cvm_json_int(c->answer, "open", 1) == 0;
}

/* Clients come again with their keys until they are answered. */
void load_heal(struct sim *s)
{
    for (int round = 0; round < HEAL_ROUNDS && !s->failed; round++) {
        bool all = true;
        for (size_t i = 0; i < s->n_clients && !s->failed; i++) {
            struct client *c = s->clients[i];
            if (!c->keyed || c->alone || !c->tries || c->settled)
                continue;
            all = false;
            load_submit(s, c);
        }
        if (!s->failed)
            sim_run_on(s, 40000);
        if (!s->failed && all && sweep(s))
            break;
    }
}

void load_end(struct sim *s)
{
    for (size_t i = 0; i < s->n_clients; i++) {
        const struct client *c = s->clients[i];
        if (c->alone || !c->tries)
            continue;
        bool hostile = strcmp(c->to, "sim.hostile") == 0; /* who is always full or out of service takes nothing */
        if (c->keyed && !c->settled && !hostile)
            sim_fail(s, INV_ONCE, "%s (%s %s) has no answer after %d attempts", c->key, c->to, c->type, c->tries);
        if (c->running)
            sim_fail(s, INV_ONCE, "%s %s was taken and never answered", c->to, c->type);
    }
}
