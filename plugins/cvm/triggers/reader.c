/* See reader.h. Labels of the lexicon: of topics (net, net_weak, bill, ..), and what is said around them. */
#include "reader.h"
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum label {
    L_NET,
    L_NET_WEAK,
    L_BILL,
    L_BILL_WEAK,
    L_CHURN,
    L_CHURN_WEAK,
    L_ROAM_BAD,
    L_STAY,
    L_ABROAD,
    L_ABROAD_UK,
    L_ABROAD_NG,
    L_INTL,
    L_ASK,
    L_CLEAR,
    L_RESOLVED,
    L_UNRESOLVED,
    L_HYPO,
    L_PAST,
    L_OTHER,
    L_PRAISE,
    L_SARCASM,
    L_AGENT_FIXED,
    L_AGENT_OPEN,
    L_AGENT_NET,
    L_AGENT_BILL,
    L_AGENT_ROAM,
    L_AGENT_CHURN,
    L_OK_END,
    L_NOT_TROUBLE,
    L_WISH,
    LABELS
};

static const char *const label_names[LABELS] = {
    "net",        "net_weak",   "bill",        "bill_weak", "churn",       "churn_weak",  "roam_bad",   "stay",
    "abroad",     "abroad_uk",  "abroad_ng",   "intl_call", "ask",         "clear",       "resolved",   "unresolved",
    "hypo",       "past",       "other",       "praise",    "sarcasm",     "agent_fixed", "agent_open", "agent_net",
    "agent_bill", "agent_roam", "agent_churn", "ok_end",    "not_trouble", "wish"};

struct reader {
    struct phrases *phrases;
    uint8_t label[1024]; /* of the list -> enum label; LABELS: not one of these */
};

/* The phrases, and a label for each field of meaning. Gives; NULL: out of memory. */
static json_t *lists_of(const json_t *lexicon)
{
    json_t *classes = json_copy(json_object_get(lexicon, "classes"));
    json_t *labels = json_copy(json_object_get(lexicon, "labels"));
    json_t *field;
    const char *name;
    char label[80];
    if (!classes)
        classes = json_object();
    json_object_foreach(json_object_get(lexicon, "fields"), name, field)
    {
        snprintf(label, sizeof label, READER_FIELD "%s", name);
        json_object_set(classes, label, field);
        json_object_set_new(labels, label, json_pack("[o]", json_sprintf("@%s", label)));
    }
    return json_pack("{s:o*, s:o*}", "classes", classes, "labels", labels);
}

int reader_new(const json_t *lexicon, struct reader **ret_reader, char *ret_error, size_t error_size)
{
    struct reader *r = calloc(1, sizeof *r);
    json_t *lists = lists_of(lexicon);
    int e = r && lists ? phrases_compile(lists, &r->phrases, ret_error, error_size) : CVM_ENOMEM;
    json_decref(lists);
    if (e < 0) {
        free(r);
        return e;
    }
    memset(r->label, LABELS, sizeof r->label);
    for (size_t i = 0; i < LABELS; i++) {
        int at = phrases_find(r->phrases, label_names[i]);
        if (at >= 0)
            r->label[at] = (uint8_t)i;
    }
    *ret_reader = r;
    return 0;
}

void reader_free(struct reader *r)
{
    if (r)
        phrases_free(r->phrases);
    free(r);
}

const struct phrases *reader_phrases(const struct reader *r)
{
    return r->phrases;
}

static int by_date(const void *a, const void *b)
{
    const struct conversation *x = a, *y = b;
    int c = strcmp(x->date, y->date);
    return c ? c : strcmp(x->ref, y->ref);
}

void conversations_sort(struct conversation *c, size_t n)
{
    qsort(c, n, sizeof *c, by_date);
}

