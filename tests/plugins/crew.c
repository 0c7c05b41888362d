/* Activities of the support desk in place of the product's: what they do is said by the ticket's description. With a
 * base_url the notification goes out as a call, under a key of the very request, so that who records it can tell
 * whether the activity ran more than once. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdio.h>
#include <stdlib.h>

#define TRIAGE "support.triage"
#define EXPERT "support.expert"
#define NOTIFICATION "support.notification"

static const json_t *ticket_of(const cvm_msg *m)
{
    return json_object_get(m->data, "ticket");
}

static const char *said(const cvm_msg *m, const char *member)
{
    return cvm_json_str(ticket_of(m), member, "");
}

/* "WORD=n" in the description; 0: it is not there. */
static int64_t told(const cvm_msg *m, const char *word)
{
    const char *at = strstr(said(m, "description"), word);
    return at && at[strlen(word)] == '=' ? strtoll(at + strlen(word) + 1, NULL, 10) : 0;
}

static int count(cvm_turn *t, const cvm_msg *m, const char *what)
{
    char key[CVM_STATE_KEY_MAX + 1];
    int64_t n;
    snprintf(key, sizeof key, "%s/%.80s", what, said(m, "ticket_id"));
    CVM_TRY(cvm_state_int(t, key, &n));
    return cvm_state_put_int(t, key, n + 1);
}

static int triage(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = said(m, "customer_id");
    if (strncmp(customer, "CUST00", 6) != 0)
        return cvm_refuse(t, "CUSTOMER_NOT_FOUND", "customer_id",
                          "Customer not found: load the sample data first (cvmhost support load-samples)");
    if (cvm_json_int(m->data, "attempt", 0) <= told(m, "fail_triage"))
        return CVM_EIO;
    CVM_TRY(count(t, m, "triage"));
    CVM_TRY(cvm_send(t, "support.workflow", "audit",
                     json_pack("{s:s, s:s, s:s, s:s, s:s}", "ticket_id", said(m, "ticket_id"), "actor", TRIAGE, "what",
                               "lookup_customer", "input", customer, "output", "found")));
    return cvm_reply(t, m,
                     json_pack("{s:b, s:{s:s}, s:{}, s:s}", "entitled", strcmp(customer, "CUST003") != 0, "customer",
                               "customer_id", customer, "system", "summary", "looked up"));
}

static int analyse(cvm_turn *t, const cvm_msg *m)
{
    int64_t delay = told(m, "slow_expert");
    CVM_TRY(count(t, m, "expert"));
    if (delay) {
        CVM_TRY(cvm_timer(t, "slow", delay, NULL, m->id, NULL));
        return CVM_PENDING;
    }
    char wide[302] = "x";
    for (size_t i = 1; told(m, "wide") && i < 300; i += 2)
        memcpy(wide + i, "\xc3\xa9", 3);
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:[s, s], s:s}", "root_cause", "the port is not set", "analysis",
                               "The port is not set.", "resolution_steps", told(m, "wide") ? wide : "Set the port",
                               "Restart the sidecar", "notes_seen", cvm_json_str(m->data, "notes", "")));
}

static int slow_analysed(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED,
                       json_pack("{s:s, s:[s]}", "analysis", "Late.", "resolution_steps", "Wait"), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static json_t *notification(const char *solution)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "to", "a@example.com", "name", "A", "subject",
                     "Your ticket", "text", solution, "channel", "none", "source", "template", "delivered", 0);
}

static int notify(cvm_turn *t, const cvm_msg *m)
{
    const json_t *approval = json_object_get(json_object_get(m->data, "outputs"), "approval");
    const char *solution = cvm_json_str(approval, "final_solution", "your plan has no support");
    char key[160];
    CVM_TRY(count(t, m, "notify"));
    if (!*cvm_json_str(cvm_settings(t), "base_url", ""))
        return cvm_reply(t, m, notification(solution));
    snprintf(key, sizeof key, "%.80s/%016llx%016llx", said(m, "ticket_id"), (unsigned long long)m->id.hi,
             (unsigned long long)m->id.lo);
    cvm_call call = {.size = sizeof call,
                     .name = "deliver",
                     .body = json_pack("{s:s}", "ticket_id", said(m, "ticket_id")),
                     .key = key,
                     .on_behalf = m->id};
    CVM_TRY(cvm_http_call(t, &call, NULL));
    return CVM_PENDING;
}

static int notified(cvm_turn *t, const cvm_msg *m)
{
    bool good = m->outcome == CVM_REPLIED && cvm_json_int(m->data, "status", 0) == 200;
    int e = cvm_settle(t, m->on_behalf, good ? CVM_REPLIED : CVM_ERROR,
                       good ? notification("delivered") : json_pack("{s:s, s:s}", "code", "GATEWAY", "message", "no"),
                       NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

#ifdef CREW_REVIEW /* another plugin: an activity that joins */

static int check(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_pack("{s:s}", "summary", "reviewed"));
}

static const cvm_component components[] = {{.id = "support.review", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"support.review", "check", check}, {0}};

CVM_PLUGIN(.name = "review", .version = "1.0.0", .components = components, .routes = routes);

#else

/* clang-format off */
static const cvm_component components[] = {{.id = TRIAGE, .state_version = 1}, {.id = EXPERT, .state_version = 1},
                                           {.id = NOTIFICATION, .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {TRIAGE, "run", triage}, {EXPERT, "analyse", analyse}, {EXPERT, "slow", slow_analysed},
    {NOTIFICATION, "create", notify}, {NOTIFICATION, "deliver.reply", notified},
    {0}
};
/* clang-format on */

CVM_PLUGIN(.name = "crew", .version = "1.0.0", .components = components, .routes = routes);
#endif
