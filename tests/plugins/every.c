/* Two components that call each function of the host as a script in the message says: {"steps": [["put", "k", 1],
 * ["get", "k"], ["reply"]]}. What a step gives, or its error, goes into what "reply" answers; nothing stops at an
 * error, so that a script shows what all of its calls do. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define A "test.every"
#define B "test.other"

struct run {
    cvm_turn *t;
    const cvm_msg *m;
    json_t *found;
    int result;
    bool returned;
};

static const char *text_at(const json_t *step, size_t i, const char *otherwise)
{
    const json_t *v = json_array_get(step, i);
    return json_is_string(v) ? json_string_value(v) : otherwise;
}

static int64_t int_at(const json_t *step, size_t i, int64_t otherwise)
{
    const json_t *v = json_array_get(step, i);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : otherwise;
}

static json_t *value_at(const json_t *step, size_t i)
{
    return cvm_json_share(json_array_get(step, i));
}

/* "x*1000" (in an object: its "fill") stands for a long text, "bad" for what is no UTF-8. */
static char *made_text(const char *from)
{
    long long n;
    if (!from)
        return NULL;
    if (strcmp(from, "bad") == 0)
        return strdup("caf\xe9");
    if (sscanf(from, "x*%lld", &n) != 1)
        return strdup(from);
    char *text = malloc((size_t)n + 1);
    memset(text, 'x', (size_t)n);
    text[n] = 0;
    return text;
}

static json_t *made_value(const json_t *step, size_t i)
{
    const char *from = text_at(step, i, NULL);
    if (from && strncmp(from, "x*", 2) == 0) {
        char *text = made_text(from);
        json_t *v = json_string(text);
        free(text);
        return v;
    }
    if ((from = cvm_json_str(json_array_get(step, i), "fill", NULL))) {
        json_t *v = json_copy(json_array_get(step, i));
        char *text = made_text(from);
        json_object_set_new(v, "fill", json_string(text));
        free(text);
        return v;
    }
    from = text_at(step, i, NULL);
    return from && strcmp(from, "nul") == 0 ? json_stringn("a\0b", 3) : value_at(step, i);
}

static json_t *id_json(cvm_id id)
{
    return json_pack("[I, I]", (json_int_t)id.hi, (json_int_t)id.lo);
}

static void saw(struct run *r, json_t *value)
{
    json_array_append_new(r->found, value);
}

static void ended(struct run *r, int e)
{
    saw(r, json_integer(e));
}

/* The id kept under "id/NAME"; "own": the message's; "behalf": its cookie; "none": none. */
static cvm_id id_of(struct run *r, const char *name)
{
    char key[CVM_STATE_KEY_MAX];
    const json_t *v = NULL;
    if (!name || strcmp(name, "own") == 0)
        return r->m->id;
    if (strcmp(name, "behalf") == 0)
        return r->m->on_behalf;
    snprintf(key, sizeof key, "id/%s", name);
    if (strcmp(name, "none") == 0 || cvm_state_get(r->t, key, &v) < 0)
        return (cvm_id){0, 0};
    return (cvm_id){(uint64_t)json_integer_value(json_array_get(v, 0)),
                    (uint64_t)json_integer_value(json_array_get(v, 1))};
}

static void keep_id(struct run *r, const char *name, cvm_id id)
{
    char key[CVM_STATE_KEY_MAX];
    saw(r, id_json(id));
    if (!name)
        return;
    snprintf(key, sizeof key, "id/%s", name);
    ended(r, cvm_state_put(r->t, key, id_json(id)));
}

