/* "call" and "tail": messages into the core and envelopes out of it. Checks what a client sends as an envelope. Knows
 * no connections. Loop thread. */
#include "services/control_private.h"

#include "core/envelope_words.h"
#include "core/id.h"
#include <ctype.h>
#include <stdio.h>
#include <sys/random.h>

#define TIMEOUT_MAX_MS (7LL * 24 * 3600 * 1000)

/* ---- checking ---- */

enum want { WANT_STRING, WANT_TEXT, WANT_OBJECT, WANT_BOOLEAN, WANT_TIMEOUT, WANT_PRIORITY, WANT_ENVELOPE, WANT_ANY };

struct member {
    const char *name;
    enum want want;
    bool required;
};

static int fault(struct edge_error *ret_error, const char *field, const char *text)
{
    ret_error->error = CVM_EINVAL;
    snprintf(ret_error->field, sizeof ret_error->field, "%s", field);
    snprintf(ret_error->text, sizeof ret_error->text, "%s: %s", field[0] ? field : "the request", text);
    return CVM_EINVAL;
}

static int priority_of(const json_t *value)
{
    uint8_t i =
        word_number(priority_words, PRIORITIES, json_is_string(value) ? json_string_value(value) : "", PRIORITIES);
    return i < PRIORITIES ? i : -1;
}

static const char *fault_of(const json_t *value, enum want want)
{
    switch (want) {
    case WANT_STRING:
        if (!json_is_string(value) || json_string_length(value) == 0)
            return "expected a string that is not empty";
        return json_string_length(value) > CVM_NAME_MAX ? "longer than 127 bytes" : NULL;
    case WANT_TEXT:
        if (!json_is_string(value))
            return "expected a string";
        return json_string_length(value) > CVM_CONTENT_MAX_BYTES ? "longer than 64 KiB" : NULL;
    case WANT_OBJECT:
    case WANT_ENVELOPE:
        return json_is_object(value) ? NULL : "expected an object";
    case WANT_BOOLEAN:
        return json_is_boolean(value) ? NULL : "expected true or false";
    case WANT_TIMEOUT:
        return json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= TIMEOUT_MAX_MS
                   ? NULL
                   : "expected whole milliseconds, 0 to 604800000 (7 days)";
    case WANT_PRIORITY:
        return priority_of(value) < 0 ? "expected one of LOW, MEDIUM, HIGH, CRITICAL" : NULL;
    case WANT_ANY:
        break;
    }
    return NULL;
}

/* Every member is known and well-formed, every required one is there. */
static int check_members(const json_t *object, const struct member *members, size_t n, struct edge_error *ret_error)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, members[i].name);
        if (!value && members[i].required)
            return fault(ret_error, members[i].name, "is missing");
        const char *text = value ? fault_of(value, members[i].want) : NULL;
        if (text)
            return fault(ret_error, members[i].name, text);
    }
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        size_t i = 0;
        while (i < n && strcmp(name, members[i].name) != 0)
            i++;
        if (i == n)
            return fault(ret_error, name, "there is no such member");
    }
    return 0;
}

/* "2026-11-20T09:34:02.117Z": UTC, fraction optional. */
static bool is_timestamp(const char *text)
{
    int y, mo, d, h, mi, s, n = 0;
    if (strlen(text) > 40 || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &s, &n) != 6 || n != 19)
        return false;
    if (mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 60)
        return false;
    text += n;
    if (*text == '.') {
        text++;
        if (!isdigit((unsigned char)*text))
            return false;
        while (isdigit((unsigned char)*text))
            text++;
    }
    return strcmp(text, "Z") == 0 || strcmp(text, "+00:00") == 0;
}

static const char *fault_of_type(const json_t *value)
{
    static const char *const types[] = {"request", "response", "notification", "escalation"};
    for (int i = 0; i < 4; i++)
        if (json_is_string(value) && strcmp(json_string_value(value), types[i]) == 0)
            return i == 0 ? NULL : "only a \"request\" can be called";
    return "expected one of request, response, notification, escalation";
}

static const char *fault_of_id(const json_t *value)
{
    cvm_id id;
    if (!json_is_string(value) || id_parse(json_string_value(value), &id) < 0)
        return "expected MSG- and 32 hex digits";
    return NULL;
}

