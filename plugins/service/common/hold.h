/* When a seller must not sell, whatever the order says: an upset customer, a dispute, a report of fraud. For every
 * agent with the role desk.seller. Pure but for reading the context; owns nothing; loop thread. */
#ifndef SERVICE_COMMON_HOLD_H
#define SERVICE_COMMON_HOLD_H

#include <cvm/cvm.h>
#include <cvm/json.h>

/* Whether the classification found a signal in what the customer wrote ("complaint", "bulk"; see
 * docs/reference/desk.md).
 */
static inline bool hold_cue(cvm_turn *t, const char *name)
{
    const json_t *cues = json_object_get(cvm_context(t), "cues");
    for (size_t i = 0; i < json_array_size(cues); i++) {
        const char *cue = json_string_value(json_array_get(cues, i));
        if (cue && !strcmp(cue, name))
            return true;
    }
    return false;
}

/* The rule that wants a human first; NULL: none. */
static inline const char *hold_rule(cvm_turn *t)
{
    static const char *const rules[][2] = {{"security", "security_keywords"}, {"legal", "legal_keywords"}};
    const json_t *context = cvm_context(t);
    const json_t *reasons = json_object_get(json_object_get(context, "classification"), "escalate_reasons");
    if (!strcmp(cvm_json_str(context, "sentiment", ""), "VERY_NEGATIVE"))
        return "sentiment_threshold";
    for (size_t i = 0; i < json_array_size(reasons); i++)
        for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
            if (json_is_string(json_array_get(reasons, i)) &&
                !strcmp(json_string_value(json_array_get(reasons, i)), rules[r][0]))
                return rules[r][1];
    return NULL;
}

#endif
