/* The rubric of quality by rules (service.md 18): accuracy, completeness, professionalism, each 0 to 1. Pure. Any
 * thread. */
#include "../../common/object.h"
#include "../common/words.h"
#include "service.h"

#define REMARKS_MAX 12

struct review {
    double accuracy, completeness, professionalism;
    json_t *remarks;
};

static void mark(struct review *r, double *score, double less, const char *remark)
{
    *score = *score > less ? *score - less : 0;
    if (json_array_size(r->remarks) < REMARKS_MAX)
        json_array_append_new(r->remarks, json_string(remark));
}

/* ---- accuracy: numbers and references must be those of the case ----------------------------------------------------
 */

static bool json_has_text(const json_t *value, const char *digits, int depth)
{
    const char *key;
    json_t *member;
    size_t i;
    if (depth > 8)
        return false;
    if (json_is_string(value)) {
        /* Numbers are compared by their digits, so that +234803.. holds 0803.. and 1,000 holds 1000. */
        char plain[512];
        size_t n = 0;
        for (const char *s = json_string_value(value); *s && n + 1 < sizeof plain; s++)
            if (*s >= '0' && *s <= '9')
                plain[n++] = *s;
        plain[n] = 0;
        return strstr(plain, digits) != NULL || (strlen(digits) > 4 && *digits == '0' && strstr(plain, digits + 1));
    }
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key,
                            member) if (json_has_text(member, digits, depth + 1)) return true;
    }
    json_array_foreach((json_t *)(uintptr_t)value, i, member) if (json_has_text(member, digits, depth + 1)) return true;
    return false;
}

/* A mobile number in the draft that is neither the customer's, nor named by them, nor part of the facts. */
static void check_phones(struct review *r, const struct text *text, const json_t *facts, const json_t *context)
{
    for (size_t i = 0; i < text->n; i++) {
        const struct token *k = &text->tokens[i];
        const char *word = text_word(text, i);
        if (k->kind != TOKEN_NUMBER || k->len != 11 || *word != '0' || !strchr("789", word[1]))
            continue;
        if (!json_has_text(facts, word, 0) && !json_has_text(json_object_get(context, "entities"), word, 0) &&
            !json_has_text(json_object_get(context, "customer_phone"), word, 0))
            mark(r, &r->accuracy, 0.6, "names a phone number that is not of this case");
    }
}

static bool begins_with(const char *text, const char *id)
{
    return *id && !strncmp(text, id, strlen(id));
}

/* Whether it is the case's own, or of one of the parts that the case was taken into. */
static bool of_case(const char *reference, const json_t *context, const char *member)
{
    const json_t *parts = json_object_get(json_object_get(context, "multi"), "parts");
    bool own = begins_with(reference, cvm_json_str(context, member, ""));
    for (size_t i = 0; i < json_array_size(parts) && !own; i++)
        own = begins_with(reference, cvm_json_str(json_array_get(parts, i), member, ""));
    return own;
}

/* Every short reference in the draft (TXN-.., HND-.., ENQ-..) must be one of this case. */
static void check_references(struct review *r, const char *draft, const json_t *context)
{
    static const struct {
        const char *prefix, *member;
    } known[] = {{"TXN-", "transaction_id"}, {"HND-", "handoff_id"}, {"ENQ-", "enquiry_id"}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        for (const char *at = strstr(draft, known[k].prefix); at; at = strstr(at + 4, known[k].prefix))
            if (!of_case(at, context, known[k].member))
                mark(r, &r->accuracy, 0.6, "names a reference that is not of this case");
    }
}

static void check_outcome(struct review *r, const char *draft, const json_t *facts)
{
    const char *outcome = cvm_json_str(facts, "outcome", "");
    bool done = words_have(draft, "done") || words_have(draft, "successful") || words_have(draft, "successfully");
    if (!strcmp(outcome, "FAILED") && done && !words_have(draft, "failed") && !words_have(draft, "not successful"))
        mark(r, &r->accuracy, 0.7, "speaks of success, but the transaction failed");
    if (!strcmp(outcome, "PENDING") && words_have(draft, "done"))
        mark(r, &r->accuracy, 0.7, "speaks of success, but the transaction is not confirmed");
}

/* ---- completeness --------------------------------------------------------------------------------------------------
 */

