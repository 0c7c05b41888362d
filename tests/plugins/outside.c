/* Makes the outgoing calls that a message asks for and answers with what came of them. The component holds nothing: the
 * open request is the cookie of its call. */
#include <cvm/cvm.h>
#include <cvm/json.h>

static const char *const outcomes[] = {"REPLIED", "REFUSED", "ERROR", "TIMEOUT", "BUSY", "UNKNOWN"};

/* {"call", "path"?, "query"?, "headers"?, "body"?, "key"?, "timeout_ms"?, "deadline_ms"? (a point in time)} */
static int go(cvm_turn *t, const cvm_msg *m)
{
    cvm_call call = {.size = sizeof call,
                     .name = cvm_json_str(m->data, "call", ""),
                     .path = cvm_json_str(m->data, "path", NULL),
                     .query = json_object_get(m->data, "query"),
                     .headers = cvm_json_share(json_object_get(m->data, "headers")),
                     .body = cvm_json_share(json_object_get(m->data, "body")),
                     .key = cvm_json_str(m->data, "key", NULL),
                     .timeout_ms = cvm_json_int(m->data, "timeout_ms", 0),
                     .deadline_ms = cvm_json_int(m->data, "deadline_ms", 0),
                     .on_behalf = m->id};
    int e = cvm_http_call(t, &call, NULL);
    if (e < 0)
        return cvm_reply(t, m, json_pack("{s:i}", "error", e));
    return CVM_PENDING;
}

/* Has itself make the call, beside what is kept. {"of"? another operation, "data", "within_ms"?} */
static int have_looked(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_look(t, "test.outside", cvm_json_str(m->data, "of", "look"),
                     cvm_json_share(json_object_get(m->data, "data")),
                     &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = cvm_json_int(m->data, "within_ms", 0)});
    if (e < 0)
        return cvm_reply(t, m, json_pack("{s:i}", "error", e));
    return CVM_PENDING;
}

/* The same after "after_ms" in the same conversation. */
static int look_late(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_timer(t, "late", cvm_json_int(m->data, "after_ms", 0), json_incref((json_t *)(uintptr_t)m->data), m->id,
                      NULL);
    return e < 0 ? e : CVM_PENDING;
}

static int late(cvm_turn *t, const cvm_msg *m)
{
    return cvm_look(t, "test.outside", "look", cvm_json_share(json_object_get(m->data, "data")),
                    &(cvm_request_opts){.on_behalf = m->on_behalf});
}

/* Answers with a text. */
static int tell(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->id, CVM_REPLIED, NULL, cvm_json_str(m->data, "text", ""));
}

/* {"call", "subject", "key"?, "deadline_ms"?} */
static int write_letter(cvm_turn *t, const cvm_msg *m)
{
    cvm_mail mail = {.size = sizeof mail,
                     .name = cvm_json_str(m->data, "call", ""),
                     .from = "desk@example.com",
                     .from_name = "Desk",
                     .to = json_string(cvm_json_str(m->data, "to", "ada@example.com")),
                     .subject = cvm_json_str(m->data, "subject", ""),
                     .text = "Hello",
                     .user = "${OUTSIDE_KEY}",
                     .password = cvm_json_str(m->data, "password", "${OUTSIDE_KEY}"),
                     .key = cvm_json_str(m->data, "key", NULL),
                     .deadline_ms = cvm_json_int(m->data, "deadline_ms", 0),
                     .on_behalf = m->id};
    int e = cvm_send_mail(t, &mail, NULL);
    if (e < 0)
        return cvm_reply(t, m, json_pack("{s:i}", "error", e));
    return CVM_PENDING;
}

static int came(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    if (*m->conversation) { /* how often an answer came at all */
        CVM_TRY(cvm_state_int(t, "answers", &n));
        CVM_TRY(cvm_state_put_int(t, "answers", n + 1));
    }
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED,
                       json_pack("{s:s, s:O}", "outcome", outcomes[m->outcome], "data", m->data), m->content);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- the host asks ----------------------------------------------------------------------------------------------- */

static int probe(cvm_turn *t, const cvm_msg *m)
{
    json_t *query = json_pack("{s:s}", "key", cvm_json_str(m->data, "key", ""));
    int e = cvm_http_call(t, &(cvm_call){.size = sizeof(cvm_call), .name = "state", .query = query, .on_behalf = m->id},
                          NULL);
    json_decref(query);
    return e < 0 ? e : CVM_PENDING;
}

