/* Many customers: each processed in a conversation of its own, so that none waits for another, a few at a time, those
 * of high value first; results keep the order of the request, and a failure is one result among them.
 *
 * Owns the state keys b/<id> (figures, and which requests are open), b/<id>/i/<page> (customers), b/<id>/o/<page> (the
 * order of work) and b/<id>/r/<index> (results). A batch that was answered is forgotten; one that is looked at by its
 * id after a day. Loop thread, but for the job. */
#include "batch.h"
#include "moment.h"
#include "process.h"
#include "words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 500
#define CUSTOMER_ID_MAX_BYTES 256 /* 64 letters */
#define KEY_SIZE 96
#define ID_SIZE 40
#define RESULTS_MAX_BYTES 900000 /* of an answer */
#define RESULT_USUAL_BYTES 900
#define RESULT_LEAST_BYTES 260
#define ONE_TIMEOUT_MS 600000
#define COLLECT_TIMEOUT_MS 120000

static void id_of(cvm_id id, char text[ID_SIZE])
{
    snprintf(text, ID_SIZE, "BAT-%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
}

static const char *head_key(const char *batch, char key[KEY_SIZE])
{
    snprintf(key, KEY_SIZE, "b/%.40s", batch);
    return key;
}

static const char *part_key(const char *batch, char kind, size_t n, char key[KEY_SIZE])
{
    snprintf(key, KEY_SIZE, "b/%.40s/%c/%05zu", batch, kind, n);
    return key;
}

static int head_get(cvm_turn *t, const char *batch, json_t **ret_head)
{
    char key[KEY_SIZE];
    const json_t *kept = NULL;
    if (strlen(batch) >= ID_SIZE) /* no id of ours; cut, it might end in half a character */
        return CVM_ENOENT;
    CVM_TRY(cvm_state_get(t, head_key(batch, key), &kept));
    *ret_head = json_deep_copy(kept);
    return *ret_head ? CVM_OK : CVM_ENOMEM;
}

static int head_put(cvm_turn *t, const char *batch, json_t *head)
{
    char key[KEY_SIZE];
    return cvm_state_put(t, head_key(batch, key), head);
}

/* Item `i` of a paged list. */
static int item_get(cvm_turn *t, const char *batch, char kind, size_t i, const json_t **ret_item)
{
    char key[KEY_SIZE];
    const json_t *page = NULL;
    CVM_TRY(cvm_state_get(t, part_key(batch, kind, i / PAGE, key), &page));
    *ret_item = json_array_get(page, i % PAGE);
    return *ret_item ? CVM_OK : CVM_EDATA;
}

static int pages_put(cvm_turn *t, const char *batch, char kind, const json_t *list)
{
    char key[KEY_SIZE];
    size_t n = json_array_size(list);
    for (size_t at = 0; at < n; at += PAGE) {
        json_t *page = json_array();
        for (size_t i = at; i < n && i < at + PAGE; i++)
            json_array_append(page, json_array_get(list, i));
        CVM_TRY(cvm_state_put(t, part_key(batch, kind, at / PAGE, key), page));
    }
    return CVM_OK;
}

/* ---- the end ---- */

static int forget(cvm_turn *t, const char *batch, size_t total)
{
    char key[KEY_SIZE];
    static const char kinds[] = "io";
    for (size_t k = 0; k < 2; k++)
        for (size_t page = 0; page * PAGE < total; page++)
            CVM_TRY(cvm_state_del(t, part_key(batch, kinds[k], page, key)));
    for (size_t i = 0; i < total; i++)
        CVM_TRY(cvm_state_del(t, part_key(batch, 'r', i, key)));
    CVM_TRY(gate_forget(t, batch));
    return cvm_state_del(t, head_key(batch, key));
}

/* A result cut to `room` bytes where many go into one answer. Gives. */
static json_t *shortened(const json_t *result, size_t room)
{
    static const char *const kept[] = {"customer_id", "selected_treatment", "status", "allocated", "code"};
    char text[EXPLANATION_SIZE] = "";
    json_t *small = json_object();
    size_t size = room > RESULT_LEAST_BYTES + 20 ? room - RESULT_LEAST_BYTES : 0;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (json_object_get(result, kept[i]))
            json_object_set(small, kept[i], json_object_get(result, kept[i]));
    if (size)
        words_cut(cvm_json_str(result, "explanation", ""), text, size < sizeof text ? size : sizeof text);
    json_object_set_new(small, "explanation", json_string(text));
    return small;
}

static int results_get(cvm_turn *t, const char *batch, size_t total, json_t **ret_results)
{
    char key[KEY_SIZE];
    json_t *list = json_array();
    bool cut = total * RESULT_USUAL_BYTES > RESULTS_MAX_BYTES;
    for (size_t i = 0; i < total; i++) {
        const json_t *one = NULL;
        int e = cvm_state_get(t, part_key(batch, 'r', i, key), &one);
        if (e == CVM_ENOENT)
            continue; /* it is not done yet */
        if (e < 0) {
            json_decref(list);
            return e;
        }
        json_array_append_new(list, cut ? shortened(one, RESULTS_MAX_BYTES / total) : cvm_json_share(one));
    }
    *ret_results = list;
    return CVM_OK;
}

/* What was asked for is answered; a later turn forgets it. Borrows `head`. */
static int finish(cvm_turn *t, cvm_id id, const char *batch, json_t *head)
{
    enum batch_as as = (enum batch_as)cvm_json_int(head, "as", 0);
    size_t total = (size_t)cvm_json_int(head, "total", 0);
    int64_t failed = cvm_json_int(head, "failed", 0);
    json_t *results = NULL, *body;
    int e;
    CVM_TRY(cvm_note(
        t, "batch",
        json_pack("{s:s, s:I, s:I}", "batch_id", batch, "total", (json_int_t)total, "failed", (json_int_t)failed)));
    if (as == BATCH_KEPT) {
        json_object_set_new(head, "state", json_string("done"));
        json_object_set_new(head, "ended_ms", json_integer((json_int_t)cvm_now_ms(t)));
        return cvm_timer(t, "forget_batch", DAY_MS, json_pack("{s:s}", "batch_id", batch), id, NULL);
    }
    CVM_TRY(results_get(t, batch, total, &results));
    json_t *first = json_array_get(results, 0);
    if (as == BATCH_COMMAND && total == 1 && failed) {
        body = json_incref(first);
        json_decref(results);
        e = cvm_settle(t, id, CVM_REFUSED, body, NULL);
    } else {
        body = as == BATCH_TRIGGERED
                   ? json_pack("{s:s, s:I, s:I, s:I, s:o}", "status", "success", "matches", (json_int_t)total,
                               "processed", (json_int_t)((int64_t)total - failed), "control",
                               (json_int_t)cvm_json_int(head, "control", 0), "results", results)
                   : json_pack("{s:s, s:o, s:I, s:I, s:I}", "status", "success", "results", results, "total",
                               (json_int_t)total, "succeeded", (json_int_t)((int64_t)total - failed), "failed",
                               (json_int_t)failed);
        e = body ? cvm_settle(t, id, CVM_REPLIED, body, NULL) : CVM_ENOMEM;
    }
    if (e < 0 && e != CVM_ENOENT) /* ENOENT: who asked has gone */
        return e;
    return cvm_timer(t, "forget_batch", 0, json_pack("{s:s}", "batch_id", batch), id, NULL);
}

/* ---- the middle ---- */

static void open_key(cvm_id id, char text[ID_SIZE])
{
    snprintf(text, ID_SIZE, "%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
}

/* Who is the n-th to be worked on. */
static int index_of(cvm_turn *t, const char *batch, const json_t *head, size_t n, size_t *ret_index)
{
    const json_t *place = NULL;
    *ret_index = n;
    if (!cvm_json_bool(head, "ordered", false))
        return CVM_OK;
    CVM_TRY(item_get(t, batch, 'o', n, &place));
    *ret_index = (size_t)json_integer_value(place);
    return CVM_OK;
}

/* Begins the next one. */
static int start_one(cvm_turn *t, cvm_id id, const char *batch, json_t *head, size_t n)
{
    char conversation[80], key[ID_SIZE];
    const json_t *customer = NULL;
    const char *treatment = cvm_json_str(head, "treatment", NULL);
    /* One control group for a treatment, whatever trigger finds a customer. */
    bool triggered = cvm_json_int(head, "as", 0) == BATCH_TRIGGERED;
    size_t index = 0;
    cvm_id sent = {0, 0};
    CVM_TRY(index_of(t, batch, head, n, &index));
    CVM_TRY(item_get(t, batch, 'i', index, &customer));
    snprintf(conversation, sizeof conversation, "%.40s/%zu", batch, index);
    CVM_TRY(
        cvm_request(t, ORCHESTRATOR, treatment ? "process_customer_with_treatment" : "process_customer",
                    json_pack("{s:O, s:s*, s:{s:s, s:I, s:s*}}", "customer_id", customer, "treatment_id", treatment,
                              "batch", "id", batch, "rank", (json_int_t)n, "campaign", triggered ? treatment : NULL),
                    &(cvm_request_opts){.on_behalf = id,
                                        .conversation = conversation,
                                        .fresh = true,
                                        .customer_id = json_string_value(customer),
                                        .timeout_ms = ONE_TIMEOUT_MS,
                                        .ret_id = &sent}));
    open_key(sent, key);
    json_object_set_new(json_object_get(head, "open"), key, json_integer((json_int_t)n));
    return CVM_OK;
}

/* Takes `head`. */
static int go_on(cvm_turn *t, cvm_id id, const char *batch, json_t *head)
{
    int64_t most = cvm_json_int(cvm_settings(t), "batch_concurrency", 4), total = cvm_json_int(head, "total", 0);
    int64_t next = cvm_json_int(head, "next", 0);
    json_t *open = json_object_get(head, "open");
    int e = CVM_OK;
    most = most < 1 ? 1 : most > 100 ? 100 : most;
    if (cvm_json_int(head, "done", 0) == total) {
        e = finish(t, id, batch, head);
    } else {
        for (; e >= 0 && next < total && (int64_t)json_object_size(open) < most; next++)
            e = start_one(t, id, batch, head, (size_t)next);
        json_object_set_new(head, "next", json_integer((json_int_t)next));
        json_object_set_new(head, "state", json_string("running"));
    }
    if (e < 0) {
        json_decref(head);
        return e;
    }
    return head_put(t, batch, head);
}

static json_t *result_of(const cvm_msg *m, const char *customer)
{
    if ((m->outcome == CVM_REPLIED || m->outcome == CVM_REFUSED) && json_object_get(m->data, "customer_id"))
        return cvm_json_share(m->data);
    return failure_body(customer, cvm_json_str(m->data, "code", "FAILED"),
                        cvm_json_str(m->data, "message",
                                     m->outcome == CVM_TIMEOUT ? "There was no answer in time."
                                                               : "The customer could not be processed."));
}

int batch_one_done(cvm_turn *t, const cvm_msg *m)
{
    char batch[ID_SIZE], key[KEY_SIZE], open[ID_SIZE];
    json_t *head = NULL;
    const json_t *customer = NULL;
    id_of(m->on_behalf, batch);
    int e = head_get(t, batch, &head);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    open_key(m->in_reply_to, open);
    int64_t rank = cvm_json_int(json_object_get(head, "open"), open, -1);
    size_t index = 0;
    json_object_del(json_object_get(head, "open"), open);
    if (rank < 0 || (e = index_of(t, batch, head, (size_t)rank, &index)) < 0 || (e = gate_pass(t, batch, rank)) < 0)
        goto out;
    if ((e = item_get(t, batch, 'i', index, &customer)) < 0)
        goto out;
    json_t *result = result_of(m, json_string_value(customer));
    bool failed = strcmp(cvm_json_str(result, "status", ""), "success") != 0,
         control = strcmp(cvm_json_str(result, "application", ""), "control") == 0;
    if ((e = cvm_state_put(t, part_key(batch, 'r', index, key), result)) < 0)
        goto out;
    json_object_set_new(head, "done", json_integer((json_int_t)(cvm_json_int(head, "done", 0) + 1)));
    json_object_set_new(head, "failed", json_integer((json_int_t)(cvm_json_int(head, "failed", 0) + failed)));
    json_object_set_new(head, "control", json_integer((json_int_t)(cvm_json_int(head, "control", 0) + control)));
    return go_on(t, m->on_behalf, batch, head);
out:
    json_decref(head);
    return e;
}

/* ---- the beginning ---- */

int batch_begin(cvm_turn *t, cvm_id id, enum batch_as as, json_t *customers, const char *treatment)
{
    char batch[ID_SIZE], text[160];
    size_t n = json_array_size(customers);
    id_of(id, batch);
    json_t *head = json_pack("{s:i, s:I, s:i, s:i, s:i, s:{}, s:s*, s:s, s:I}", "as", (int)as, "total", (json_int_t)n,
                             "done", 0, "failed", 0, "next", 0, "open", "treatment", treatment, "state", "ordering",
                             "started_ms", (json_int_t)cvm_now_ms(t));
    int e = head ? CVM_OK : CVM_ENOMEM;
    if (n > BATCH_MAX) {
        snprintf(text, sizeof text, "These are %zu customers; a batch has at most %d: a whole base is a campaign.", n,
                 BATCH_MAX);
        e = cvm_settle(t, id, CVM_REFUSED,
                       json_pack("{s:s, s:s, s:s, s:s}", "status", "error", "code", "LIMIT", "field", "customer_ids",
                                 "message", text),
                       NULL);
        goto out;
    }
    if (e >= 0)
        e = pages_put(t, batch, 'i', customers);
    if (e >= 0 && n > 1)
        e = cvm_job_start(t, "worth", json_pack("{s:O}", "customer_ids", customers), id, COLLECT_TIMEOUT_MS);
    if (e >= 0) {
        e = n > 1 ? head_put(t, batch, head) : go_on(t, id, batch, head);
        head = NULL;
    }
out:
    json_decref(head);
    json_decref(customers);
    return e < 0 ? e : CVM_PENDING;
}

/* Those of high value first; without the figures as they were named. */
int batch_ordered(cvm_turn *t, const cvm_msg *m)
{
    char batch[ID_SIZE];
    json_t *head = NULL;
    id_of(m->on_behalf, batch);
    int e = head_get(t, batch, &head);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const json_t *order = m->outcome == CVM_REPLIED ? json_object_get(m->data, "order") : NULL;
    if ((int64_t)json_array_size(order) == cvm_json_int(head, "total", -1)) {
        json_object_set_new(head, "ordered", json_true());
        e = pages_put(t, batch, 'o', order);
    }
    if (e >= 0)
        return go_on(t, m->on_behalf, batch, head);
    json_decref(head);
    return e;
}

/* ---- who asks ---- */

static bool wants_all(const json_t *data)
{
    const json_t *ids = json_object_get(data, "customer_ids");
    return cvm_json_bool(data, "all_customers", false) ||
           (json_is_string(ids) && strcmp(json_string_value(ids), "*") == 0) ||
           (json_array_size(ids) == 1 && json_is_string(json_array_get(ids, 0)) &&
            strcmp(json_string_value(json_array_get(ids, 0)), "*") == 0);
}

/* Ids alone: what is none could be neither worked on nor reported by. */
static bool names_customers(const json_t *ids)
{
    const json_t *id;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)ids, i,
                       id) if (!json_string_length(id) || json_string_length(id) > CUSTOMER_ID_MAX_BYTES) return false;
    return json_is_array(ids);
}

