/* Cases: what people on the ground must do. Owns the table `power_cases`. Each agent opens its own kinds; the list, and
 * closing them, are PowerTechnicalAgent's. Loop thread. */
#include "power.h"

#define HOUR_MS INT64_C(3600000)
#define DESCRIPTION_MAX 1000 /* bytes */

/* ---- opening ---- */

/* How the customer hears of a case, and what is still wanted where company and meter are not both known. */
static const struct wording {
    const char *kind, *subject, *wanted;
} wordings[] = {
    {"OUTAGE", "the outage", "your distribution company and your meter number, so that the crew finds you"},
    {"DANGER", "the danger", "the exact place"},
    {"METER_FAULT", "the meter fault", "your distribution company and your meter number"},
    {"BILL_DISPUTE", "your disputed bill", "your distribution company and your meter or account number"},
    {"METER_REQUEST", "your request for a meter", "your distribution company and your meter or account number"},
    {"REGISTRATION", "your registration", "your distribution company, your name and your address"}};

static const struct wording *wording_of(const char *kind)
{
    size_t i = sizeof wordings / sizeof wordings[0] - 1;
    while (i > 0 && strcmp(wordings[i].kind, kind) != 0)
        i--;
    return &wordings[i];
}

static void description_cut(const char *text, char ret_text[DESCRIPTION_MAX + 1])
{
    size_t n = strlen(text);
    if (n > DESCRIPTION_MAX)
        for (n = DESCRIPTION_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
            ;
    memcpy(ret_text, text, n);
    ret_text[n] = '\0';
}

/* `what` is {"case", "customer_id", "customer_phone", "disco", "meter", "description"}; `meter` is what
 * validate_meter_number answered, or NULL. */
static int open_case(cvm_turn *t, const cvm_msg *m, const json_t *what, const json_t *meter,
                     char ret_id[CVM_SHORT_ID_SIZE], int64_t *ret_hours)
{
    char opened[POWER_TIME_SIZE], due[POWER_TIME_SIZE], description[DESCRIPTION_MAX + 1];
    const char *kind = cvm_json_str(what, "case", "");
    int64_t hours = cvm_json_int(json_object_get(cvm_settings(t), "case_hours"), kind, 48), now = cvm_now_ms(t);
    description_cut(cvm_json_str(what, "description", ""), description);
    CVM_TRY(cvm_new_id(t, "PWR", ret_id));
    CVM_TRY(cvm_row_put(
        t, "power_cases",
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "case_id", ret_id, "kind",
                  kind, "status", "open", "customer_id", cvm_json_str(what, "customer_id", ""), "customer_phone",
                  cvm_json_str(what, "customer_phone", ""), "disco",
                  cvm_json_str(meter, "disco", cvm_json_str(what, "disco", "")), "meter_number",
                  cvm_json_str(meter, "meter_number", cvm_json_str(what, "meter", "")), "customer_name",
                  cvm_json_str(meter, "customer_name", ""), "address", cvm_json_str(meter, "address", ""),
                  "description", description, "enquiry_id", m->enquiry_id, "opened_at", power_time(now, opened),
                  "due_at", power_time(now + hours * HOUR_MS, due), "conversation", m->conversation)));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s, s:b}", "chose", "open a case", "kind", kind, "case_id", ret_id,
                               "meter_validated", meter != NULL)));
    *ret_hours = hours;
    return CVM_OK;
}

static void case_text(const json_t *what, const json_t *meter, const char *id, int64_t hours, char *text, size_t size)
{
    const char *lead = cvm_json_str(what, "lead", ""), *address = cvm_json_str(meter, "address", "");
    const char *disco = cvm_json_str(meter, "disco", cvm_json_str(what, "disco", ""));
    const char *number = cvm_json_str(meter, "meter_number", cvm_json_str(what, "meter", ""));
    const struct wording *w = wording_of(cvm_json_str(what, "case", ""));
    size_t at = (size_t)snprintf(
        text, size, "%s%sI have opened case %s about %s%s%s%s%s%s%s. It is dealt with within %lld hour%s.", lead,
        *lead ? " " : "", id, w->subject, *number ? ", meter " : "", number, *disco ? " at " : "", disco,
        *address ? ", " : "", address, (long long)hours, hours == 1 ? "" : "s");
    if ((!*number || !*disco) && at < size)
        snprintf(text + at, size - at, " Please write again with that reference, %s.", w->wanted);
}

