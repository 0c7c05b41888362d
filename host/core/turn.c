/* A turn: one message handled by one component; kept whole or undone whole. There is one struct turn, because only
 * one handler runs at a time; its vectors keep their memory. */
#include "core/internal.h"

#include "core/broken.h"

#include "core/crash.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The watchdog looks after code inside the host; a process of its own has a limit of its own. */
static void page_enter(struct core *core, const struct component *c, cvm_id id)
{
    struct page *page = core->page;
    page->component = c->index;
    page->message = id;
    page->turn_started_ns = clock_coarse_ns();
    page->hard_limit_ns = core->options.loop && !c->now->remote ? c->now->hard_limit_ns : 0;
    atomic_store_explicit(&page->in_turn, 1, memory_order_release);
}

static void page_leave(struct core *core)
{
    atomic_store_explicit(&core->page->in_turn, 0, memory_order_release);
}

/* What a failed turn was told stays for its record. */
static void drop_inputs(struct turn *t)
{
    text_reset(&t->reads);
    json_decref(t->trial_reads);
    json_decref(t->ids);
    json_decref(t->met);
    t->trial_reads = t->ids = t->met = NULL;
}

void turn_begin(struct core *core, struct component *component, struct conversation *conversation, struct message *m)
{
    struct turn *t = &core->turn;
    t->component = component;
    t->conversation = conversation;
    t->message = m;
    t->bytes = t->state_bytes = 0;
    t->ordinal = t->tried = 0;
    t->told = false;
    t->led = NULL;
    t->ended = t->lend = t->random_seeded = t->unreadable = false;
    t->unhandled = NULL;
    if (t->reads.len || t->trial_reads || t->ids || t->met)
        drop_inputs(t);
}

/* Messages and answers are all that it puts out, as of most turns that leave no record. */
static bool is_plain(const struct turn *t)
{
    return !(t->opens.n | t->closes.n | t->states.n | t->rows.n | t->dead.n | t->told_out.n | t->changes.n) &&
           !t->context && !t->notes && !t->error && !t->metrics && !t->denied;
}

static void clear_others(struct turn *t)
{
    json_decref(t->context);
    json_decref(t->notes);
    json_decref(t->error);
    json_decref(t->metrics);
    t->context = t->notes = t->error = t->metrics = NULL;
    t->changes.n = t->opens.n = t->closes.n = t->states.n = t->rows.n = t->dead.n = t->told_out.n = 0;
}

static void clear(struct turn *t)
{
    t->outs.n = t->answers.n = 0;
    t->message = NULL;
    clear_others(t);
}

void answer_undo(struct core *core, struct answer *a)
{
    a->request->settling = false;
    if (a->reply)
        item_release(core, &a->reply->item);
    item_release(core, &a->request->item);
    json_decref(a->data);
    free(a->content);
}

void turn_undo(struct core *core)
{
    struct turn *t = &core->turn;
    for (uint32_t i = 0; i < t->outs.n; i++)
        item_release(core, &t->outs.at[i]->item);
    for (uint32_t i = 0; i < t->answers.n; i++)
        answer_undo(core, &t->answers.at[i]);
    for (uint32_t i = 0; i < t->opens.n; i++)
        item_release(core, t->opens.at[i]);
    for (uint32_t i = 0; i < t->closes.n; i++)
        item_release(core, t->closes.at[i]);
    for (uint32_t i = 0; i < t->dead.n; i++)
        item_release(core, &t->dead.at[i].message->item);
    for (uint32_t i = 0; i < t->told_out.n; i++)
        json_decref((json_t *)(uintptr_t)t->told_out.at[i].data);
    for (uint32_t i = 0; i < t->states.n; i++)
        json_decref(t->states.at[i].value);
    for (uint32_t i = 0; i < t->rows.n; i++) {
        table_release(t->rows.at[i].table);
        json_decref(t->rows.at[i].row);
        free(t->rows.at[i].key);
    }
    for (uint32_t i = 0; i < t->changes.n; i++) {
        json_decref(t->changes.at[i].path);
        json_decref(t->changes.at[i].value);
    }
    context_restore(t);
    clear(t);
}

