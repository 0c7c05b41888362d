/* What a turn in a process of its own asks while it runs is answered by doing it, in a turn that is undone at once;
 * when the process says that the turn is over, all of it is done once more, and for good. A trial begins with what
 * those before it came to, so that ids, limits and refusals are those of one turn. Loop thread. */
#include "core/remote_parts.h"

#include <stdio.h>
#include <string.h>

/* Until a turn is so large it is not counted what it tells. */
#define TRIAL_SMALL_BYTES (CVM_TURN_BYTES_MAX / 4)
#define TRIAL_SMALL_OUTPUTS (CVM_TURN_OUTPUTS_MAX / 4)

static void keep_list(json_t **kept, json_t **made)
{
    if (!*kept)
        *kept = *made;
    else if (*made) {
        json_array_extend(*kept, *made);
        json_decref(*made);
    }
    *made = NULL;
}

static void take_back(json_t **place)
{
    json_decref(*place);
    *place = NULL;
}

/* ---- counters of short ids ----------------------------------------------------------------------------------------
 */

void trial_note_counter(struct errand *e, const json_t *op)
{
    const char *key = remote_op_is(op, "state_put") ? json_string_value(json_object_get(op, "key")) : NULL;
    if (!key || strncmp(key, ".id/", 4) != 0)
        return;
    if (!e->counters)
        e->counters = json_object();
    json_object_set_new(e->counters, key + 4, json_integer(json_integer_value(json_object_get(op, "value"))));
}

/* The next short id counts on from the last one of this turn. */
static void set_counter(struct turn *t, const struct errand *e, const json_t *op)
{
    char key[32];
    const char *prefix = json_string_value(json_object_get(op, "prefix"));
    json_t *counter = prefix && strlen(prefix) <= 8 ? json_object_get(e->counters, prefix) : NULL;
    size_t bytes = t->state_bytes;
    if (!counter)
        return;
    snprintf(key, sizeof key, ".id/%s", prefix);
    t->pub.host->state_put(&t->pub, key, json_incref(counter));
    t->state_bytes = bytes;
}

static void keep_counter(struct errand *e, const json_t *op, const json_t *answer)
{
    json_t *counter = json_object_get(answer, "counter");
    if (!counter)
        return;
    if (!e->counters)
        e->counters = json_object();
    json_object_set(e->counters, json_string_value(json_object_get(op, "prefix")), counter);
}

/* ---- a trial ------------------------------------------------------------------------------------------------------
 */

static void again(struct errand *e, struct turn *t, size_t i)
{
    const json_t *pair = json_array_get(e->ops, i);
    json_t *answer = NULL;
    if (json_is_null(json_array_get(pair, 1)) && !remote_op_reads(json_array_get(pair, 0)))
        remote_op(&t->pub, json_array_get(pair, 0), &answer);
    json_decref(answer);
}

/* What was told since the last trial: replies always, because the ids of what is emitted count them; the rest where its
 * size may matter. */
static void repeat_told(struct errand *e, struct turn *t)
{
    size_t n = json_array_size(e->ops);
    bool large =
        e->bytes > TRIAL_SMALL_BYTES || e->output_bytes > TRIAL_SMALL_BYTES || e->outputs > TRIAL_SMALL_OUTPUTS;
    t->told = true;
    for (; e->tried_settle < n; e->tried_settle++)
        if (remote_op_is(json_array_get(json_array_get(e->ops, e->tried_settle), 0), "settle"))
            again(e, t, e->tried_settle);
    for (; large && e->tried_counted < n; e->tried_counted++)
        if (!remote_op_is(json_array_get(json_array_get(e->ops, e->tried_counted), 0), "settle"))
            again(e, t, e->tried_counted);
    t->told = false;
}

/* The requests that this turn has ended or handed on already. */
static void mark_settled(struct errand *e, bool settling)
{
    for (uint32_t i = 0; i < e->settled.n; i++)
        if (!e->settled.at[i]->ended)
            e->settled.at[i]->settling = settling;
}

static void keep_settled(struct errand *e, const struct turn *t)
{
    for (uint32_t i = 0; i < t->answers.n; i++) {
        struct request *r = t->answers.at[i].request;
        if (r->ended || !VECTOR_PUSH(e->settled, r))
            continue; /* one that was refused at once */
        r->item.refs++;
    }
}

/* A read is answered as the turn found it: without what the turn has set. */
static void begin(struct core *core, struct errand *e, bool reads)
{
    struct turn *t = &core->turn;
    turn_begin(core, e->m->to, e->m->conversation, e->m);
    core->now_ms = e->now_ms;
    t->trial = true;
    t->ordinal = e->ordinal;
    t->tried = e->outputs;
    t->bytes = e->output_bytes;
    t->state_bytes = e->state_bytes;
    t->met = e->met;
    e->met = NULL;
    mark_settled(e, true);
    if (reads)
        return;
    t->context = e->context;
    t->context_bytes = e->context_bytes;
    e->context = NULL;
}

