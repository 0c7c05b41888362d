/* support.alerts: tells the support team by mail and Slack what they must know of a ticket: its solution is ready, its
 * wait is over, it has failed, its time is exceeded. Each once for each recipient, whatever comes twice; the table
 * support_alerts is the book of it. Owns the state keys alert/<alert id> -> an alert that is not through yet. Loop
 * thread. */
#include "../../common/text.h"

#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdio.h>

#define ID "support.alerts"
#define TIME_SIZE TEXT_TIME_SIZE
#define ALERT_ID_SIZE 101
#define TEXT_MAX 6000
#define STEPS_MAX 20
#define RECIPIENTS_MAX 20
#define TRIES 4
#define DELIVER_TIMEOUT_MS (15 * 60 * 1000)

static const struct {
    const char *event, *subject, *text;
} events[] = {{"solution_ready", ": a solution waits for you", "A solution is ready for review."},
              {"timed_out", ": nobody approved in time", "Nobody approved a solution in time. It can be reopened."},
              {"failed", " has failed", "The work on this ticket has failed."},
              {"sla_breached", " is over its time", "The time that this ticket may take is over."},
              {"solution_ready", ": your solution is wanted",
               "No documented solution was found. The customer waits for one of yours."}};

#define N_EVENTS (sizeof events / sizeof *events)
#define NOTHING_FOUND (N_EVENTS - 1)

/* ---- the text -------------------------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 3, 4))) static void add(char *text, size_t *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + *at, TEXT_MAX - *at, format, args);
    va_end(args);
    if (n > 0)
        *at = *at + (size_t)n < TEXT_MAX ? *at + (size_t)n : TEXT_MAX - 1;
}

static void link_of(cvm_turn *t, const char *ticket, char *ret_link, size_t size)
{
    const char *base = cvm_json_str(cvm_settings(t), "page_url", "");
    snprintf(ret_link, size, "%s%s%s", base, *base ? "#" : "", *base ? ticket : "");
}

static void make_text(const json_t *data, const char *says, const char *link, char text[TEXT_MAX])
{
    static const char *const lines[][2] = {
        {"Ticket", "ticket_id"}, {"Customer", "customer_id"}, {"Summary", "summary"}, {"Approve until", "expires_at"}};
    const json_t *steps = json_object_get(data, "resolution_steps"), *step;
    const char *error = cvm_json_str(json_object_get(data, "error"), "message", cvm_json_str(data, "error", ""));
    size_t at = 0, i;
    add(text, &at, "%s\n\n", says);
    for (i = 0; i < sizeof lines / sizeof *lines; i++)
        if (*cvm_json_str(data, lines[i][1], ""))
            add(text, &at, "%s: %.*s\n", lines[i][0], text_cut(cvm_json_str(data, lines[i][1], ""), 600),
                cvm_json_str(data, lines[i][1], ""));
    if (*error)
        add(text, &at, "Error: %.*s\n", text_cut(error, 600), error);
    json_array_foreach((json_t *)(uintptr_t)steps, i, step)
    {
        if (i == STEPS_MAX)
            break;
        const char *line = json_string_value(step) ? json_string_value(step) : "";
        add(text, &at, "%s%zu. %.*s\n", i ? "" : "\nSteps:\n", i + 1, text_cut(line, 200), line);
    }
    if (*link)
        add(text, &at, "\nReview and approve: %s\n", link);
    while (at && ((unsigned char)text[at - 1] & 0xc0) == 0x80) /* what was cut within a character */
        text[--at] = 0;
    if (at && (unsigned char)text[at - 1] >= 0xc0)
        text[--at] = 0;
}

/* ---- the book -------------------------------------------------------------------------------------------------------
 */

static int book(cvm_turn *t, const json_t *alert, const char *status, const char *provider_id, const char *error)
{
    static const char *const copied[] = {"alert_id", "ticket_id", "event", "channel", "recipient", "created_at"};
    char at[TIME_SIZE];
    json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "status", status, "provider_id", provider_id, "error", error,
                            "updated_at", text_of_time(cvm_now_ms(t), at));
    for (size_t i = 0; row && i < sizeof copied / sizeof *copied; i++)
        json_object_set(row, copied[i], json_object_get(alert, copied[i]));
    return row ? cvm_row_put(t, "support_alerts", row) : CVM_ENOMEM;
}

