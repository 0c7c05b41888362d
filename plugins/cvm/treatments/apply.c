/* Applying a treatment that has a text: is it permitted now, is the contact allowed now, then it goes to the channel.
 * Without a component for the channel it is simulated. What cannot be done is no error: the answer says "failed" and
 * why, so that whoever took the unit gives it back. Owns the state keys ask/<request> -> what waits for an answer.
 * Loop thread. */
#include "../../common/pending.h"
#include "treatments.h"

#include <stdio.h>

static int done(cvm_turn *t, cvm_id request, const json_t *what, const char *status, const char *rule, const char *why)
{
    const char *metric =
        cvm_json_bool(what, "custom", false) ? "custom_treatments_applied_total" : "treatments_applied_total";
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s*, s:s*}", "chose", status, "treatment",
                               cvm_json_str(what, "treatment_id", ""), "rule", rule, "because", why)));
    CVM_TRY(cvm_metric(t, metric, status, 1));
    int e = cvm_settle(t, request, CVM_REPLIED,
                       json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s*}", "status", status, "treatment_id",
                                 cvm_json_str(what, "treatment_id", ""), "customer_id",
                                 cvm_json_str(what, "customer_id", ""), "channel",
                                 cvm_json_str(what, "channel", "none"), "rule", rule, "message", why),
                       NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- to the channel ---- */

static int deliver(cvm_turn *t, cvm_id request, const json_t *what)
{
    char role[40];
    const char *channel = cvm_json_str(what, "channel", "none");
    snprintf(role, sizeof role, "role:channel.%.16s", channel);
    if (!has_role(t, role + strlen("role:")))
        return done(t, request, what, "simulated", NULL, NULL);
    const char *reference = cvm_json_str(what, "application_id", "");
    int e = cvm_request(t, role, "deliver",
                        json_pack("{s:s, s:s, s:s*}", "recipient", cvm_json_str(what, "customer_id", ""), "text",
                                  cvm_json_str(what, "text", ""), "reference", *reference ? reference : NULL),
                        &(cvm_request_opts){.on_behalf = request});
    if (e == CVM_ENOENT || e == CVM_EACCES)
        return done(t, request, what, "simulated", NULL, NULL);
    if (e < 0)
        return e;
    return pending_put(t, request, cvm_json_share(what));
}

static int delivered(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    switch (m->outcome) {
    case CVM_REPLIED:
        return done(t, m->on_behalf, what, "sent", NULL, NULL);
    case CVM_UNKNOWN: /* it may have arrived: the unit is used up */
        return done(t, m->on_behalf, what, "sent", NULL, "The channel does not know whether it arrived.");
    default:
        return done(t, m->on_behalf, what, "failed", "channel",
                    cvm_json_str(m->data, "message", "The channel did not take it."));
    }
}

int apply_delivered(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, delivered);
}

/* ---- is the contact allowed ---- */

static int confirmed(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    if (m->outcome != CVM_REPLIED)
        return done(t, m->on_behalf, what, "failed", "contact_policy", "The contact policy could not be asked.");
    if (!cvm_json_bool(m->data, "allowed", false))
        return done(t, m->on_behalf, what, "failed", cvm_json_str(m->data, "rule", "contact_policy"),
                    cvm_json_str(m->data, "message", ""));
    return deliver(t, m->on_behalf, what);
}

int apply_confirmed(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, confirmed);
}

/* ---- is it permitted ---- */

/* The permissions of get_customer_data's answer: those of the source, else of the facts. NULL: none. */
static const json_t *permissions_of(const json_t *answer)
{
    const json_t *data = json_object_get(answer, "customer_data");
    const json_t *own = json_object_get(data, "permissions");
    return json_is_object(own) ? own : json_object_get(data, "facts");
}