size_t reader_turn(const char *text, size_t len, size_t at, bool *ret_agent, size_t *ret_from)
{
    static const struct {
        const char *word;
        bool agent;
    } speakers[] = {{"customer:", false}, {"agent:", true}, {"caller:", false}, {"user:", false},  {"client:", false},
                    {"advisor:", true},   {"rep:", true},   {"bot:", true},     {"support:", true}};
    while (at < len && (text[at] == '\n' || text[at] == '\r' || text[at] == ' '))
        at++;
    if (at >= len)
        return 0;
    *ret_agent = false;
    *ret_from = at;
    for (size_t i = 0; i < sizeof speakers / sizeof *speakers; i++) {
        size_t n = strlen(speakers[i].word);
        if (len - at > n && !strncasecmp(text + at, speakers[i].word, n)) {
            *ret_agent = speakers[i].agent;
            *ret_from = at + n;
        }
    }
    const char *end = memchr(text + at, '\n', len - at);
    return end ? (size_t)(end - text) : len;
}

/* ---- one utterance of the customer ---- */

#define SENTENCES_MAX 96

struct sentence { /* where in it something is said; word + 1, 0: nowhere */
    uint16_t supposed, past, other, other_to;
    bool cleared, solved, unsolved, sarcasm, stays, ask;
    uint8_t topics; /* bits of those that are named in it */
};

struct state {
    const struct reader *r;
    struct reading *x;
    const char *home;
    struct sentence sentence[SENTENCES_MAX];
    bool away_here[READER_CONVERSATIONS_MAX];
    size_t conversation, base; /* offset of the utterance in its conversation */
    int ends;                  /* mood of the customer's last sentence */
};

static enum topic topic_of(enum label l)
{
    return l <= L_NET_WEAK ? TOPIC_NET : l <= L_BILL_WEAK ? TOPIC_BILL : l <= L_CHURN_WEAK ? TOPIC_CHURN : TOPIC_ROAM;
}

static bool is_topic(enum label l)
{
    return l <= L_ROAM_BAD;
}

static bool is_weak(enum label l)
{
    return l == L_NET_WEAK || l == L_BILL_WEAK || l == L_CHURN_WEAK;
}

static bool is_away(const struct state *s, enum label l)
{
    bool british = !strcmp(s->home, "GB");
    return l == L_ABROAD || (l == L_ABROAD_UK && !british) || (l == L_ABROAD_NG && british);
}

static void around(struct state *s, const struct words *w, const struct words_match *m)
{
    enum label l = s->r->label[m->label];
    size_t k = w->word[m->from].sentence;
    if (k >= SENTENCES_MAX)
        return;
    struct sentence *x = &s->sentence[k];
    uint16_t at = (uint16_t)(m->from + 1);
    struct reading *g = s->x;
    if (is_away(s, l)) {
        g->abroad++;
        s->away_here[s->conversation] = true;
    } else if (l == L_INTL) {
        g->international++;
    } else if (l == L_HYPO) {
        x->supposed = x->supposed ? x->supposed : at;
    } else if (l == L_PAST) {
        x->past = x->past ? x->past : at;
    } else if (l == L_OTHER) {
        x->other = x->other ? x->other : at;
    } else if (l == L_CLEAR) {
        x->cleared = true;
    } else if (l == L_RESOLVED) {
        x->solved = true;
    } else if (l == L_UNRESOLVED) {
        x->unsolved = true;
    } else if (l == L_SARCASM) {
        x->sarcasm = true;
    } else if (l == L_STAY) {
        x->stays = true;
    } else if (l == L_ASK) {
        x->ask = true;
    } else if (l == L_PRAISE) {
        g->praise++;
    } else if (l == L_NOT_TROUBLE) {
        g->not_trouble++;
    }
}

static enum standing standing_of(const struct sentence *x, const struct words_match *m, enum label l)
{
    if (x->cleared && l != L_CHURN)
        return DENIED;
    if (x->solved && !x->unsolved && l != L_CHURN)
        return PASSED;
    if (x->stays && (l == L_CHURN || l == L_CHURN_WEAK))
        return DENIED;
    if (x->other && x->other <= m->from + 1u)
        return ANOTHERS;
    if (x->supposed && x->supposed <= m->from + 1u && l != L_NET && l != L_BILL)
        return IF_ONLY;
    if (x->past && !x->unsolved)
        return PASSED;
    return is_weak(l) ? STANDS_WEAK : STANDS;
}