static int check_tags(const json_t *tags, struct edge_error *ret_error)
{
    if (!json_is_array(tags))
        return fault(ret_error, "tags", "expected an array of strings");
    for (size_t i = 0; i < json_array_size(tags); i++) {
        char field[40];
        snprintf(field, sizeof field, "tags[%zu]", i);
        if (!json_is_string(json_array_get(tags, i)))
            return fault(ret_error, field, "expected a string");
    }
    return 0;
}

/* What only an envelope has, beyond the form of its members. */
static int check_values(const json_t *envelope, struct edge_error *ret_error)
{
    const char *text = fault_of_type(json_object_get(envelope, "message_type"));
    if (text)
        return fault(ret_error, "message_type", text);
    const json_t *v = json_object_get(envelope, "message_id");
    if (v && (text = fault_of_id(v)))
        return fault(ret_error, "message_id", text);
    if ((v = json_object_get(envelope, "timestamp")) && (!json_is_string(v) || !is_timestamp(json_string_value(v))))
        return fault(ret_error, "timestamp", "expected a time in UTC like 2026-11-20T09:34:02.117Z");
    if ((v = json_object_get(envelope, "confidence")) &&
        (!json_is_number(v) || json_number_value(v) < 0 || json_number_value(v) > 1))
        return fault(ret_error, "confidence", "expected a number from 0 to 1");
    if ((v = json_object_get(envelope, "tags")) && check_tags(v, ret_error) < 0)
        return CVM_EINVAL;
    static const char *const others[] = {"in_reply_to", "cause"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        v = json_object_get(envelope, others[i]);
        if (v && !json_is_null(v) && (text = fault_of_id(v)))
            return fault(ret_error, others[i], text);
    }
    v = json_object_get(envelope, "schema_version");
    if (v && (!json_is_integer(v) || json_integer_value(v) != 1))
        return fault(ret_error, "schema_version", "expected 1");
    return 0;
}

/* Checks a whole envelope, member by member, as one that a client wants delivered as a request. Returns 0, or
 * CVM_EINVAL with the member and a sentence in *ret_error. */
static int check_envelope(const json_t *envelope, struct edge_error *ret_error)
{
    static const struct member members[] = {
        {"message_id", WANT_ANY, false},
        {"timestamp", WANT_ANY, false},
        {"sender", WANT_STRING, true},
        {"recipient", WANT_STRING, true},
        {"message_type", WANT_ANY, true},
        {"type", WANT_STRING, true},
        {"content", WANT_TEXT, true},
        {"structured_data", WANT_OBJECT, false},
        {"enquiry_id", WANT_TEXT, true},
        {"customer_id", WANT_TEXT, true},
        {"session_id", WANT_STRING, true},
        {"priority", WANT_PRIORITY, false},
        {"requires_response", WANT_BOOLEAN, false},
        {"tags", WANT_ANY, false},
        {"confidence", WANT_ANY, false},
        {"in_reply_to", WANT_ANY, false},
        {"cause", WANT_ANY, false},
        {"deadline_ms", WANT_TIMEOUT, false},
        {"schema_version", WANT_ANY, false},
        {"conversation", WANT_TEXT, false},
        {"traceparent", WANT_TEXT, false},
    };
    if (!json_is_object(envelope))
        return fault(ret_error, "", "expected an envelope, an object");
    int error = check_members(envelope, members, sizeof members / sizeof *members, ret_error);
    return error < 0 ? error : check_values(envelope, ret_error);
}

