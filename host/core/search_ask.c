/* See search.h: a question to a table in memory: its words, how they are spelt, the rows that have them (BM25, as FTS5
 * counts it), the rows whose vectors are near, and both together. Thread of the reader. */
#include "core/search_memory.h"

#include "core/core.h"
#include "core/store.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SPELL_LEAST 4          /* letters of a word that is worth a guess */
#define COMMON_SHARE 4         /* a word in more than a quarter of the rows finds nothing */
#define COMMON_LEAST_ROWS 2000 /* where there are fewer, looking costs nothing */
#define HITS_MAX 1000          /* of each kind */
#define WHERE_MAX 16
#define BM25_K1 1.2
#define BM25_B 0.75
#define BM25_LEAST 1e-6 /* of a word that most rows have */

/* As wide as a register that all processors have: sums of more lanes in one value are kept in memory. */
typedef float four __attribute__((vector_size(4 * sizeof(float)), aligned(sizeof(float))));

struct word {
    char text[SEARCH_TERM_MAX_BYTES + 1], as[SEARCH_TERM_MAX_BYTES + 1];
    uint32_t terms[SEARCH_TOKENS_MAX], rows;
    size_t n_terms;
};

struct hit {
    const char *key;
    double score;
    uint32_t row;
};

struct asking {
    struct search_memory *memory;
    struct search_table *table;
    struct word words[SEARCH_WORDS_MAX];
    size_t n_words;
    struct {
        size_t column;
        uint64_t value;
    } where[WHERE_MAX];
    size_t n_where;
    bool never; /* no row can be equal to what is asked for */
    size_t limit, n_texts, n_nears;
    struct hit texts[HITS_MAX], nears[HITS_MAX]; /* the last */
};

static bool wanted(const struct asking *a, uint32_t row)
{
    const uint64_t *values = a->table->values + row * a->table->n_columns;
    for (size_t i = 0; i < a->n_where; i++)
        if (values[a->where[i].column] != a->where[i].value)
            return false;
    return !a->never;
}

/* ---- the best ---------------------------------------------------------------------------------------------------- */

/* Equal ones in the order of their keys, so that the answer says nothing of the order in which they came. */
static bool better(const struct hit *a, const struct hit *b)
{
    return a->score > b->score || (a->score == b->score && strcmp(a->key, b->key) < 0);
}

static void sift(struct hit *heap, size_t n, size_t at)
{
    for (;;) {
        size_t worst = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (better(&heap[worst], &heap[child]))
                worst = child;
        if (worst == at)
            return;
        struct hit swap = heap[at];
        heap[at] = heap[worst];
        heap[worst] = swap;
        at = worst;
    }
}

/* Among the best `limit`, the worst of them on top. */
static void keep_hit(struct hit *heap, size_t *n, size_t limit, struct hit hit)
{
    if (*n < limit) {
        heap[(*n)++] = hit;
        if (*n == limit)
            for (size_t k = limit / 2 + 1; k-- > 0;)
                sift(heap, limit, k);
    } else if (better(&hit, &heap[0])) {
        heap[0] = hit;
        sift(heap, limit, 0);
    }
}

