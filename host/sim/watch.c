/* Around the handlers of plugins: makes them fault and fail as the seed says, keeps what they read and handed on, and
 * sees whether a component that should be out of service runs, and how long others' messages wait. */
#include "sim/parts.h"

#include "core/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRIKES 5
#define WINDOW_MS 60000
#define PROBE_MS 30000
/* Turns of a flood before another's message of the same class has its own: its quantum, once begun and once whole. */
#define HOSTILE_TURNS ((int64_t)2 * CORE_QUANTUM)

struct watched {
    char id[CVM_NAME_MAX + 1];
    uint32_t generation; /* whose faults they were */
    int64_t faults[STRIKES];
    int n;
    int64_t down_ms; /* when the last of them was its fifth; 0: it is not */
};

struct watch {
    cvm_host table;
    const cvm_host *real;
    json_t *reads;   /* message id -> keys */
    json_t *meddled; /* ids of messages whose turn was made to fail, or could not read its state */
    bool meddles;
    json_t *now; /* keys of the turn under way */
    struct watched of[SIM_PLUGINS_MAX];
    size_t n;
};

int guardian_new(struct sim *s)
{
    s->watch = calloc(1, sizeof *s->watch);
    if (!s->watch)
        return CVM_ENOMEM;
    s->watch->reads = json_object();
    s->watch->meddled = json_object();
    return 0;
}

void guardian_free(struct sim *s)
{
    if (!s->watch)
        return;
    json_decref(s->watch->reads);
    json_decref(s->watch->meddled);
    free(s->watch);
    s->watch = NULL;
}

const json_t *guardian_reads(const struct sim *s, const char *message)
{
    return json_object_get(s->watch->reads, message);
}

bool guardian_meddled(const struct sim *s, const char *message)
{
    return json_object_get(s->watch->meddled, message) != NULL;
}

void guardian_forget(struct sim *s, const char *message)
{
    json_object_del(s->watch->reads, message);
}

void guardian_opened(struct sim *s)
{
    s->watch->n = 0;
}

void guardian_forgive(struct sim *s, const char *component)
{
    for (size_t i = 0; i < s->watch->n; i++)
        if (strcmp(s->watch->of[i].id, component) == 0)
            s->watch->of[i].n = 0, s->watch->of[i].down_ms = 0;
}

/* ---- the functions of the host that are looked at ------------------------------------------------------------------
 */

static struct sim *living; /* the table's functions know no other way to it */

static int w_state_get(cvm_turn *t, const char *key, const json_t **ret_value)
{
    struct sim *s = living;
    if (!s->calm && gen_chance(&s->gen, s->temper.read) && gen_chance(&s->gen, 2)) {
        s->watch->meddles = true;
        return CVM_EIO;
    }
    const struct turn *turn = (const struct turn *)t;
    bool own = false;
    for (uint32_t i = 0; key && i < turn->states.n; i++)
        own = own || strcmp(turn->states.at[i].entry->key, key) == 0;
    int e = s->watch->real->state_get(t, key, ret_value);
    s->watch->meddles = s->watch->meddles || (e < 0 && e != CVM_ENOENT);
    if (!own && (e == CVM_OK || e == CVM_ENOENT) && s->watch->now)
        json_array_append_new(s->watch->now, json_string(key));
    return e;
}

static int w_state_put(cvm_turn *t, const char *key, json_t *value)
{
    int e = living->watch->real->state_put(t, key, value);
    living->watch->meddles = living->watch->meddles || e == CVM_EIO; /* it reads what was there */
    return e;
}

static int w_state_scan(cvm_turn *t, const char *prefix, const char *after, size_t limit, json_t **ret_pairs)
{
    int e = living->watch->real->state_scan(t, prefix, after, limit, ret_pairs);
    living->watch->meddles = living->watch->meddles || e < 0;
    return e;
}

/* ---- strikes -------------------------------------------------------------------------------------------------------
 */

static struct watched *watched(struct sim *s, const struct component *c)
{
    struct watch *w = s->watch;
    struct watched *k = NULL;
    for (size_t i = 0; i < w->n && !k; i++)
        if (strcmp(w->of[i].id, c->id->text) == 0)
            k = &w->of[i];
    if (!k && w->n < SIM_PLUGINS_MAX) {
        k = &w->of[w->n++];
        *k = (struct watched){.n = 0};
        snprintf(k->id, sizeof k->id, "%s", c->id->text);
    }
    if (k && c->now->generation && k->generation != c->now->generation->number) {
        k->n = 0;
        k->down_ms = 0;
        k->generation = c->now->generation->number;
    }
    return k;
}