static void alert_key(const char *id, char key[CVM_STATE_KEY_MAX])
{
    snprintf(key, CVM_STATE_KEY_MAX, "alert/%.110s", id);
}

static void cookie_key(cvm_id id, char key[CVM_STATE_KEY_MAX])
{
    snprintf(key, CVM_STATE_KEY_MAX, "ask/%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
}

/* Under a cookie of its own, by which answers and timers find it. */
static int give(cvm_turn *t, const json_t *alert)
{
    json_t *data = json_copy(json_object_get(alert, "message"));
    return data ? cvm_request(t, "role:channel", "deliver", data,
                              &(cvm_request_opts){.on_behalf = {(uint64_t)cvm_json_int(alert, "cookie_hi", 0),
                                                                (uint64_t)cvm_json_int(alert, "cookie_lo", 0)},
                                                  .timeout_ms = DELIVER_TIMEOUT_MS})
                : CVM_ENOMEM;
}

static int try_alert(cvm_turn *t, const json_t *alert)
{
    int e = give(t, alert);
    if (e == CVM_ENOENT) /* no such channel is loaded */
        return book(t, alert, "failed", "", "NO_CHANNEL");
    return e < 0 ? e : book(t, alert, "queued", "", "");
}

/* ---- an event -------------------------------------------------------------------------------------------------------
 */

/* FNV-1a: another wait of the same ticket has another deadline; what has none comes at another time. */
static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

static int make(cvm_turn *t, const cvm_msg *m, size_t event, const char *channel, const char *to, size_t n)
{
    char id[ALERT_ID_SIZE], key[CVM_STATE_KEY_MAX], cookie[CVM_STATE_KEY_MAX], at[TIME_SIZE], subject[200], link[600];
    char text[TEXT_MAX];
    const char *ticket = cvm_json_str(m->data, "ticket_id", "");
    const json_t *known = NULL;
    snprintf(id, sizeof id, "%.64s/%s/%08x/%s%zu", ticket, events[event].event,
             hash(cvm_json_str(m->data, "expires_at", cvm_json_str(m->data, "at", ""))) ^
                 hash(cvm_json_str(m->data, "instance_id", "")),
             channel, n);
    alert_key(id, key);
    int e = cvm_state_get(t, key, &known);
    if (e != CVM_ENOENT)
        return e < 0 ? e : CVM_OK; /* told already */
    cvm_id own = {cvm_random(t), cvm_random(t) >> 1};
    own.hi >>= 1;
    cookie_key(own, cookie);
    link_of(t, ticket, link, sizeof link);
    snprintf(subject, sizeof subject, "Ticket %.64s%s", ticket, events[event].subject);
    make_text(m->data, events[event].text, link, text);
    json_t *message = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*}", "channel", channel, "to", to, "subject", subject,
                                "text", text, "reference", id, "link", *link ? link : NULL);
    json_t *alert = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:i}", "alert_id", id, "ticket_id", ticket,
                              "event", events[event].event, "channel", channel, "recipient", to, "created_at",
                              text_of_time(cvm_now_ms(t), at), "message", message, "cookie_hi", (json_int_t)own.hi,
                              "cookie_lo", (json_int_t)own.lo, "tries", 0);
    if (!alert)
        return CVM_ENOMEM;
    e = cvm_state_put(t, key, json_incref(alert));
    if (e >= 0)
        e = cvm_state_put(t, cookie, json_string(id));
    if (e >= 0)
        e = try_alert(t, alert);
    json_decref(alert);
    return e;
}

static int heard(cvm_turn *t, const cvm_msg *m)
{
    const json_t *settings = cvm_settings(t), *to = json_object_get(settings, "alert_to"), *one;
    const char *event = cvm_json_str(m->data, "event", "");
    size_t n = 0, i;
    while (n < N_EVENTS && strcmp(events[n].event, event))
        n++;
    if (n == 0 && !cvm_json_bool(m->data, "found", true))
        n = NOTHING_FOUND;
    if (n == N_EVENTS || !*cvm_json_str(m->data, "ticket_id", ""))
        return CVM_OK;
    json_array_foreach((json_t *)(uintptr_t)to, i, one)
    {
        if (i < RECIPIENTS_MAX && json_is_string(one) && *json_string_value(one))
            CVM_TRY(make(t, m, n, "email", json_string_value(one), i));
    }
    if (cvm_json_bool(settings, "alert_slack", false))
        CVM_TRY(make(t, m, n, "slack", "team", 0));
    return CVM_OK;
}