/* Opens it and answers the operation or the step `request`. */
static int finish(cvm_turn *t, const cvm_msg *m, cvm_id request, const json_t *what, const json_t *meter)
{
    char id[CVM_SHORT_ID_SIZE], text[POWER_LONG_SIZE];
    int64_t hours;
    CVM_TRY(open_case(t, m, what, meter, id, &hours));
    case_text(what, meter, id, hours, text, sizeof text);
    json_t *body = json_pack("{s:s, s:s, s:s, s:I, s:s}", "case_id", id, "kind", cvm_json_str(what, "case", ""),
                             "status", "open", "hours", (json_int_t)hours, "text", text);
    if (!body)
        return CVM_ENOMEM;
    if (!cvm_json_bool(what, "step", false))
        return step_settle(t, request, CVM_REPLIED, body);
    int e = cvm_context_set(t, "/power_case", cvm_json_share(body));
    if (e < 0) {
        json_decref(body);
        return e;
    }
    return step_say(t, request, text, json_pack("{s:b, s:o}", "answered", 1, "case", body), "service.qa");
}

/* Takes `what`; goes on at once, or when the meter has been validated. */
static int begin(cvm_turn *t, const cvm_msg *m, json_t *what)
{
    int e;
    const char *disco = cvm_json_str(what, "disco", ""), *meter = cvm_json_str(what, "meter", "");
    if (!what)
        return CVM_ENOMEM;
    if (!*disco || !*meter) {
        e = finish(t, m, m->id, what, NULL);
        json_decref(what);
        return e;
    }
    json_t *ask = json_pack("{s:s, s:s}", "disco", disco, "meter_number", meter);
    CVM_TRY(pending_put(t, m->id, what));
    CVM_TRY(cvm_request(t, POWER_SALES, "validate_meter_number", ask, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int case_operation(cvm_turn *t, const cvm_msg *m, const char *kind)
{
    const json_t *d = m->data;
    return begin(t, m,
                 json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind", "case", "case", kind, "customer_id",
                           cvm_json_str(d, "customer_id", m->customer_id), "customer_phone",
                           cvm_json_str(d, "customer_phone", ""), "disco", cvm_json_str(d, "disco", ""), "meter",
                           cvm_json_str(d, "meter_number", ""), "description", cvm_json_str(d, "description", "")));
}

int case_step(cvm_turn *t, const cvm_msg *m, const char *kind, const char *lead)
{
    bool many = false;
    const json_t *context = cvm_context(t), *entities = step_entities(t);
    const json_t *before = json_object_get(context, "power_case");
    if (strcmp(cvm_json_str(before, "kind", ""), kind) == 0) /* asked to write it again: it is the same case */
        return step_say(t, m->id, cvm_json_str(before, "text", ""),
                        json_pack("{s:b, s:O}", "answered", 1, "case", before), "service.qa");
    const json_t *disco = step_only(json_object_get(entities, "discos"), &many);
    const json_t *meter = step_only(json_object_get(entities, "meter_numbers"), &many);
    return begin(t, m,
                 json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind", "case", "step", 1, "case", kind,
                           "lead", lead, "customer_id", cvm_json_str(context, "customer_id", ""), "customer_phone",
                           cvm_json_str(context, "customer_phone", ""), "disco",
                           json_is_string(disco) ? json_string_value(disco) : "", "meter",
                           json_is_string(meter) ? json_string_value(meter) : "", "description", step_words(t, m)));
}

/* An operation is refused for a meter that does not exist. A customer's report is taken all the same: people mistype
 * in the dark. */
int case_validated(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    bool refused = m->outcome == CVM_REFUSED && strcmp(cvm_json_str(m->data, "rule", ""), "NOT_VALIDATED") != 0;
    if (refused && !cvm_json_bool(what, "step", false))
        return step_settle(t, m->on_behalf, CVM_REFUSED, cvm_json_share(m->data));
    return finish(t, m, m->on_behalf, what, m->outcome == CVM_REPLIED ? m->data : NULL);
}

/* ---- looking and closing ---- */

int case_list(cvm_turn *t, const cvm_msg *m)
{
    static const char *const filters[] = {"case_id", "status", "kind", "customer_id", "disco"};
    json_t *where = json_object();
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        const char *value = cvm_json_str(m->data, filters[i], "");
        if (*value)
            json_object_set_new(where, filters[i], json_string(value));
    }
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "power_cases",
                                    .where = where,
                                    .order_by = "-opened_at",
                                    .limit = cvm_json_int(m->data, "limit", 50),
                                    .on_behalf = m->id}));
    return CVM_PENDING;
}