static void add_extra(struct record *rec, const char *key, json_t *value)
{
    if (!value)
        return;
    if (!rec->extra)
        rec->extra = json_object();
    json_object_set_nocheck(rec->extra, key, value);
}

/* One that has no memory for it is left out whole. */
static void add_read(struct turn *t, const json_t *read, const char *key, int64_t turn)
{
    struct text *text = &t->reads;
    const size_t before = text->len;
    if (before)
        text_char(text, ',');
    if (read) {
        text_json(text, read);
    } else {
        text_char(text, '[');
        text_string(text, key);
        text_char(text, ',');
        text_int(text, turn);
        text_char(text, ']');
    }
    if (text->failed) {
        text->len = before;
        text->failed = false;
    }
}

void turn_note_read(struct turn *t, json_t *read)
{
    if (!t->trial) {
        add_read(t, read, NULL, 0);
        json_decref(read);
        return;
    }
    if (!t->trial_reads)
        t->trial_reads = json_array();
    json_array_append_new(t->trial_reads, read);
}

void turn_note_key(struct turn *t, const char *key, int64_t turn)
{
    if (t->trial)
        turn_note_read(t, json_pack("[s, I]", key, (json_int_t)turn));
    else
        add_read(t, NULL, key, turn);
}

/* Among what the turn met: a name or a shown id under `what`. */
void turn_met(struct turn *t, const char *what, const char *name)
{
    if (!t->conversation)
        return;
    if (!t->met)
        t->met = json_object();
    json_t *list = json_object_get(t->met, what), *value;
    size_t i;
    if (!list && json_object_set_new(t->met, what, list = json_array()) < 0)
        return;
    json_array_foreach(list, i, value) if (strcmp(json_string_value(value), name) == 0) return;
    json_array_append_new(list, json_string(name));
}

void turn_met_id(struct turn *t, const char *what, cvm_id id)
{
    char shown[40];
    id_text(id, shown);
    turn_met(t, what, shown);
}

/* Room for everything the record can hold, in one block. */
static struct record *record_new(const struct turn *t)
{
    size_t opens = t->outs.n + t->answers.n + t->opens.n + 1, closes = t->answers.n * 2 + t->closes.n + 2;
    size_t outs = t->outs.n + t->answers.n;
    size_t pointers = opens + closes + outs;
    struct record *rec =
        calloc(1, sizeof *rec + pointers * sizeof(void *) + t->states.n * sizeof(struct state_change) +
                      t->rows.n * sizeof(struct row_change) + (t->answers.n + 1) * sizeof(struct inbox_change) +
                      t->dead.n * sizeof(struct dead_letter) + t->told_out.n * sizeof(struct edge_publication) +
                      t->changes.n * sizeof(struct context_change) + t->reads.len + 1);
    if (!rec)
        crash_promised("the record of a turn");
    rec->outs = (struct message **)(rec + 1);
    rec->opens = (struct item **)(rec->outs + outs);
    rec->closes = rec->opens + opens;
    rec->states = (struct state_change *)(rec->closes + closes);
    rec->rows = (struct row_change *)(rec->states + t->states.n);
    rec->inboxes = (struct inbox_change *)(rec->rows + t->rows.n);
    rec->dead = (struct dead_letter *)(rec->inboxes + t->answers.n + 1);
    rec->told_out = (struct edge_publication *)(rec->dead + t->dead.n);
    rec->changes = (struct context_change *)(rec->told_out + t->told_out.n);
    char *reads = (char *)(rec->changes + t->changes.n);
    if (t->reads.len)
        memcpy(reads, t->reads.at, t->reads.len);
    rec->reads = reads;
    return rec;
}

static void record_open(struct core *core, struct record *rec, struct item *item)
{
    item->no = ++core->item_no;
    item->refs++;
    rec->opens[rec->n_opens++] = item;
}

static void record_close(struct record *rec, struct item *item)
{
    if (!item->no)
        return;
    item->refs++;
    rec->closes[rec->n_closes++] = item;
}

/* Outside hears only of what is durable: of this turn, and, where an ephemeral one read what others wrote, of theirs.
 */