/* The customers, or first the question who they are. */
static int begin_with(cvm_turn *t, const cvm_msg *m, enum batch_as as)
{
    const char *treatment = cvm_json_str(m->data, "treatment_id", NULL);
    const json_t *ids = json_object_get(m->data, "customer_ids");
    if (!wants_all(m->data) && json_array_size(ids) == 0)
        return cvm_refuse(t, "INVALID", "customer_ids", "Name customers, or say --all-customers.");
    if (!wants_all(m->data) && !names_customers(ids))
        return cvm_refuse(t, "INVALID", "customer_ids", "Each customer is named by his id, a text of 1 to 64 letters.");
    if (!wants_all(m->data))
        return batch_begin(t, m->id, as, cvm_json_share(ids), treatment);
    CVM_TRY(pending_put(t, m->id, json_pack("{s:i, s:s*}", "as", (int)as, "treatment", treatment)));
    CVM_TRY(cvm_request(t, DATA, "list_customers", NULL,
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = COLLECT_TIMEOUT_MS}));
    return CVM_PENDING;
}

int batch_customers(cvm_turn *t, const cvm_msg *m)
{
    json_t *what = NULL;
    const json_t *ids = json_object_get(m->data, "customer_ids");
    int e = pending_take(t, m->on_behalf, &what);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (m->outcome != CVM_REPLIED || !names_customers(ids))
        e = cvm_settle(t, m->on_behalf, m->outcome == CVM_REFUSED ? CVM_REFUSED : CVM_ERROR,
                       json_pack("{s:s, s:s}", "code", "DATA", "message",
                                 cvm_json_str(m->data, "message", "The customers could not be listed.")),
                       NULL);
    else
        e = batch_begin(t, m->on_behalf, (enum batch_as)cvm_json_int(what, "as", 0), cvm_json_share(ids),
                        cvm_json_str(what, "treatment", NULL));
    json_decref(what);
    return e == CVM_PENDING || e == CVM_ENOENT ? CVM_OK : e;
}

