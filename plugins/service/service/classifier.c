/* ClassifierAgent: domain, intent, priority, sentiment, entities. By rules, by the host's text model once it is
 * trained, and by a language model where these are unsure and one may be asked (classifier_llm.c). Writes what it found
 * into the context. Loop thread. */
#include "../../common/object.h"
#include "classifier_llm.h"

#define MODEL "enquiry"

/* An understanding_model; `arg` is the turn. */
static json_t *ask_model(void *arg, const struct vocabulary *v, const char *message, const struct understanding *u)
{
    json_t *notes = understanding_notes(v, u), *answer = NULL;
    char *noted = cvm_noted_text(message, notes);
    if (noted && cvm_classify(arg, MODEL, noted, &answer) < 0)
        answer = NULL; /* none is trained yet: the rules stand */
    free(noted);
    json_decref(notes);
    return answer;
}

int classifier_notes(cvm_turn *t, const cvm_msg *m)
{
    const json_t *texts = json_object_get(m->data, "texts");
    const struct vocabulary *v = service_vocabulary(t);
    json_t *lists = v ? json_array() : NULL;
    if (!lists)
        return cvm_refuse(t, "NOT_AVAILABLE", NULL, "The vocabulary is not available.");
    for (size_t i = 0; i < json_array_size(texts); i++) {
        struct understanding u;
        const char *text = json_string_value(json_array_get(texts, i));
        understand(v, text ? text : "", "", &u);
        json_array_append_new(lists, understanding_notes(v, &u));
    }
    return cvm_reply(t, m, json_pack("{s:o}", "notes", lists));
}

json_t *classifier_read(cvm_turn *t, const char *text, const char *channel)
{
    const struct vocabulary *v = service_vocabulary(t);
    struct understanding u;
    if (!v)
        return NULL;
    understand_judged(v, text, channel, ask_model, t, &u);
    return understanding_json(v, text, &u);
}

/* The vocabulary is compiled before the first customer waits for it. */
int classifier_start(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    service_vocabulary(t);
    return CVM_OK;
}

static const char *text_of(const cvm_msg *m)
{
    const char *text = cvm_json_str(m->data, "enquiry_text", "");
    if (!*text)
        text = cvm_json_str(m->data, "text", "");
    return *text ? text : cvm_json_str(m->data, "message", "");
}

static int unavailable(cvm_turn *t)
{
    return cvm_refuse(t, "NOT_AVAILABLE", NULL, "The vocabulary is not available.");
}

/* Takes the result. */
static int tell(cvm_turn *t, const cvm_msg *m, json_t *result)
{
    return cvm_reply(t, m,
                     json_pack("{s:b, s:O, s:O, s:o, s:s}", "success", 1, "confidence",
                               json_object_get(result, "confidence"), "fallback_used",
                               json_object_get(result, "fallback_used"), "classification", result, "agent",
                               "ClassifierAgent"));
}

int classifier_classify(cvm_turn *t, const cvm_msg *m)
{
    json_t *result = classifier_read(t, text_of(m), cvm_json_str(m->data, "channel", "SMS"));
    if (!result)
        return unavailable(t);
    return classifier_llm_may(t, m, result) ? classifier_llm_ask(t, m, text_of(m), result) : tell(t, m, result);
}

/* One member or several of a whole classification: the tools are views of the same reading. */
static int answer_members(cvm_turn *t, const cvm_msg *m, const char *const *names, size_t n)
{
    json_t *result = classifier_read(t, text_of(m), "SMS"), *body = json_object();
    if (!result) {
        json_decref(body);
        return unavailable(t);
    }
    for (size_t i = 0; i < n; i++)
        json_object_set(body, names[i], json_object_get(result, names[i]));
    json_decref(result);
    return cvm_reply(t, m, body);
}

int classifier_entities(cvm_turn *t, const cvm_msg *m)
{
    return answer_members(t, m, (const char *const[]){"entities"}, 1);
}

int classifier_sentiment(cvm_turn *t, const cvm_msg *m)
{
    return answer_members(t, m, (const char *const[]){"sentiment", "confidence"}, 2);
}

int classifier_intent(cvm_turn *t, const cvm_msg *m)
{
    return answer_members(
        t, m, (const char *const[]){"service_domain", "intent", "sub_intent", "confidence", "reasoning"}, 5);
}

static int keep(cvm_turn *t, const json_t *result)
{
    static const char *const paths[] = {"/service_domain", "/intent",   "/sub_intent", "/priority",
                                        "/sentiment",      "/entities", "/cues"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        CVM_TRY(cvm_context_set(t, paths[i], cvm_json_share(json_object_get(result, paths[i] + 1))));
    return CVM_OK;
}

/* The time by which the enquiry should be done (D-74). */
static int keep_deadline(cvm_turn *t, const char *priority)
{
    const json_t *minutes = json_object_get(cvm_settings(t), "sla_minutes");
    char at[SERVICE_TIME_SIZE];
    int64_t from = cvm_json_int(cvm_context(t), "created_ms", cvm_now_ms(t));
    return cvm_context_set(t, "/sla_deadline",
                           json_string(service_time(from + cvm_json_int(minutes, priority, 60) * 60000, at)));
}

static json_t *why(const json_t *result)
{
    static const char *const names[] = {"service_domain",   "intent",  "priority", "sentiment",
                                        "escalate_reasons", "weights", "cues",     "confidence"};
    json_t *note = json_object();
    OBJECT_TEXT(note, "chose", "classification");
    object_share_all(&note, result, names, sizeof names / sizeof *names);
    OBJECT_SHARE(note, "because", json_object_get(result, "reasoning"));
    return note;
}

/* Takes the result. */
static int go_on(cvm_turn *t, const cvm_msg *m, json_t *result)
{
    json_incref(result);
    int e = cvm_context_set(t, "/classification", result);
    if (e >= 0)
        e = keep(t, result);
    if (e >= 0)
        e = keep_deadline(t, cvm_json_str(result, "priority", "MEDIUM"));
    if (e >= 0)
        e = cvm_note(t, "decision", why(result));
    json_decref(result);
    return e < 0 ? e : service_step(t, m, service_content(m), NULL, SERVICE_ORCHESTRATOR, false);
}

int classifier_handle(cvm_turn *t, const cvm_msg *m)
{
    json_t *result = classifier_read(t, service_content(m), service_context_str(t, "channel"));
    if (!result)
        return unavailable(t);
    return classifier_llm_may(t, m, result) ? classifier_llm_ask(t, m, service_content(m), result)
                                            : go_on(t, m, result);
}

static int with_answer(cvm_turn *t, const cvm_msg *m, const json_t *found, const cvm_msg *answer)
{
    const struct vocabulary *v = service_vocabulary(t);
    bool step = !strcmp(m->type, "handle");
    const char *text = step ? service_content(m) : text_of(m);
    json_t *result = v ? classifier_llm_merge(v, text, found, llm_data(answer)) : cvm_json_share(found);
    if (!result)
        return CVM_ENOMEM;
    return step ? go_on(t, m, result) : tell(t, m, result);
}

int classifier_answered(cvm_turn *t, const cvm_msg *m)
{
    return model_resume(t, m, with_answer);
}