static void before(struct sim *s, struct watched *k, const struct component *c)
{
    int64_t now = sim_now(s);
    if (!k->down_ms || c->before)
        return;
    if (now < k->down_ms + PROBE_MS)
        sim_fail(s, INV_SERVICE, "%s runs %lld ms after its fifth fault in a minute: it should be out of service",
                 k->id, (long long)(now - k->down_ms));
    k->down_ms = now; /* the probe: the next one is as far */
}

static void after(struct sim *s, struct watched *k, const struct component *c, int result, bool was_down)
{
    int64_t now = sim_now(s);
    if (result >= 0 && (k->down_ms || was_down)) { /* the probe succeeded */
        k->down_ms = 0;
        k->n = 0;
    }
    if (result != CVM_EFAULT || c->before)
        return;
    if (k->n == STRIKES)
        memmove(k->faults, k->faults + 1, (STRIKES - 1) * sizeof *k->faults), k->n--;
    k->faults[k->n++] = now;
    if (k->n == STRIKES && now - k->faults[0] < WINDOW_MS && !k->down_ms)
        k->down_ms = now;
}

/* ---- a handler -----------------------------------------------------------------------------------------------------
 */

static void check_wait(struct sim *s, const cvm_msg *m)
{
    for (size_t i = 0; i < s->n_clients; i++) {
        struct client *c = s->clients[i];
        if (!c->probe || !c->running || !cvm_id_eq(c->id, m->id))
            continue;
        int64_t turns = s->hostile_turns - c->turns_then;
        if (turns > HOSTILE_TURNS)
            sim_fail(s, INV_SERVICE,
                     "a message of the highest class waited for %lld turns of a flood, at most %lld are due",
                     (long long)turns, (long long)HOSTILE_TURNS);
    }
}

/* What the seed does to this turn. 0: nothing; before the handler, or after it has done its work. */
static int injected(struct sim *s)
{
    static const int codes[] = {CVM_EIO, CVM_EINVAL, CVM_ENOMEM, CVM_EBUSY, CVM_ENOENT, CVM_ELIMIT};
    if (s->calm)
        return 0;
    if (gen_chance(&s->gen, s->temper.fault) && gen_chance(&s->gen, 12))
        return CVM_EFAULT;
    if (gen_chance(&s->gen, s->temper.error) && gen_chance(&s->gen, 12))
        return codes[gen_below(&s->gen, sizeof codes / sizeof *codes)];
    return 0;
}

static int run(struct sim *s, const struct core_handler *h)
{
    struct watch *w = s->watch;
    char id[40];
    w->real = h->t->host;
    w->table = *w->real;
    w->table.state_get = w_state_get;
    w->table.state_put = w_state_put;
    w->table.state_scan = w_state_scan;
    w->now = json_array();
    living = s;
    h->t->host = &w->table;
    int result = core_handler_run(h);
    h->t->host = w->real;
    id_text(h->m->id, id);
    json_object_set_new(w->reads, id, w->now);
    w->now = NULL;
    return result;
}

int guardian_around(void *arg, const struct core_handler *h)
{
    struct sim *s = arg;
    if (!h->plugin || s->failed)
        return core_handler_run(h);
    const struct component *c = ((const struct turn *)h->t)->component;
    struct watched *k = watched(s, c);
    check_wait(s, h->m);
    s->hostile_turns += strcmp(c->id->text, "sim.hostile") == 0;
    if (k)
        before(s, k, c);
    bool was_down = c->down;
    int wanted = injected(s), result = wanted == CVM_EFAULT && gen_chance(&s->gen, 50) ? wanted : run(s, h);
    if (wanted)
        result = wanted;
    if (s->calm && result == CVM_EFAULT)
        result = CVM_EINVAL; /* the hostile one has been mended */
    if (k)
        after(s, k, c, result, was_down);
    if (s->watch->meddles || wanted || (s->calm && result == CVM_EINVAL)) {
        char id[40];
        id_text(h->m->id, id);
        json_object_set_new(s->watch->meddled, id, json_true());
        s->watch->meddles = false;
    }
    if (wanted)
        sim_event(s, "%s %s is made to fail: %s", c->id->text, h->m->type, cvm_strerror(wanted));
    return result;
}
