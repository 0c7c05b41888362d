/* Series for charts and downloads, made of the history by a job. Runs on the job's thread. */
#include "lifecycle.h"

#include <stdio.h>
#include <stdlib.h>

#define BODY_MAX_BYTES (600 * 1024) /* of an answer; more goes into a file */
#define LINES_MAX 50                /* personas with a series of their own */

struct report {
    cvm_job *j;
    const json_t *input;
    int64_t epoch, from, to;
};

json_t *look_text(const char *type, const char *text)
{
    return json_pack("{s:i, s:s, s:s}", "status", 200, "content_type", type, "body", text);
}

static int open_rows(struct report *r, const char *table, const char *const columns[], cvm_cursor **ret_cursor)
{
    json_t *where = json_pack("{s:I}", "epoch", (json_int_t)r->epoch);
    int e = cvm_job_open(r->j, table, columns, where, NULL, ret_cursor);
    json_decref(where);
    return e;
}

static bool in_range(const struct report *r, int64_t day)
{
    return day >= r->from && (r->to == 0 || day <= r->to);
}

/* ---- series ---- */

static json_t *member(json_t *object, const char *name, json_t *(*make)(void))
{
    json_t *found = json_object_get(object, name);
    if (!found) {
        found = make();
        json_object_set_new(object, name, found);
    }
    return found;
}

static void grow(json_t *object, const char *name)
{
    json_object_set_new(object, name, json_integer((json_int_t)cvm_json_int(object, name, 0) + 1));
}

/* A value into its day's place; days that are missing are null. */
static void place(json_t *series, size_t at, json_t *value)
{
    while (json_array_size(series) < at)
        json_array_append_new(series, json_null());
    json_array_append_new(series, value);
}

static int add_personas(struct report *r, json_t *series, int64_t first)
{
    static const char *const columns[] = {"day",     "persona_key", "segment", "action",
                                          "outcome", "score_after", "clv",     NULL};
    json_t *score = json_object(), *clv = json_object(), *success = json_object();
    cvm_cursor *c = NULL;
    const cvm_cell *cells;
    int e = open_rows(r, HISTORY, columns, &c);
    while (e >= 0 && (e = cvm_cursor_next(c, &cells)) > 0) {
        const char *key = cells[1].text, *outcome = cells[4].text;
        size_t at = (size_t)(cells[0].i - first);
        if (!in_range(r, cells[0].i) || cells[0].i < first)
            continue;
        if (json_object_get(score, key) || json_object_size(score) < LINES_MAX) {
            place(member(score, key, json_array), at, life_number(cells[5].r));
            place(member(clv, key, json_array), at, json_integer((json_int_t)cells[6].i));
        }
        if (strcmp(outcome, "NONE") == 0)
            continue;
        json_t *of = member(member(success, cells[2].text, json_object), cells[3].text, json_object);
        grow(of, "tries");
        json_object_set_new(
            of, "successes",
            json_integer((json_int_t)cvm_json_int(of, "successes", 0) + (strcmp(outcome, "SUCCESS") == 0)));
    }
    cvm_cursor_close(c);
    json_object_set_new(series, "score", score);
    json_object_set_new(series, "clv", clv);
    json_object_set_new(series, "success", success);
    return e;
}

static int series_of(struct report *r, json_t **ret_series)
{
    static const char *const columns[] = {"day",           "active",     "churned",        "decisions",
                                          "adapted",       "clv_total",  "cost_micro_usd", "input_tokens",
                                          "output_tokens", "mean_score", "mean_impact",    "successes",
                                          "failures",      "explored",   "clv_totals",     NULL};
    static const char *const whole[] = {"active",    "churned", "decisions",    "",
                                        "clv_total", "",        "input_tokens", "output_tokens"};
    json_t *s = json_object(), *days = json_array();
    cvm_cursor *c = NULL;
    const cvm_cell *cells;
    int64_t first = 0;
    int e = open_rows(r, DAYS, columns, &c);
    json_object_set_new(s, "days", days);
    while (e >= 0 && (e = cvm_cursor_next(c, &cells)) > 0) {
        if (!in_range(r, cells[0].i))
            continue;
        first = first ? first : cells[0].i;
        json_array_append_new(days, json_integer((json_int_t)cells[0].i));
        for (int i = 1; i <= 8; i++)
            if (*whole[i - 1])
                json_array_append_new(member(s, whole[i - 1], json_array), cells[i].kind == CVM_CELL_NULL
                                                                               ? json_null()
                                                                               : json_integer((json_int_t)cells[i].i));
        json_t *totals = cells[14].text ? json_loads(cells[14].text, 0, NULL) : NULL;
        json_array_append_new(member(s, "clv_totals", json_array), totals ? totals : json_null());
        json_array_append_new(member(s, "adapted", json_array),
                              json_real(cells[3].i ? (double)cells[4].i / (double)cells[3].i : 0));
        json_array_append_new(member(s, "cost_usd", json_array), json_real((double)cells[6].i / 1e6));
        json_array_append_new(member(s, "mean_score", json_array), life_number(cells[9].r));
        json_array_append_new(member(s, "mean_impact", json_array), life_number(cells[10].r));
        double tried = (double)(cells[11].i + cells[12].i);
        json_array_append_new(member(s, "success_share", json_array),
                              json_real(tried > 0 ? (double)cells[11].i / tried : 0));
        json_array_append_new(member(s, "explored", json_array), json_integer((json_int_t)cells[13].i));
    }
    cvm_cursor_close(c);
    if (e >= 0)
        e = add_personas(r, s, first);
    if (e < 0)
        json_decref(s);
    else
        *ret_series = s;
    return e;
}

