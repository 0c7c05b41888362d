/* The edge of the core: inputs are checked, admitted or refused here, and given an id and a lane. */
#include "core/internal.h"

#include "core/broken.h"

#include "core/crash.h"
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EDGE_KEY_MAX_BYTES 128

__attribute__((format(printf, 4, 5))) static int refuse(struct edge_error *e, int error, const char *field,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    e->error = error;
    e->retry_after_s = error == CVM_EBUSY ? 1 : 0;
    snprintf(e->field, sizeof e->field, "%s", field);
    vsnprintf(e->text, sizeof e->text, format, args);
    va_end(args);
    return error;
}

static int body_hash(const struct edge_in *in, uint8_t ret_hash[32])
{
    char *text = json_text_sorted(in->data);
    if (!text)
        return CVM_ENOMEM;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
                EVP_DigestUpdate(ctx, in->to, strlen(in->to) + 1) &&
                EVP_DigestUpdate(ctx, in->type, strlen(in->type) + 1) && EVP_DigestUpdate(ctx, text, strlen(text)) &&
                EVP_DigestFinal_ex(ctx, ret_hash, NULL);
    EVP_MD_CTX_free(ctx);
    free(text);
    return good ? 0 : CVM_ENOMEM;
}

static int find_operation(struct core *core, const struct edge_in *in, struct component **ret_to,
                          const struct route_slot **ret_slot, struct edge_error *error)
{
    struct component *to = in->to ? registry_find(core, in->to, NULL) : NULL;
    if (!to)
        return refuse(error, CVM_ENOENT, "to", "no component \"%.100s\" is loaded; see: cvmhost agent list",
                      in->to ? in->to : "");
    const struct name *type = in->type && !in->edit ? names_find(core->names, in->type) : NULL;
    const struct route_slot *slot = type                     ? component_route(to, type)
                                    : in->edit && to->plugin ? state_edit_slot(core, in->type)
                                                             : NULL;
    if (!slot || !slot->operation)
        return refuse(error, CVM_ENOENT, "type", "%s has no operation \"%.100s\"; see: cvmhost plugin info %s",
                      to->id->text, in->type ? in->type : "", to->id->text);
    *ret_to = to;
    *ret_slot = slot;
    return 0;
}

/* Texts that come beside the data, some of them from headers, which may hold any byte. */
static int check_text(const char *field, const char *text, size_t most, struct edge_error *error)
{
    size_t n = text ? strlen(text) : 0;
    if (n > most)
        return refuse(error, CVM_ELIMIT, field, "must be at most %zu bytes long", most);
    if (n && !text_is_utf8(text, n))
        return refuse(error, CVM_EINVAL, field, "must be UTF-8");
    return 0;
}

static int check_shape(const struct edge_in *in, const struct route_slot *slot, struct edge_error *error)
{
    struct schema_error fault;
    if (in->key) {
        size_t n = strlen(in->key);
        if (n < 1 || n > EDGE_KEY_MAX_BYTES)
            return refuse(error, CVM_EINVAL, "idempotency_key", "must be 1 to %d bytes long, got %zu",
                          EDGE_KEY_MAX_BYTES, n);
    }
    if (!json_is_object(in->data))
        return refuse(error, CVM_EINVAL, "", "the data must be a JSON object");
    CVM_TRY(check_text("idempotency_key", in->key, EDGE_KEY_MAX_BYTES, error));
    CVM_TRY(check_text("conversation", in->conversation, CVM_NAME_MAX, error));
    CVM_TRY(check_text("content", in->content, CVM_CONTENT_MAX_BYTES, error));
    CVM_TRY(check_text("enquiry_id", in->enquiry_id, CVM_NAME_MAX, error));
    CVM_TRY(check_text("customer_id", in->customer_id, CVM_NAME_MAX, error));
    CVM_TRY(check_text("session_id", in->session_id, CVM_NAME_MAX, error));
    CVM_TRY(check_text("traceparent", in->traceparent, CVM_NAME_MAX, error));
    if (json_text_size(in->data, CVM_TURN_BYTES_MAX) > CVM_TURN_BYTES_MAX)
        return refuse(error, CVM_ELIMIT, "", "the data must be at most %d bytes of JSON", CVM_TURN_BYTES_MAX);
    if (!BROKEN(no_validation) && schema_check(slot->operation->request, in->data, &fault) < 0)
        return refuse(error, CVM_EINVAL, fault.field, "%s", fault.text);
    return 0;
}

