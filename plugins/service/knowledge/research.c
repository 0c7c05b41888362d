/* ResearchAgent: answers from the passages of the knowledge base, of several documents where they have something to
 * say, names their ids, says how sure it is, and says plainly when there is no answer or only a part of one. Keeps no
 * state. Loop thread. */
#include "knowledge.h"

#include "../../common/llm_ask.h"
#include "../../common/pending.h"
#include "../common/clip.h"
#include "../common/step.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_SIZE 4096
#define ANSWER_BYTES_MAX 900  /* of one document */
#define FURTHER_BYTES_MAX 350 /* of the others */
#define DOCUMENTS_IN_ANSWER 3
#define FURTHER_SHARE 0.80   /* of the best one's relevance: less adds nothing */
#define PARTLY_COVERAGE 0.45 /* of the question's words: less is not all of an answer */

/* ---- composing --------------------------------------------------------------------------------------------------- */

static bool relevant(const json_t *result)
{
    return json_number_value(json_object_get(result, "relevance")) >= KB_RELEVANT;
}

/* The text of a passage for people: marks of headings, lists and stress go, whole sentences stay. */
static size_t plain(const char *text, size_t most, char *ret, size_t size)
{
    size_t n = 0, sentence = 0;
    bool line_start = true, heading = false;
    for (const char *c = text; *c && n + 4 < size && n < most; c++) {
        if (line_start) {
            heading = *c == '#';
            while (*c && strchr("#*->+| \t", *c))
                c++;
            if (!*c)
                break;
            line_start = false;
            if (heading) { /* it says nothing by itself */
                c += strcspn(c, "\n");
                if (!*c)
                    break;
            }
        }
        if (*c == '\n') {
            line_start = true;
            if (n && ret[n - 1] != ' ')
                ret[n++] = ' ';
            continue;
        }
        if (*c == '*' || *c == '`' || *c == '_' || *c == '|')
            if (*c != '*' || c[1] == '*' || (c > text && c[-1] == '*'))
                continue;
        if (n && ret[n - 1] == ' ' && *c == ' ')
            continue;
        ret[n++] = *c;
        if (strchr(".!?", *c) && (c[1] == ' ' || c[1] == '\n' || !c[1]))
            sentence = n;
    }
    if (n >= most && sentence)
        n = sentence;
    bool cut = n >= most && n != sentence;
    while (n && (ret[n - 1] == ' ' || (cut && ((unsigned char)ret[n - 1] & 0x80)))) /* no part of a character */
        n--;
    ret[n] = '\0';
    return n;
}

/* A passage that was cut inside a sentence begins with the next one. */
static const char *whole_sentences(const char *text)
{
    if ((*text >= 'A' && *text <= 'Z') || strchr("#*-0123456789", *text))
        return text;
    for (const char *c = text; *c && c < text + 2 * DOCUMENT_OVERLAP_BYTES; c++)
        if ((strchr(".!?", *c) && c[1] == ' ') || *c == '\n')
            return c + 1 + (c[1] == ' ');
    return text;
}

static size_t add_document(char *answer, size_t at, const json_t *result, size_t most, bool further)
{
    char text[ANSWER_SIZE / 2];
    const char *passage = cvm_json_str(json_array_get(json_object_get(result, "passages"), 0), "text", "");
    const char *id = cvm_json_str(result, "document_id", "");
    if (!plain(whole_sentences(passage), most, text, sizeof text) || at + strlen(text) + 128 > ANSWER_SIZE)
        return at;
    return at + (size_t)snprintf(answer + at, ANSWER_SIZE - at, "%s%s (document %.*s)", further ? " " : "", text,
                                 clip(id, DOCUMENT_ID_MAX), id);
}