static int by_score(const void *a, const void *b)
{
    return better(a, b) ? -1 : 1;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static bool in_word(unsigned char c)
{
    return isalnum(c) || c >= 0x80;
}

/* Distinct words, in lower case where they are ASCII. */
static size_t read_words(const char *text, struct word *words)
{
    size_t n = 0;
    while (*text && n < SEARCH_WORDS_MAX) {
        size_t len = 0;
        struct word *w = &words[n];
        while (*text && !in_word((unsigned char)*text))
            text++;
        for (; in_word((unsigned char)*text); text++)
            if (len < SEARCH_TERM_MAX_BYTES)
                w->text[len++] = (char)((unsigned char)*text < 0x80 ? tolower((unsigned char)*text) : *text);
        w->text[len] = 0;
        if (!len || (len == SEARCH_TERM_MAX_BYTES && !text_is_utf8(w->text, len)))
            continue;
        bool seen = false;
        for (size_t i = 0; i < n && !seen; i++)
            seen = strcmp(words[i].text, w->text) == 0;
        n += !seen;
    }
    return n;
}

/* ---- spelling ---------------------------------------------------------------------------------------------------- */

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Letters to change, leave out, add, or exchange with their neighbours; `most` + 1 where there are more. */
static int distance(const char *a, size_t n, const char *b, size_t m, int most)
{
    int rows[3][SEARCH_TERM_MAX_BYTES + 2], *before = rows[0], *last = rows[1], *now = rows[2];
    if (abs((int)n - (int)m) > most)
        return most + 1;
    for (size_t k = 0; k <= m; k++)
        last[k] = (int)k;
    for (size_t i = 1; i <= n; i++) {
        int best = now[0] = (int)i;
        for (size_t k = 1; k <= m; k++) {
            int d = last[k - 1] + (a[i - 1] != b[k - 1]);
            d = least(d, least(last[k], now[k - 1]) + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                d = least(d, before[k - 2] + 1);
            now[k] = d;
            best = least(best, d);
        }
        if (best > most)
            return most + 1;
        int *swap = before;
        before = last;
        last = now;
        now = swap;
    }
    return last[m];
}

/* The vocabulary holds stems: the word is compared as it is and without what a stem has lost. */
static int distance_to_stem(const char *word, const char *term, int most)
{
    static const char *const endings[] = {"", "s", "es", "ed", "e", "ing", "y", "ion", "ment", "ation", "ations"};
    size_t n = strlen(word), m = strlen(term);
    int best = most + 1;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t cut = strlen(endings[i]);
        if (n >= cut + SPELL_LEAST && strcmp(word + n - cut, endings[i]) == 0)
            best = least(best, distance(word, n - cut, term, m, most));
    }
    return best;
}

/* The term that the word may have been meant to be, of those with its first letter. */
static void spell(const struct search_table *t, struct word *w)
{
    size_t n = strlen(w->text);
    int most = n >= 8 ? 2 : 1, best = most + 1;
    if (n < SPELL_LEAST || !islower((unsigned char)w->text[0]) || strpbrk(w->text, "0123456789"))
        return;
    for (uint32_t i = 0; i < t->n_terms; i++) {
        const struct search_term *term = &t->terms[i];
        if (*term->text != *w->text || !term->n || strlen(term->text) < SPELL_LEAST)
            continue;
        int d = distance_to_stem(w->text, term->text, most);
        if (d <= most &&
            (d < best || (d == best && (term->n > w->rows || (term->n == w->rows && strcmp(term->text, w->as) < 0))))) {
            best = d;
            w->rows = term->n;
            snprintf(w->as, sizeof w->as, "%s", term->text);
        }
    }
}

/* ---- rows that have the words ------------------------------------------------------------------------------------ */

static bool row_has(const struct search_row *row, const uint32_t *terms, size_t n)
{
    size_t found = 0;
    for (size_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < row->n_terms; i++)
            if (row->terms[i] == terms[k]) {
                found++;
                break;
            }
    return found == n;
}

/* A word that falls into several stands where all of them do. */
static bool has_rest(const struct search_table *t, const struct word *w, uint32_t row)
{
    return w->n_terms == 1 || row_has(&t->rows[row], w->terms + 1, w->n_terms - 1);
}

static void find_word(struct asking *a, struct word *w)
{
    const struct search_table *t = a->table;
    w->n_terms = search_memory_terms(a->memory, t, w->text, w->terms);
    for (uint32_t i = 0; w->n_terms && i < t->terms[w->terms[0]].n; i++)
        w->rows += has_rest(t, w, t->terms[w->terms[0]].at[i].row);
    if (!w->rows) {
        spell(t, w);
        w->n_terms = *w->as ? search_memory_terms(a->memory, t, w->as, w->terms) : 0;
    }
}

static void add_scores(struct asking *a, const struct word *w)
{
    const struct search_table *t = a->table;
    const struct search_term *term = &t->terms[w->terms[0]];
    double rows = 0, mean = (double)t->n_tokens / t->n_alive;
    for (uint32_t i = 0; i < term->n; i++)
        rows += has_rest(t, w, term->at[i].row);
    double rarity = log((t->n_alive - rows + 0.5) / (rows + 0.5));
    if (rarity <= 0)
        rarity = BM25_LEAST;
    for (uint32_t i = 0; i < term->n; i++) {
        uint32_t row = term->at[i].row;
        double times = (double)term->at[i].times;
        if (wanted(a, row) && has_rest(t, w, row))
            t->scores[row] += rarity * (times * (BM25_K1 + 1)) /
                              (times + BM25_K1 * (1 - BM25_B + BM25_B * t->rows[row].tokens / mean));
    }
}

/* The rows of a word are taken once: its score goes with it. */
static void take_scores(struct asking *a, const struct word *w)
{
    const struct search_table *t = a->table;
    const struct search_term *term = &t->terms[w->terms[0]];
    for (uint32_t i = 0; i < term->n; i++) {
        uint32_t row = term->at[i].row;
        if (t->scores[row] > 0)
            keep_hit(a->texts, &a->n_texts, a->limit, (struct hit){t->rows[row].key, t->scores[row], row});
        t->scores[row] = 0;
    }
}

static void find_texts(struct asking *a, const char *match)
{
    const struct search_table *t = a->table;
    size_t used[SEARCH_WORDS_MAX], n = 0;
    a->n_words = read_words(match, a->words);
    for (size_t i = 0; i < a->n_words; i++)
        find_word(a, &a->words[i]);
    for (int common = 0; common < 2 && !n; common++) /* where all are common, those are looked for */
        for (size_t i = 0; i < a->n_words; i++)
            if (a->words[i].n_terms &&
                (common || t->n_alive <= COMMON_LEAST_ROWS || a->words[i].rows <= t->n_alive / COMMON_SHARE))
                used[n++] = i;
    for (size_t i = 0; i < n; i++)
        add_scores(a, &a->words[used[i]]);
    for (size_t i = 0; i < n; i++)
        take_scores(a, &a->words[used[i]]);
    qsort(a->texts, a->n_texts, sizeof *a->texts, by_score);
}

/* ---- rows that are near ------------------------------------------------------------------------------------------ */

/* What the question has that is not 0. */
struct asked {
    float values[MANIFEST_SEARCH_DIMENSION_MAX];
    int at[MANIFEST_SEARCH_DIMENSION_MAX], n;
};

static int read_asked(const char *vector, int dimension, struct asked *ret)
{
    float all[MANIFEST_SEARCH_DIMENSION_MAX];
    int got = 0;
    if (search_vector(vector, strlen(vector), all, MANIFEST_SEARCH_DIMENSION_MAX, &got) < 0 || got != dimension)
        return CVM_EINVAL;
    ret->n = 0;
    for (int i = 0; i < dimension; i++)
        if (all[i] < 0 || all[i] > 0) {
            ret->values[ret->n] = all[i];
            ret->at[ret->n++] = i * SEARCH_LANES;
        }
    return 0;
}

/* Of the vectors of 16 rows. */
static void products(const float *block, const struct asked *q, float ret[SEARCH_LANES])
{
    four a = {0}, b = {0}, c = {0}, d = {0};
    _Static_assert(SEARCH_LANES * sizeof *ret == 4 * sizeof a, "four sums hold the lanes");
    for (int i = 0; i < q->n; i++) {
        const four *at = (const void *)(block + q->at[i]);
        a += q->values[i] * at[0];
        b += q->values[i] * at[1];
        c += q->values[i] * at[2];
        d += q->values[i] * at[3];
    }
    memcpy(ret, &a, sizeof a);
    memcpy(ret + 4, &b, sizeof b);
    memcpy(ret + 8, &c, sizeof c);
    memcpy(ret + 12, &d, sizeof d);
}

static void find_in_block(struct asking *a, const struct search_vectors *v, const struct asked *q, uint32_t from)
{
    const struct search_table *t = a->table;
    uint32_t n = t->n - from < SEARCH_LANES ? t->n - from : SEARCH_LANES, rows = 0;
    float cosines[SEARCH_LANES];
    for (uint32_t i = 0; i < n; i++)
        rows |= (uint32_t)(v->has[from + i] && wanted(a, from + i)) << i;
    if (!rows)
        return;
    products(search_block(v, from), q, cosines);
    for (uint32_t i = 0; i < n; i++)
        if (rows >> i & 1)
            keep_hit(a->nears, &a->n_nears, a->limit,
                     (struct hit){t->rows[from + i].key, (double)cosines[i], from + i});
}

static int find_near(struct asking *a, const char *column, const char *vector)
{
    struct asked asked;
    const struct search_table *t = a->table;
    const json_t *vectors = json_object_get(t->form, "vectors");
    size_t at = 0;
    while (at < t->n_vectors && strcmp(json_string_value(json_array_get(json_array_get(vectors, at), 0)), column) != 0)
        at++;
    if (at == t->n_vectors)
        return CVM_EINVAL;
    const struct search_vectors *v = &t->vectors[at];
    CVM_TRY(read_asked(vector, v->dimension, &asked));
    for (uint32_t i = 0; v->at && i < t->n; i += SEARCH_LANES)
        find_in_block(a, v, &asked, i);
    qsort(a->nears, a->n_nears, sizeof *a->nears, by_score);
    return 0;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static json_t *words_json(const struct asking *a)
{
    json_t *terms = json_array();
    for (size_t i = 0; i < a->n_words; i++) {
        const struct word *w = &a->words[i];
        json_array_append_new(terms, json_pack("[s, s, I]", w->text, *w->as ? w->as : w->text, (json_int_t)w->rows));
    }
    return json_pack("{s:I, s:o}", "n", (json_int_t)a->table->n_alive, "terms", terms);
}

static const struct hit *of_row(const struct hit *hits, size_t n, uint32_t row)
{
    for (size_t i = 0; i < n; i++)
        if (hits[i].row == row)
            return &hits[i];
    return NULL;
}

/* Enough to rank by, and short where it is recorded. */
static json_t *score_json(const struct hit *hit)
{
    return hit ? json_real(round(hit->score * 1e6) / 1e6) : json_null();
}

static int row_json(const struct asking *a, const char *key, const struct hit *text, const struct hit *near,
                    json_t **ret_row)
{
    const struct search_table *t = a->table;
    json_t *row = json_object();
    if (!row)
        return CVM_ENOMEM;
    sqlite3_bind_text(t->row, 1, key, -1, SQLITE_STATIC);
    int step = sqlite3_step(t->row);
    if (step == SQLITE_ROW)
        store_row_json(t->row, row);
    sqlite3_reset(t->row);
    json_object_set_new_nocheck(row, "text_score", score_json(text));
    json_object_set_new_nocheck(row, "vector_score", score_json(near));
    if (step != SQLITE_ROW) {
        json_decref(row);
        return step == SQLITE_INTERRUPT ? CVM_ETIMEOUT : CVM_EIO;
    }
    *ret_row = row;
    return 0;
}

static int key_json(const char *key, const struct hit *text, const struct hit *near, json_t **ret_row)
{
    json_t *row = json_array();
    if (json_array_append_new(row, json_string(key)) || json_array_append_new(row, score_json(text)) ||
        json_array_append_new(row, score_json(near))) {
        json_decref(row);
        return CVM_ENOMEM;
    }
    *ret_row = row;
    return 0;
}

static int rows_json(const struct asking *a, bool match, bool only_keys, json_t *rows)
{
    struct hit *both = calloc(a->n_texts + a->n_nears + 1, sizeof *both);
    double most = a->n_texts ? a->texts[0].score : 0;
    size_t n = 0;
    int e = both ? 0 : CVM_ENOMEM;
    for (size_t i = 0; !e && i < a->n_texts; i++) {
        const struct hit *near = of_row(a->nears, a->n_nears, a->texts[i].row);
        both[n] = a->texts[i];
        both[n++].score = a->texts[i].score / most + (near ? near->score : 0);
    }
    for (size_t i = 0; !e && i < a->n_nears; i++)
        if (!of_row(a->texts, a->n_texts, a->nears[i].row))
            both[n++] = a->nears[i];
    if (!e && match && a->n_nears) /* else they are in order */
        qsort(both, n, sizeof *both, by_score);
    for (size_t i = 0; !e && i < n; i++) {
        const struct hit *text = of_row(a->texts, a->n_texts, both[i].row),
                         *near = of_row(a->nears, a->n_nears, both[i].row);
        json_t *row = NULL;
        e = only_keys ? key_json(both[i].key, text, near, &row) : row_json(a, both[i].key, text, near, &row);
        if (e)
            break;
        e = json_array_append_new(rows, row) ? CVM_ENOMEM : 0;
    }
    free(both);
    return e;
}

static void read_where(struct asking *a, const json_t *where)
{
    const json_t *columns = json_object_get(a->table->form, "columns");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)where, name, value)
    {
        size_t at = 0;
        while (at < a->table->n_columns && strcmp(json_string_value(json_array_get(columns, at)), name) != 0)
            at++;
        uint64_t is = search_value(value);
        a->never = a->never || !is || at == a->table->n_columns || a->n_where == WHERE_MAX;
        if (a->never)
            return;
        a->where[a->n_where].column = at;
        a->where[a->n_where++].value = is;
    }
}