/* The outside's word is passed on; without one the question failed. */
static int probed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *body = json_object_get(m->data, "body");
    int e = m->outcome == CVM_REPLIED && json_is_object(body)
                ? cvm_settle(t, m->on_behalf, CVM_REPLIED, cvm_json_share(body), NULL)
                : cvm_settle(t, m->on_behalf, CVM_ERROR, NULL, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static int note(cvm_turn *t, const cvm_msg *m)
{
    const char *table = json_object_get(m->data, "text_id") ? "outside_texts" : "outside_notes";
    const char *gone = cvm_json_str(m->data, "gone", NULL);
    if (gone)
        CVM_TRY(cvm_row_del(t, "outside_texts", gone));
    else
        CVM_TRY(cvm_row_put(t, table, cvm_json_share(m->data)));
    return cvm_reply(t, m, NULL);
}

/* {"table"?, "where"?, "order_by"?, "limit"?, "match"?, "near"?, "keys_only"?, "also"? [match, ..], "times"?} */
static int list(cvm_turn *t, const cvm_msg *m)
{
    const json_t *more = json_object_get(m->data, "also");
    cvm_question also[CVM_QUESTIONS_MAX + 1] = {{0}};
    size_t n = json_array_size(more);
    for (size_t i = 0; i < n && i <= CVM_QUESTIONS_MAX; i++)
        also[i].match = json_string_value(json_array_get(more, i));
    int e = 0;
    for (int64_t i = cvm_json_int(m->data, "times", 1); e >= 0 && i > 0; i--)
        e = cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = cvm_json_str(m->data, "table", "outside_notes"),
                                    .where = cvm_json_share(json_object_get(m->data, "where")),
                                    .order_by = cvm_json_str(m->data, "order_by", NULL),
                                    .limit = cvm_json_int(m->data, "limit", 0),
                                    .on_behalf = m->id,
                                    .match = cvm_json_str(m->data, "match", NULL),
                                    .near_column = cvm_json_str(m->data, "near", NULL) ? "vector" : NULL,
                                    .near_vector = cvm_json_str(m->data, "near", NULL),
                                    .with = cvm_json_share(json_object_get(m->data, "with")),
                                    .keys_only = cvm_json_bool(m->data, "keys_only", false),
                                    .also = also,
                                    .n_also = n});
    if (e < 0)
        return cvm_reply(t, m, json_pack("{s:i}", "error", e));
    return CVM_PENDING;
}

#define SELF "test.outside"

/* Three letters from one turn. */
static int mail(cvm_turn *t, const cvm_msg *m)
{
    for (int i = 0; i < 3; i++) {
        cvm_call call = {.size = sizeof call, .name = "once", .body = json_pack("{s:i}", "n", i)};
        CVM_TRY(cvm_http_call(t, &call, NULL));
    }
    return cvm_reply(t, m, NULL);
}

static int mailed(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_OK;
}

/* clang-format off */
static const cvm_component components[] = {{.id = SELF, .state_version = 1}, {.id = "test.postman", .state_version = 1},
    {.id = "test.fetcher", .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {SELF, "go", go}, {SELF, "look", go}, {SELF, "have_looked", have_looked}, {SELF, "look.reply", came},
    {SELF, "look_late", look_late}, {SELF, "late", late}, {SELF, "tell", tell}, {SELF, "tell.reply", came}, {SELF, "note.reply", came},
    {SELF, "read.reply", came}, {SELF, "again.reply", came}, {SELF, "checked.reply", came}, {SELF, "once.reply", came},
    {SELF, "fixed.reply", came}, {SELF, "hook.reply", came}, {SELF, "write", write_letter}, {SELF, "letter.reply", came}, {SELF, "letter_again.reply", came},
    {SELF, "probe", probe}, {SELF, "state.reply", probed},
    {SELF, "note", note}, {SELF, "list", list}, {SELF, "peek", list}, {SELF, "query.reply", came},
    {"test.postman", "mail", mail}, {"test.postman", "once.reply", mailed},
    {"test.fetcher", "mail", mail}, {"test.fetcher", "once.reply", mailed},
    {0}
};
/* clang-format on */

CVM_PLUGIN(.name = "outside", .version = "1.0.0", .components = components, .routes = routes);