int batch_process(cvm_turn *t, const cvm_msg *m)
{
    return begin_with(t, m, BATCH_REPLY);
}

int batch_command(cvm_turn *t, const cvm_msg *m)
{
    return begin_with(t, m, BATCH_COMMAND);
}

int batch_start(cvm_turn *t, const cvm_msg *m)
{
    char batch[ID_SIZE];
    id_of(m->id, batch);
    int e = begin_with(t, m, BATCH_KEPT);
    if (e != CVM_PENDING)
        return e;
    return cvm_reply(t, m, json_pack("{s:s, s:s}", "status", "success", "batch_id", batch));
}

int batch_look(cvm_turn *t, const cvm_msg *m)
{
    const char *batch = cvm_json_str(m->data, "batch_id", "");
    json_t *head = NULL, *results = NULL;
    int e = head_get(t, batch, &head);
    if (e == CVM_ENOENT || e == CVM_ELIMIT)
        return cvm_refuse(t, "NOT_FOUND", "batch_id",
                          "There is no batch of that id; one that is done is kept for a day.");
    CVM_TRY(e);
    int64_t total = cvm_json_int(head, "total", 0), done = cvm_json_int(head, "done", 0),
            failed = cvm_json_int(head, "failed", 0);
    e = results_get(t, batch, (size_t)total, &results);
    if (e >= 0)
        e = cvm_reply(t, m,
                      json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "status", "success", "batch_id", batch,
                                "state", cvm_json_str(head, "state", ""), "total", (json_int_t)total, "done",
                                (json_int_t)done, "succeeded", (json_int_t)(done - failed), "failed",
                                (json_int_t)failed, "results", results));
    json_decref(head);
    return e;
}

