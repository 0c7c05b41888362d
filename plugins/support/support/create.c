/* New tickets. An id that was used is refused: the state says which were. Where tickets may have ended before it did so
 * for good, the table tells, which takes another turn; until then the id is reserved. Loop thread. */
#include "support.h"

#include "../../common/object.h"

#include <stdio.h>

#define ID_MAX 64
#define CUSTOMER_MAX 64
#define DESCRIPTION_MAX 8192

int settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int refuse(cvm_turn *t, cvm_id request, const char *code, const char *field, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return settle(t, request, CVM_REFUSED,
                  json_pack("{s:s, s:s*, s:s}", "code", code, "field", field, "message", text));
}

int ask_ticket(cvm_turn *t, cvm_id request, const char *ticket, const char *what, json_t *more)
{
    json_t *with = json_pack("{s:s, s:s, s:o}", "what", what, "ticket_id", ticket, "data", more ? more : json_object());
    cvm_query q = {.size = sizeof q,
                   .table = "support_tickets",
                   .where = json_pack("{s:s}", "ticket_id", ticket),
                   .limit = 1,
                   .on_behalf = request,
                   .with = with};
    if (!with || !q.where) {
        json_decref(with);
        json_decref(q.where);
        return CVM_ENOMEM;
    }
    return cvm_ask(t, &q);
}

bool blank(const char *text)
{
    return !text[strspn(text, " \t\r\n")];
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* What the schemas say, for those who are not behind them: what came with the ticket goes into keys and columns. */
static const char *wrong_field(const char *id, const char *customer, const char *description)
{
    static const char known[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (strlen(id) > ID_MAX || id[strspn(id, known)])
        return "ticket_id";
    if (blank(customer) || characters(customer) > CUSTOMER_MAX)
        return "customer_id";
    return blank(description) || characters(description) > DESCRIPTION_MAX ? "description" : NULL;
}

/* Whether the state has each ticket that there ever was: so from the first one on. */
static int all_known(cvm_turn *t, bool *ret_known)
{
    const json_t *kept = NULL;
    int64_t audited = 0;
    int e = cvm_state_get(t, "all", &kept);
    if (e == CVM_ENOENT) {
        CVM_TRY(cvm_state_int(t, "audit", &audited)); /* each ticket begins with a row of the audit */
        e = audited ? CVM_OK : cvm_state_put(t, "all", json_true());
        kept = audited ? NULL : json_true();
    }
    *ret_known = kept != NULL;
    return e;
}

static int start(cvm_turn *t, const cvm_msg *m, cvm_id request, const char *id, const json_t *data);

static void hex8(cvm_turn *t, char ret_hex[9])
{
    snprintf(ret_hex, 9, "%08llx", (unsigned long long)(cvm_random(t) >> 32));
}

static int begin(cvm_turn *t, const cvm_msg *m, const char *id, const char *customer, const char *description)
{
    char given[80], hex[9], key[CVM_STATE_KEY_MAX + 1];
    const json_t *there;
    if (!ticket_steps(t))
        return cvm_refuse(t, "NOT_AVAILABLE", NULL,
                          "no plugin that is loaded declares the workflow " WORKFLOW_NAME
                          ": put the manifest support.json into place and run cvmhost reload");
    const char *wrong = wrong_field(id, customer, description);
    if (wrong)
        return cvm_refuse(t, "INVALID", wrong,
                          strcmp(wrong, "ticket_id") == 0     ? "has 1 to 64 letters, digits, - and _"
                          : strcmp(wrong, "customer_id") == 0 ? "is empty, or has more than 64 characters"
                                                              : "is empty, or has more than 8192 characters");
    hex8(t, hex);
    snprintf(given, sizeof given, "TICK%s", hex);
    id = *id ? id : given;
    snprintf(key, sizeof key, "t/%s", id);
    int e = cvm_state_get(t, key, &there);
    if (e == CVM_OK)
        return cvm_refuse(t, "TICKET_EXISTS", "ticket_id", "there is a ticket with this id already");
    if (e != CVM_ENOENT)
        return e;
    bool known;
    CVM_TRY(all_known(t, &known));
    json_t *data = json_object();
    OBJECT_TEXT(data, "customer_id", customer);
    OBJECT_TEXT(data, "description", description);
    if (!data)
        return CVM_ENOMEM;
    if (known) {
        e = start(t, m, m->id, id, data);
        json_decref(data);
        return e;
    }
    e = cvm_state_put(t, key, json_string(""));
    if (e < 0) {
        json_decref(data);
        return e;
    }
    CVM_TRY(ask_ticket(t, m->id, id, "create", data));
    return CVM_PENDING;
}

int create_ticket(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m, cvm_json_str(m->data, "ticket_id", ""), cvm_json_str(m->data, "customer_id", ""),
                 cvm_json_str(m->data, "description", ""));
}

int create_from_words(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m, cvm_json_str(m->data, "id", ""), cvm_json_str(m->data, "customer", ""),
                 cvm_json_str(m->data, "description", ""));
}

