/* Messages in the hands of plugins' own processes. A process takes turns one after another; the host sends some ahead,
 * as far as its credit reaches. What a turn asks to know is answered at once, what it would do is written down, and
 * when the process says that the turn is over the host does it all in one ordinary turn. Until then nothing of it has
 * happened: a message may be taken back from a process at any moment and given to another one, or run inside the host.
 */
#include "core/remote_parts.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REMOTE_CREDIT_TURNS 32
#define REMOTE_CREDIT_BYTES (1024 * 1024)
#define REMOTE_FRAME_MAX_BYTES (2 * CVM_TURN_BYTES_MAX + 4 * CVM_CONTENT_MAX_BYTES) /* quotes count twice */
#define REMOTE_TURN_MAX_BYTES (CORE_TURN_STATE_BYTES_MAX + 4 * CVM_TURN_BYTES_MAX)
#define REMOTE_ASKS_MAX 10000 /* of one turn */
#define REMOTE_OPS_MAX 20000
#define REMOTE_US_MAX (3600 * INT64_C(1000000)) /* nobody believes that a turn took more */
#define REMOTE_AGAIN_MAX 3                      /* what was true when the turn asked was not when it ended: run again */

/* ---- turns to the process ------------------------------------------------------------------------------------------
 */

static void add_text(struct text *text, const char *member, const char *value)
{
    if (!*value)
        return;
    text_puts(text, member);
    text_string(text, value);
}

static void add_id(struct text *text, const char *member, cvm_id id)
{
    char shown[40];
    if (cvm_id_is_none(id))
        return;
    id_text(id, shown);
    add_text(text, member, shown);
}

static void add_int(struct text *text, const char *member, int64_t value)
{
    if (!value)
        return;
    text_puts(text, member);
    text_int(text, value);
}

static void add_message(struct text *text, const cvm_msg *m)
{
    text_puts(text, "{\"type\":");
    text_string(text, m->type);
    add_text(text, ",\"recipient\":", m->recipient);
    add_id(text, ",\"id\":", m->id);
    add_id(text, ",\"in_reply_to\":", m->in_reply_to);
    add_id(text, ",\"on_behalf\":", m->on_behalf);
    add_int(text, ",\"timestamp_ms\":", m->timestamp_ms);
    add_int(text, ",\"deadline_ms\":", m->deadline_ms);
    add_text(text, ",\"sender\":", m->sender);
    add_text(text, ",\"conversation\":", m->conversation);
    add_text(text, ",\"content\":", m->content);
    add_text(text, ",\"enquiry_id\":", m->enquiry_id);
    add_text(text, ",\"customer_id\":", m->customer_id);
    add_text(text, ",\"session_id\":", m->session_id);
    add_text(text, ",\"traceparent\":", m->traceparent);
    text_puts(text, ",\"data\":");
    text_json(text, m->data);
    if (m->tags && json_array_size(m->tags)) {
        text_puts(text, ",\"tags\":");
        text_json(text, m->tags);
    }
    if (m->confidence != 1.0)
        text_printf(text, ",\"confidence\":%.17g", m->confidence);
    add_int(text, ",\"message_type\":", m->message_type);
    add_int(text, ",\"priority\":", m->priority);
    add_int(text, ",\"outcome\":", m->outcome);
    if (m->requires_response)
        text_puts(text, ",\"requires_response\":true");
    text_char(text, '}');
}

int remote_send_turn(struct remote *r, const cvm_msg *m, uint32_t route, int64_t now_ms, uint64_t *ret_number,
                     size_t *ret_weight)
{
    struct text text;
    text_init(&text, LINK_BODY_MAX_BYTES);
    text_printf(&text, "{\"route\":%u,\"now\":%lld,\"facts\":%llu,\"message\":", route, (long long)now_ms,
                (unsigned long long)r->core->facts);
    add_message(&text, m);
    text_char(&text, '}');
    int e = text.failed ? CVM_ENOMEM : link_send(r->link, FRAME_TURN, ++r->number, text.at, text.len);
    *ret_number = r->number;
    *ret_weight = text.len;
    text_free(&text);
    return e;
}

/* Among those of the process for as long as it may take. */
static void take(struct message *m)
{
    m->place = PLACE_AWAY;
    if (m->request)
        m->to->away++;
}

static void leave(struct message *m)
{
    assert(m->place == PLACE_AWAY);
    m->place = PLACE_NONE;
    if (m->request)
        m->to->away--;
}

static struct message *pop_waiting(struct remote *r)
{
    for (int class = CORE_CLASSES - 1; class >= 0; class --) {
        struct queue *q = &r->waiting[class];
        struct message *m = q->head;
        if (!m)
            continue;
        q->head = m->queue_next;
        if (!q->head)
            q->tail = NULL;
        m->queue_next = NULL;
        return m;
    }
    return NULL;
}

static void push_waiting(struct remote *r, struct message *m)
{
    struct queue *q = &r->waiting[m->class];
    m->queue_next = NULL;
    if (q->tail)
        q->tail->queue_next = m;
    else
        q->head = m;
    q->tail = m;
}