/* {"success", "found", "answer", "confidence", "sources", "raw_results", "agent"}, or that nothing was found. Gives. */
static json_t *compose(const json_t *ranked)
{
    char answer[ANSWER_SIZE] = "";
    const json_t *results = json_object_get(ranked, "results"), *one;
    json_t *sources = json_array(), *documents = json_array(), *metas = json_array(), *distances = json_array();
    size_t i, n = 0, used = 0, at = 0;
    double sum = 0, best = 0, coverage = 0;
    json_array_foreach((json_t *)(uintptr_t)results, i, one)
    {
        double relevance = fmin(json_number_value(json_object_get(one, "relevance")), 1);
        if (!relevant(one))
            continue;
        best = n ? best : relevance;
        sum += relevance;
        n++;
        double covers = json_number_value(json_object_get(one, "coverage"));
        coverage = covers > coverage ? covers : coverage;
        if (used < DOCUMENTS_IN_ANSWER && relevance >= FURTHER_SHARE * best) {
            at = add_document(answer, at, one, used ? FURTHER_BYTES_MAX : ANSWER_BYTES_MAX, used > 0);
            used++;
        }
        json_array_append_new(sources,
                              json_pack("{s:O?, s:i, s:O?, s:O?}", "document_id", json_object_get(one, "document_id"),
                                        "position", (int)i + 1, "source", json_object_get(one, "source"), "relevance",
                                        json_object_get(one, "relevance")));
        const json_t *text = json_object_get(json_array_get(json_object_get(one, "passages"), 0), "text");
        json_array_append_new(documents, text ? cvm_json_share(text) : json_string(""));
        json_array_append_new(
            metas, json_pack("{s:O?, s:O?, s:O?, s:O?, s:O?}", "document_id", json_object_get(one, "document_id"),
                             "title", json_object_get(one, "title"), "domain", json_object_get(one, "domain"), "topic",
                             json_object_get(one, "topic"), "source", json_object_get(one, "source")));
        json_array_append_new(distances, json_real(round((1 - relevance) * 100) / 100));
    }
    bool partly = n > 0 && coverage < PARTLY_COVERAGE;
    if (partly && at + 100 < sizeof answer)
        snprintf(answer + at, sizeof answer - at, " The knowledge base does not fully answer this question.");
    json_t *body =
        n ? json_pack("{s:b, s:b, s:s, s:f, s:O, s:{s:O, s:O, s:O}, s:s}", "success", 1, "found", 1, "answer", answer,
                      "confidence", round(sum / (double)n * 100) / 100, "sources", sources, "raw_results", "documents",
                      documents, "metadatas", metas, "distances", distances, "agent", RESEARCH_ALIAS)
          : json_pack("{s:b, s:b, s:s}", "success", 1, "found", 0, "message",
                      "The knowledge base has no answer to this question.");
    if (partly)
        json_object_set_new(body, "partial", json_true());
    json_decref(sources);
    json_decref(documents);
    json_decref(metas);
    json_decref(distances);
    return body;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

/* Domains that no agent of the desk answers for: their documents are for others, who ask for them by name. */
static json_t *others_domains(cvm_turn *t)
{
    const json_t *domains = cvm_registry(t, "domains");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(domains); i++) {
        const json_t *one = json_array_get(domains, i), *name = json_object_get(one, "name");
        if (json_object_size(json_object_get(one, "routes")) == 0 && json_is_string(name))
            json_array_append(list, (json_t *)(uintptr_t)name);
    }
    return list;
}

/* Takes `with`. */
static int ask(cvm_turn *t, const cvm_msg *m, const char *question, const char *filter, const char *hint, json_t *with)
{
    json_t *data = json_pack(
        "{s:s, s:I, s:o}", "query", question, "top_k",
        (json_int_t)cvm_json_int(m->data, "top_k", cvm_json_int(cvm_settings(t), "retrieval_top_k", 5)), "with", with);
    if (data && *filter)
        json_object_set_new(data, "service_domain", json_string(filter));
    if (data && *hint)
        json_object_set_new(data, "domain_hint", json_string(hint));
    json_t *others = !*filter && strcmp(cvm_json_str(with, "as", ""), "look") != 0 ? others_domains(t) : NULL;
    if (data && json_array_size(others)) /* operators, who look, see all */
        json_object_set(data, "without", others);
    json_decref(others);
    CVM_TRY(cvm_look(t, "role:kb", "query", data, &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = 10000}));
    return CVM_PENDING;
}

static int ask_as(cvm_turn *t, const cvm_msg *m, const char *as)
{
    const char *filter = cvm_json_str(m->data, "service_domain", cvm_json_str(m->data, "domain", ""));
    const char *question = cvm_json_str(m->data, "query", "");
    if (question[strspn(question, " \t\r\n")] == '\0')
        return cvm_refuse(t, "EMPTY", "query", "The question has no words.");
    return ask(t, m, question, filter, "",
               json_pack("{s:s, s:b}", "as", as, "answer", cvm_json_bool(m->data, "answer", false)));
}