/* A row without what is empty or the store's own. Gives. */
static json_t *view(const json_t *row)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)row), *value;
    const char *column;
    void *next;
    json_object_del(copy, "key_id");
    json_object_foreach_safe(copy, next, column, value)
    {
        if (json_is_null(value))
            json_object_del(copy, column);
    }
    return copy;
}

int case_queried(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "rows");
    if (m->outcome != CVM_REPLIED)
        return step_settle(t, m->on_behalf, CVM_ERROR,
                           json_pack("{s:s, s:s}", "code", "QUERY", "message", "the cases could not be read"));
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++)
        json_array_append_new(list, view(json_array_get(rows, i)));
    return step_settle(t, m->on_behalf, CVM_REPLIED,
                       json_pack("{s:o, s:b}", "cases", list, "more", cvm_json_bool(m->data, "more", false)));
}

static int ask_one(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, POWER_TECHNICAL, "list_cases",
                        json_pack("{s:s, s:i}", "case_id", cvm_json_str(m->data, "case_id", ""), "limit", 1),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int case_show(cvm_turn *t, const cvm_msg *m)
{
    return ask_one(t, m);
}

int case_close(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(pending_put(
        t, m->id, json_pack("{s:s, s:s}", "kind", "close", "resolution", cvm_json_str(m->data, "resolution", ""))));
    return ask_one(t, m);
}

/* A closed case stays as it was closed. */
static int close_row(cvm_turn *t, const cvm_msg *m, const json_t *found, const json_t *what)
{
    char at[POWER_TIME_SIZE];
    json_t *row = json_copy((json_t *)(uintptr_t)found);
    if (strcmp(cvm_json_str(row, "status", ""), "open") == 0) {
        json_object_set_new(row, "status", json_string("closed"));
        json_object_set_new(row, "closed_at", json_string(power_time(cvm_now_ms(t), at)));
        json_object_set_new(row, "resolution", json_string(cvm_json_str(what, "resolution", "")));
        int e = cvm_row_put(t, "power_cases", json_incref(row));
        if (e < 0) {
            json_decref(row);
            return e;
        }
    }
    return step_settle(t, m->on_behalf, CVM_REPLIED, row);
}

/* For show, and for close, of which something waits. */
int case_found(cvm_turn *t, const cvm_msg *m)
{
    json_t *what = NULL;
    const json_t *found = json_array_get(json_object_get(m->data, "cases"), 0);
    int e = pending_take(t, m->on_behalf, &what);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (m->outcome != CVM_REPLIED)
        e = step_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    else if (!found)
        e = step_settle(t, m->on_behalf, CVM_REFUSED,
                        json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "case_id", "message",
                                  "there is no case with this reference"));
    else if (what)
        e = close_row(t, m, found, what);
    else
        e = step_settle(t, m->on_behalf, CVM_REPLIED, cvm_json_share(found));
    json_decref(what);
    return e;
}