static void answer_edge(struct core *core, struct inbox *inbox, struct answer *a)
{
    if (core->seq <= core->durable || BROKEN(early_answer)) {
        inbox_answer(core, inbox, a->outcome, a->data, a->content);
        return;
    }
    struct held *h = calloc(1, sizeof *h);
    if (!h)
        crash_promised("an answer to the outside");
    inbox->refs++;
    *h = (struct held){
        .seq = core->seq, .inbox = inbox, .outcome = a->outcome, .data = json_incref(a->data), .content = a->content};
    a->content = NULL;
    held_add(core, h);
}

/* Its recipient has taken it in this turn; a request is lent to it, unless the turn has ended that as well. */
static void commit_led(struct core *core, struct record *rec, struct message *m)
{
    m->sent_by = rec->seq;
    rec->outs[rec->n_outs++] = m; /* with its reference */
    rec->led = rec->n_outs;
    if (!m->request || m->request->ended) {
        m->to->counts.settled += !m->request;
    } else if (core->replay) {
        m->to->counts.lent--;
        m->to->counts.delivered--;
    } else {
        request_resume(core, m->request);
        item_insert(core, &m->request->item);
        record_open(core, rec, &m->request->item);
    }
}

static void commit_answer(struct core *core, struct record *rec, struct answer *a)
{
    struct request *r = a->request;
    if (rec && !r->ended) {
        if (!r->message)
            record_close(rec, &r->item);
        else if (r->message != core->turn.message)
            record_close(rec, &r->message->item);
    }
    if (!r->ended) /* a request refused for a full mailbox never began */
        request_end(core, r);
    if (a->reply && a->reply == core->turn.led) {
        commit_led(core, rec, a->reply);
    } else if (a->reply) {
        if (rec && a->reply->conversation) {
            a->reply->sent_by = rec->seq;
            a->reply->item.refs++;
            rec->outs[rec->n_outs++] = a->reply;
            record_open(core, rec, &a->reply->item);
        }
        post(core, a->reply);
    }
    if (a->outcome != ANSWER_FORWARDED) {
        if (r->effect)
            effect_verified(core, r->effect, a->outcome, a->data, a->content);
        if (r->inbox && rec) {
            r->inbox->refs++;
            rec->inboxes[rec->n_inboxes++] =
                (struct inbox_change){.inbox = r->inbox, .outcome = a->outcome, .result = json_incref(a->data)};
        }
        if (r->inbox)
            answer_edge(core, r->inbox, a);
    }
    json_decref(a->data);
    if (a->content)
        free(a->content);
    item_release(core, &r->item);
}

/* How sure the component said it was of its first decision. */
static void count_confidence(struct component *c, const json_t *notes)
{
    const json_t *confidence = json_object_get(json_array_get(json_array_get(notes, 0), 1), "confidence");
    if (!json_is_number(confidence))
        return;
    c->counts.decisions++;
    c->counts.confidence += json_number_value(confidence);
}

/* Context, state and rows into the record, and into what the next turn will see. */
static void commit_changes(struct core *core, struct record *rec)
{
    struct turn *t = &core->turn;
    struct conversation *c = t->conversation;
    rec->context_before = c->version;
    if (t->context && t->changes.n) { /* else a change was tried and refused */
        json_decref(c->context);
        c->context = t->context;
        c->context_bytes = t->context_bytes;
        t->context = NULL;
        rec->context = json_incref(c->context);
        rec->context_version = ++c->version;
        rec->contexts_row = true;
        context_keep(t, rec);
    }
    context_restore(t);
    if (t->ended && !c->ended_ms) {
        c->ended_ms = core->now_ms;
        c->dirty = true;
    }
    rec->ended = t->ended;
    if (c->dirty) {
        c->dirty = false;
        rec->contexts_row = true;
    }
    rec->ended_ms = c->ended_ms;
    rec->parent = c->parent;
    if (rec->contexts_row && !rec->context) {
        rec->context = json_incref(c->context);
        rec->context_version = c->version;
    }
    for (uint32_t i = 0; i < t->states.n; i++) {
        rec->states[rec->n_states++] = t->states.at[i]; /* the value moves into the record */
        state_apply(core, &t->states.at[i], rec->seq);
    }
    for (uint32_t i = 0; i < t->rows.n; i++)
        rec->rows[rec->n_rows++] = t->rows.at[i];
    for (uint32_t i = 0; i < t->changes.n; i++)
        rec->changes[rec->n_changes++] = t->changes.at[i];
    t->changes.n = 0;
    rec->notes = json_incref(t->notes);
    if (t->notes)
        count_confidence(rec->component, t->notes);
    if (t->metrics)
        metric_apply(t);
    add_extra(rec, "error", t->error);
    add_extra(rec, "denied", t->denied);
    add_extra(rec, "ids", t->ids);
    add_extra(rec, "met", t->met);
    if (t->unhandled)
        json_object_set_new(rec->extra, "unhandled", json_string(t->unhandled)); /* there is one: with its error */
}