static int admit(struct core *core, const struct component *to, bool edit, struct edge_error *error)
{
    if (core->stopping || !core->accepting)
        return refuse(error, CVM_EBUSY, "", "the host is %s", core->stopping ? "stopping" : "starting");
    if (core->trouble)
        return refuse(error, CVM_EBUSY, "", "the journal cannot be written (%s)", core->trouble);
    if (core->n_conversations >= (uint32_t)config_int(core->options.config, "admission.conversations", 100000))
        return refuse(error, CVM_EBUSY, "", "too many open conversations (%u)", core->n_conversations);
    if (core->bytes_queued >= 1048576 * config_int(core->options.config, "admission.bytes_mib", 256))
        return refuse(error, CVM_EBUSY, "", "too much waits (%lld MiB)", (long long)(core->bytes_queued >> 20));
    if (edit) /* the way to help a component that is full or down */
        return 0;
    if (to->closing)
        return refuse(error, CVM_ENOENT, "", "%s is being removed and takes nothing new", to->id->text);
    if ((int64_t)to->counts.queued >= to->now->mailbox)
        return refuse(error, CVM_EBUSY, "", "%s is full (%lld messages wait)", to->id->text,
                      (long long)to->now->mailbox);
    if (to->down && core->now_ms < to->probe_ms)
        return refuse(error, CVM_EBUSY, "", "%s is out of service after repeated faults; see: cvmhost ps",
                      to->id->text);
    return 0;
}

/* An answer that is known already is still given from the loop, never from inside edge_submit. */
static int answer_later(struct core *core, struct inbox *inbox, int outcome, json_t *result)
{
    struct held *h = calloc(1, sizeof *h);
    if (!h)
        return CVM_ENOMEM;
    *h = (struct held){.seq = 0, .inbox = inbox, .outcome = outcome, .data = result};
    held_add(core, h);
    kick(core);
    return 0;
}

static cvm_id id_with(const struct edge_in *in, uint64_t lo)
{
    char name[40];
    snprintf(name, sizeof name, "IN-%016llx", (unsigned long long)(lo | 1));
    return (cvm_id){(uint64_t)conversation_key(in->conversation ? in->conversation : name), lo | 1};
}

static cvm_id input_id(struct core *core, const struct edge_in *in, bool durable)
{
    if (in->key && durable)
        return id_with(in, id_hash(in->key, strlen(in->key), id_hash(in->source, strlen(in->source), 0x6b6579)));
    uint64_t lo = id_mix(core->seed += 0x9e3779b97f4a7c15ULL, 0x696e707574ULL);
    if (!durable)
        return (cvm_id){0, lo | 1};
    if (in->conversation)
        return id_with(in, lo);
    core->input_key = input_key(core->input_key, core->now_ms, id_mix(core->seed, 0x6b6579));
    return (cvm_id){core->input_key, lo | 1};
}

/* Waits with those who asked first. */
static int join(struct core *core, struct inbox *running, const struct edge_in *in, const uint8_t hash[32],
                edge_done done, void *arg, struct edge_error *error)
{
    if (!running->key || strcmp(running->key, in->key) != 0 || strcmp(running->source, in->source) != 0)
        return refuse(error, CVM_EBUSY, "", "come back later");
    if (memcmp(running->hash, hash, 32) != 0)
        return refuse(error, CVM_EEXIST, "idempotency_key", "this key was used with another body");
    core->total.repeated++;
    return inbox_wait(running, done, arg, true) < 0 ? refuse(error, CVM_ENOMEM, "", "out of memory") : 1;
}

/* Looks for an earlier input with this key. 1: it answers (or will); 0: there is none; negative: refused. One that was
 * answered BUSY does not count: the input comes again, with an id of its own, for what was sent under the first one's
 * may still be under way. */
static int repeated(struct core *core, const struct edge_in *in, const uint8_t hash[32], cvm_id *id, edge_done done,
                    void *arg, struct edge_error *error)
{
    struct inbox *running = BROKEN(twice_answered) ? NULL : inbox_find(core, *id);
    uint8_t known[32];
    int outcome = 0;
    json_t *result = NULL;
    cvm_id first;
    if (running)
        return join(core, running, in, hash, done, arg, error);
    int e = store_inbox_get(core->reader, in->source, in->key, known, &outcome, &result, &first);
    if (e == CVM_ENOENT || BROKEN(twice_answered)) {
        json_decref(result);
        return 0;
    }
    core_check_read(core, e);
    if (e < 0) /* it may have been done already */
        return refuse(error, CVM_EBUSY, "", "earlier keys cannot be read: %s", cvm_strerror(e));
    if (outcome == CVM_BUSY) {
        json_decref(result);
        *id = id_with(in, id_mix(first.lo, 0x62757379));
        running = inbox_find(core, *id);
        return running ? join(core, running, in, hash, done, arg, error) : 0;
    }
    if (memcmp(known, hash, 32) != 0) {
        json_decref(result);
        return refuse(error, CVM_EEXIST, "idempotency_key", "this key was used with another body");
    }
    *id = first;
    if (outcome < 0) {
        running = inbox_find(core, first);
        return running ? join(core, running, in, hash, done, arg, error)
                       : refuse(error, CVM_EBUSY, "", "the first request with this key is still under way");
    }
    struct inbox *inbox = inbox_new(core, in->source, in->key, hash, first);
    if (!inbox || inbox_wait(inbox, done, arg, true) < 0 || answer_later(core, inbox, outcome, result) < 0) {
        json_decref(result);
        if (inbox)
            inbox_release(core, inbox);
        return refuse(error, CVM_ENOMEM, "", "out of memory");
    }
    core->total.repeated++;
    return 1;
}