int research_search(cvm_turn *t, const cvm_msg *m)
{
    return ask_as(t, m, "search");
}

int research_look(cvm_turn *t, const cvm_msg *m)
{
    return ask_as(t, m, "look");
}

int research_vector_search(cvm_turn *t, const cvm_msg *m)
{
    return ask_as(t, m, "vector");
}

int research_synthesize(cvm_turn *t, const cvm_msg *m)
{
    return ask_as(t, m, "synthesize");
}

static int hand_on(cvm_turn *t, const cvm_msg *m, const char *type)
{
    CVM_TRY(cvm_forward(t, m->id, "role:kb", type, cvm_json_share(m->data)));
    return CVM_PENDING;
}

int research_add(cvm_turn *t, const cvm_msg *m)
{
    return hand_on(t, m, "add");
}

int research_document(cvm_turn *t, const cvm_msg *m)
{
    return hand_on(t, m, "show");
}

/* For people at the command line: the documents found, and the answer where it was asked for. */
static json_t *looked(const json_t *ranked, bool wanted)
{
    json_t *body = compose(ranked), *list = json_array(), *one, *short_one;
    size_t i;
    if (!wanted) {
        json_object_del(body, "answer");
        json_object_del(body, "raw_results");
    }
    json_array_foreach(json_object_get((json_t *)(uintptr_t)ranked, "results"), i, one)
    {
        short_one = relevant(one) ? json_copy(one) : NULL;
        json_object_del(short_one, "passages");
        json_object_del(short_one, "coverage");
        if (short_one)
            json_array_append_new(list, short_one);
    }
    json_object_set_new(body, "results", list);
    json_object_set(body, "topics", json_object_get(ranked, "topics"));
    return body;
}

static int handled(cvm_turn *t, const cvm_msg *m, const json_t *with);

int research_found(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with");
    const char *as = cvm_json_str(with, "as", "");
    if (m->outcome != CVM_REPLIED && *m->conversation && *cvm_json_str(cvm_context(t), "enquiry_id", ""))
        return handled(t, m, NULL);
    int e;
    if (m->outcome != CVM_REPLIED)
        e = cvm_settle(
            t, m->on_behalf, CVM_REFUSED,
            json_pack("{s:b, s:s, s:s}", "success", 0, "error",
                      cvm_json_str(m->data, "message", "The knowledge base cannot be searched at the moment."), "agent",
                      RESEARCH_ALIAS),
            NULL);
    else if (strcmp(as, "handle") == 0)
        return handled(t, m, with);
    else if (strcmp(as, "look") == 0)
        e = cvm_settle(t, m->on_behalf, CVM_REPLIED, looked(m->data, cvm_json_bool(with, "answer", false)), NULL);
    else if (strcmp(as, "vector") == 0)
        e = cvm_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:O}", "results", json_object_get(m->data, "results")),
                       NULL);
    else
        e = cvm_settle(t, m->on_behalf, CVM_REPLIED, compose(m->data), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- a step of a conversation ------------------------------------------------------------------------------------ */

/* Whether an agent of a domain comes later on the route: it answers, and this one only helps. */
static bool helps(cvm_turn *t)
{
    const json_t *route = json_object_get(cvm_context(t), "route"), *components = cvm_registry(t, "components");
    bool behind = false;
    for (size_t i = 0; i < json_array_size(route); i++) {
        const char *id = json_string_value(json_array_get(route, i));
        if (!id)
            continue;
        if (!behind) {
            behind = strcmp(id, RESEARCH) == 0 || strcmp(id, RESEARCH_ALIAS) == 0;
            continue;
        }
        for (size_t k = 0; k < json_array_size(components); k++) {
            const json_t *c = json_array_get(components, k), *roles = json_object_get(c, "roles");
            if (strcmp(cvm_json_str(c, "id", ""), id) != 0 && strcmp(cvm_json_str(c, "alias", ""), id) != 0)
                continue;
            for (size_t r = 0; r < json_array_size(roles); r++)
                if (strcmp(json_string_value(json_array_get(roles, r)), "desk.domain") == 0)
                    return true;
        }
    }
    return false;
}

int research_handle(cvm_turn *t, const cvm_msg *m)
{
    const json_t *message = json_object_get(m->data, "message");
    const char *words = step_words(t, m), *hint = cvm_json_str(cvm_context(t), "service_domain", "");
    const char *content = cvm_json_str(message, "content", "");
    if (strcmp(hint, "MULTI") == 0 || strcmp(hint, "UNKNOWN") == 0)
        hint = "";
    char question[2001];
    snprintf(question, sizeof question, "%.*s", clip(words, 2000), words);
    return ask(t, m, question, "", hint,
               json_pack("{s:s, s:s, s:b}", "as", "handle", "content", content, "helps", helps(t)));
}

/* Ends the step `request` with what was found. */
static int told(cvm_turn *t, cvm_id request, const json_t *body, bool only_helps, const char *content)
{
    bool found = cvm_json_bool(body, "found", false);
    int e =
        cvm_note(t, "decision",
                 json_pack("{s:s, s:b, s:O*, s:O*, s:O*}", "chose", found ? "answer from documents" : "no answer known",
                           "helps", only_helps, "confidence", json_object_get(body, "confidence"), "sources",
                           json_object_get(body, "sources"), "wording", json_object_get(body, "wording")));
    json_t *facts = found
                        ? json_pack("{s:b, s:O, s:O, s:O, s:b}", "found", 1, "answer", json_object_get(body, "answer"),
                                    "confidence", json_object_get(body, "confidence"), "sources",
                                    json_object_get(body, "sources"), "partial", cvm_json_bool(body, "partial", false))
                        : json_pack("{s:b, s:[]}", "found", 0, "sources");
    if (!e)
        e = cvm_context_set(t, "/research", json_copy(facts)); /* ours grows */
    json_object_set_new(facts, "answered", json_boolean(found && !only_helps));
    if (e < 0) {
        json_decref(facts);
    } else if (only_helps) {
        e = step_say(t, request, content, facts, NULL);
    } else if (found) {
        e = step_say(t, request, cvm_json_str(body, "answer", ""), facts, NULL);
    } else {
        json_decref(facts);
        e = step_hand_over(t, request, content, "no_answer", "neither the agents nor the knowledge base have an answer",
                           "general");
    }
    return e;
}

/* The passages of an answer: [{"document_id", "text"}]. New value. */
static json_t *passages_of(const json_t *body)
{
    const json_t *raw = json_object_get(body, "raw_results"), *texts = json_object_get(raw, "documents");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(texts); i++)
        json_array_append_new(
            list, json_pack("{s:O?, s:O}", "document_id",
                            json_object_get(json_array_get(json_object_get(raw, "metadatas"), i), "document_id"),
                            "text", json_array_get(texts, i)));
    return list;
}

