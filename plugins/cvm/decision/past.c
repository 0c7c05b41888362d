/* See past.h. */
#include "past.h"

#include "journey.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY_MAX 64     /* treatments that one customer had before */
#define TRANSCRIPTS_MAX 64 /* of one customer */

/* A table beside that of the customers; its next row waits. */
struct beside {
    cvm_cursor *cursor;
    const cvm_cell *cells; /* NULL: the end */
};

struct past {
    cvm_job *job;
    struct beside sent, said;
    char names[HISTORY_MAX][128];
    struct base_history list[HISTORY_MAX];
    size_t n;
};

static int advance(struct beside *b)
{
    int e = b->cursor ? cvm_cursor_next(b->cursor, &b->cells) : 0;
    if (e != 1)
        b->cells = NULL;
    return e < 0 ? e : CVM_OK;
}

static int open_beside(cvm_job *j, const char *table, const char *const columns[], struct beside *b)
{
    int e = cvm_job_open(j, table, columns, NULL, "customer_id", &b->cursor);
    if (e == CVM_ENOENT) { /* nothing of the kind was ever loaded */
        b->cursor = NULL;
        return CVM_OK;
    }
    return e < 0 ? e : advance(b);
}

int past_open(cvm_job *j, struct past **ret)
{
    static const char *const sent[] = {"customer_id", "treatment_id", "outcome", NULL};
    static const char *const said[] = {"customer_id", "kind", "ref", "started_at", "text", NULL};
    struct past *p = calloc(1, sizeof *p);
    if (!p)
        return CVM_ENOMEM;
    p->job = j;
    int e = open_beside(j, "cvm_campaigns", sent, &p->sent);
    if (e == CVM_OK)
        e = open_beside(j, "cvm_transcripts", said, &p->said);
    if (e != CVM_OK) {
        past_close(p);
        return e;
    }
    *ret = p;
    return CVM_OK;
}

void past_close(struct past *p)
{
    if (!p)
        return;
    cvm_cursor_close(p->sent.cursor);
    cvm_cursor_close(p->said.cursor);
    free(p);
}

/* Whether the row that waits is the customer's; those of customers before are passed over. */
static int is_of(struct beside *b, const char *customer, bool *ret_is)
{
    while (b->cells && strcmp(b->cells[0].text, customer) < 0)
        CVM_TRY(advance(b));
    *ret_is = b->cells && strcmp(b->cells[0].text, customer) == 0;
    return CVM_OK;
}

static void take_sent(struct past *p)
{
    const char *treatment = p->sent.cells[1].text, *outcome = p->sent.cells[2].text;
    size_t i = 0;
    while (i < p->n && strcmp(p->names[i], treatment) != 0)
        i++;
    if (i == HISTORY_MAX || strlen(treatment) >= sizeof p->names[i])
        return;
    if (i == p->n) {
        snprintf(p->names[i], sizeof p->names[i], "%s", treatment);
        p->list[p->n++] = (struct base_history){p->names[i], {.propensity = NAN, .worth = FACTS_NONE}};
    }
    p->list[i].history.contacts++;
    p->list[i].history.successes += strcmp(outcome, "converted") == 0;
    p->list[i].history.complaints += strcmp(outcome, "complained") == 0;
}

static int take_said(struct past *p, json_t *calls, json_t *chats)
{
    const cvm_cell *c = p->said.cells;
    bool call = strcmp(c[1].text, "call") == 0;
    json_t *list = call ? calls : chats;
    if (json_array_size(list) >= TRANSCRIPTS_MAX)
        return CVM_OK;
    json_t *one = json_pack("{s:s, s:s, s:s}", call ? "call_id" : "session_id", c[2].text, "started_at", c[3].text,
                            "text", c[4].text);
    return json_array_append_new(list, one) < 0 ? CVM_ENOMEM : CVM_OK;
}

static int signals_of(struct past *p, const struct cvm_facts *facts, json_t *calls, json_t *chats,
                      unsigned *ret_signals)
{
    json_t *data = json_pack("{s:o, s:O, s:O}", "facts", facts_to_json(facts), "call_transcripts", calls,
                             "web_transcripts", chats);
    json_t *journey = data ? journey_build(facts->customer_id, data, cvm_job_now_ms(p->job)) : NULL, *name;
    size_t i;
    json_decref(data);
    if (!journey)
        return CVM_ENOMEM;
    json_array_foreach(json_object_get(journey, "signals"), i, name)
    {
        int signal = signal_find(json_string_value(name));
        *ret_signals |= signal >= 0 ? 1U << signal : 0;
    }
    json_decref(journey);
    return CVM_OK;
}

int past_of(struct past *p, const struct cvm_facts *facts, const struct base_history **ret_history, size_t *ret_n,
            unsigned *ret_signals)
{
    json_t *calls = NULL, *chats = NULL;
    bool is = false;
    int e;
    p->n = 0;
    *ret_signals = 0;
    while ((e = is_of(&p->sent, facts->customer_id, &is)) == CVM_OK && is) {
        take_sent(p);
        CVM_TRY(advance(&p->sent));
    }
    while (e == CVM_OK && (e = is_of(&p->said, facts->customer_id, &is)) == CVM_OK && is) {
        calls = calls ? calls : json_array();
        chats = chats ? chats : json_array();
        e = calls && chats ? take_said(p, calls, chats) : CVM_ENOMEM;
        e = e == CVM_OK ? advance(&p->said) : e;
    }
    if (e == CVM_OK && calls)
        e = signals_of(p, facts, calls, chats, ret_signals);
    json_decref(calls);
    json_decref(chats);
    *ret_history = p->list;
    *ret_n = p->n;
    return e;
}