/* ---- text ---- */

void look_csv(FILE *out, const char *text)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    fputs(quoted ? "\"" : "", out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputs(quoted ? "\"" : "", out);
}

static void put_cell(FILE *out, const cvm_cell *cell)
{
    if (cell->kind == CVM_CELL_INT)
        fprintf(out, "%lld", (long long)cell->i);
    else if (cell->kind == CVM_CELL_REAL)
        fprintf(out, "%.10g", cell->r);
    else
        look_csv(out, cell->text ? cell->text : "");
}

static void put_json(FILE *out, const char *name, const cvm_cell *cell)
{
    json_t *value = cell->kind == CVM_CELL_TEXT   ? json_string(cell->text)
                    : cell->kind == CVM_CELL_NULL ? json_null()
                                                  : NULL;
    if (cell->kind == CVM_CELL_TEXT && strcmp(name, "clv_totals") == 0) { /* stored as the text of an object */
        json_decref(value);
        value = json_loads(cell->text, 0, NULL);
    }
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    fprintf(out, "\"%s\": ", name);
    if (value)
        fputs(text ? text : "null", out);
    else
        put_cell(out, cell);
    free(text);
    json_decref(value);
}

/* Rows of a table as text; the columns `shown` of them, the day's among all. */
static int write_rows(struct report *r, const char *table, const char *const columns[], size_t day, bool csv, FILE *out)
{
    cvm_cursor *c = NULL;
    const cvm_cell *cells;
    bool first = true;
    int e = open_rows(r, table, columns, &c);
    if (e < 0)
        return e;
    for (size_t i = 0; csv && columns[i]; i++)
        fprintf(out, "%s%s", i ? "," : "", columns[i]);
    fputs(csv ? "\n" : "[", out);
    while ((e = cvm_cursor_next(c, &cells)) > 0) {
        if (!in_range(r, cells[day].i))
            continue;
        fputs(csv ? "" : first ? "\n  {" : ",\n  {", out);
        first = false;
        for (size_t i = 0; columns[i]; i++) {
            fputs(i ? (csv ? "," : ", ") : "", out);
            if (csv)
                put_cell(out, &cells[i]);
            else
                put_json(out, columns[i], &cells[i]);
        }
        fputs(csv ? "\n" : "}", out);
    }
    fputs(csv ? "" : first ? "]\n" : "\n]\n", out);
    cvm_cursor_close(c);
    return e;
}

static int give(struct report *r, const char *what, bool csv, const char *text, size_t len, json_t **ret_result)
{
    char line[200], path[64];
    bool save = cvm_json_bool(r->input, "save", false);
    if (len > BODY_MAX_BYTES && !save) {
        snprintf(line, sizeof line,
                 "%zu bytes are more than an answer holds: take some days by from and to, or write a file below "
                 "output/: cvmhost lifecycle export --what %s --save",
                 len, what);
        return cvm_job_fail(r->j, "TOO_LARGE", line);
    }
    if (save) {
        snprintf(path, sizeof path, "output/lifecycle-%s.%s", what, csv ? "csv" : "json");
        CVM_TRY(cvm_job_save(r->j, path, text, len));
        snprintf(line, sizeof line, "%s\n", path);
    }
    *ret_result = look_text(save  ? "text/plain; charset=utf-8"
                            : csv ? "text/csv; charset=utf-8"
                                  : "application/json",
                            save ? line : text);
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}

int report_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    static const char *const history[] = {"day",         "persona_key", "segment", "observation_state",
                                          "action",      "source",      "impact",  "score_before",
                                          "score_after", "outcome",     "status",  "clv",
                                          NULL};
    static const char *const figures[] = {"day",           "active",         "churned",    "decisions",
                                          "adapted",       "explored",       "successes",  "failures",
                                          "mean_impact",   "mean_score",     "clv_total",  "input_tokens",
                                          "output_tokens", "cost_micro_usd", "clv_totals", NULL};
    struct report r = {.j = j,
                       .input = input,
                       .epoch = cvm_json_int(input, "epoch", 1),
                       .from = cvm_json_int(input, "from", 1),
                       .to = cvm_json_int(input, "to", 0)};
    const char *what = cvm_json_str(input, "what", "");
    bool csv = strcmp(cvm_json_str(input, "format", "json"), "csv") == 0, metrics = strcmp(what, "metrics") == 0;
    char *text = NULL;
    size_t len = 0;
    const char *made = cvm_json_str(input, "text", NULL); /* of the memory, which no table has */
    if (strcmp(what, "series") == 0)
        return series_of(&r, ret_result);
    if (made)
        return give(&r, what, csv, made, strlen(made), ret_result);
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return CVM_ENOMEM;
    int e = write_rows(&r, metrics ? DAYS : HISTORY, metrics ? figures : history, 0, csv, out);
    fclose(out);
    if (e >= 0)
        e = give(&r, what, csv, text, len, ret_result);
    free(text);
    return e;
}