static void commit_open(struct core *core, struct record *rec, struct item *item)
{
    if (rec)
        record_open(core, rec, item);
    if (core->replay) {
        ; /* it was recorded what became of it */
    } else if (item->kind == ITEM_TIMER) {
        timer_arm(core, (struct timer *)item);
    } else if (rec && !effect_is_look((struct effect *)item) && !BROKEN(early_effect)) {
        struct held *h = calloc(1, sizeof *h);
        if (!h)
            crash_promised("a call");
        *h = (struct held){.seq = rec->seq, .effect = (struct effect *)item};
        item->refs++;
        item_insert(core, item);
        held_add(core, h);
    } else {
        item->refs++;
        item_insert(core, item);
        effect_begin(core, (struct effect *)item);
    }
    item_release(core, item);
}

/* What the writer is to keep of the turn. */
static struct record *commit_record(struct core *core, struct component *c, const char *outcome, int64_t us)
{
    struct turn *t = &core->turn;
    struct message *m = t->message;
    struct record *rec = record_new(t);
    rec->seq = ++core->seq;
    rec->at_ms = core->now_ms;
    rec->conversation = t->conversation;
    conversation_hold(t->conversation);
    rec->component = c;
    rec->outcome = outcome;
    rec->us = us;
    rec->build = c->now->generation ? c->now->generation->short_build->text : "";
    rec->state_version = c->now->decl->state_version;
    rec->configuration = configuration_now(core);
    if (m) {
        rec->message = m;
        m->item.refs++;
        record_close(rec, &m->item);
        if (m->origin)
            record_close(rec, m->origin);
        if (m->input && m->request && m->request->inbox) {
            m->request->inbox->refs++;
            rec->inboxes[rec->n_inboxes++] = (struct inbox_change){.inbox = m->request->inbox, .outcome = -1};
        }
    }
    commit_changes(core, rec);
    return rec;
}

static void commit_out(struct core *core, struct record *rec, struct message *out)
{
    if (out == core->turn.led) {
        commit_led(core, rec, out);
        return;
    }
    if (rec && out->conversation) {
        out->sent_by = rec->seq;
        out->item.refs++;
        rec->outs[rec->n_outs++] = out;
        record_open(core, rec, &out->item);
    } else if (out->conversation) {
        out->input = true;
    }
    if (out->request && !core->replay)
        request_resume(core, out->request);
    if (!out->conversation && core->taps)
        tap_message(core, out);
    post(core, out);
}

/* What else it puts out than messages and answers. */
static void commit_others(struct core *core, struct record *rec)
{
    struct turn *t = &core->turn;
    for (uint32_t i = 0; i < t->closes.n; i++) {
        if (rec)
            record_close(rec, t->closes.at[i]);
        timer_cancel(core, (struct timer *)t->closes.at[i]);
        item_release(core, t->closes.at[i]);
    }
    for (uint32_t i = 0; i < t->opens.n; i++)
        commit_open(core, rec, t->opens.at[i]);
    for (uint32_t i = 0; i < t->dead.n; i++) {
        core->total.dead_letters++;
        if (rec)
            rec->dead[rec->n_dead++] = t->dead.at[i]; /* with its reference */
        else
            item_release(core, &t->dead.at[i].message->item);
    }
    if (BROKEN(early_event) && rec && core->published && t->told_out.n)
        core->published(core->published_arg, rec->seq, t->told_out.at, t->told_out.n);
    for (uint32_t i = 0; i < t->told_out.n; i++) {
        if (rec)
            rec->told_out[rec->n_told_out++] = t->told_out.at[i]; /* with its reference */
        else
            json_decref((json_t *)(uintptr_t)t->told_out.at[i].data);
    }
    clear_others(t);
    json_decref(t->denied);
    t->denied = NULL;
}