static json_t *new_record(cvm_turn *t, const char *id, const json_t *data)
{
    char instance[INSTANCE_SIZE], hex[9], at[TIME_SIZE];
    hex8(t, hex);
    snprintf(instance, sizeof instance, INSTANCE_PREFIX "%s-%s", id, hex);
    json_t *record = json_object();
    OBJECT_TEXT(record, "ticket_id", id);
    OBJECT_TEXT(record, "instance_id", instance);
    OBJECT_SHARE(record, "customer_id", json_object_get(data, "customer_id"));
    OBJECT_SHARE(record, "description", json_object_get(data, "description"));
    OBJECT_KNOWN(record, "created_at", text_of_time(cvm_now_ms(t), at));
    OBJECT_KNOWN(record, "status", "PENDING");
    OBJECT_INT(record, "run", 0);
    const json_t *hours = json_object_get(cvm_settings(t), "sla_hours");
    if (record)
        sla_start(record, json_is_number(hours) ? json_number_value(hours) : 0, cvm_now_ms(t));
    return record;
}

static int start(cvm_turn *t, const cvm_msg *m, cvm_id request, const char *id, const json_t *data)
{
    struct ticket k;
    CVM_TRY(ticket_make(t, m, new_record(t, id, data), NULL, NULL, &k));
    char instance[INSTANCE_SIZE];
    snprintf(instance, sizeof instance, "%s", k.instance);
    int e = audit_row(t, m,
                      &(struct audit){.ticket = id,
                                      .actor = "customer",
                                      .what = "created",
                                      .input = cvm_json_str(data, "description", ""),
                                      .output = instance,
                                      .duration_ms = -1});
    if (e >= 0)
        e = tell_event(&k, "started", "");
    if (e >= 0)
        e = ticket_save(&k);
    ticket_free(&k);
    CVM_TRY(e);
    CVM_TRY(send_begin(t, instance, NULL));
    cvm_log(t, CVM_LOG_INFO, "%s: started as %s", id, instance);
    json_t *started = json_object();
    OBJECT_TEXT(started, "instance_id", instance);
    OBJECT_TEXT(started, "ticket_id", id);
    OBJECT_KNOWN(started, "status", "workflow_started");
    return started ? settle(t, request, CVM_REPLIED, started) : CVM_ENOMEM;
}

int create_looked_up(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with");
    const char *id = cvm_json_str(with, "ticket_id", "");
    char key[CVM_STATE_KEY_MAX + 1];
    bool used = json_array_size(json_object_get(m->data, "rows")) > 0;
    if (m->outcome == CVM_REPLIED && !used)
        return start(t, m, m->on_behalf, id, json_object_get(with, "data"));
    snprintf(key, sizeof key, "t/%s", id);
    CVM_TRY(cvm_state_del(t, key));
    if (used)
        return refuse(t, m->on_behalf, "TICKET_EXISTS", "ticket_id", "there is a ticket with this id already");
    return settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
}
