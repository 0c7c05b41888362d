/* One step of a conversation as the agents of a line of business see it: what was read from the customer, and how the
 * step ends, at once or in a later turn. Owns nothing; loop thread. */
#ifndef SERVICE_COMMON_STEP_H
#define SERVICE_COMMON_STEP_H

#include "../../common/object.h"
#include <cvm/cvm.h>
#include <cvm/json.h>

/* What was found in the customer's words: {"amounts", "phone_numbers", "meter_numbers", ..}. Borrowed, may be NULL. */
static inline const json_t *step_entities(cvm_turn *t)
{
    const json_t *context = cvm_context(t);
    const json_t *entities = json_object_get(context, "entities");
    return json_is_object(entities) ? entities
                                    : json_object_get(json_object_get(context, "classification"), "entities");
}

/* The customer's own words; in a part of an enquiry those of the part. */
static inline const char *step_words(cvm_turn *t, const cvm_msg *m)
{
    const json_t *message = json_object_get(m->data, "message"), *context = cvm_context(t);
    const char *part = cvm_json_str(message, "content", "");
    if (json_is_integer(json_object_get(json_object_get(context, "multi"), "current")) && *part)
        return part;
    return cvm_json_str(context, "message", part);
}

/* The one value of a list without regard to repeats; *ret_many (untouched otherwise) when there are several. */
static inline const json_t *step_only(const json_t *list, bool *ret_many)
{
    const json_t *first = json_array_get(list, 0);
    for (size_t i = 1; i < json_array_size(list); i++) {
        if (!json_equal(first, json_array_get(list, i))) {
            *ret_many = true;
            return NULL;
        }
    }
    return first;
}

/* Ends a request that may have ended meanwhile. Takes `data`. */
CVM_MUST_USE static inline int step_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* Ends the step `request`; `structured` is taken, `next` NULL lets the route go on. An ended request is no error. */
CVM_MUST_USE static inline int step_say(cvm_turn *t, cvm_id request, const char *content, json_t *structured,
                                        const char *next)
{
    json_t *step = json_object();
    OBJECT_TEXT(step, "content", content);
    OBJECT_PUT(step, "structured_data", structured ? structured : json_object());
    OBJECT_PUT(step, "next", next ? json_string(next) : json_null());
    OBJECT_PUT(step, "end", json_false());
    return step_settle(t, request, CVM_REPLIED, step);
}

/* Ends the step with a question to the customer; `rule` says why there is no more than that. `missing` is taken. */
CVM_MUST_USE static inline int step_ask(cvm_turn *t, cvm_id request, const char *text, const char *rule,
                                        json_t *missing)
{
    int e = cvm_note(t, "decision", json_pack("{s:s, s:s, s:O}", "chose", "ask", "rule", rule, "missing", missing));
    if (e < 0) {
        json_decref(missing);
        return e;
    }
    return step_say(t, request, text, json_pack("{s:o, s:b, s:s}", "missing", missing, "needs_input", 1, "rule", rule),
                    "service.qa");
}

/* Ends the step with a human; `content` is what can be said meanwhile. */
CVM_MUST_USE static inline int step_hand_over(cvm_turn *t, cvm_id request, const char *content, const char *rule,
                                              const char *reason, const char *queue)
{
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s, s:s}", "chose", "a human", "rule", rule, "because", reason)));
    return step_say(
        t, request, content,
        json_pack("{s:s, s:{s:s, s:s, s:s}}", "rule", rule, "escalate", "rule", rule, "reason", reason, "queue", queue),
        "service.escalation");
}

/* Whether a component is loaded. */
static inline bool step_loaded(cvm_turn *t, const char *id)
{
    const json_t *components = cvm_registry(t, "components");
    for (size_t i = 0; i < json_array_size(components); i++)
        if (strcmp(cvm_json_str(json_array_get(components, i), "id", ""), id) == 0)
            return true;
    return false;
}

#endif