void turn_commit(struct core *core, const char *outcome, int64_t us)
{
    struct turn *t = &core->turn;
    struct message *m = t->message;
    bool plain = is_plain(t);
    struct record *rec = t->conversation ? commit_record(core, m ? m->to : t->component, outcome, us) : NULL;
    if (t->lend && !m->request->ended) {
        request_lend(core, m->request);
        if (rec)
            record_open(core, rec, &m->request->item);
    }
    for (uint32_t i = 0; i < t->answers.n; i++)
        commit_answer(core, rec, &t->answers.at[i]);
    for (uint32_t i = 0; i < t->outs.n; i++)
        commit_out(core, rec, t->outs.at[i]);
    if (!plain)
        commit_others(core, rec);
    t->outs.n = t->answers.n = 0;
    t->message = NULL;
    if (t->reads.len || t->ids || t->met)
        drop_inputs(t);
    if (rec)
        journal_add(core, rec);
    core->total.turns++;
}

/* The message has left its queue for good. */
static void finish(struct core *core, struct message *m, bool dead)
{
    struct component *c = m->to;
    struct conversation *lane = m->conversation;
    if (__builtin_expect(core->starting && m->type == core->name_start && !m->outside, 0))
        core->starting--;
    assert(c->counts.queued > 0);
    c->counts.queued--;
    core->bytes_queued -= m->weight;
    if (dead)
        c->counts.dead++;
    else if (!m->request || m->request->message == m || m->request->ended)
        c->counts.settled++; /* else it is lent, and counted so */
    component_assert(c);
    if (lane && lane->head == m)
        lane_resume(core, lane);
    if (m->request && m->request->message == m)
        m->request->message = NULL;
    item_release(core, &m->item);
    if (c->waiting.head)
        schedule_place_freed(core, c);
}

static void fail(struct core *core, struct message *m, int outcome, const char *code, const char *text,
                 const char *dead, bool handled)
{
    static const char *const outcomes[] = {"OK", "REFUSED", "ERROR", "TIMEOUT", "BUSY", "UNKNOWN"};
    struct turn *t = &core->turn;
    json_t *body = t->refusal;
    json_t *ids = json_incref(t->ids), *met = json_incref(t->met);
    struct text reads = t->reads;
    text_init(&t->reads, reads.limit);
    t->refusal = NULL;
    turn_begin(core, m->to, m->conversation, m);
    t->reads = reads;
    t->ids = ids;
    t->met = met;
    if (!handled)
        drop_inputs(t);
    t->unhandled = handled ? NULL : dead ? dead : "";
    if (!body)
        body = json_pack("{s:s, s:s}", "code", code, "message", text);
    if ((outcome != CVM_REPLIED && outcome != CVM_REFUSED) || t->unhandled)
        t->error = json_incref(body);
    if (outcome == CVM_REFUSED) {
        t->notes = json_array();
        json_array_append_new(t->notes, json_pack("[s, O]", "refused", body));
    }
    if (m->request && !m->request->ended)
        request_answer(core, t, m->request, outcome, json_incref(body), NULL);
    if (dead) {
        struct dead_letter letter = {.message = m, .reason = dead};
        if (VECTOR_PUSH(t->dead, letter))
            m->item.refs++;
        dead_letter_publish(t, m, dead);
    }
    json_decref(body);
    turn_commit(core, dead ? "DEAD" : outcomes[outcome], 0);
    finish(core, m, dead != NULL);
}

void turn_fail(struct core *core, struct message *m, int outcome, const char *code, const char *text, const char *dead)
{
    fail(core, m, outcome, code, text, dead, false);
}

/* What the handler was refused goes with a turn that leaves no record. */
static void forget_refused(struct core *core)
{
    json_decref(core->turn.refusal);
    json_decref(core->turn.denied);
    core->turn.refusal = core->turn.denied = NULL;
}

