/* What a ticket sends to others: its activities, its outputs to stores, how far it is. Loop thread. */
#include "support.h"

#include "../../common/object.h"

#include <stdio.h>
#include <stdlib.h>

static bool has(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    return false;
}

static bool is_named(const json_t *c, const char *to)
{
    if (strncmp(to, "role:", 5) == 0)
        return has(json_object_get(c, "roles"), to + 5);
    return strcmp(cvm_json_str(c, "id", ""), to) == 0 || strcmp(cvm_json_str(c, "alias", ""), to) == 0;
}

/* Why nobody could take it, with the remedy. */
static void explain(cvm_turn *t, const char *step, const char *to, const char *type, char *ret_why, size_t size)
{
    const json_t *all = cvm_registry(t, "components"), *found = NULL;
    for (size_t i = 0; i < json_array_size(all) && !found; i++)
        if (is_named(json_array_get(all, i), to))
            found = json_array_get(all, i);
    if (!found)
        snprintf(ret_why, size,
                 "%.100s, which does the step %.60s, is not loaded: put its plugin and manifest into place and run "
                 "cvmhost reload (cvmhost plugin list shows what is loaded)",
                 to, step);
    else if (!has(json_object_get(found, "roles"), ACTIVITY_ROLE))
        snprintf(ret_why, size, "%.100s has no role " ACTIVITY_ROLE ": give it in the manifest of the plugin %.60s", to,
                 cvm_json_str(found, "plugin", "?"));
    else
        snprintf(ret_why, size,
                 "%.100s has no operation %.60s: correct the step %.60s of the workflow " WORKFLOW_NAME
                 " or the manifest of the plugin %.60s",
                 to, type, step, cvm_json_str(found, "plugin", "?"));
}

static json_t *about(const struct ticket *k)
{
    static const char *const members[] = {"ticket_id", "instance_id", "customer_id", "description", "created_at"};
    json_t *ticket = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        object_put(&ticket, members[i], ticket_share(k, members[i]));
    return ticket;
}

/* What the team said, and what the customer answered, for an analysis that is made again. Gives a string. */
static json_t *notes_of(const struct ticket *k)
{
    const json_t *approval = json_object_get(k->outputs, "approval"), *one;
    const json_t *questions = json_object_get(k->record, "questions");
    json_t *notes =
        json_string(cvm_json_bool(approval, "rework", false) ? cvm_json_str(approval, "support_notes", "") : "");
    size_t i;
    json_array_foreach(questions, i, one)
    {
        const char *answer = cvm_json_str(one, "answer", NULL);
        json_t *longer =
            answer ? json_sprintf("%s%sAsked: %s\nAnswered: %s", json_string_value(notes),
                                  json_string_length(notes) ? "\n" : "", cvm_json_str(one, "question", ""), answer)
                   : json_incref(notes);
        json_decref(notes);
        notes = longer;
    }
    return notes;
}

int send_activity(struct ticket *k, const json_t *step, char *ret_why, size_t size)
{
    const char *send = cvm_json_str(step, "send", ""), *type = strrchr(send, '/');
    char to[CVM_NAME_MAX + 1];
    if (!type)
        return CVM_EDATA;
    snprintf(to, sizeof to, "%.*s", (int)(type - send), send);
    json_t *data = json_object();
    OBJECT_PUT(data, "ticket", about(k));
    OBJECT_PUT(data, "outputs", json_copy(k->outputs));
    OBJECT_PUT(data, "notes", notes_of(k));
    OBJECT_INT(data, "attempt", cvm_json_int(k->record, "attempt", 1));
    if (!data)
        return CVM_ENOMEM;
    cvm_request_opts opts = {.on_behalf = {(uint64_t)cvm_json_int(k->record, "run", 0), 1},
                             .customer_id = cvm_json_str(k->record, "customer_id", ""),
                             .timeout_ms = cvm_json_int(step, "timeout_ms", WORKFLOW_TIMEOUT_MS)};
    int e = cvm_request(k->t, to, type + 1, data, &opts);
    if (e == CVM_EACCES || e == CVM_ENOENT) {
        explain(k->t, cvm_json_str(step, "id", ""), to, type + 1, ret_why, size);
        return CVM_ENOENT;
    }
    return e;
}

