/* See base.h. */
#include "base.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const transcript_columns[] = {"customer_id", "kind", "ref", "started_at", "text", NULL};
static const char *const chance_columns[] = {"customer_id", "chance", "factors", NULL};

static int step(cvm_cursor *c, const cvm_cell **cells)
{
    *cells = NULL;
    return c ? cvm_cursor_next(c, cells) : 0;
}

int base_open(struct base *b, cvm_job *j, const char *customer_id, bool texts)
{
    json_t *where = customer_id ? json_pack("{s:s}", "customer_id", customer_id) : NULL;
    memset(b, 0, sizeof *b);
    b->job = j;
    int e = cvm_job_open(j, "cvm_customers", facts_columns, where, NULL, &b->customers);
    if (e == 0 && texts)
        e = cvm_job_open(j, "cvm_transcripts", transcript_columns, where, "customer_id", &b->transcripts);
    if (e == 0)
        e = cvm_job_open(j, "cvm_churn_scores", chance_columns, where, NULL, &b->chances);
    json_decref(where);
    if (e == 0)
        e = step(b->transcripts, &b->transcript);
    if (e >= 0)
        e = step(b->chances, &b->chance);
    if (e >= 0)
        return 0;
    base_close(b);
    return e == CVM_ENOENT
               ? cvm_job_fail(j, "NO_CUSTOMERS", "there are no tables of customers: load the plugin customers")
               : e;
}

void base_close(struct base *b)
{
    cvm_cursor_close(b->customers);
    cvm_cursor_close(b->transcripts);
    cvm_cursor_close(b->chances);
    conversations_fini(&b->conversations);
    b->customers = b->transcripts = b->chances = NULL;
}

static void copy(char *to, size_t size, const char *from)
{
    size_t n = strlen(from);
    n = n < size ? n : size - 1;
    memcpy(to, from, n);
    to[n] = 0;
}

/* Of a customer with more conversations than are read the oldest gives way. */
static int take_transcript(struct base *b)
{
    struct conversations *c = &b->conversations;
    const cvm_cell *cells = b->transcript;
    size_t at = c->n;
    if (at == READER_CONVERSATIONS_MAX) {
        at = 0;
        for (size_t i = 1; i < c->n; i++)
            if (strcmp(c->item[i].date, c->item[at].date) < 0)
                at = i;
        if (strcmp(cells[3].text, c->item[at].date) <= 0)
            return 0;
        free(c->texts[at]);
    } else {
        c->n++;
    }
    c->texts[at] = strndup(cells[4].text, cells[4].len);
    if (!c->texts[at]) {
        c->texts[at] = strdup("");
        return CVM_ENOMEM;
    }
    c->item[at] =
        (struct conversation){.web = !strcmp(cells[1].text, "web"), .text = c->texts[at], .len = strlen(c->texts[at])};
    copy(c->item[at].ref, sizeof c->item[at].ref, cells[2].text);
    copy(c->item[at].date, sizeof c->item[at].date, cells[3].text);
    return 0;
}

static int by_date(const void *a, const void *b)
{
    const struct conversation *x = a, *y = b;
    int order = strcmp(x->date, y->date);
    return order ? order : strcmp(x->ref, y->ref);
}

static int join(struct base *b, const char *id)
{
    int e = 1, order = 1;
    while (e > 0 && b->transcript && (order = strcmp(b->transcript[0].text, id)) <= 0) {
        if (order == 0 && take_transcript(b) < 0)
            return CVM_ENOMEM;
        e = step(b->transcripts, &b->transcript);
    }
    while (e >= 0 && b->chance && (order = strcmp(b->chance[0].text, id)) <= 0) {
        if (order == 0 && b->chance[1].kind != CVM_CELL_NULL) {
            b->file.churn_chance = b->chance[1].r;
            copy(b->factors, sizeof b->factors, b->chance[2].text);
            b->file.churn_factors = *b->factors ? b->factors : NULL;
        }
        e = step(b->chances, &b->chance);
    }
    qsort(b->conversations.item, b->conversations.n, sizeof *b->conversations.item, by_date);
    return e < 0 ? e : 0;
}

int base_next(struct base *b)
{
    const cvm_cell *cells;
    conversations_fini(&b->conversations);
    int e = cvm_cursor_next(b->customers, &cells);
    if (e <= 0)
        return e;
    facts_from_cells(cells, &b->facts);
    b->file = (struct case_file){
        .facts = &b->facts, .conversations = b->conversations.item, .high_spend = NAN, .churn_chance = NAN};
    b->file.now_ms = b->facts.as_of_ms == FACTS_NONE ? cvm_job_now_ms(b->job) : b->facts.as_of_ms;
    if ((e = join(b, b->facts.customer_id)) < 0)
        return e;
    b->file.n_conversations = b->conversations.n;
    b->seen++;
    return 1;
}