static void keep(struct run *r, const json_t *s)
{
    keep_id(r, text_at(s, 1, "kept"), r->m->id);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

/* ["emit", kind, to, type, {options}] */
static void emit(struct run *r, const json_t *s)
{
    const json_t *o = json_array_get(s, 4);
    char *content = made_text(cvm_json_str(o, "content", NULL)), *name = made_text(cvm_json_str(o, "enquiry_id", NULL));
    cvm_id id = {0, 0};
    cvm_out out = {.size = sizeof out,
                   .kind = (uint32_t)int_at(s, 1, 0),
                   .to = text_at(s, 2, NULL),
                   .type = text_at(s, 3, NULL),
                   .content = content,
                   .enquiry_id = name,
                   .conversation = cvm_json_str(o, "conversation", NULL),
                   .customer_id = cvm_json_str(o, "customer_id", NULL),
                   .session_id = cvm_json_str(o, "session_id", NULL),
                   .on_behalf = id_of(r, cvm_json_str(o, "on_behalf", "none")),
                   .request = id_of(r, cvm_json_str(o, "request", "none")),
                   .timeout_ms = cvm_json_int(o, "timeout_ms", 0),
                   .confidence = json_number_value(json_object_get(o, "confidence")),
                   .priority = (int8_t)cvm_json_int(o, "priority", -1),
                   .message_type = (uint8_t)cvm_json_int(o, "message_type", 0),
                   .fresh = cvm_json_bool(o, "fresh", false)};
    int64_t n = cvm_json_int(o, "n", 1);
    int e = 0;
    for (int64_t i = 0; i < n; i++) {
        json_t *data = json_object_get(o, "bytes") ? json_pack("{s:o}", "text", json_stringn(content, strlen(content)))
                                                   : cvm_json_share(json_object_get(o, "data"));
        out.data = data;
        out.tags = cvm_json_share(json_object_get(o, "tags"));
        int was = e;
        e = r->t->host->emit(r->t, &out, &id);
        if (!i || e != was)
            saw(r, json_pack("[i, i]", (int)i, e));
    }
    keep_id(r, cvm_json_str(o, "keep", NULL), id);
    free(content);
    free(name);
}

static void settle(struct run *r, const json_t *s)
{
    char *content = made_text(text_at(s, 4, NULL));
    ended(r, cvm_settle(r->t, id_of(r, text_at(s, 1, "own")), (int)int_at(s, 2, CVM_REPLIED), value_at(s, 3), content));
    free(content);
}

static void reply(struct run *r, const json_t *s)
{
    char *content = made_text(text_at(s, 1, NULL));
    json_t *found = json_deep_copy(r->found);
    ended(r, cvm_settle(r->t, r->m->id, CVM_REPLIED, json_pack("{s:o}", "found", found), content));
    free(content);
}

static void refuse(struct run *r, const json_t *s)
{
    ended(r, r->result = cvm_refuse(r->t, text_at(s, 1, "NO"), text_at(s, 2, NULL), text_at(s, 3, "no")));
}

static void refuse_with(struct run *r, const json_t *s)
{
    ended(r, r->result = cvm_refuse_with(r->t, value_at(s, 1)));
}

/* ---- later, and outside ------------------------------------------------------------------------------------------ */

/* ["timer", type, delay, data, keep, n] */
static void timer(struct run *r, const json_t *s)
{
    cvm_id id = {0, 0};
    int e = 0;
    for (int64_t i = 0; i < int_at(s, 5, 1); i++) {
        int was = e;
        e = cvm_timer(r->t, text_at(s, 1, NULL), int_at(s, 2, 0), made_value(s, 3), r->m->id, &id);
        if (!i || e != was)
            saw(r, json_pack("[i, i]", (int)i, e));
    }
    keep_id(r, text_at(s, 4, NULL), id);
}

static void cancel(struct run *r, const json_t *s)
{
    ended(r, cvm_timer_cancel(r->t, id_of(r, text_at(s, 1, "none"))));
}

/* ["call", name, path, query, headers, body, key, keep] */
static void call(struct run *r, const json_t *s)
{
    cvm_id id = {0, 0};
    char *key = made_text(text_at(s, 6, NULL));
    cvm_call c = {.size = sizeof c,
                  .name = text_at(s, 1, ""),
                  .path = text_at(s, 2, NULL),
                  .query = json_is_null(json_array_get(s, 3)) ? NULL : json_array_get(s, 3),
                  .headers = json_is_null(json_array_get(s, 4)) ? NULL : value_at(s, 4),
                  .body = json_is_null(json_array_get(s, 5)) ? NULL : made_value(s, 5),
                  .key = key,
                  .on_behalf = r->m->id};
    ended(r, cvm_http_call(r->t, &c, &id));
    keep_id(r, text_at(s, 7, NULL), id);
    free(key);
}

/* ["ask", table, where, order_by, limit, size] */
static void ask(struct run *r, const json_t *s)
{
    cvm_query q = {.size = (uint32_t)int_at(s, 5, sizeof q),
                   .table = text_at(s, 1, ""),
                   .where = json_is_null(json_array_get(s, 2)) ? NULL : made_value(s, 2),
                   .order_by = text_at(s, 3, NULL),
                   .limit = int_at(s, 4, 0),
                   .on_behalf = r->m->id};
    ended(r, cvm_ask(r->t, &q));
}

/* ---- what is kept ------------------------------------------------------------------------------------------------ */

static void put(struct run *r, const json_t *s)
{
    char *key = made_text(text_at(s, 1, NULL));
    ended(r, cvm_state_put(r->t, key, made_value(s, 2)));
    free(key);
}

static void put_many(struct run *r, const json_t *s)
{
    char key[64];
    int e = 0;
    for (int64_t i = 0; i < int_at(s, 2, 1); i++) {
        int was = e;
        snprintf(key, sizeof key, "%s%06lld", text_at(s, 1, "m/"), (long long)i);
        e = cvm_state_put(r->t, key, made_value(s, 3));
        if (!i || e != was)
            saw(r, json_pack("[i, i]", (int)i, e));
    }
}

static void get(struct run *r, const json_t *s)
{
    const json_t *v = NULL;
    char *key = made_text(text_at(s, 1, NULL));
    int e = cvm_state_get(r->t, key, &v);
    saw(r, e < 0 ? json_integer(e) : json_deep_copy(v));
    free(key);
}

static void del(struct run *r, const json_t *s)
{
    ended(r, cvm_state_del(r->t, text_at(s, 1, "k")));
}

/* ["scan", prefix, after, limit] */
static void scan(struct run *r, const json_t *s)
{
    json_t *pairs = NULL;
    int e = cvm_state_scan(r->t, text_at(s, 1, ""), text_at(s, 2, NULL), (size_t)int_at(s, 3, 1000), &pairs);
    saw(r, e < 0 ? json_integer(e) : pairs);
}

static void count(struct run *r, const json_t *s)
{
    int64_t n = -1;
    int e = cvm_state_int(r->t, text_at(s, 1, "n"), &n);
    saw(r, json_pack("[i, I]", e, (json_int_t)n));
    if (e >= 0)
        ended(r, cvm_state_put_int(r->t, text_at(s, 1, "n"), n + 1));
}

static void set(struct run *r, const json_t *s)
{
    char *path = made_text(text_at(s, 1, ""));
    ended(r, cvm_context_set(r->t, path, json_is_null(json_array_get(s, 2)) ? NULL : made_value(s, 2)));
    free(path);
}

static void context(struct run *r, const json_t *s)
{
    (void)s;
    saw(r, json_deep_copy(cvm_context(r->t)));
}

static void row(struct run *r, const json_t *s)
{
    ended(r, cvm_row_put(r->t, text_at(s, 1, "every_rows"), made_value(s, 2)));
}

static void unrow(struct run *r, const json_t *s)
{
    ended(r, cvm_row_del(r->t, text_at(s, 1, "every_rows"), text_at(s, 2, "")));
}

static void note(struct run *r, const json_t *s)
{
    ended(r, cvm_note(r->t, text_at(s, 1, "note"), json_is_null(json_array_get(s, 2)) ? NULL : made_value(s, 2)));
}

static void end(struct run *r, const json_t *s)
{
    (void)s;
    ended(r, cvm_end(r->t));
}

/* ---- what is given ----------------------------------------------------------------------------------------------- */

static void new_id(struct run *r, const json_t *s)
{
    char id[CVM_SHORT_ID_SIZE] = "";
    ended(r, r->t->host->new_id(r->t, text_at(s, 1, ""), id, int_at(s, 2, 0) ? 1 : sizeof id));
    saw(r, json_string(id));
}

static void draw(struct run *r, const json_t *s)
{
    for (int64_t i = 0; i < int_at(s, 1, 1); i++)
        saw(r, json_integer((json_int_t)cvm_random(r->t)));
}

static void settings(struct run *r, const json_t *s)
{
    (void)s;
    saw(r, json_deep_copy(cvm_settings(r->t)));
}

static void registry(struct run *r, const json_t *s)
{
    const json_t *v = cvm_registry(r->t, text_at(s, 1, "components"));
    saw(r, v ? json_integer((json_int_t)json_array_size(v) + (json_int_t)json_object_size(v)) : json_null());
}

static void secret(struct run *r, const json_t *s)
{
    const char *value = NULL;
    ended(r, cvm_secret(r->t, text_at(s, 1, ""), &value));
    saw(r, json_string(value ? value : ""));
}

static void match(struct run *r, const json_t *s)
{
    cvm_span spans[3] = {{7, 7}, {7, 7}, {7, 7}};
    ended(r, cvm_match(r->t, text_at(s, 1, ""), text_at(s, 2, ""), (size_t)int_at(s, 3, 0), spans, 3));
    for (int i = 0; i < 3; i++)
        saw(r, json_pack("[I, I]", (json_int_t)spans[i].start, (json_int_t)spans[i].end));
}

static void hmac(struct run *r, const json_t *s)
{
    uint8_t bytes[32];
    char hex[65] = "";
    const char *key = text_at(s, 1, ""), *data = text_at(s, 2, "");
    ended(r, r->t->host->hmac_sha256(r->t, key, strlen(key), data, strlen(data), bytes));
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    saw(r, json_string(hex));
}

static void mac(struct run *r, const json_t *s)
{
    uint8_t bytes[CVM_MAC_MAX];
    char hex[2 * CVM_MAC_MAX + 1] = "";
    const char *key = text_at(s, 2, ""), *data = text_at(s, 3, "");
    int n = cvm_hmac(r->t, (enum cvm_digest)int_at(s, 1, 0), key, strlen(key), data, strlen(data), bytes);
    ended(r, n < 0 ? n : CVM_OK);
    for (int i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    saw(r, json_string(hex));
}

static void say(struct run *r, const json_t *s)
{
    char *text = made_text(text_at(s, 2, "?"));
    for (int64_t i = 0; i < int_at(s, 3, 1); i++)
        cvm_log(r->t, (int)int_at(s, 1, CVM_LOG_WARNING), "%s", text);
    free(text);
}

static void message(struct run *r, const json_t *s)
{
    const cvm_msg *m = r->m;
    (void)s;
    saw(r, json_pack("{s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:O, s:o, s:f, s:[i, i, i, i, i]}", "in",
                     id_json(m->in_reply_to), "for", id_json(m->on_behalf), "sender", m->sender, "to", m->recipient,
                     "type", m->type, "conversation", m->conversation, "content", m->content, "enquiry", m->enquiry_id,
                     "customer", m->customer_id, "session", m->session_id, "now", cvm_now_ms(r->t) >= m->timestamp_ms,
                     "data", m->data, "tags", m->tags ? cvm_json_share(m->tags) : json_array(), "confidence",
                     m->confidence, "small", m->message_type, m->priority, m->outcome, m->requires_response,
                     m->schema_version));
}

/* ---- going wrong ------------------------------------------------------------------------------------------------- */

static void give(struct run *r, const json_t *s)
{
    r->result = (int)int_at(s, 1, CVM_OK);
    r->returned = true;
}

static void crash(struct run *r, const json_t *s)
{
    (void)r;
    (void)s;
    *(volatile int *)NULL = 1;
}

static void hang(struct run *r, const json_t *s)
{
    (void)r;
    (void)s;
    for (volatile bool on = true; on;)
        continue;
}

/* Works for so long, in milliseconds, asking meanwhile so that it is known to be alive. */
static void work(struct run *r, const json_t *s)
{
    const json_t *v = NULL;
    for (int64_t i = 0; i < int_at(s, 1, 100); i++) {
        struct timespec begun, now;
        clock_gettime(CLOCK_MONOTONIC, &begun);
        do
            clock_gettime(CLOCK_MONOTONIC, &now);
        while ((now.tv_sec - begun.tv_sec) * 1000000000 + now.tv_nsec - begun.tv_nsec < 1000000);
        if (cvm_state_get(r->t, "work", &v) == CVM_OK)
            break;
    }
}

static const struct {
    const char *name;
    void (*run)(struct run *r, const json_t *step);
} steps[] = {
    {"emit", emit},         {"settle", settle},     {"reply", reply},
    {"refuse", refuse},     {"timer", timer},       {"refuse_with", refuse_with},
    {"cancel", cancel},     {"call", call},         {"ask", ask},
    {"put", put},           {"put_many", put_many}, {"get", get},
    {"del", del},           {"scan", scan},         {"count", count},
    {"set", set},           {"context", context},   {"row", row},
    {"unrow", unrow},       {"note", note},         {"end", end},
    {"keep", keep},         {"new_id", new_id},     {"random", draw},
    {"settings", settings}, {"registry", registry}, {"secret", secret},
    {"match", match},       {"hmac", hmac},         {"mac", mac},
    {"log", say},           {"message", message},   {"return", give},
    {"crash", crash},       {"hang", hang},         {"work", work},
};

static int run_steps(cvm_turn *t, const cvm_msg *m)
{
    struct run r = {.t = t, .m = m, .found = json_array()};
    const json_t *list = json_object_get(m->data, "steps"), *s;
    for (size_t i = 0; i < json_array_size(list) && !r.returned; i++) {
        s = json_array_get(list, i);
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++)
            if (strcmp(text_at(s, 0, ""), steps[k].name) == 0)
                steps[k].run(&r, s);
    }
    json_decref(r.found);
    return r.result;
}

/* What a reply, a call or a question brought, kept; and the request it was for answered, where it is still open. */
static int heard(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX];
    if (*m->conversation) {
        int64_t n;
        CVM_TRY(cvm_state_int(t, "heard", &n));
        CVM_TRY(cvm_state_put_int(t, "heard", n + 1));
        snprintf(key, sizeof key, "heard/%lld", (long long)n);
        CVM_TRY(cvm_state_put(
            t, key, json_pack("{s:s, s:i, s:s}", "type", m->type, "outcome", m->outcome, "content", m->content)));
    }
    if (cvm_id_is_none(m->on_behalf))
        return CVM_OK;
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED,
                       json_pack("{s:s, s:i, s:O}", "type", m->type, "outcome", m->outcome, "data", m->data), NULL);
    return e == CVM_ENOENT || e == CVM_EACCES ? CVM_OK : e;
}

/* What is only in memory, and how often a process began. */
static int start(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    (void)m;
    CVM_TRY(cvm_state_int(t, "starts", &n));
    return cvm_state_put_int(t, "starts", n + 1);
}

/* clang-format off */
static const cvm_component components[] = {{.id = A, .state_version = 1}, {.id = B, .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {A, "do", run_steps}, {A, "look", run_steps}, {A, "retried", run_steps}, {A, "tick", run_steps}, {A, "start", start},
    {A, "do.reply", heard}, {A, "look.reply", heard}, {A, "read.reply", heard}, {A, "post.reply", heard},
    {A, "query.reply", heard},
    {B, "do", run_steps}, {B, "look", run_steps}, {B, "tick", run_steps}, {B, "do.reply", heard}, {B, "test.word", run_steps},
    {0}
};
/* clang-format on */

CVM_PLUGIN(.name = "every", .version = "1.0.0", .components = components, .routes = routes);