/* Has a language model word the answer; without one, or if it does not keep to the passages, ours stands. */
static int ask_wording(cvm_turn *t, const cvm_msg *m, json_t *body, const char *content)
{
    json_t *passages = passages_of(body);
    int e = pending_put(t, m->on_behalf,
                        json_pack("{s:O, s:s, s:O}", "body", body, "content", content, "passages", passages));
    if (e >= 0)
        e = llm_ask_passages(t, cvm_json_str(cvm_context(t), "message", ""), passages,
                             cvm_json_str(cvm_context(t), "customer_name", ""), m->on_behalf);
    json_decref(passages);
    return e < 0 ? e : CVM_OK;
}

static int worded(cvm_turn *t, const cvm_msg *m, const json_t *kept)
{
    const char *text = llm_text(m);
    bool good = text && llm_cited(text, json_object_get(kept, "passages"));
    json_t *body = json_copy(json_object_get(kept, "body"));
    if (good)
        json_object_set_new(body, "answer", json_string(text));
    json_object_set_new(body, "wording", json_string(good ? "by a model" : "by rules"));
    int e = told(t, m->on_behalf, body, false, cvm_json_str(kept, "content", ""));
    json_decref(body);
    return e;
}

int research_worded(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, worded);
}

static int handled(cvm_turn *t, const cvm_msg *m, const json_t *with)
{
    bool only_helps = with ? cvm_json_bool(with, "helps", false) : helps(t);
    json_t *body = m->outcome == CVM_REPLIED ? compose(m->data) : NULL;
    const char *content = cvm_json_str(with, "content", "");
    bool found = cvm_json_bool(body, "found", false);
    int e = found && !only_helps && llm_wanted(t) ? ask_wording(t, m, body, content)
                                                  : told(t, m->on_behalf, body, only_helps, content);
    json_decref(body);
    return e;
}