static void end_badly(struct core *core, struct message *m, int result)
{
    struct component *c = m->to;
    turn_undo(core);
    if (result == CVM_EREFUSED) {
        c->counts.refusals++;
        fail(core, m, core->turn.refusal ? core->turn.refusal_outcome : CVM_REFUSED, "REFUSED", "refused by a rule",
             NULL, true);
        return;
    }
    json_decref(core->turn.refusal);
    core->turn.refusal = NULL;
    if (result != CVM_EFAULT) {
        c->counts.errors++;
        if (m->type == core->name_start)
            log_error(c->id->text, "start failed: %s", cvm_strerror(result));
        log_debug(c->id->text, "%s: %s", m->pub.type, cvm_strerror(result)); /* each one, where that is asked for */
        complain_of_handler(core, c, m->pub.type, result);
        fail(core, m, CVM_ERROR, result == CVM_EACCES ? "NOT_ALLOWED" : "FAILED", cvm_strerror(result),
             m->request || m->reply ? NULL : "the handler failed", true);
        return;
    }
    c->counts.faults++;
    log_warning(c->id->text, "fault in %s", m->pub.type);
    fault_strike(core, c);
    const struct route_slot *slot = component_route(c, m->type);
    int retries = slot && slot->operation && !m->reply ? slot->operation->retry : 0;
    if (m->attempts < retries && !c->down) {
        m->attempts++;
        forget_refused(core);
        if (m->conversation && m->conversation->head == m)
            lane_put_back(core, m);
        else
            schedule(core, m);
        return;
    }
    fail(core, m, CVM_ERROR, "FAULT", "the component failed; it has been reported",
         m->request ? NULL : "the handler faulted", true);
}

/* A turn that went well may have answered that something did not. */
static void count_answers(const struct core *core, struct component *c)
{
    for (uint32_t i = 0; i < core->turn.answers.n; i++) {
        c->counts.refusals += core->turn.answers.at[i].outcome == CVM_REFUSED;
        c->counts.errors += core->turn.answers.at[i].outcome == CVM_ERROR;
    }
}

/* What this thread used since the tick began: hardly more than the turn itself, where that was long. A turn that only
 * waited for the processor is not over its budget. */
static int64_t used_cpu_us(const struct core *core)
{
    return core->options.loop ? clock_thread_cpu_us() - core->tick_cpu_us : 0;
}

/* The route is that of the code in service now, which may be another than when the message was sent. */
static int handle(struct core *core, const struct component *c, const struct message *m)
{
    const struct binding *b = c->now;
    uint32_t route = m->route;
    if (__builtin_expect(m->epoch != b->epoch, 0)) {
        const struct route_slot *slot = binding_route(b, message_entry(m));
        if (!slot)
            return CVM_ENOENT;
        route = slot->route;
    }
    const struct core_handler handler = {.turn = b->turn,
                                         .instance = b->instance,
                                         .t = &core->turn.pub,
                                         .m = &m->pub,
                                         .route = route,
                                         .plugin = c->plugin != NULL};
    if (__builtin_expect(core->options.around != NULL, 0))
        return core->options.around(core->options.around_arg, &handler);
    return core_handler_run(&handler);
}

static int run(struct core *core, struct message *m, bool edit)
{
    turn_begin(core, m->to, m->conversation, m);
    page_enter(core, m->to, m->pub.id);
    int result = edit ? state_edit_turn(&core->turn.pub, &m->pub) : handle(core, m->to, m);
    page_leave(core);
    /* whatever a build on probation makes of state that its own upgrade cannot read is that build's fault */
    return core->turn.unreadable && m->to->before && !edit ? CVM_EFAULT : result;
}

/* The new generation is on probation and faulted: nothing of that is kept, and the one before handles the message, as
 * if there had been no change. The two change places until the turn is over (probation_turn). */
static int run_by_the_one_before(struct core *core, struct message *m)
{
    struct component *c = m->to;
    turn_undo(core);
    forget_refused(core);
    binding_swap(c);
    return run(core, m, false); /* where it knows no such message: an error, no fault of its own */
}