/* `one`: the words and the vector, of the question itself or of one that came with it. */
static int answer(struct store *s, struct asking *a, const json_t *question, const json_t *one, json_t *rows,
                  json_t **ret_words)
{
    const char *table = json_string_value(json_object_get(question, "table")),
               *match = json_string_value(json_object_get(one, "match")),
               *column = json_string_value(json_array_get(json_object_get(one, "near"), 0)),
               *vector = json_string_value(json_array_get(json_object_get(one, "near"), 1));
    int64_t limit = json_integer_value(json_object_get(question, "limit"));
    memset(a, 0, offsetof(struct asking, texts));
    a->limit = limit < 1 ? 1 : limit > HITS_MAX ? HITS_MAX : (size_t)limit;
    CVM_TRY(table ? search_memory_read(&s->search, s->db, table, &a->table) : CVM_EINVAL);
    a->memory = s->search;
    read_where(a, json_object_get(question, "where"));
    if (match)
        find_texts(a, match);
    if (column && vector)
        CVM_TRY(find_near(a, column, vector));
    CVM_TRY(rows_json(a, match != NULL, json_is_true(json_object_get(question, "keys")), rows));
    *ret_words = match ? words_json(a) : NULL;
    return match && !*ret_words ? CVM_ENOMEM : 0;
}