static void end(struct core *core, struct errand *e, bool reads)
{
    struct turn *t = &core->turn;
    if (!reads) {
        e->context = t->context;
        e->context_bytes = t->context_bytes;
        t->context = NULL;
    }
    e->ordinal = t->ordinal;
    e->outputs = turn_outputs(t) + t->dead.n;
    e->output_bytes = t->bytes;
    e->state_bytes = t->state_bytes;
    e->met = t->met;
    t->met = NULL;
    e->unreadable = e->unreadable || t->unreadable;
    take_back(&t->refusal);
    take_back(&t->denied);
    uint32_t known = e->settled.n;
    keep_settled(e, t);
    take_back(&t->trial_reads);
    take_back(&t->ids);
    turn_undo(core); /* those that it settled are open again; those before it not yet */
    for (uint32_t i = 0; i < known; i++)
        e->settled.at[i]->settling = false;
    t->trial = false;
}

/* What the turn goes by from now on, where no key says it. */
static void note_seen(struct errand *e, const json_t *op)
{
    if (!e->scanned && remote_op_is(op, "state_scan"))
        e->scanned = e->m->to->state_seq + 1;
    if (!e->context_seen && e->m->conversation && remote_op_is(op, "context"))
        e->context_seen = e->m->conversation->version + 1;
}

int trial_run(struct core *core, struct errand *e, const json_t *op, json_t **ret_answer)
{
    struct turn *t = &core->turn;
    int64_t now_ms = core->now_ms;
    bool reads = remote_op_reads(op);
    begin(core, e, reads);
    if (reads)
        note_seen(e, op);
    else
        repeat_told(e, t);
    t->dropped = remote_op_is(op, "state_scan") ? json_integer_value(json_object_get(op, "dropped")) : 0;
    if (remote_op_is(op, "new_id"))
        set_counter(t, e, op);
    int error = remote_op(&t->pub, op, ret_answer);
    json_array_append_new(e->ops, json_pack("[O, o, o*]", op, reads ? json_null() : json_incref(*ret_answer),
                                            t->trial_reads ? json_copy(t->trial_reads) : NULL));
    if (reads) {
        keep_list(&e->reads, &t->trial_reads);
        keep_list(&e->denied, &t->denied);
    } else {
        keep_counter(e, op, *ret_answer);
        if (!error)
            trial_note_counter(e, op);
    }
    end(core, e, reads);
    core->now_ms = now_ms;
    return error;
}

/* ---- for good -----------------------------------------------------------------------------------------------------
 */

/* Whether what the turn was told of the component's state and of its conversation still holds. */
static bool reads_hold(const struct core *core, const struct errand *e)
{
    size_t i;
    json_t *read;
    if ((e->scanned && e->scanned != e->m->to->state_seq + 1) ||
        (e->context_seen && e->context_seen != e->m->conversation->version + 1))
        return false;
    json_array_foreach(e->reads, i, read)
    {
        const char *key = json_string_value(json_array_get(read, 0));
        const json_t *turn = json_array_get(read, 1);
        if (key && json_is_integer(turn) && !state_is_of(core, e->m->to, key, (int64_t)json_integer_value(turn)))
            return false;
    }
    return true;
}

static void keep_reads(struct turn *t, const json_t *pair)
{
    size_t i;
    json_t *read;
    json_array_foreach(json_array_get(pair, 2), i, read) turn_note_read(t, json_incref(read));
}

static int keep_one(struct turn *t, const json_t *pair)
{
    const json_t *op = json_array_get(pair, 0), *expected = json_array_get(pair, 1);
    json_t *answer = NULL;
    if (remote_op_reads(op)) { /* where it stood among the others */
        keep_reads(t, pair);
        return 0;
    }
    bool unasked = json_is_null(expected);
    t->told = !unasked;
    int error = remote_op(&t->pub, op, &answer);
    t->told = false;
    bool same = unasked || json_equal(answer, expected);
    json_decref(answer);
    return !same                  ? TRIAL_DIVERGED
           : unasked && error < 0 ? error /* what was certain there is wrong here: the handler broke a rule */
                                  : 0;
}

/* Of a turn that failed: what it was told, and how it refused. */
static void keep_inputs(struct turn *t, struct errand *e)
{
    size_t i;
    json_t *pair, *answer = NULL;
    t->met = e->met;
    e->met = NULL;
    json_array_foreach(e->ops, i, pair)
    {
        const json_t *op = json_array_get(pair, 0);
        json_t *id = remote_op_is(op, "new_id") ? json_object_get(json_array_get(pair, 1), "value") : NULL;
        keep_reads(t, pair);
        if (id && !t->ids)
            t->ids = json_array();
        if (id)
            json_array_append(t->ids, id);
        if (remote_op_is(op, "refuse"))
            remote_op(&t->pub, op, &answer);
        take_back(&answer);
    }
}

int trial_keep(struct core *core, struct errand *e, int result)
{
    struct turn *t = &core->turn;
    size_t i;
    json_t *pair;
    turn_begin(core, e->m->to, e->m->conversation, e->m);
    t->unreadable = e->unreadable;
    keep_list(&t->denied, &e->denied);
    take_back(&t->met);
    if (result < 0) {
        keep_inputs(t, e);
        return result;
    }
    if (!reads_hold(core, e))
        return TRIAL_DIVERGED;
    json_array_foreach(e->ops, i, pair)
    {
        int error = keep_one(t, pair);
        if (error)
            return error;
    }
    return result;
}

void trial_forget(struct core *core)
{
    struct turn *t = &core->turn;
    take_back(&t->refusal);
    take_back(&t->denied);
    take_back(&t->trial_reads);
    take_back(&t->ids);
    take_back(&t->met);
}