/* The sentence's bytes in the conversation. */
static void bounds(const struct state *s, const struct words *w, size_t word, uint32_t *ret_start, uint32_t *ret_end)
{
    size_t a = word, b = word;
    while (a && w->word[a - 1].sentence == w->word[word].sentence)
        a--;
    while (b + 1 < w->n && w->word[b + 1].sentence == w->word[word].sentence)
        b++;
    *ret_start = (uint32_t)(s->base + w->word[a].start);
    *ret_end = (uint32_t)(s->base + w->word[b].end);
}

static void remark(struct state *s, const struct words *w, const struct words_match *m, enum topic topic,
                   enum standing standing, uint16_t order)
{
    struct reading *x = s->x;
    for (size_t i = x->n_remarks; i-- > 0 && x->remarks[i].order == order;) {
        if (x->remarks[i].topic != topic)
            continue;
        if (standing < x->remarks[i].standing && x->remarks[i].standing == STANDS_WEAK)
            x->remarks[i].standing = (uint8_t)standing;
        return;
    }
    if (x->n_remarks == READER_REMARKS_MAX)
        return;
    struct remark *k = &x->remarks[x->n_remarks++];
    *k = (struct remark){.topic = (uint8_t)topic,
                         .standing = (uint8_t)standing,
                         .conversation = (uint8_t)s->conversation,
                         .question = w->word[m->from].question,
                         .order = order};
    bounds(s, w, m->from, &k->start, &k->end);
}

/* A place that somebody called is not where he is: "calls to my daughter in Texas". */
static bool only_called(const struct state *s, const struct words_match *m, size_t n, size_t i)
{
    if (!is_away(s, s->r->label[m[i].label]))
        return false;
    for (size_t k = 0; k < n; k++)
        if (s->r->label[m[k].label] == L_INTL && m[k].from <= m[i].to && m[k].to >= m[i].to && m[k].from < m[i].to)
            return true;
    return false;
}

/* A settlement that is asked for is none yet: "I want it reversed", "when will my money be refunded". */
static bool only_wished(const struct state *s, const struct words *w, const struct words_match *m, size_t n, size_t i)
{
    if (s->r->label[m[i].label] != L_RESOLVED)
        return false;
    for (size_t k = 0; k < n; k++)
        if (s->r->label[m[k].label] == L_WISH && m[k].from < m[i].to && m[k].to <= m[i].to &&
            w->word[m[k].to].clause == w->word[m[i].to].clause)
            return true;
    return false;
}

static void customer_says(struct state *s, struct words *w, const struct words_match *m, size_t n)
{
    struct reading *x = s->x;
    memset(s->sentence, 0, sizeof s->sentence);
    for (size_t i = 0; i < n; i++)
        if (s->r->label[m[i].label] < LABELS && !only_called(s, m, n, i) && !only_wished(s, w, m, n, i))
            around(s, w, &m[i]);
    for (size_t i = 0; i < n; i++) {
        enum label l = s->r->label[m[i].label];
        size_t k = w->word[m[i].from].sentence;
        if (l >= LABELS || !is_topic(l) || k >= SENTENCES_MAX)
            continue;
        s->sentence[k].topics |= (uint8_t)(1u << topic_of(l));
        remark(s, w, &m[i], topic_of(l), standing_of(&s->sentence[k], &m[i], l), (uint16_t)(x->n_sentences + k));
    }
    for (size_t k = 0; k < w->n_sentences && k < SENTENCES_MAX; k++) {
        const struct sentence *q = &s->sentence[k];
        x->cleared += q->cleared;
        x->sarcasm += q->sarcasm;
        x->asks += q->ask;
        x->stays += q->stays;
        x->supposed += q->supposed != 0;
        x->past += q->past != 0;
        x->another += q->other != 0;
        x->unsolved += q->unsolved;
        if (q->unsolved)
            x->unsolved_last = (uint16_t)(x->n_sentences + k + 1);
        if ((q->solved || q->cleared) && !q->unsolved && !q->sarcasm) {
            x->solved += q->solved;
            for (size_t t = 0; t < TOPICS; t++) /* what it names; where it names nothing, all there was */
                if (q->topics & 1u << t || (q->solved && !q->topics))
                    x->solved_at[t] = (uint16_t)(x->n_sentences + k + 1);
        }
        s->ends = q->unsolved || q->sarcasm ? -1 : q->solved || q->cleared ? 1 : 0;
    }
    x->n_sentences = (uint16_t)(x->n_sentences + w->n_sentences);
}

