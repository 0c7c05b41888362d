/* What all agents of the desk do the same way: see agents.h. Loop thread. */
#include "agents.h"

#include "../../common/llm_ask.h"
#include "../../common/object.h"

#include <stdio.h>

#define NO_MODEL_MS 10000 /* so long nobody asks again for a model that is not set up */

static const char no_model[] =
    "no language model is set up (OPENAI_API_KEY in .env, or a server of your own): written by rules";

const char *ticket_text(const cvm_msg *m, const char *name)
{
    return cvm_json_str(json_object_get(m->data, "ticket"), name, "");
}

bool component_there(cvm_turn *t, const char *id)
{
    const json_t *components = cvm_registry(t, "components");
    for (size_t i = 0; i < json_array_size(components); i++)
        if (strcmp(cvm_json_str(json_array_get(components, i), "id", ""), id) == 0)
            return true;
    return false;
}

int settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

json_t *failure_data(const char *code, const char *field, const char *message)
{
    return json_pack("{s:s, s:s, s:s}", "code", code, "field", field, "message", message);
}

int settle_failed(cvm_turn *t, cvm_id request, int outcome, const char *code, const char *field, const char *message)
{
    json_t *data = failure_data(code, field, message);
    return data ? settle(t, request, outcome, data) : CVM_EINVAL;
}

/* What stands in JSON as it is. */
static bool is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\')
            return false;
    return true;
}

json_t *audit_pair(const char *a, const char *is, const char *b, const char *other)
{
    char text[2048];
    size_t n = strlen(a) + strlen(is) + strlen(b) + strlen(other) + sizeof "{\"\":\"\",\"\":\"\"}" - 1;
    if (n < sizeof text && is_plain(is) && is_plain(other)) {
        char *at = stpcpy(stpcpy(stpcpy(text, "{\""), a), "\":\"");
        at = stpcpy(stpcpy(stpcpy(at, is), "\",\""), b);
        stpcpy(stpcpy(stpcpy(at, "\":\""), other), "\"}");
        return json_stringn_nocheck(text, n);
    }
    json_t *pair = json_object();
    object_put(&pair, a, json_string(is));
    object_put(&pair, b, json_string(other));
    return pair;
}

json_t *audit_entry(const char *what, json_t *input, json_t *output, int64_t duration_ms)
{
    json_t *entry = json_object();
    OBJECT_KNOWN(entry, "what", what);
    OBJECT_PUT(entry, "input", input);
    OBJECT_PUT(entry, "output", output);
    OBJECT_INT(entry, "duration_ms", duration_ms);
    return entry;
}

int audit(cvm_turn *t, const char *ticket_id, const char *actor, json_t *entries)
{
    json_t *data = json_copy(json_array_get(entries, 0));
    if (!data || !*ticket_id || !component_there(t, WORKFLOW)) {
        json_decref(data);
        json_decref(entries);
        return CVM_OK;
    }
    json_array_remove(entries, 0);
    json_object_set_new(data, "ticket_id", json_string(ticket_id));
    json_object_set_new(data, "actor", json_string(actor));
    if (json_array_size(entries) > 0)
        json_object_set(data, "more", entries);
    json_decref(entries);
    return cvm_send(t, WORKFLOW, "audit", data);
}

int settle_activity(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *ticket_id, const char *actor,
                    json_t *entries)
{
    if (!data) {
        json_decref(entries);
        return CVM_EINVAL;
    }
    if (json_array_size(entries))
        json_object_set(data, "audit", entries);
    int e = cvm_settle(t, request, outcome, data, NULL);
    if (e == CVM_ENOENT)
        return audit(t, ticket_id, actor, entries);
    json_decref(entries);
    return e;
}

int say(cvm_turn *t, const char *agent, const char *ticket_id, const char *content)
{
    char at[TIME_SIZE];
    json_t *data = json_object();
    OBJECT_KNOWN(data, "event", "agent_message");
    OBJECT_KNOWN(data, "agent", agent);
    OBJECT_TEXT(data, "ticket_id", ticket_id);
    OBJECT_TEXT(data, "content", content);
    OBJECT_KNOWN(data, "at", text_of_time(cvm_now_ms(t), at));
    return data ? cvm_publish(t, "message-pubsub", data) : CVM_ENOMEM;
}

int remember(cvm_turn *t, const char *agent, const char *ticket_id, json_t *memory)
{
    char key[CVM_STATE_KEY_MAX], at[TIME_SIZE];
    snprintf(key, sizeof key, "%s/%.64s", agent, ticket_id);
    OBJECT_KNOWN(memory, "agent", agent);
    OBJECT_TEXT(memory, "ticket_id", ticket_id);
    OBJECT_KNOWN(memory, "at", text_of_time(cvm_now_ms(t), at));
    json_t *data = json_object();
    OBJECT_KNOWN(data, "store", "memory-state");
    OBJECT_TEXT(data, "key", key);
    OBJECT_PUT(data, "value", memory);
    if (!data)
        return CVM_ENOMEM;
    int e = cvm_send(t, "role:store", "put", data);
    if (e != CVM_ENOENT)
        return e;
    cvm_log(t, CVM_LOG_WARNING, "ticket %.64s: there is no store memory-state: what the agent learnt of it is not kept",
            ticket_id);
    return CVM_OK;
}

int remembered(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        cvm_log(t, CVM_LOG_WARNING, "the store memory-state did not take a memory: %.200s",
                cvm_json_str(m->data, "message", "no answer"));
    return CVM_OK;
}

void store_trouble(const char *store, char *ret_text, size_t size)
{
    snprintf(ret_text, size,
             "The store %s does not answer. It is a component of the plugin stores (plugins/stores.so, "
             "manifests/stores.json): see that it is loaded and up (cvmhost ps, cvmhost state stores), then load the "
             "sample data, which must say that it completed: cvmhost support load-samples",
             store);
}

static bool is_unset(const cvm_msg *m)
{
    return strcmp(cvm_json_str(m->data, "reason", ""), "configuration") == 0;
}

int model_wanted(cvm_turn *t, bool *ret_wanted, const char **ret_why)
{
    int64_t until = 0;
    bool wanted = llm_wanted(t);
    if (wanted)
        CVM_TRY(cvm_state_int(t, "no_model", &until));
    *ret_wanted = wanted && until <= cvm_now_ms(t);
    *ret_why = wanted && !*ret_wanted ? no_model : NULL;
    return CVM_OK;
}

int model_answered(cvm_turn *t, const cvm_msg *m)
{
    return is_unset(m) ? cvm_state_put_int(t, "no_model", cvm_now_ms(t) + NO_MODEL_MS) : CVM_OK;
}

const char *model_trouble(cvm_turn *t, const cvm_msg *m, const char *ticket_id, const char *faulty)
{
    static const char silent[] =
        "the language model did not answer: see that the key is set (OPENAI_API_KEY in .env) and "
        "that the account has credit (cvmhost llm status); written by rules meanwhile";
    if (!faulty && is_unset(m))
        return no_model;
    cvm_log(t, CVM_LOG_WARNING, "ticket %.64s: %s", ticket_id, faulty ? faulty : silent);
    return faulty ? faulty : silent;
}