int send_question(struct ticket *k, const char *question)
{
    json_t *data = json_object(), *outputs = json_object();
    OBJECT_PUT(outputs, "triage", json_incref(json_object_get(k->outputs, "triage")));
    OBJECT_PUT(data, "ticket", about(k));
    OBJECT_PUT(data, "outputs", outputs);
    OBJECT_TEXT(data, "question", question);
    if (!data)
        return CVM_ENOMEM;
    int e = cvm_send(k->t, "role:support.ask", "ask", data);
    return e == CVM_ENOENT || e == CVM_EACCES ? CVM_OK : e; /* who asked knows that, and does it in another way */
}

int send_store(struct ticket *k, const json_t *step, char *ret_why, size_t size)
{
    const json_t *where = json_object_get(step, "store");
    const char *store = cvm_json_str(where, "store", "");
    char key[CVM_STATE_KEY_MAX + 1];
    workflow_fill(k->record, cvm_json_str(where, "key", ""), key, sizeof key);
    json_t *value = json_object_get(k->outputs, workflow_output(step));
    json_t *data = json_object();
    OBJECT_TEXT(data, "store", store);
    OBJECT_TEXT(data, "key", key);
    OBJECT_PUT(data, "value", value ? json_incref(value) : json_null());
    if (!data)
        return CVM_ENOMEM;
    int e = cvm_request(k->t, "role:store", "put", data,
                        &(cvm_request_opts){.on_behalf = {(uint64_t)cvm_json_int(k->record, "run", 0), 2}});
    if (e != CVM_EACCES && e != CVM_ENOENT)
        return e;
    snprintf(ret_why, size,
             "the store %.60s is not there: put the plugin stores (stores.so, stores.json) into place and run cvmhost "
             "reload; the sample data must have been loaded (cvmhost support load-samples)",
             store);
    return CVM_ENOENT;
}

int send_begin(cvm_turn *t, const char *instance, const char *step)
{
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_MESSAGE,
                   .to = SUPPORT,
                   .type = "begin",
                   .data = step ? json_pack("{s:s}", "step", step) : NULL,
                   .conversation = instance,
                   .fresh = step == NULL,
                   .priority = -1};
    return t->host->emit(t, &out, NULL);
}

/* Whether progress is kept anywhere, for as long as the same components are loaded. */
static struct {
    json_t *components;
    bool kept;
} progress;

void send_forget(void)
{
    json_decref(progress.components);
    progress.components = NULL;
}

static bool progress_kept(cvm_turn *t)
{
    const json_t *components = cvm_registry(t, "components");
    if (progress.components == components)
        return progress.kept;
    send_forget();
    progress.components = cvm_json_share(components);
    progress.kept = false;
    for (size_t i = 0; i < json_array_size(components) && !progress.kept; i++)
        progress.kept = is_named(json_array_get(components, i), "execution-state");
    return progress.kept;
}

/* For people who look; nothing depends on it. */
int send_progress(struct ticket *k)
{
    char at[TIME_SIZE], until[TIME_SIZE] = "";
    int64_t deadline = cvm_json_int(k->record, "deadline_ms", 0);
    if (!progress_kept(k->t))
        return CVM_OK;
    json_t *value = json_object(), *data = json_object();
    OBJECT_PUT(value, "ticket_id", ticket_share(k, "ticket_id"));
    OBJECT_KNOWN(value, "workflow", WORKFLOW_NAME);
    OBJECT_PUT(value, "status", ticket_share(k, "status"));
    OBJECT_PUT(value, "step", ticket_share(k, "step"));
    OBJECT_INT(value, "attempt", cvm_json_int(k->record, "attempt", 1));
    OBJECT_PUT(value, "outcome", ticket_share(k, "outcome"));
    OBJECT_KNOWN(value, "expires_at", deadline ? text_of_time(deadline, until) : "");
    OBJECT_KNOWN(value, "updated_at", text_of_time(k->w.now_ms, at));
    OBJECT_KNOWN(data, "store", "execution-state");
    OBJECT_PUT(data, "key", ticket_share(k, "instance_id"));
    OBJECT_PUT(data, "value", value);
    if (!data)
        return CVM_ENOMEM;
    int e = cvm_send(k->t, "role:store", "put", data);
    return e == CVM_ENOENT || e == CVM_EACCES ? CVM_OK : e;
}