static int permitted(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const json_t *permissions = m->outcome == CVM_REPLIED ? permissions_of(m->data) : NULL;
    struct contact contact = {.at_ms = cvm_now_ms(t),
                              .channel = cvm_json_str(what, "channel", ""),
                              .category = "",
                              .service = cvm_json_bool(what, "service", false)};
    struct contact_verdict v;
    if (m->outcome != CVM_REPLIED && m->outcome != CVM_REFUSED)
        return done(t, m->on_behalf, what, "failed", "permissions", "The customer's permissions could not be read.");
    contact_consent(permissions, &contact, &v);
    if (!v.allowed)
        return done(t, m->on_behalf, what, "failed", v.rule, v.why);
    CVM_TRY(cvm_request(t, ALLOCATION, "confirm_contact",
                        json_pack("{s:s, s:s, s:s*}", "treatment_key", cvm_json_str(what, "treatment_id", ""),
                                  "customer_id", cvm_json_str(what, "customer_id", ""), "allocation_id",
                                  cvm_json_str(what, "allocation_id", NULL)),
                        &(cvm_request_opts){.on_behalf = m->on_behalf}));
    return pending_put(t, m->on_behalf, cvm_json_share(what));
}

int apply_permissions(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, permitted);
}

/* ---- apply ---- */

static const char *text_of(const cvm_msg *m, const json_t *record)
{
    const char *text = cvm_json_str(m->data, "text", "");
    if (!*text)
        text = cvm_json_str(record, "text", "");
    return *text ? text : cvm_json_str(record, "description", "");
}

static int begin(cvm_turn *t, const cvm_msg *m, const json_t *record)
{
    const char *channel = cvm_json_str(record, "channel", "none"), *customer = cvm_json_str(m->data, "customer_id", "");
    json_t *what =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:b, s:b}", "treatment_id",
                  cvm_json_str(m->data, "treatment_id", ""), "customer_id", customer, "channel", channel, "text",
                  text_of(m, record), "application_id", cvm_json_str(m->data, "application_id", ""), "allocation_id",
                  cvm_json_str(m->data, "allocation_id", NULL), "service", cvm_json_bool(record, "service", false),
                  "custom", !strcmp(cvm_json_str(record, "kind", ""), "custom"));
    int e = what ? CVM_OK : CVM_ENOMEM;
    bool waits = false;
    if (e >= 0 && !cvm_json_bool(record, "enabled", true)) {
        e = done(t, m->id, what, "failed", "enabled", "The treatment is disabled.");
    } else if (e >= 0 && !contact_needs_consent(channel)) {
        e = deliver(t, m->id, what);
        waits = has_role(t, "channel.network") && !strcmp(channel, "network");
    } else if (e >= 0 && !is_loaded(t, DATA)) {
        e = done(t, m->id, what, "failed", "consent", "Without customer data there is no permission.");
    } else if (e >= 0) {
        e = cvm_request(t, DATA, "get_customer_data",
                        json_pack("{s:s, s:[s]}", "customer_id", customer, "sources", "permissions"),
                        &(cvm_request_opts){.on_behalf = m->id});
        if (e >= 0)
            e = pending_put(t, m->id, cvm_json_share(what));
        waits = true;
    }
    json_decref(what);
    return e < 0 ? e : waits ? CVM_PENDING : CVM_OK;
}

static int unknown(cvm_turn *t, const cvm_msg *m)
{
    char text[120];
    snprintf(text, sizeof text, "There is no treatment %.60s here.",
             record_shown_id(cvm_json_str(m->data, "treatment_id", "")));
    return cvm_refuse(t, "NOT_FOUND", "treatment_id", text);
}

int standard_apply(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = standard_find(t, cvm_json_str(m->data, "treatment_id", ""), &record);
    if (e == CVM_ENOENT)
        return unknown(t, m);
    if (e >= 0)
        e = begin(t, m, record);
    json_decref(record);
    return e;
}

int custom_apply(cvm_turn *t, const cvm_msg *m)
{
    const json_t *record = NULL;
    int e = catalogue_find_custom(t, cvm_json_str(m->data, "treatment_id", ""), &record);
    if (e == CVM_ENOENT)
        return unknown(t, m);
    return e < 0 ? e : begin(t, m, record);
}