static void agent_says(struct state *s, const struct words_match *m, size_t n, bool *fixed, bool *open)
{
    for (size_t i = 0; i < n; i++) {
        enum label l = s->r->label[m[i].label];
        if (l == L_AGENT_FIXED)
            *fixed = true;
        else if (l == L_AGENT_OPEN)
            *open = true;
        else if (l == L_AGENT_NET)
            s->x->agent[TOPIC_NET]++;
        else if (l == L_AGENT_BILL)
            s->x->agent[TOPIC_BILL]++;
        else if (l == L_AGENT_CHURN)
            s->x->agent[TOPIC_CHURN]++;
        else if (l == L_AGENT_ROAM)
            s->x->agent[TOPIC_ROAM]++;
    }
}

static void sum_up(struct state *s)
{
    struct reading *x = s->x;
    for (size_t i = 0; i < x->n_remarks; i++) {
        const struct remark *k = &x->remarks[i];
        x->count[k->topic][k->standing]++;
        if (k->standing != STANDS)
            continue;
        x->last[k->topic] = (uint16_t)(k->order + 1);
        x->in_last[k->topic] += k->conversation + 1u == x->n_conversations;
        x->abroad_with[k->topic] += s->away_here[k->conversation];
        x->home_net += k->topic == TOPIC_NET && !s->away_here[k->conversation];
    }
    x->ends_well = s->ends > 0;
}

int reader_read(const struct reader *r, const struct conversation *c, size_t n, const char *home, reader_note *note,
                void *arg, struct reading *ret_reading)
{
    struct state s = {.r = r, .x = ret_reading, .home = home};
    struct words w;
    struct words_match *m = malloc(WORDS_MATCHES_MAX * sizeof *m);
    int e = m ? 0 : CVM_ENOMEM;
    words_init(&w);
    memset(ret_reading, 0, sizeof *ret_reading);
    ret_reading->conversations = c;
    ret_reading->n_conversations = n < READER_CONVERSATIONS_MAX ? n : READER_CONVERSATIONS_MAX;
    for (size_t i = 0; e == 0 && i < ret_reading->n_conversations; i++) {
        bool agent, fixed = false, open = false;
        size_t remarks = ret_reading->n_remarks, from, end;
        s.conversation = i;
        for (size_t at = 0; (end = reader_turn(c[i].text, c[i].len, at, &agent, &from)); at = end) {
            s.base = from;
            if ((e = words_read(&w, c[i].text + from, end - from)) < 0)
                break;
            size_t found = phrases_match(r->phrases, &w, m, WORDS_MATCHES_MAX);
            if (note)
                note(arg, agent, &w, m, found);
            if (agent)
                agent_says(&s, m, found, &fixed, &open);
            else
                customer_says(&s, &w, m, found);
        }
        if (ret_reading->n_remarks > remarks) {
            ret_reading->agent_fixed = fixed;
            ret_reading->agent_open = open;
        }
    }
    sum_up(&s);
    words_fini(&w);
    free(m);
    return e;
}
