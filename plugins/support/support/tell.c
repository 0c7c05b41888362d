/* What is said on topics: each step on message-pubsub, what the support team must know on support-pubsub. Loop thread.
 */
#include "support.h"

#include "../../common/object.h"

#include <stdio.h>

static const char *text_of(const struct ticket *k, const char *member)
{
    return cvm_json_str(k->record, member, "");
}

static json_t *base(const struct ticket *k, const char *event, const char *step)
{
    char at[TIME_SIZE];
    json_t *data = json_object();
    OBJECT_KNOWN(data, "event", event);
    OBJECT_PUT(data, "ticket_id", ticket_share(k, "ticket_id"));
    OBJECT_PUT(data, "instance_id", ticket_share(k, "instance_id"));
    OBJECT_PUT(data, "customer_id", ticket_share(k, "customer_id"));
    OBJECT_KNOWN(data, "step", step);
    OBJECT_PUT(data, "status", ticket_share(k, "status"));
    OBJECT_KNOWN(data, "at", text_of_time(k->w.now_ms, at));
    return data;
}

int tell_event(struct ticket *k, const char *event, const char *step)
{
    json_t *data = base(k, event, step);
    return data ? cvm_publish(k->t, MESSAGE_TOPIC, data) : CVM_ENOMEM;
}

/* The solution that is ready, or why the team is told. */
int tell_team(struct ticket *k, const char *event, const json_t *step, const char *topic)
{
    char summary[SUMMARY_MAX * 4 + 1] = "", url[120], at[TIME_SIZE];
    int64_t deadline = cvm_json_int(k->record, "deadline_ms", 0);
    const json_t *output = json_object_get(k->outputs, step ? workflow_output(step) : "");
    const json_t *analysis = json_object_get(k->outputs, "analysis"), *error = json_object_get(k->record, "error");
    json_t *data = base(k, event, step ? cvm_json_str(step, "id", "") : text_of(k, "step"));
    if (output || analysis)
        audit_summary(output ? output : analysis, summary);
    snprintf(url, sizeof url, "/support/approve/%s", k->id);
    OBJECT_TEXT(data, "summary", summary);
    OBJECT_TEXT(data, "approve_url", url);
    if (analysis && !cvm_json_bool(analysis, "found", true))
        OBJECT_PUT(data, "found", json_false());
    OBJECT_SHARE(data, "resolution_steps", json_object_get(analysis, "resolution_steps"));
    if (deadline)
        OBJECT_KNOWN(data, "expires_at", text_of_time(deadline, at));
    if (error)
        OBJECT_PUT(data, "error", json_deep_copy(error));
    return data ? cvm_publish(k->t, topic, data) : CVM_ENOMEM;
}