static int errand_begin(struct remote *r, struct message *m)
{
    const struct route_slot *slot = component_route(m->to, message_entry(m));
    struct errand *e = slot ? calloc(1, sizeof *e) : NULL;
    if (!e)
        return slot ? CVM_ENOMEM : CVM_ENOENT;
    *e = (struct errand){.m = m, .now_ms = r->core->now_ms, .ops = json_array()};
    int error = e->ops ? remote_send_turn(r, &m->pub, slot->route, e->now_ms, &e->number, &e->weight) : CVM_ENOMEM;
    if (error) {
        json_decref(e->ops);
        free(e);
        return error;
    }
    if (r->tail)
        r->tail->next = e;
    else
        r->head = e;
    r->tail = e;
    r->n++;
    r->weight += e->weight;
    if (r->head == e)
        remote_limit(r);
    return 0;
}

/* Its turn may not begin any more: turn_run answers that. */
static bool is_late(const struct core *core, const struct message *m)
{
    return m->request && m->request->deadline_ms && core->now_ms >= m->request->deadline_ms;
}

/* What cannot be sent ends here, as an error of the handler would. */
static void begin_or_fail(struct remote *r, struct message *m)
{
    bool over = m->expired || is_late(r->core, m);
    int e = over ? CVM_ETIMEOUT : errand_begin(r, m);
    if (!e)
        return;
    leave(m);
    if (over) {
        turn_run(r->core, m);
        return;
    }
    turn_begin(r->core, m->to, m->conversation, m);
    turn_conclude(r->core, m, e, 0);
}

void remote_feed(struct remote *r)
{
    while (r->step == REMOTE_UP && r->n < REMOTE_CREDIT_TURNS && (!r->n || r->weight < REMOTE_CREDIT_BYTES)) {
        struct message *m = pop_waiting(r);
        if (!m)
            return;
        begin_or_fail(r, m);
    }
}

void remote_run(struct core *core, struct message *m)
{
    struct remote *r = m->to->now->generation->remote;
    (void)core;
    take(m);
    push_waiting(r, m);
    remote_feed(r);
}

/* A start of a process that was started again: before anything else, whatever waits in its lane. */
void remote_run_start(struct remote *r, struct message *m)
{
    m->outside = true;
    m->class = CVM_CRITICAL;
    m->to->counts.delivered++;
    m->to->counts.queued++;
    take(m);
    begin_or_fail(r, m);
}

/* ---- taking back ---------------------------------------------------------------------------------------------------
 */

static void errand_free(struct core *core, struct errand *e)
{
    json_decref(e->ops);
    json_decref(e->reads);
    json_decref(e->denied);
    json_decref(e->met);
    json_decref(e->counters);
    json_decref(e->context);
    for (uint32_t i = 0; i < e->settled.n; i++)
        item_release(core, &e->settled.at[i]->item);
    free(e->settled.at);
    free(e);
}

static struct message *pop_errand(struct remote *r)
{
    struct errand *e = r->head;
    struct message *m = e->m;
    r->head = e->next;
    if (!r->head)
        r->tail = NULL;
    r->n--;
    r->weight -= e->weight;
    if (r->head)
        r->head->late = is_late(r->core, r->head->m);
    errand_free(r->core, e);
    leave(m);
    return m;
}

void remote_put_back(struct core *core, struct message *m)
{
    if (m->outside && m->type == core->name_start)
        turn_drop(core, m); /* another process begins with another one */
    else if (m->conversation && !m->outside)
        lane_put_back(core, m);
    else
        schedule(core, m);
}

struct message *remote_drop_all(struct remote *r)
{
    struct message *ran = r->head ? pop_errand(r) : NULL, *m;
    while (r->head)
        remote_put_back(r->core, pop_errand(r));
    while ((m = pop_waiting(r))) {
        leave(m);
        remote_put_back(r->core, m);
    }
    if (r->step == REMOTE_UP && !r->ended) /* else it is for its end, or its next beginning: that goes on */
        alarm_clear(r->core, &r->alarm);
    return ran;
}

void remote_recall(struct generation *g)
{
    if (!g || !g->remote)
        return;
    struct message *m = remote_drop_all(g->remote);
    if (m)
        remote_put_back(g->remote->core, m);
}

/* ---- what comes back -----------------------------------------------------------------------------------------------
 */

static void send_json(struct remote *r, enum frame_kind kind, uint64_t turn, const json_t *body)
{
    struct text text;
    text_init(&text, LINK_BODY_MAX_BYTES);
    text_json(&text, body);
    if (text.failed || link_send(r->link, kind, turn, text.at, text.len) < 0)
        remote_end(r, "an answer to it is larger than the link carries");
    text_free(&text);
}

void remote_answer_nothing(struct remote *r, uint64_t turn)
{
    json_t *answer = json_pack("{s:i}", "error", CVM_ESTATE);
    send_json(r, FRAME_ANSWER, turn, answer);
    json_decref(answer);
}