int batch_forget(cvm_turn *t, const cvm_msg *m)
{
    const char *batch = cvm_json_str(m->data, "batch_id", "");
    json_t *head = NULL;
    int e = head_get(t, batch, &head);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    e = forget(t, batch, (size_t)cvm_json_int(head, "total", 0));
    json_decref(head);
    return e;
}

/* ---- the job: what customers spend ---- */

struct worth {
    const char *id;
    size_t index;
    int64_t spend;
};

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct worth *)a)->id, ((const struct worth *)b)->id);
}

static int by_spend(const void *a, const void *b)
{
    const struct worth *x = a, *y = b;
    if (x->spend != y->spend)
        return x->spend > y->spend ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void take_spend(struct worth *all, size_t n, const char *id, int64_t spend)
{
    struct worth key = {.id = id}, *found = n ? bsearch(&key, all, n, sizeof *all, by_id) : NULL;
    if (!found)
        return;
    while (found > all && strcmp(found[-1].id, id) == 0)
        found--;
    for (; found < all + n && strcmp(found->id, id) == 0; found++)
        found->spend = spend;
}

int batch_job_worth(cvm_job *j, const json_t *input, json_t **ret_result)
{
    static const char *const columns[] = {"customer_id", "monthly_spend", NULL};
    const json_t *ids = json_object_get(input, "customer_ids");
    size_t n = json_array_size(ids);
    struct worth *all = calloc(n ? n : 1, sizeof *all);
    cvm_cursor *rows = NULL;
    const cvm_cell *cells = NULL;
    int e = all ? cvm_job_open(j, "cvm_customers", columns, NULL, NULL, &rows) : CVM_ENOMEM;
    if (e < 0)
        goto out;
    for (size_t i = 0; i < n; i++)
        all[i] = (struct worth){json_string_value(json_array_get(ids, i)), i, INT64_MIN};
    qsort(all, n, sizeof *all, by_id);
    while ((e = cvm_cursor_next(rows, &cells)) > 0)
        if (cells[0].kind == CVM_CELL_TEXT && cells[1].kind == CVM_CELL_INT)
            take_spend(all, n, cells[0].text, cells[1].i);
    if (e < 0)
        goto out;
    qsort(all, n, sizeof *all, by_spend);
    json_t *order = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(order, json_integer((json_int_t)all[i].index));
    *ret_result = json_pack("{s:o}", "order", order);
    e = *ret_result ? CVM_OK : CVM_ENOMEM;
out:
    cvm_cursor_close(rows);
    free(all);
    return e;
}