static int check_call(const json_t *request, struct edge_error *ret_error)
{
    static const struct member members[] = {
        {"id", WANT_ANY, false},
        {"do", WANT_ANY, false},
        {"to", WANT_STRING, false},
        {"type", WANT_STRING, false},
        {"data", WANT_OBJECT, false},
        {"key", WANT_STRING, false},
        {"priority", WANT_PRIORITY, false},
        {"timeout_ms", WANT_TIMEOUT, false},
        {"content", WANT_TEXT, false},
        {"conversation", WANT_STRING, false},
        {"session_id", WANT_STRING, false},
        {"trace", WANT_BOOLEAN, false},
        {"envelope", WANT_ENVELOPE, false},
    };
    int error = check_members(request, members, sizeof members / sizeof *members, ret_error);
    if (error < 0)
        return error;
    const json_t *envelope = json_object_get(request, "envelope");
    if (!envelope) {
        if (!json_object_get(request, "to"))
            return fault(ret_error, "to", "is missing");
        return json_object_get(request, "type") ? 0 : fault(ret_error, "type", "is missing");
    }
    static const char *const beside[] = {"to", "type", "data", "priority", "content", "conversation", "session_id"};
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
        if (json_object_get(request, beside[i]))
            return fault(ret_error, beside[i], "stands in the envelope already");
    return check_envelope(envelope, ret_error);
}

/* ---- calling ---- */

static void traced(void *arg, const json_t *envelope)
{
    struct exchange *x = arg;
    control__send(x, json_pack("{s:O}", "trace", (json_t *)(uintptr_t)envelope));
}

static void call_done(void *arg, const struct edge_reply *reply)
{
    struct exchange *x = arg;
    char id[40];
    id_text(reply->request, id);
    operation_count_add(x->count, reply->outcome, uv_hrtime() - x->begun_ns);
    x->message = (cvm_id){0, 0};
    const char *outcome = (unsigned)reply->outcome < OUTCOMES ? outcome_words[reply->outcome] : "UNKNOWN";
    json_t *line = json_pack("{s:s, s:o, s:s}", "outcome", outcome, "data",
                             reply->data ? cvm_json_share(reply->data) : json_object(), "message_id", id);
    if (line && reply->content && reply->content[0])
        json_object_set_new(line, "content", json_string(reply->content));
    if (line && reply->repeated)
        json_object_set_new(line, "repeated", json_true());
    if (line)
        control__send(x, line);
    control__end(x);
}

/* Every message belongs to a session; a command is one of its own. The same key gives the same session, so that a
 * repeated request is the same request. */
static void session_id(const char *key, char ret_id[24])
{
    uint64_t bits = 0;
    if (key)
        bits = id_hash(key, strlen(key), 0x5e55);
    else if (getrandom(&bits, sizeof bits, 0) != sizeof bits)
        bits = (uint64_t)uv_hrtime();
    snprintf(ret_id, 24, "SES-%012llx", (unsigned long long)(bits & 0xffffffffffffULL));
}

static const char *filled(const json_t *object, const char *name)
{
    const char *text = cvm_json_str(object, name, "");
    return text[0] ? text : NULL;
}

/* The counts of an operation that people can reach; components go by id or alias. */
static struct operation_count *count_of(const struct exchange *x, const char *to, const char *type)
{
    size_t n = 0;
    const struct operation *all = registry_operations(x->core, &n);
    for (size_t i = 0; x->counters && i < n; i++)
        if (all[i].decl->expose && strcmp(all[i].decl->type, type) == 0 &&
            (strcmp(all[i].component_id, to) == 0 || (all[i].alias && strcmp(all[i].alias, to) == 0)))
            return operation_counters_get(x->counters, all[i].component_id, type);
    return NULL;
}

