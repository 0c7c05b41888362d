/* See log.h. Job thread. */
#include "log.h"

#include "../../cvm/common/csv.h"
#include "../../cvm/common/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS_MAX 32 /* of features, and of states */
#define LEVELS_MAX 16  /* different values of a state */
#define LEVEL_SIZE 64

/* A column of features or of states. */
struct column {
    char name[OFF_NAME_MAX];
    int at; /* in the file */
    bool state;
    size_t n_levels;
    char levels[LEVELS_MAX][LEVEL_SIZE];
};

struct reader {
    cvm_job *j;
    struct csv *csv;
    struct log *l;
    int action, reward, propensity; /* where they are; propensity -1: nowhere */
    struct column columns[COLUMNS_MAX];
    size_t fields; /* of the header */
    size_t n, room;
    size_t n_columns;
    double *raw; /* rows x columns: a number, or the index of a level */
};

static int next_line(void *arg, const char **ret_line, size_t *ret_len)
{
    return cvm_file_line(arg, ret_line, ret_len);
}

int log_action(struct log *l, const char *name, size_t len)
{
    size_t n = l->off.rows.n_actions;
    for (size_t i = 0; i < n; i++)
        if (strlen(l->names[i]) == len && memcmp(l->names[i], name, len) == 0)
            return (int)i;
    if (!len || len >= OFF_NAME_MAX || n == OUTCOME_ACTIONS_MAX || !value_is_text(name, len))
        return -1;
    memcpy(l->names[n], name, len);
    l->names[n][len] = 0;
    l->off.rows.n_actions++;
    return (int)n;
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static int find(const struct reader *r, const char *columns, const char *name, int *ret_at)
{
    char text[LEARN_TEXT_SIZE], column[128];
    const char *at;
    size_t len;
    if (!learn_column(columns, name, &at, &len)) {
        at = name;
        len = strlen(name);
    }
    snprintf(column, sizeof column, "%.*s", (int)(len < sizeof column ? len : sizeof column - 1), at);
    *ret_at = csv_find(r->csv, column);
    if (*ret_at >= 0)
        return learn_once(r->j, r->csv, *ret_at);
    snprintf(text, sizeof text, "the file has no column \"%.100s\" for %s: --columns %s=NAME says which it is", column,
             name, name);
    return cvm_job_fail(r->j, "COLUMNS", text);
}

/* Columns joined by "+". */
static int find_many(struct reader *r, const char *columns, const char *name, bool state)
{
    char text[LEARN_TEXT_SIZE];
    const char *at;
    size_t len;
    if (!learn_column(columns, name, &at, &len))
        return CVM_OK;
    for (const char *end = at + len; at < end; at++) {
        size_t own = strcspn(at, "+,");
        struct column *c = &r->columns[r->n_columns];
        if (r->n_columns == COLUMNS_MAX || own >= sizeof c->name) {
            snprintf(text, sizeof text, "--columns %s: at most %d columns, with names below %zu bytes", name,
                     COLUMNS_MAX, sizeof c->name);
            return cvm_job_fail(r->j, "COLUMNS", text);
        }
        memcpy(c->name, at, own);
        c->name[own] = 0;
        c->state = state;
        c->at = csv_find(r->csv, c->name);
        if (c->at < 0) {
            snprintf(text, sizeof text, "the file has no column \"%.63s\", which --columns %s names", c->name, name);
            return cvm_job_fail(r->j, "COLUMNS", text);
        }
        CVM_TRY(learn_once(r->j, r->csv, c->at));
        r->n_columns++;
        at += own;
    }
    return CVM_OK;
}

/* What came of a choice, and the choice itself, were not known before it: no policy may look at them. */
static int check_uses(const struct reader *r)
{
    char text[LEARN_TEXT_SIZE];
    if (r->action == r->reward || r->action == r->propensity || r->reward == r->propensity)
        return cvm_job_fail(r->j, "COLUMNS", "--columns: action, reward and propensity must be different columns");
    for (size_t c = 0; c < r->n_columns; c++) {
        const struct column *column = &r->columns[c];
        if (column->at != r->reward && column->at != r->action)
            continue;
        snprintf(text, sizeof text,
                 "--columns %s: \"%.63s\" is the column of the %s, which was not known before the choice",
                 column->state ? "state" : "features", column->name, column->at == r->reward ? "reward" : "action");
        return cvm_job_fail(r->j, "COLUMNS", text);
    }
    return CVM_OK;
}

static int find_columns(struct reader *r, const char *columns)
{
    static const char *const names[] = {"action", "reward", "propensity", "features", "state", NULL};
    char room[64], text[LEARN_TEXT_SIZE];
    const char *at, *unknown = learn_unknown_column(columns, names, room);
    size_t len;
    if (unknown) {
        snprintf(text, sizeof text,
                 "--columns: \"%.63s\" is none of action=, reward=, propensity=, features=A+B, state=A+B", unknown);
        return cvm_job_fail(r->j, "COLUMNS", text);
    }
    CVM_TRY(find(r, columns, "action", &r->action));
    CVM_TRY(find(r, columns, "reward", &r->reward));
    r->fields = r->csv->n;
    r->propensity = csv_find(r->csv, "propensity");
    if (r->propensity >= 0 || learn_column(columns, "propensity", &at, &len))
        CVM_TRY(find(r, columns, "propensity", &r->propensity));
    r->l->propensities = r->propensity >= 0;
    CVM_TRY(find_many(r, columns, "features", false));
    CVM_TRY(find_many(r, columns, "state", true));
    return check_uses(r);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static bool grow(struct reader *r)
{
    struct log *l = r->l;
    size_t room = r->room ? 2 * r->room : 1024, cells = r->n_columns ? r->n_columns : 1;
    int *action = realloc(l->action, room * sizeof *action);
    l->action = action ? action : l->action;
    double *reward = realloc(l->reward, room * sizeof *reward);
    l->reward = reward ? reward : l->reward;
    double *propensity = realloc(l->propensity, room * sizeof *propensity);
    l->propensity = propensity ? propensity : l->propensity;
    int64_t *row = realloc(l->row, room * sizeof *row);
    l->row = row ? row : l->row;
    double *raw = realloc(r->raw, room * cells * sizeof *raw);
    r->raw = raw ? raw : r->raw;
    if (!action || !reward || !propensity || !row || !raw)
        return false;
    r->room = room;
    return true;
}

static int level(struct column *c, const char *text, size_t len)
{
    for (size_t i = 0; i < c->n_levels; i++)
        if (strlen(c->levels[i]) == len && memcmp(c->levels[i], text, len) == 0)
            return (int)i;
    if (c->n_levels == LEVELS_MAX || len >= LEVEL_SIZE)
        return -1;
    memcpy(c->levels[c->n_levels], text, len);
    c->levels[c->n_levels][len] = 0;
    return (int)c->n_levels++;
}

static struct csv_field field(const struct csv *csv, int at)
{
    struct csv_field f = (size_t)at < csv->n ? csv->fields[at] : (struct csv_field){"", 0};
    value_trim(&f.text, &f.len);
    return f;
}

/* The cells of features and states; NULL: all are well. */
static const char *read_features(struct reader *r, char *room, size_t size)
{
    for (size_t c = 0; c < r->n_columns; c++) {
        struct column *column = &r->columns[c];
        struct csv_field f = field(r->csv, column->at);
        double *cell = &r->raw[r->n * r->n_columns + c];
        if (column->state) {
            int found = level(column, f.text, f.len);
            *cell = found;
            if (found < 0) {
                snprintf(room, size, "%.63s: more than %d different values, or too long a one", column->name,
                         LEVELS_MAX);
                return room;
            }
        } else if (!value_real(f.text, f.len, cell)) {
            snprintf(room, size, "%.63s: no number", column->name);
            return room;
        }
    }
    return NULL;
}

static void read_row(struct reader *r)
{
    struct log *l = r->l;
    char room[160];
    struct csv_field action = field(r->csv, r->action), reward = field(r->csv, r->reward);
    const char *fault = r->csv->fault;
    int64_t row = l->rows++;
    double p = 1;
    bool likely = true;
    if (!fault && r->csv->n > r->fields)
        fault = LEARN_MORE_FIELDS;
    if (!fault && r->propensity >= 0) {
        struct csv_field f = field(r->csv, r->propensity);
        likely = value_real(f.text, f.len, &p) && p > 0 && p <= 1;
        if (!likely)
            fault = f.len ? "propensity: must be above 0 and at most 1" : "propensity: missing";
    }
    if (!likely && !l->unlikely++)
        l->unlikely_line = r->csv->line;
    if (!fault && !value_real(reward.text, reward.len, &l->reward[r->n]))
        fault = "reward: no number";
    if (!fault)
        fault = read_features(r, room, sizeof room);
    if (!fault && (l->action[r->n] = log_action(l, action.text, action.len)) < 0)
        fault = "action: missing, too long, or one too many: 32 at most";
    if (fault) {
        learn_fault(&l->faults, r->csv->line, fault);
        return;
    }
    l->propensity[r->n] = p;
    l->row[r->n++] = row;
}

static int read_rows(struct reader *r)
{
    int e;
    while ((e = csv_next(r->csv)) > 0) {
        if (r->n == r->room && !grow(r))
            return CVM_ENOMEM;
        if (r->n == LOG_ROWS_MAX || (r->n + 1) * r->n_columns > LOG_CELLS_MAX)
            return cvm_job_fail(r->j, "TOO_MANY",
                                "the log has more than 1,000,000 rows, or too many features for so many");
        read_row(r);
        if (r->l->rows % 10000 == 0)
            cvm_job_progress(r->j, r->l->rows, 0, "rows read");
    }
    return e;
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

/* Makes a feature of each number and of each level but the first, about 0 with a deviation of 1. */
static int make_features(struct reader *r)
{
    struct outcome_rows *rows = &r->l->off.rows;
    size_t d = 0, at = 0;
    for (size_t c = 0; c < r->n_columns; c++)
        d += r->columns[c].state ? (r->columns[c].n_levels ? r->columns[c].n_levels - 1 : 0) : 1;
    if (d > OUTCOME_FEATURES_MAX || d * r->n > LOG_CELLS_MAX)
        return cvm_job_fail(r->j, "COLUMNS",
                            "the features and the values of the states are more than 48, or too many for so many rows");
    r->l->x = malloc((d * r->n + 1) * sizeof(double));
    if (!r->l->x)
        return CVM_ENOMEM;
    for (size_t c = 0; c < r->n_columns; c++) {
        size_t wide = r->columns[c].state ? (r->columns[c].n_levels ? r->columns[c].n_levels - 1 : 0) : 1;
        for (size_t k = 0; k < wide; k++, at++) {
            double mean = 0, squares = 0;
            for (size_t i = 0; i < r->n; i++) {
                double raw = r->raw[i * r->n_columns + c];
                r->l->x[i * d + at] = r->columns[c].state ? raw == (double)(k + 1) : raw;
                mean += r->l->x[i * d + at] / (double)r->n;
            }
            for (size_t i = 0; i < r->n; i++) {
                r->l->x[i * d + at] -= mean;
                squares += r->l->x[i * d + at] * r->l->x[i * d + at] / (double)r->n;
            }
            for (size_t i = 0; squares > 0 && i < r->n; i++)
                r->l->x[i * d + at] /= sqrt(squares);
        }
    }
    rows->d = d;
    return CVM_OK;
}

int log_read(cvm_job *j, const char *path, const char *columns, struct log *ret_log)
{
    struct log *l = ret_log;
    struct reader r = {.j = j, .l = l};
    cvm_file *f = NULL;
    *l = (struct log){0};
    int e = cvm_job_file(j, path, &f);
    if (e == CVM_OK)
        e = csv_new(next_line, f, ',', &r.csv);
    if (e == CVM_OK)
        e = csv_next(r.csv);
    if (e == 0 || (e > 0 && r.csv->fault)) {
        e = cvm_job_fail(j, "FILE", "the file has no header line that can be read");
        goto out;
    }
    if (e < 0) {
        e = learn_unreadable(j, path, e);
        goto out;
    }
    e = find_columns(&r, columns);
    if (e == CVM_OK) {
        e = read_rows(&r);
        if (e < 0 && e != CVM_EREFUSED)
            e = learn_unreadable(j, path, e);
    }
    if (e == CVM_OK)
        e = make_features(&r);
    l->off.n_logged = l->off.rows.n_actions;
    l->off.rows.n = r.n;
    l->off.rows.x = l->x;
    l->off.rows.action = l->action;
    l->off.rows.reward = l->reward;
    l->off.propensity = l->propensity;
    l->off.names = l->names;
out:
    csv_free(r.csv);
    cvm_file_close(f);
    free(r.raw);
    return e;
}

void log_fini(struct log *l)
{
    free(l->action);
    free(l->reward);
    free(l->propensity);
    free(l->x);
    free(l->row);
    json_decref(l->faults.list);
    *l = (struct log){0};
}
