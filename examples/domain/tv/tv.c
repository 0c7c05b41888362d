/* TvAgent: TV subscriptions. Renews them, shows them, and answers for them in conversations. It takes no money. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)
#define CARD_SIZE 11

/* ---- subscriptions: the component's state, "card/<number>" -> {"package", "paid_until_ms", "renewals"} ---- */

static void card_key(const char *card, char ret_key[32])
{
    snprintf(ret_key, 32, "card/%.10s", card);
}

/* What a card has; NULL in *ret_card: it never had anything. */
static int find_card(cvm_turn *t, const char *card, const json_t **ret_card)
{
    char key[32];
    card_key(card, key);
    *ret_card = NULL;
    int found = cvm_state_get(t, key, ret_card);
    return found == CVM_ENOENT ? CVM_OK : found;
}

static const char *date_text(int64_t at_ms, char ret_text[32])
{
    time_t at = (time_t)(at_ms / 1000);
    struct tm day;
    strftime(ret_text, 32, "%d %b %Y", gmtime_r(&at, &day));
    return ret_text;
}

/* The answer to people about a card. Gives a new object. */
static json_t *card_body(const char *card, const json_t *c)
{
    char until[32];
    return json_pack("{s:s, s:O, s:s, s:O}", "card", card, "package", json_object_get(c, "package"), "paid_until",
                     date_text(cvm_json_int(c, "paid_until_ms", 0), until), "renewals", json_object_get(c, "renewals"));
}

/* Thirty days more, from today or from the day it is paid until; each third time three more. */
static int renew_card(cvm_turn *t, const char *card, const char *package, const json_t **ret_card)
{
    char key[32];
    const json_t *before = NULL;
    CVM_TRY(find_card(t, card, &before));
    int64_t now = cvm_now_ms(t), from = cvm_json_int(before, "paid_until_ms", 0);
    int64_t renewals = cvm_json_int(before, "renewals", 0) + 1, days = renewals % 3 == 0 ? 33 : 30;
    card_key(card, key);
    CVM_TRY(cvm_state_put(t, key,
                          json_pack("{s:s, s:I, s:I}", "package", package, "paid_until_ms",
                                    (json_int_t)((from > now ? from : now) + days * DAY_MS), "renewals",
                                    (json_int_t)renewals)));
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "renew", "package", package)));
    return cvm_state_get(t, key, ret_card);
}

/* Operation "renew". */
static int renew(cvm_turn *t, const cvm_msg *m)
{
    const char *card = cvm_json_str(m->data, "card", ""), *package = cvm_json_str(m->data, "package", "");
    const json_t *c;
    if (!json_object_get(json_object_get(cvm_settings(t), "packages"), package))
        return cvm_refuse(t, "NO_SUCH_PACKAGE", "package", "There is no such package.");
    CVM_TRY(renew_card(t, card, package, &c));
    return cvm_reply(t, m, card_body(card, c));
}

/* Operation "show". */
static int show(cvm_turn *t, const cvm_msg *m)
{
    const char *card = cvm_json_str(m->data, "card", "");
    const json_t *c;
    CVM_TRY(find_card(t, card, &c));
    if (!c)
        return cvm_refuse(t, "NOT_FOUND", "card", "This card has no subscription.");
    return cvm_reply(t, m, card_body(card, c));
}

/* ---- conversations ---- */

/* The answer of one step. Without `next` the conversation goes on by its route. */
static int step(cvm_turn *t, const cvm_msg *m, const char *content, json_t *structured, const char *next)
{
    return cvm_reply(
        t, m,
        json_pack("{s:s, s:o, s:s?, s:b}", "content", content, "structured_data", structured, "next", next, "end", 0));
}

/* The first member of an object of patterns that is found in a text; NULL: none is. */
static const char *find_member(cvm_turn *t, const json_t *patterns, const char *text, json_t **ret_value)
{
    const char *pattern;
    json_t *value;
    cvm_span span;
    json_object_foreach((json_t *)patterns, pattern, value)
    {
        if (cvm_match(t, pattern, text, 0, &span, 1) > 0) {
            *ret_value = value;
            return pattern;
        }
    }
    return NULL;
}

/* A renewal that names card and package is done; else the customer is asked for what is missing. */
static int handle_renewal(cvm_turn *t, const cvm_msg *m, const char *text)
{
    cvm_span span;
    json_t *price;
    const json_t *c;
    char card[CARD_SIZE] = "", until[32], answer[200];
    const char *package = find_member(t, json_object_get(cvm_settings(t), "packages"), text, &price);
    if (cvm_match(t, "\\b\\d{10}\\b", text, 0, &span, 1) > 0)
        snprintf(card, sizeof card, "%.10s", text + span.start);
    if (!*card || !package)
        return step(t, m, "To renew, please tell me the number of your smart card and the package.",
                    json_pack("{s:b, s:s}", "needs_input", 1, "rule", "needs_input"), NULL);
    CVM_TRY(renew_card(t, card, package, &c));
    snprintf(answer, sizeof answer, "Your package %s is renewed until %s.", package,
             date_text(cvm_json_int(c, "paid_until_ms", 0), until));
    return step(t, m, answer, json_pack("{s:b}", "answered", 1), NULL);
}

/* Operation "handle": domain and intent are in the context, the customer's words in the message: where they speak of
 * several things, only what is ours. */
static int handle(cvm_turn *t, const cvm_msg *m)
{
    const char *intent = cvm_json_str(cvm_context(t), "intent", "");
    const char *text = cvm_json_str(json_object_get(m->data, "message"), "content", "");
    json_t *answer;
    if (strcmp(intent, "RENEWAL") == 0)
        return handle_renewal(t, m, text);
    if (find_member(t, json_object_get(cvm_settings(t), "answers"), text, &answer))
        return step(t, m, json_string_value(answer), json_pack("{s:b}", "answered", 1), NULL);
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "a human", "intent", intent)));
    return step(t, m, "",
                json_pack("{s:s, s:{s:s, s:s, s:s}}", "rule", "no_answer", "escalate", "rule", "no_answer", "reason",
                          "TvAgent has no answer to this", "queue", "tv"),
                "service.escalation");
}

/* A card that the build before wrote was renewed once at least; all else stays as it is. Borrows `value`, gives a new
 * one. */
static int upgrade(uint32_t from_version, const char *key, const json_t *value, json_t **ret_value)
{
    if (from_version != 1)
        return CVM_EDATA;
    json_t *now = json_copy((json_t *)value);
    if (strncmp(key, "card/", 5) == 0)
        json_object_set_new(now, "renewals", json_integer(1));
    *ret_value = now;
    return CVM_OK;
}

static const cvm_component components[] = {{.id = "tv.agent", .state_version = 2, .upgrade = upgrade}, {0}};
static const cvm_route routes[] = {
    {"tv.agent", "renew", renew}, {"tv.agent", "show", show}, {"tv.agent", "handle", handle}, {0}};
CVM_PLUGIN(.name = "tv", .version = "1.2.0", .components = components, .routes = routes);