void control__call(struct exchange *x, const json_t *request)
{
    struct edge_error error = {0};
    if (check_call(request, &error) < 0) {
        control__fail(x, error.error, error.field, "%s", error.text);
        return;
    }
    const json_t *envelope = json_object_get(request, "envelope"), *from = envelope ? envelope : request;
    struct edge_in in = {.source = "cli",
                         .to = cvm_json_str(from, envelope ? "recipient" : "to", ""),
                         .type = cvm_json_str(from, "type", ""),
                         .content = filled(from, "content"),
                         .conversation = filled(from, "conversation"),
                         .session_id = filled(from, "session_id"),
                         .enquiry_id = filled(envelope, "enquiry_id"),
                         .customer_id = filled(envelope, "customer_id"),
                         .traceparent = filled(envelope, "traceparent"),
                         .priority = priority_of(json_object_get(from, "priority")),
                         .timeout_ms = cvm_json_int(request, "timeout_ms", cvm_json_int(envelope, "deadline_ms", 0))};
    in.key = filled(request, "key");
    if (!in.key) /* an envelope with an id of its own is the same envelope when it comes again */
        in.key = filled(envelope, "message_id");
    in.data = cvm_json_share(json_object_get(from, envelope ? "structured_data" : "data"));
    char session[24];
    if (!in.session_id) {
        session_id(in.key, session);
        in.session_id = session;
    }
    /* An ephemeral message is shown at once, before its id is known here: while it is taken, all that passes is its. */
    bool trace = cvm_json_bool(request, "trace", false);
    if (trace)
        x->tap = edge_tap_open(x->core, (cvm_id){0, 0}, traced, x);
    cvm_id id = {0, 0};
    x->count = count_of(x, in.to, in.type);
    x->begun_ns = uv_hrtime();
    int e = edge_submit(x->core, &in, call_done, x, &id, &error);
    if (x->tap)
        edge_tap_close(x->core, x->tap);
    x->tap = NULL;
    if (e < 0) {
        operation_count_add(x->count, e, uv_hrtime() - x->begun_ns);
        control__send(x, control__error(error.error ? error.error : e, error.field,
                                        error.text[0] ? error.text : cvm_strerror(e), error.retry_after_s));
        control__end(x);
        return;
    }
    x->message = id;
    if (trace)
        x->tap = edge_tap_open(x->core, id, traced, x);
}

/* ---- watching ---- */

static bool is_or(const char *wanted, const char *a, const char *b)
{
    return !wanted || strcmp(wanted, a) == 0 || strcmp(wanted, b) == 0;
}

static void tapped(void *arg, const json_t *envelope)
{
    struct exchange *x = arg;
    const char *type = cvm_json_str(envelope, "type", "");
    const char *lane = cvm_json_str(envelope, "conversation", ""), *recipient = cvm_json_str(envelope, "recipient", "");
    const char *topic = cvm_json_str(x->filter, "topic", NULL);
    bool published = strncmp(lane, "topic:", 6) == 0 || strcmp(recipient, "BROADCAST") == 0;
    if (topic && (!published || strcmp(topic, type) != 0))
        return;
    if (!is_or(cvm_json_str(x->filter, "component", NULL), cvm_json_str(envelope, "sender", ""), recipient) ||
        !is_or(cvm_json_str(x->filter, "type", NULL), type, type))
        return;
    control__send(x, json_pack("{s:O}", "envelope", (json_t *)(uintptr_t)envelope));
}

/* Envelopes carry component ids; people also know aliases. */
static const char *component_id(struct core *core, const char *name, json_t **ret_components)
{
    json_t *components = core_components(core), *component;
    *ret_components = components;
    size_t i;
    json_array_foreach(components, i, component) if (strcmp(cvm_json_str(component, "id", ""), name) == 0 ||
                                                     strcmp(cvm_json_str(component, "alias", ""), name) ==
                                                         0) return cvm_json_str(component, "id", NULL);
    return NULL;
}

void control__tail(struct exchange *x, const json_t *request)
{
    static const struct member members[] = {{"id", WANT_ANY, false},
                                            {"do", WANT_ANY, false},
                                            {"topic", WANT_STRING, false},
                                            {"type", WANT_STRING, false},
                                            {"component", WANT_STRING, false}};
    struct edge_error error = {0};
    json_t *components = NULL;
    if (check_members(request, members, sizeof members / sizeof *members, &error) < 0) {
        control__fail(x, error.error, error.field, "%s", error.text);
        return;
    }
    x->filter = json_copy((json_t *)(uintptr_t)request);
    const char *name = cvm_json_str(request, "component", NULL);
    const char *id = name ? component_id(x->core, name, &components) : NULL;
    if (id)
        json_object_set_new(x->filter, "component", json_string(id));
    json_decref(components);
    if (name && !id) {
        control__fail(x, CVM_ENOENT, "component", "there is no component %.100s", name);
        return;
    }
    x->tap = edge_tap_open(x->core, (cvm_id){0, 0}, tapped, x);
    if (!x->tap)
        control__fail(x, CVM_ENOMEM, "", "too many are watching");
    else
        control__send(x, json_pack("{s:b}", "open", 1));
}