static int ask(struct remote *r, struct errand *e, json_t *op)
{
    json_t *answer = NULL;
    if (++e->asked > REMOTE_ASKS_MAX)
        return CVM_EDATA;
    trial_run(r->core, e, op, &answer);
    send_json(r, FRAME_ANSWER, e->number, answer);
    json_decref(answer);
    if (r->head == e)
        remote_limit(r); /* it is alive */
    return 0;
}

static int tell(struct remote *r, struct errand *e, json_t *op)
{
    if (remote_op_is(op, "log")) {
        const char *text = json_string_value(json_object_get(op, "text"));
        if (text)
            remote_log(r, (int)json_integer_value(json_object_get(op, "level")), e->m->to->id->text, text);
        return 0;
    }
    trial_note_counter(e, op);
    return json_array_append_new(e->ops, json_pack("[O, n]", op));
}

static void done(struct remote *r, struct errand *e, int result, int64_t us)
{
    struct core *core = r->core;
    struct message *m = e->m;
    int64_t now_ms = core->now_ms;
    r->failures = 0;
    r->over = e->number;
    r->stale_bytes = 0;
    if (m->expired) {
        turn_drop(core, pop_errand(r));
        return;
    }
    if (e->late) {
        turn_run(core, pop_errand(r));
        return;
    }
    core->now_ms = e->now_ms; /* what the turn was told */
    result = trial_keep(core, e, result);
    core->now_ms = now_ms;
    if (result == TRIAL_DIVERGED && m->again < REMOTE_AGAIN_MAX) {
        m->again++;
        turn_undo(core);
        trial_forget(core);
        remote_put_back(core, pop_errand(r));
        return;
    }
    int64_t told_ms = e->now_ms;
    pop_errand(r);
    core->now_ms = told_ms;
    turn_conclude(core, m, result == TRIAL_DIVERGED ? CVM_ESTATE : result, us);
    core->now_ms = now_ms;
}

/* Of a turn that was taken back meanwhile: the process goes on with it, and nobody minds. But each of them ends. */
static int take_stale(struct remote *r, const struct frame *f)
{
    if (f->turn > (r->head ? r->head->number : r->number))
        return CVM_EDATA;
    if (f->kind == FRAME_DONE && f->turn > r->over) {
        r->over = f->turn;
        r->stale_bytes = 0;
        remote_limit(r); /* only now comes the turn at the head */
        return 0;
    }
    r->stale_bytes += LINK_HEADER_BYTES + f->size;
    if (f->kind == FRAME_ASK)
        remote_answer_nothing(r, f->turn);
    return r->stale_bytes > REMOTE_TURN_MAX_BYTES ? CVM_EDATA : 0;
}

static void done_said(struct remote *r, struct errand *e, int64_t result, int64_t us)
{
    bool known = result > INT_MIN && result <= INT_MAX;
    done(r, e, known ? (int)result : CVM_EFAULT, us > 0 && us < REMOTE_US_MAX ? us : 0);
    remote_limit(r);
}

/* As the host's own runner writes it, which is most of them: read without making values of it. */
static bool read_done(const struct frame *f, int64_t *ret_result, int64_t *ret_us)
{
    char text[64];
    long long result, us;
    int end = 0;
    if (f->kind != FRAME_DONE || f->size >= sizeof text)
        return false;
    memcpy(text, f->body, f->size);
    text[f->size] = 0;
    if (sscanf(text, "{\"result\":%lld,\"us\":%lld}%n", &result, &us, &end) != 2 || (size_t)end != f->size)
        return false;
    *ret_result = result;
    *ret_us = us;
    return true;
}

int remote_take(struct remote *r, const struct frame *f)
{
    struct errand *e = r->head;
    if (f->size > REMOTE_FRAME_MAX_BYTES)
        return CVM_EDATA;
    if (!e || f->turn != e->number)
        return take_stale(r, f);
    e->bytes += f->size;
    if (e->bytes > REMOTE_TURN_MAX_BYTES || json_array_size(e->ops) > REMOTE_OPS_MAX)
        return CVM_EDATA;
    int64_t result, us;
    if (read_done(f, &result, &us)) {
        done_said(r, e, result, us);
        return 0;
    }
    json_t *body = json_read(f->body, f->size);
    int error = json_is_object(body) ? 0 : CVM_EDATA;
    if (!error && f->kind == FRAME_ASK) {
        error = ask(r, e, body);
    } else if (!error && f->kind == FRAME_TELL) {
        error = tell(r, e, body);
    } else if (!error && f->kind == FRAME_DONE) {
        const json_t *said = json_object_get(body, "result");
        done_said(r, e, json_is_integer(said) ? (int64_t)json_integer_value(said) : CVM_EFAULT,
                  (int64_t)json_integer_value(json_object_get(body, "us")));
    } else if (!error) {
        error = CVM_EDATA;
    }
    json_decref(body);
    return error;
}