static int take(struct core *core, struct edge_in *in, struct component *to, const struct route_slot *slot, cvm_id id,
                struct inbox *inbox)
{
    char name[40];
    struct message *m = message_new(core, slot->type);
    if (!m)
        return CVM_ENOMEM;
    m->pub.id = m->item.id = id;
    m->to = to;
    m->route = slot->route;
    m->epoch = to->now->epoch;
    m->pub.recipient = to->id->text;
    m->pub.message_type = CVM_REQUEST;
    m->pub.priority = in->priority >= 0 && in->priority <= CVM_CRITICAL ? (uint8_t)in->priority : (uint8_t)CVM_MEDIUM;
    m->pub.data = m->data = json_incref(in->data);
    m->input = true;
    m->weight = (uint32_t)json_text_size(in->data, CVM_TURN_BYTES_MAX);
    message_set_content(m, in->content);
    message_set_subject(m, subject_new(id, in->enquiry_id, in->customer_id, in->session_id, in->traceparent));
    bool whole = m->subject && (m->content || !in->content || !*in->content);
    if (!slot->operation->ephemeral) {
        if (in->key)
            snprintf(name, sizeof name, "IN-%016llx", (unsigned long long)id.lo);
        else
            input_name(id.hi, name);
        m->conversation = conversation_open(core, in->conversation ? in->conversation : name, !in->conversation);
        if (m->conversation) {
            conversation_hold(m->conversation);
            m->pub.conversation = m->conversation->name;
            conversation_limit(m->conversation, to);
            m->conversation->messages++;
        }
    }
    int64_t timeout = in->timeout_ms > 0                ? in->timeout_ms
                      : slot->operation->timeout_ms > 0 ? slot->operation->timeout_ms
                                                        : CORE_REQUEST_TIMEOUT_MS;
    if (timeout > CORE_REQUEST_TIMEOUT_MAX_MS)
        timeout = CORE_REQUEST_TIMEOUT_MAX_MS;
    struct request *r = request_new(core, m, core->now_ms + timeout);
    if (!r || !whole || (!slot->operation->ephemeral && !m->conversation)) {
        item_release(core, &m->item);
        return CVM_ENOMEM;
    }
    r->edge = true;
    r->inbox = inbox;
    inbox->refs++;
    r->conversation = m->conversation;
    if (r->conversation)
        conversation_hold(r->conversation);
    request_resume(core, r);
    if (!m->conversation && core->taps)
        tap_message(core, m);
    core->total.inputs++;
    crash_here(CRASH_INPUT_ADMITTED);
    post(core, m);
    return 0;
}

int edge_submit(struct core *core, struct edge_in *in, edge_done done, void *arg, cvm_id *ret_id,
                struct edge_error *ret_error)
{
    struct component *to = NULL;
    const struct route_slot *slot = NULL;
    uint8_t hash[32] = {0};
    struct edge_error error = {0};
    if (!in->data)
        in->data = json_object();
    core_set_now(core);
    int e = find_operation(core, in, &to, &slot, &error);
    if (!e)
        e = check_shape(in, slot, &error);
    cvm_id id = {0, 0};
    bool durable = slot && !slot->operation->ephemeral;
    if (!e && in->edit)
        in->conversation = to->lane->name;
    if (!e && in->key && durable) {
        if (body_hash(in, hash) < 0)
            e = refuse(&error, CVM_ENOMEM, "", "out of memory");
    }
    if (!e) {
        id = input_id(core, in, durable);
        if (in->key && durable)
            e = repeated(core, in, hash, &id, done, arg, &error);
    }
    if (!e)
        e = admit(core, to, in->edit, &error);
    if (!e) {
        struct inbox *inbox = inbox_new(core, in->source, durable ? in->key : NULL, hash, id);
        if (!inbox || inbox_wait(inbox, done, arg, false) < 0 || take(core, in, to, slot, id, inbox) < 0)
            e = in->conversation && conversation_is_anothers(core, in->conversation)
                    ? refuse(&error, CVM_EINVAL, "conversation", "this name cannot be used; choose another")
                    : refuse(&error, CVM_ENOMEM, "", "out of memory");
        if (inbox)
            inbox_release(core, inbox);
    }
    json_decref(in->data);
    in->data = NULL;
    if (e < 0) {
        *ret_error = error;
        return e;
    }
    if (ret_id)
        *ret_id = id;
    return 0;
}
