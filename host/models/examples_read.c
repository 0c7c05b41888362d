/* Files of labelled texts: CSV and TSV tables, JSON lines. What is wrong is said with the line. See examples.h. */
#include "models/examples.h"

#include "core/file.h"
#include "core/json_text.h"
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COLUMNS_MAX 64

struct table {
    const char *path;
    char separator;
    char *at, *end;
    size_t line, next_line; /* where the row begins; where the next one does */
    char *cells[COLUMNS_MAX];
    size_t n_cells;
    char *ret_error;
    size_t error_size;
};

static int wrong(struct table *t, const char *what)
{
    snprintf(t->ret_error, t->error_size, "%s: line %zu: %s", t->path, t->line, what);
    return CVM_EINVAL;
}

/* A cell in quotes, its doubled quotes made single, in place; stands behind the closing quote afterwards. */
static int quoted(struct table *t, char **ret_cell)
{
    char *from = t->at + 1, *to = t->at;
    *ret_cell = to;
    for (; from < t->end; from++) {
        if (*from == '\n')
            t->next_line++;
        if (*from == '"' && from + 1 < t->end && from[1] == '"')
            from++;
        else if (*from == '"')
            break;
        *to++ = *from;
    }
    if (from >= t->end)
        return wrong(t, "a quote is opened and never closed");
    t->at = from + 1;
    if (t->at < t->end && *t->at == '\r')
        t->at++;
    if (t->at < t->end && *t->at != t->separator && *t->at != '\n')
        return wrong(t, "text follows a closing quote; a quote inside a cell is written twice");
    *to = 0;
    return 0;
}

static int plain(struct table *t, char **ret_cell)
{
    *ret_cell = t->at;
    while (t->at < t->end && *t->at != t->separator && *t->at != '\n')
        t->at++;
    return 0;
}

/* The next row into t->cells; 0 cells: the end. Cells end with NUL. */
static int next_row(struct table *t)
{
    t->n_cells = 0;
    while (t->at < t->end && (*t->at == '\n' || (*t->at == '\r' && t->at + 1 < t->end && t->at[1] == '\n'))) {
        t->next_line += *t->at == '\n';
        t->at++;
    }
    t->line = t->next_line;
    while (t->at < t->end) {
        if (t->n_cells == COLUMNS_MAX)
            return wrong(t, "more than 64 columns");
        /* Tab separated text is not quoted: a quote in it is a quote. */
        bool in_quotes = *t->at == '"' && t->separator == ',';
        char *cell = NULL;
        CVM_TRY(in_quotes ? quoted(t, &cell) : plain(t, &cell));
        bool last = t->at == t->end || *t->at == '\n';
        t->next_line += last && t->at < t->end;
        if (!in_quotes) {
            char *stop = t->at > cell && t->at[-1] == '\r' ? t->at - 1 : t->at;
            *stop = 0;
        }
        t->cells[t->n_cells++] = cell;
        t->at += t->at < t->end;
        if (last)
            return 0;
        if (t->at == t->end && t->n_cells < COLUMNS_MAX)
            t->cells[t->n_cells++] = t->end; /* a separator was the last byte */
    }
    return 0;
}

static int column(const struct table *t, const char *name)
{
    for (size_t i = 0; name && i < t->n_cells; i++)
        if (strcasecmp(t->cells[i], name) == 0)
            return (int)i;
    return -1;
}

/* Which columns: by their names, else by what is usual, else the first two of a table without a header. */
static int find_columns(struct table *t, const char *text, const char *label, int ret_columns[2], bool *ret_header)
{
    static const char *const usual[2][6] = {{"text", "tweet", "message", "sentence", "query"},
                                            {"category", "label", "intent", "class", "sentiment"}};
    const char *const names[2] = {text, label};
    *ret_header = false;
    for (int i = 0; i < 2; i++) {
        ret_columns[i] = column(t, names[i]);
        if (names[i] && ret_columns[i] < 0) {
            snprintf(t->ret_error, t->error_size, "%s: line %zu: there is no column \"%.80s\"; the first is \"%.80s\"",
                     t->path, t->line, names[i], t->cells[0]);
            return CVM_EINVAL;
        }
        for (size_t k = 0; ret_columns[i] < 0 && usual[i][k]; k++)
            ret_columns[i] = column(t, usual[i][k]);
        *ret_header |= ret_columns[i] >= 0;
    }
    if (!*ret_header) {
        ret_columns[0] = 0;
        ret_columns[1] = 1;
    } else if (ret_columns[0] < 0 || ret_columns[1] < 0) {
        int known = ret_columns[0] < 0 ? ret_columns[1] : ret_columns[0];
        ret_columns[ret_columns[0] < 0 ? 0 : 1] = known == 0 ? 1 : 0;
    }
    return 0;
}