/* ---- what became of it ----------------------------------------------------------------------------------------------
 */

/* The alert of a cookie; given. CVM_ENOENT: it is over. */
static int load(cvm_turn *t, cvm_id own, json_t **ret_alert, char ret_key[CVM_STATE_KEY_MAX])
{
    char cookie[CVM_STATE_KEY_MAX];
    const json_t *id = NULL, *kept = NULL;
    cookie_key(own, cookie);
    CVM_TRY(cvm_state_get(t, cookie, &id));
    alert_key(json_string_value(id), ret_key);
    CVM_TRY(cvm_state_get(t, ret_key, &kept));
    if (!json_is_object(kept))
        return CVM_ENOENT;
    *ret_alert = json_deep_copy(kept);
    return *ret_alert ? CVM_OK : CVM_ENOMEM;
}

/* Its key stays, so that the same event is not told again. */
static int over(cvm_turn *t, const cvm_msg *m, const char *key)
{
    char cookie[CVM_STATE_KEY_MAX];
    cookie_key(m->on_behalf, cookie);
    CVM_TRY(cvm_state_put(t, key, json_true()));
    return cvm_state_del(t, cookie);
}

static int ended(cvm_turn *t, const cvm_msg *m, const json_t *alert, const char *key)
{
    const char *code = cvm_json_str(m->data, "code", "FAILED");
    CVM_TRY(over(t, m, key));
    if (m->outcome == CVM_REPLIED)
        return book(t, alert, "sent", cvm_json_str(m->data, "provider_id", ""), "");
    return book(t, alert, m->outcome == CVM_UNKNOWN ? "unknown" : "failed", "", code);
}

static int delivered(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX];
    json_t *alert = NULL;
    int e = load(t, m->on_behalf, &alert, key);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    int64_t tries = cvm_json_int(alert, "tries", 0) + 1;
    bool trouble = m->outcome == CVM_ERROR || m->outcome == CVM_BUSY || m->outcome == CVM_TIMEOUT;
    json_object_set_new(alert, "tries", json_integer(tries));
    if (trouble && tries < TRIES) {
        e = cvm_state_put(t, key, json_incref(alert));
        if (e >= 0)
            e = book(t, alert, "queued", "", cvm_json_str(m->data, "code", "FAILED"));
        if (e >= 0)
            e = cvm_timer(t, "again", cvm_json_int(cvm_settings(t), "back_off_ms", 60000) << (2 * (tries - 1)), NULL,
                          m->on_behalf, NULL);
    } else {
        e = ended(t, m, alert, key);
    }
    json_decref(alert);
    return e;
}

static int again(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX];
    json_t *alert = NULL;
    int e = load(t, m->on_behalf, &alert, key);
    if (e >= 0)
        e = try_alert(t, alert);
    json_decref(alert);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- for people
 * ------------------------------------------------------------------------------------------------------ */

static int list(cvm_turn *t, const cvm_msg *m)
{
    static const char *const names[] = {"ticket_id", "status", "channel"};
    json_t *where = json_object();
    for (size_t i = 0; where && i < sizeof names / sizeof *names; i++)
        if (*cvm_json_str(m->data, names[i], ""))
            json_object_set(where, names[i], json_object_get(m->data, names[i]));
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "support_alerts",
                                    .where = where,
                                    .order_by = "-created_at",
                                    .limit = cvm_json_int(m->data, "limit", 50),
                                    .on_behalf = m->id}));
    return CVM_PENDING;
}

static int listed(cvm_turn *t, const cvm_msg *m)
{
    json_t *answer = m->outcome == CVM_REPLIED ? json_pack("{s:O, s:O}", "alerts", json_object_get(m->data, "rows"),
                                                           "more", json_object_get(m->data, "more"))
                                               : cvm_json_share(m->data);
    return answer ? cvm_settle(t, m->on_behalf, m->outcome, answer, NULL) : CVM_ENOMEM;
}

static const cvm_component components[] = {{.id = ID, .state_version = 1}, {0}};
static const cvm_route routes[] = {{ID, "support-pubsub", heard}, {ID, "deliver.reply", delivered},
                                   {ID, "again", again},          {ID, "list", list},
                                   {ID, "query.reply", listed},   {0}};

CVM_PLUGIN(.name = "support_alerts", .version = "1.0.0", .components = components, .routes = routes);