static void end_well(struct core *core, struct message *m, int result, int64_t us, bool edit)
{
    struct component *c = m->to;
    json_decref(core->turn.refusal); /* said no, and went on */
    core->turn.refusal = NULL;
    if (m->request && !m->request->ended && !m->request->settling) {
        if (result == CVM_PENDING)
            core->turn.lend = true;
        else
            request_answer(core, &core->turn, m->request, CVM_ERROR,
                           json_pack("{s:s, s:s}", "code", "NO_REPLY", "message", "the component gave no reply"), NULL);
    }
    if (c->down && !edit && m->type != core->name_start) /* its next process begins: that proves nothing */
        fault_succeeded(core, c);
    count_answers(core, c);
    turn_lead(core);
    turn_commit(core, result == CVM_PENDING ? "PENDING" : "OK", us);
    finish(core, m, false);
}

static void conclude(struct core *core, struct message *m, int result, bool edit, int64_t begun_ns,
                     int64_t elsewhere_us);

static bool is_late(const struct core *core, const struct message *m)
{
    return m->request && m->request->deadline_ms && core->now_ms >= m->request->deadline_ms;
}

static void run_late(struct core *core, struct message *m)
{
    core->total.timeouts += m->request->alarm.index || m->request->young; /* else its alarm has counted it */
    turn_fail(core, m, CVM_TIMEOUT, "TIMEOUT", "no answer came before the deadline", NULL);
}

/* By the build before, though a new one is on probation: the conversation is not among those that it gets. */
static void run_elsewhere(struct core *core, struct message *m)
{
    struct component *c = m->to;
    int64_t begun = m->conversation && core->options.loop ? clock_ns() : 0;
    binding_swap(c);
    const struct binding *fresh = c->before;
    int result = run(core, m, false); /* what the fresh one wrote is read through its downgrade */
    if (result == CVM_EFAULT && core->turn.unreadable)
        result = CVM_EDATA;
    c->before = NULL; /* its faults are its own */
    conclude(core, m, result, false, begun, 0);
    c->before = fresh;
    binding_swap(c);
}

/* What stands in the way of an ordinary turn, or might. */
static bool is_special(const struct core *core, const struct message *m, const struct component *c)
{
    return m->expired || c->absent || c->down || c->before || c->now->remote || core->page->next_suspect;
}

/* Whether it has ended the message, or another will: it is not to be handled as usual. */
static bool run_specially(struct core *core, struct message *m, bool edit)
{
    struct component *c = m->to;
    if (m->expired) {
        finish(core, m, false);
    } else if (core->page->next_suspect && page_crashes(core->page, m->pub.id) >= PAGE_CRASHES_TO_DEAD) {
        log_error(c->id->text, "a %s message was being handled in %d crashes; it is now a dead letter", m->pub.type,
                  PAGE_CRASHES_TO_DEAD);
        turn_fail(core, m, CVM_ERROR, "DEAD_LETTER", "handling this message crashed the host",
                  "crashed the host twice");
    } else if (is_late(core, m)) {
        run_late(core, m);
    } else if (c->absent && !edit) {
        turn_fail(core, m, CVM_BUSY, "NOT_AVAILABLE", "the component is not in service any more",
                  m->request || m->reply ? NULL : "not available");
    } else if (c->down && !edit && fault_down(core, c)) {
        turn_fail(core, m, CVM_BUSY, "DOWN", "the component is out of service", m->request || m->reply ? NULL : "down");
    } else if (c->now->remote && !edit && core->options.loop) {
        remote_run(core, m);
    } else if (c->before && !edit && !core->replay && m->type != core->name_start &&
               canary_elsewhere(c, m->conversation)) {
        run_elsewhere(core, m);
    } else {
        return false;
    }
    return true;
}

void turn_run(struct core *core, struct message *m)
{
    bool edit = m->route == ROUTE_STATE_EDIT;
    if (__builtin_expect(is_special(core, m, m->to), 0) && run_specially(core, m, edit))
        return;
    if (__builtin_expect(is_late(core, m), 0)) {
        run_late(core, m);
        return;
    }
    int64_t begun = m->conversation && core->options.loop ? clock_ns() : 0; /* a virtual turn takes no time */
    int result = run(core, m, edit);
    conclude(core, m, result, edit, begun, 0);
}

