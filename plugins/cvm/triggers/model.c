/* A language model's word on what the rules found: it confirms or rejects the doubtful ones. What it does not answer,
 * or answers badly, stays as the rules had it. Owns the context's member trigger_found. Loop thread. */
#include "../../common/llm_ask.h"
#include "find.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_MAX 12 /* matches of one question */
#define DOUBT 0.85   /* above it the rules are not asked about */
#define CONTEXT_BYTES 60000

static const char task[] = "You check which customers of a telecom operator match a situation today. Judge by meaning, "
                           "from the passages alone. A problem "
                           "that was solved, a supposition, another person's problem or a denied one is no match; "
                           "irony and paraphrase are. Answer with JSON "
                           "{\"verdicts\": [{\"customer_id\", \"matches\": true or false, \"reasoning\": one "
                           "sentence}]}, one for each customer.";

static json_t *doubtful(const json_t *matches, bool all)
{
    json_t *list = json_array();
    const json_t *m;
    size_t i;
    json_array_foreach(matches, i, m) if (json_array_size(list) < ASKED_MAX &&
                                          json_array_size(json_object_get(m, "evidence")) &&
                                          (all || json_number_value(json_object_get(m, "confidence")) < DOUBT))
        json_array_append_new(list, json_pack("{s:O, s:O, s:O}", "customer_id", json_object_get(m, "customer_id"),
                                              "trigger", json_object_get(m, "trigger_type"), "passages",
                                              json_object_get(m, "evidence")));
    return list;
}

bool model_wanted(cvm_turn *t, const json_t *kept, const json_t *result)
{
    const char *mode = cvm_json_str(kept, "mode", "hybrid");
    if (!strcmp(mode, "rules") || !llm_wanted(t) || json_dumpb(result, NULL, 0, JSON_COMPACT) > CONTEXT_BYTES)
        return false;
    json_t *list = doubtful(json_object_get(result, "matches"), !strcmp(mode, "llm"));
    bool any = json_array_size(list) > 0;
    json_decref(list);
    return any;
}

int model_confirm(cvm_turn *t, cvm_id request, const json_t *kept, const json_t *result)
{
    const char *trigger = cvm_json_str(kept, "trigger", ""), *what = trigger;
    for (size_t i = 0; i < TRIGGERS; i++)
        if (!strcmp(builtins[i].name, trigger))
            what = builtins[i].rule;
    const json_t *custom = json_object_get(kept, "custom");
    json_t *list = doubtful(json_object_get(result, "matches"), !strcmp(cvm_json_str(kept, "mode", ""), "llm"));
    json_t *question = json_pack("{s:s, s:s, s:o}", "trigger", trigger, "situation",
                                 cvm_json_str(custom, "description", what), "customers", list);
    char *user = json_dumps(question, JSON_COMPACT);
    json_decref(question);
    if (!user)
        return CVM_ENOMEM;
    struct llm_ask ask = {.purpose = "trigger",
                          .system = task,
                          .user = user,
                          .on_behalf = request,
                          .schema_name = "verdicts",
                          .schema = json_pack("{s:s, s:[s], s:{s:{s:s}}}", "type", "object", "required", "verdicts",
                                              "properties", "verdicts", "type", "array")};
    int e = cvm_context_set(t, "/trigger_found", json_copy((json_t *)(uintptr_t)result));
    if (e == 0)
        e = llm_ask(t, &ask);
    else
        json_decref(ask.schema);
    free(user);
    return e;
}

static json_t *verdict_of(const json_t *verdicts, const char *id)
{
    json_t *v;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)verdicts, i,
                       v) if (!strcmp(cvm_json_str(v, "customer_id", ""), id) &&
                              json_is_boolean(json_object_get(v, "matches"))) return v;
    return NULL;
}

int find_judged(cvm_turn *t, const cvm_msg *m)
{
    const json_t *found = json_object_get(cvm_context(t), "trigger_found"), *match;
    const json_t *verdicts = json_object_get(llm_data(m), "verdicts");
    json_t *matches = json_array(), *result;
    int64_t rejected = 0;
    size_t i;
    if (!found) {
        json_decref(matches);
        return CVM_OK;
    }
    json_array_foreach(json_object_get(found, "matches"), i, match)
    {
        const json_t *v = verdict_of(verdicts, cvm_json_str(match, "customer_id", ""));
        if (v && !cvm_json_bool(v, "matches", true)) {
            rejected++;
            continue;
        }
        json_t *kept = json_copy((json_t *)(uintptr_t)match);
        if (v) {
            double said = json_number_value(json_object_get(match, "confidence"));
            json_object_set_new(kept, "method", json_string("hybrid"));
            json_object_set_new(kept, "confidence", json_real(round((said + (1 - said) / 2) * 100) / 100));
            if (*cvm_json_str(v, "reasoning", ""))
                json_object_set(kept, "reasoning", json_object_get(v, "reasoning"));
        }
        json_array_append_new(matches, kept);
    }
    result = json_copy((json_t *)(uintptr_t)found);
    json_object_set_new(result, "matches", matches);
    json_object_set_new(result, "total_matches", json_integer(cvm_json_int(found, "total_matches", 0) - rejected));
    json_object_set_new(result, "model", json_string(verdicts ? "confirmed" : "no answer: the rules' verdict"));
    CVM_TRY(cvm_context_set(t, "/trigger_found", NULL));
    return settle_found(t, m->on_behalf, result);
}