static int add_row(struct table *t, struct examples *e, const int columns[2])
{
    char text[160];
    if (t->n_cells <= (size_t)columns[0] || t->n_cells <= (size_t)columns[1]) {
        snprintf(text, sizeof text, "expected %d columns or more, got %zu",
                 (columns[0] > columns[1] ? columns[0] : columns[1]) + 1, t->n_cells);
        return wrong(t, text);
    }
    const char *const label = t->cells[columns[1]];
    if (!*label)
        return wrong(t, "the label is empty");
    if (!text_is_utf8(label, strlen(label)))
        return wrong(t, "the label is no UTF-8");
    int error = examples_add(e, t->cells[columns[0]], &label);
    if (error == CVM_ELIMIT) {
        snprintf(text, sizeof text, "larger than a limit: %d texts of %d bytes, %d labels of %d bytes", EXAMPLES_COUNT,
                 EXAMPLES_TEXT_BYTES - 1, EXAMPLES_LABELS, EXAMPLES_NAME_BYTES - 1);
        wrong(t, text);
    }
    return error;
}

static int read_table(struct examples *e, struct table *t, const char *text, const char *label)
{
    int columns[2] = {0, 1};
    bool header = false;
    if (e->n_heads == 0)
        CVM_TRY(examples_head(e, "label", NULL));
    if (e->n_heads != 1) {
        snprintf(t->ret_error, t->error_size, "%s: a table has one head, not %zu; write JSON lines (.jsonl)", t->path,
                 e->n_heads);
        return CVM_EINVAL;
    }
    CVM_TRY(next_row(t));
    if (t->n_cells)
        CVM_TRY(find_columns(t, text, label, columns, &header));
    if (header)
        CVM_TRY(next_row(t));
    while (t->n_cells) {
        CVM_TRY(add_row(t, e, columns));
        CVM_TRY(next_row(t));
    }
    return 0;
}

static int read_lines(struct examples *e, struct table *t, const char *domain)
{
    json_error_t fault;
    char why[320] = "";
    for (t->line = 1; t->at < t->end; t->line++) {
        char *stop = memchr(t->at, '\n', (size_t)(t->end - t->at)), *at = t->at;
        size_t n = (size_t)((stop ? stop : t->end) - at);
        t->at += n + (stop != NULL);
        if (strspn(at, " \t\r\n") >= n)
            continue;
        json_t *example = json_loadb(at, n, JSON_REJECT_DUPLICATES, &fault);
        int error = json_is_object(example) ? 0 : CVM_EINVAL;
        if (error)
            snprintf(why, sizeof why, "expected a JSON object: %s", example ? "got another value" : fault.text);
        else
            error = examples_add_json(e, example, domain, why, sizeof why);
        json_decref(example);
        if (error) {
            wrong(t, why);
            return error;
        }
    }
    return 0;
}

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);
    return n >= m && strcasecmp(path + n - m, end) == 0;
}

int examples_read(struct examples *e, const char *path, const char *domain, const char *text_column,
                  const char *label_column, char *ret_error, size_t error_size)
{
    char *text = NULL;
    size_t len = 0;
    bool lines = ends_with(path, ".jsonl") || ends_with(path, ".json");
    int error = file_read(path, EXAMPLES_FILE_BYTES, false, &text, &len, ret_error, error_size);
    if (error)
        return error;
    size_t before = e->n;
    struct table t = {.path = path, .separator = ends_with(path, ".tsv") ? '\t' : ',', .line = 1, .next_line = 1};
    t.at = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? text + 3 : text;
    t.end = text + len;
    t.ret_error = ret_error;
    t.error_size = error_size;
    if (memchr(text, 0, len))
        error = wrong(&t, "there is a NUL byte in the file; expected text");
    else
        error = lines ? read_lines(e, &t, domain) : read_table(e, &t, text_column, label_column);
    if (!error && e->n == before) {
        snprintf(ret_error, error_size, "%s: there is no example in it", path);
        error = CVM_EINVAL;
    }
    free(text);
    return error;
}