static void check_complete(struct review *r, const char *draft, const json_t *facts, const json_t *context)
{
    const json_t *transaction = json_object_get(facts, "transaction");
    const char *outcome = cvm_json_str(facts, "outcome", "");
    size_t len = strlen(draft);
    if (len == 0)
        mark(r, &r->completeness, 1, "says nothing");
    else if (len < 15)
        mark(r, &r->completeness, 0.4, "is too short to be an answer");
    if (*outcome && transaction) {
        const char *id = cvm_json_str(transaction, "transaction_id", "");
        const char *reference = cvm_json_str(transaction, "reference", id);
        if ((*id || *reference) && !(*id && strstr(draft, id)) && !(*reference && strstr(draft, reference)))
            mark(r, &r->completeness, 0.4, "lacks the reference of the transaction");
        const char *token = cvm_json_str(json_object_get(transaction, "delivered"), "token", "");
        char grouped[32] = "";
        if (strlen(token) == 20)
            snprintf(grouped, sizeof grouped, "%.4s", token);
        if (*token && !strstr(draft, token) && !(*grouped && strstr(draft, grouped)))
            mark(r, &r->completeness, 0.8, "lacks the token");
    }
    const char *handoff = cvm_json_str(context, "handoff_id", "");
    if (*handoff && *cvm_json_str(context, "interim", "") && !strstr(draft, handoff))
        mark(r, &r->completeness, 0.5, "lacks the reference of the handoff");
}

/* ---- professionalism -----------------------------------------------------------------------------------------------
 */

static void check_professional(struct review *r, const char *draft, const struct text *text, const json_t *settings)
{
    static const char *const leftovers[] = {"{{", "}}", "%s", "%d", "${", "<script", "TODO", "(null)"};
    const json_t *words = json_object_get(settings, "forbidden_words");
    size_t upper = 0, long_words = 0;
    for (size_t i = 0; i < sizeof leftovers / sizeof *leftovers; i++)
        if (strstr(draft, leftovers[i]))
            mark(r, &r->professionalism, 0.6, "holds a leftover of a template");
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        if (word && words_have(draft, word))
            mark(r, &r->professionalism, 0.6, "uses a word we do not use with customers");
    }
    for (size_t i = 0; i < text->n; i++) {
        long_words += text->tokens[i].kind == TOKEN_WORD && text->tokens[i].len >= 3;
        upper += (text->tokens[i].flags & TOKEN_UPPER) != 0;
    }
    if (long_words >= 6 && upper * 2 > long_words)
        mark(r, &r->professionalism, 0.6, "shouts in capitals");
    if (text->exclamations > 2)
        mark(r, &r->professionalism, 0.3, "has too many exclamation marks");
}

json_t *review_draft(const char *draft, const json_t *facts, const json_t *context, const json_t *settings)
{
    struct review r = {1, 1, 1, json_array()};
    struct text text;
    text_read(&text, draft, NULL, NULL);
    check_phones(&r, &text, facts, context);
    check_references(&r, draft, context);
    check_outcome(&r, draft, facts);
    check_complete(&r, draft, facts, context);
    check_professional(&r, draft, &text, settings);
    double mean = (r.accuracy + r.completeness + r.professionalism) / 3;
    double least = r.accuracy < r.completeness ? r.accuracy : r.completeness;
    least = least < r.professionalism ? least : r.professionalism;
    const json_t *needed = json_object_get(settings, "approve_mean"),
                 *floor = json_object_get(settings, "approve_least");
    bool approved = mean + 1e-9 >= (json_is_number(needed) ? json_number_value(needed) : 0.7) &&
                    least + 1e-9 >= (json_is_number(floor) ? json_number_value(floor) : 0.5);
    json_t *scores = json_object(), *review = json_object();
    OBJECT_PUT(scores, "accuracy", json_real(r.accuracy));
    OBJECT_PUT(scores, "completeness", json_real(r.completeness));
    OBJECT_PUT(scores, "professionalism", json_real(r.professionalism));
    OBJECT_PUT(review, "scores", scores);
    OBJECT_PUT(review, "mean", json_real(mean));
    OBJECT_PUT(review, "approved", json_boolean(approved));
    OBJECT_PUT(review, "remarks", r.remarks);
    return review;
}