/* A turn that has run, here or elsewhere, ends. `begun_ns`: 0, it took `elsewhere_us` in another process. */
static void conclude(struct core *core, struct message *m, int result, bool edit, int64_t begun_ns,
                     int64_t elsewhere_us)
{
    struct component *c = m->to;
    bool struck = result == CVM_EFAULT && c->before && !core->replay; /* the record is of the one that was kept */
    if (struck)
        result = run_by_the_one_before(core, m);
    int64_t us = begun_ns ? (clock_ns() - begun_ns) / 1000 : elsewhere_us;
    c->counts.turns++;
    if (m->conversation)
        crash_here(CRASH_TURN_RUN);
    if (us) {
        c->counts.us_total += (uint64_t)us;
        if (us > c->now->budget_us && (!begun_ns || used_cpu_us(core) > c->now->budget_us))
            c->counts.over_budget++;
    }
    if (result < 0)
        end_badly(core, m, result);
    else
        end_well(core, m, result, us, edit);
    if (c->before && !core->replay)
        probation_turn(core, c, struck);
}

void turn_conclude(struct core *core, struct message *m, int result, int64_t us)
{
    if (core->turn.unreadable && m->to->before)
        result = CVM_EFAULT;
    conclude(core, m, result, false, 0, us);
}

void turn_drop(struct core *core, struct message *m)
{
    finish(core, m, false);
}

#define CRASHES_BY_OTHERS_MAX 8 /* of a message's process, that somebody else ended */

void turn_crashed(struct core *core, struct message *m, bool by_others)
{
    struct component *c = m->to;
    m->crashes += by_others ? 1 : CRASHES_BY_OTHERS_MAX / PAGE_CRASHES_TO_DEAD;
    if (m->expired) {
        finish(core, m, false);
        return;
    }
    if (m->outside && m->type == core->name_start) {
        if (!by_others)
            fault_strike(core, c);
        finish(core, m, false);
        return;
    }
    turn_begin(core, c, m->conversation, m);
    if (c->before && !by_others) {
        conclude(core, m, CVM_EFAULT, false, 0, 0);
        return;
    }
    if (!by_others) {
        c->counts.faults++;
        fault_strike(core, c);
    }
    if (m->crashes >= CRASHES_BY_OTHERS_MAX) {
        log_error(c->id->text,
                  "a %s message was being handled when its process ended, for the last time: it is now "
                  "a dead letter",
                  m->pub.type);
        turn_fail(core, m, CVM_ERROR, "DEAD_LETTER", "handling this message ended the component's process",
                  "ended its process twice");
        return;
    }
    remote_put_back(core, m);
}

void turn_reset(struct core *core)
{
    core->turn = (struct turn){.core = core, .pub.host = &turn_api};
    text_init(&core->turn.reads, CORE_READS_MAX_BYTES);
}

static void free_vectors(struct turn *t)
{
    drop_inputs(t);
    free(t->before.at);
    free(t->outs.at);
    free(t->changes.at);
    text_free(&t->reads);
    free(t->told_out.at);
    free(t->answers.at);
    free(t->opens.at);
    free(t->closes.at);
    free(t->states.at);
    free(t->rows.at);
    free(t->dead.at);
}

void turn_free(struct core *core)
{
    free_vectors(&core->turn);
}

int turn_try(struct core *core, struct message *m, struct turn *ret_turn)
{
    int result = run(core, m, false);
    if (result >= 0 && context_detach(&core->turn) < 0)
        result = CVM_ENOMEM;
    if (result < 0) {
        turn_undo(core);
        json_decref(core->turn.refusal);
        json_decref(core->turn.denied);
        core->turn.refusal = core->turn.denied = NULL;
        return result;
    }
    *ret_turn = core->turn;
    turn_reset(core);
    return 0;
}

void turn_settle_tried(struct core *core, struct turn *tried, bool keep)
{
    struct turn own = core->turn;
    struct message *m = tried->message;
    core->turn = *tried;
    if (keep) {
        m->to->counts.turns++;
        turn_commit(core, "OK", 0);
    } else {
        turn_undo(core);
        json_decref(core->turn.denied);
        drop_inputs(&core->turn);
    }
    json_decref(core->turn.refusal);
    free_vectors(&core->turn);
    core->turn = own;
}