/* ---- spend ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* ---- who is not there ---- */

int unknown_add(struct unknown *u, const char *id)
{
    if (!u->ids && !(u->ids = json_array()))
        return CVM_ENOMEM;
    if (u->n++ < UNKNOWN_NAMED_MAX && json_array_append_new(u->ids, json_string(id)) < 0)
        return CVM_ENOMEM;
    return 0;
}

int unknown_judge(cvm_job *j, const json_t *input, const struct unknown *u)
{
    char text[UNKNOWN_NAMED_MAX * 80];
    size_t n = 0;
    if (!u->n || !cvm_json_bool(input, "strict", false))
        return 0;
    n += (size_t)snprintf(text, sizeof text, "there is no customer ");
    for (size_t i = 0; i < json_array_size(u->ids); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.64s", i ? ", " : "",
                              json_string_value(json_array_get(u->ids, i)));
    if (u->n > UNKNOWN_NAMED_MAX)
        n += (size_t)snprintf(text + n, sizeof text - n, " and %lld more", (long long)u->n - UNKNOWN_NAMED_MAX);
    snprintf(text + n, sizeof text - n, "; `cvmhost customer list` shows who there is");
    return cvm_job_fail(j, "NO_CUSTOMER", text);
}

void unknown_tell(const struct unknown *u, json_t *result)
{
    if (u->n)
        json_object_set(result, "unknown_customers", u->ids);
}

void unknown_fini(struct unknown *u)
{
    json_decref(u->ids);
    *u = (struct unknown){0};
}

struct pile {
    char currency[8];
    size_t n, room;
    double *v;
};

static int pile_add(struct pile *p, double v)
{
    if (p->n == p->room) {
        size_t room = p->room ? p->room * 2 : 1024;
        double *grown = realloc(p->v, room * sizeof *grown);
        if (!grown)
            return CVM_ENOMEM;
        p->v = grown;
        p->room = room;
    }
    p->v[p->n++] = v;
    return 0;
}

int spend_read(cvm_job *j, const json_t *settings, struct spend *ret_spend)
{
    static const char *const columns[] = {"currency", "monthly_spend", NULL};
    struct pile piles[BASE_CURRENCIES_MAX] = {{{0}}};
    const json_t *min = json_object_get(settings, "min_spend"), *share = json_object_get(settings, "high_value_share");
    const cvm_cell *cells;
    cvm_cursor *c;
    size_t n = 0, p;
    int e;
    memset(ret_spend, 0, sizeof *ret_spend);
    if ((e = cvm_job_open(j, "cvm_customers", columns, NULL, NULL, &c)) < 0)
        return e == CVM_ENOENT
                   ? cvm_job_fail(j, "NO_CUSTOMERS", "there are no tables of customers: load the plugin customers")
                   : e;
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        ret_spend->customers++;
        if (cells[1].kind == CVM_CELL_NULL)
            continue;
        for (p = 0; p < n && strncmp(piles[p].currency, cells[0].text, 7); p++)
            ;
        if (p == n && n < BASE_CURRENCIES_MAX)
            copy(piles[n++].currency, sizeof piles->currency, cells[0].text);
        if (p < n && (e = pile_add(&piles[p], cells[1].r)) < 0)
            break;
    }
    cvm_cursor_close(c);
    for (p = 0; p < n; p++) {
        const json_t *own = json_object_get(min, piles[p].currency);
        if (piles[p].n)
            qsort(piles[p].v, piles[p].n, sizeof(double), ascending);
        copy(ret_spend->by[p].currency, sizeof ret_spend->by->currency, piles[p].currency);
        ret_spend->by[p].from =
            json_is_number(own)
                ? json_number_value(own) * 100
                : spend_break(piles[p].v, piles[p].n, json_is_number(share) ? json_number_value(share) : .2);
        free(piles[p].v);
    }
    ret_spend->n = n;
    return e < 0 ? e : 0;
}

double spend_from(const struct spend *s, const char *currency)
{
    for (size_t i = 0; i < s->n; i++)
        if (!strncmp(s->by[i].currency, currency ? currency : "", 7))
            return s->by[i].from;
    return NAN;
}