/* What came with the question, each answered as if it alone had been asked. */
static int answer_also(struct store *s, struct asking *a, const json_t *question, json_t **ret_also)
{
    const json_t *list = json_object_get(question, "also");
    json_t *also = list ? json_array() : NULL;
    int e = list && !also ? CVM_ENOMEM : 0;
    for (size_t i = 0; !e && i < json_array_size(list); i++) {
        json_t *rows = json_array(), *words = NULL;
        e = rows ? answer(s, a, question, json_array_get(list, i), rows, &words) : CVM_ENOMEM;
        if (e)
            json_decref(rows);
        else if (json_array_append_new(also, json_pack("{s:o, s:o*}", "rows", rows, "words", words)) < 0)
            e = CVM_ENOMEM;
    }
    if (e)
        json_decref(also);
    else
        *ret_also = also;
    return e;
}

int search_ask(struct store *s, const json_t *question, struct search_found *ret_found)
{
    struct asking *a = s->asking ? s->asking : (s->asking = malloc(sizeof *a)); /* large, and used again */
    struct search_found found = {.rows = json_array()};
    int e = a && found.rows ? 0 : CVM_ENOMEM;
    if (!e && sqlite3_exec(s->db, "BEGIN", NULL, NULL, NULL)) /* words, vectors and rows of one moment */
        e = CVM_EIO;
    if (!e) {
        e = answer(s, a, question, question, found.rows, &found.words);
        if (!e)
            e = answer_also(s, a, question, &found.also);
        sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
    }
    if (e) {
        json_decref(found.rows);
        json_decref(found.words);
        return e;
    }
    *ret_found = found;
    return 0;
}
