/* What the rows gave, told: as a table, as JSON, beside what was recorded before, and as the tables of the documents.
 * Knows files and text; measures nothing. */
#include "bench_report.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_MAX (1 << 20)
#define CELL_MAX 64
#define GROUPS_MAX 32 /* of three digits and their comma */

static double ratio_of(double value, double floor)
{
    return floor > 0 ? value / floor : 0;
}

/* 2,400,000; 44.5; 0.25; 16 */
static const char *grouped(double value, char *out)
{
    char digits[GROUPS_MAX];
    bool whole_number = value == (double)(int64_t)value;
    int n = snprintf(digits, sizeof digits, "%.*f", whole_number || value >= 100 ? 0 : value < 1 ? 2 : 1, value);
    int whole = (int)strcspn(digits, "."), at = 0;
    for (int i = 0; i < n && at < CELL_MAX - 2; i++) {
        if (i && i < whole && (whole - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

/* ---- JSON ----------------------------------------------------------------------------------------------------------
 */

static void cpu_name(char *name, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    snprintf(name, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            line[strcspn(line, "\n")] = 0;
            snprintf(name, size, "%s", strchr(line, ':') + 2);
            break;
        }
    }
    if (f)
        fclose(f);
}

static json_t *row_json(const struct row *row)
{
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:s, s:f, s:f, s:i}", "name", row->name, "unit", row->unit, "value",
                     row->value, "p50_us", row->p50_us, "p99_us", row->p99_us, "floor", row->floor, "floor_value",
                     row->floor_value, "ratio", ratio_of(row->value, row->floor_value), "runs", bench_runs());
}

static json_t *curve_json(const struct curve *curve)
{
    json_t *points = json_array();
    for (int i = 0; i < curve->n; i++)
        json_array_append_new(points, json_pack("{s:f, s:f, s:f, s:f, s:f}", "x", curve->points[i].x, "value",
                                                curve->points[i].value, "p50_us", curve->points[i].p50_us, "p99_us",
                                                curve->points[i].p99_us, "beside", curve->points[i].beside));
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", curve->name, "x", curve->x, "unit", curve->unit, "beside",
                     curve->beside, "points", points);
}

json_t *report_json(const struct row *rows, int n, const struct curve *curves, int n_curves)
{
    char cpu[256];
    const char *commit = getenv("BENCH_COMMIT");
    json_t *list = json_array(), *bends = json_array();
    cpu_name(cpu, sizeof cpu);
    for (int i = 0; i < n; i++)
        json_array_append_new(list, row_json(&rows[i]));
    for (int i = 0; i < n_curves; i++)
        json_array_append_new(bends, curve_json(&curves[i]));
    return json_pack("{s:i, s:s, s:{s:s, s:i}, s:o, s:o}", "bench", 1, "commit", commit ? commit : "", "machine", "cpu",
                     cpu, "cores", (int)sysconf(_SC_NPROCESSORS_ONLN), "rows", list, "curves", bends);
}

/* ---- beside what was recorded --------------------------------------------------------------------------------------
 */

static const json_t *recorded_row(const json_t *recorded, const char *name)
{
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(recorded, "rows"), i,
                       row) if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0) return row;
    return NULL;
}

int report_loss(const struct row *row, const json_t *recorded, double *ret_loss)
{
    double before = json_number_value(json_object_get(recorded_row(recorded, row->name), "ratio"));
    double now = ratio_of(row->value, row->floor_value);
    if (row->better == LOOSE || before <= 0 || now <= 0)
        return -1;
    *ret_loss = row->better == HIGHER ? 1 - now / before : now / before - 1;
    return 0;
}

void report_head(void)
{
    printf("%-22s %12s %-14s %9s %9s   %-26s %12s %8s %9s\n", "row", "value", "unit", "p50 us", "p99 us", "floor",
           "floor", "ratio", "recorded");
}

void report_row(const struct row *row, const json_t *recorded)
{
    double loss;
    char change[16] = "";
    if (report_loss(row, recorded, &loss) == 0)
        snprintf(change, sizeof change, "%+.0f %%", -100 * loss);
    printf("%-22s %12.*f %-14s %9.2f %9.2f   %-26.26s %12.*f %8.3f %9s\n", row->name, row->value < 1000 ? 2 : 0,
           row->value, row->unit, row->p50_us, row->p99_us, row->floor, row->floor_value < 1000 ? 2 : 0,
           row->floor_value, ratio_of(row->value, row->floor_value), change);
    fflush(stdout);
}

void report_curve(const struct curve *curve)
{
    printf("\n%s\n%14s %14s %11s %11s %14s\n", curve->name, curve->x, curve->unit, "p50 us", "p99 us", curve->beside);
    for (int i = 0; i < curve->n; i++)
        printf("%14.0f %14.0f %11.0f %11.0f %14.1f\n", curve->points[i].x, curve->points[i].value,
               curve->points[i].p50_us, curve->points[i].p99_us, curve->points[i].beside);
    fflush(stdout);
}

/* ---- the tables of the documents -----------------------------------------------------------------------------------
 */

static double number(const json_t *row, const char *name)
{
    return json_number_value(json_object_get(row, name));
}

static const char *word(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text ? text : "";
}

static int has_word(const char *words, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += len)
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
            return 1;
    return 0;
}

static void time_cell(FILE *out, double us)
{
    char cell[CELL_MAX];
    if (us <= 0)
        fputs(" |", out);
    else if (us < 1000)
        fprintf(out, " %s us |", grouped(us, cell));
    else
        fprintf(out, " %s ms |", grouped(us / 1000, cell));
}

/* Only those that `names` has, unless it has none. What was not recorded yet stands there with its budget. */
static void rows_table(FILE *out, const json_t *recorded, const struct row *known, int n, const char *names)
{
    char a[CELL_MAX], b[CELL_MAX];
    fputs("| row | value | p50 | p99 | floor | ratio | budget |\n|---|---|---|---|---|---|---|\n", out);
    for (int i = 0; i < n; i++) {
        const json_t *row = recorded_row(recorded, known[i].name);
        if (*names && !has_word(names, known[i].name))
            continue;
        if (!row) {
            fprintf(out, "| `%s` | | | | | | %s |\n", known[i].name, known[i].budget ? known[i].budget : "");
            continue;
        }
        fprintf(out, "| `%s` | %s %s |", known[i].name, grouped(number(row, "value"), a), word(row, "unit"));
        time_cell(out, number(row, "p50_us"));
        time_cell(out, number(row, "p99_us"));
        if (number(row, "floor_value") > 0)
            fprintf(out, " %s: %s | %.3g |", word(row, "floor"), grouped(number(row, "floor_value"), b),
                    number(row, "ratio"));
        else
            fputs(" | |", out);
        fprintf(out, " %s |\n", known[i].budget ? known[i].budget : "");
    }
}

static void curve_tables(FILE *out, const json_t *recorded)
{
    size_t i, k;
    const json_t *curve, *point;
    char a[CELL_MAX], b[CELL_MAX], c[CELL_MAX];
    json_array_foreach(json_object_get(recorded, "curves"), i, curve)
    {
        fprintf(out, "%s`%s`\n\n| %s | %s | p50 | p99 | %s |\n|---|---|---|---|---|\n", i ? "\n" : "",
                word(curve, "name"), word(curve, "x"), word(curve, "unit"), word(curve, "beside"));
        json_array_foreach(json_object_get(curve, "points"), k, point)
        {
            fprintf(out, "| %s | %s |", grouped(number(point, "x"), a), grouped(number(point, "value"), b));
            time_cell(out, number(point, "p50_us"));
            time_cell(out, number(point, "p99_us"));
            fprintf(out, " %s |\n", grouped(number(point, "beside"), c));
        }
    }
}

static char *file_text(const char *path)
{
    char *text = malloc(PAGE_MAX);
    FILE *f = fopen(path, "re");
    size_t n = f && text ? fread(text, 1, PAGE_MAX - 1, f) : 0;
    if (f)
        fclose(f);
    if (!n) {
        fprintf(stderr, "bench: %s: %s\n", path, f ? "is empty" : strerror(errno));
        free(text);
        return NULL;
    }
    text[n] = 0;
    return text;
}

/* The text with what stands between <!-- MARK NAMES.. --> and <!-- end --> made anew. Takes and gives text. */
static char *with_table(char *text, const char *mark, const json_t *recorded, const struct row *known, int n)
{
    char opening[32], names[512], *result = NULL;
    size_t size;
    snprintf(opening, sizeof opening, "<!-- %s", mark);
    char *from = text ? strstr(text, opening) : NULL, *close = from ? strstr(from, " -->\n") : NULL;
    char *to = close ? strstr(close, "<!-- end -->") : NULL;
    if (!to)
        return text;
    from += strlen(opening);
    from += *from == ' ' && from < close;
    snprintf(names, sizeof names, "%.*s", (int)(close - from), from);
    FILE *out = open_memstream(&result, &size);
    fprintf(out, "%.*s", (int)(close + strlen(" -->\n") - text), text);
    if (strcmp(mark, "curves") == 0)
        curve_tables(out, recorded);
    else
        rows_table(out, recorded, known, n, names);
    fputs(to, out);
    fclose(out);
    free(text);
    return result;
}

int report_page(const char *path, const json_t *recorded, const struct row *known, int n, int only_check)
{
    int result = -1;
    FILE *out;
    char *was = file_text(path), *is = was ? strdup(was) : NULL;
    is = with_table(with_table(is, "figures", recorded, known, n), "curves", recorded, known, n);
    if (!is)
        goto out;
    if (strcmp(was, is) == 0) {
        result = 0;
    } else if (only_check) {
        fprintf(stderr, "bench: %s shows other figures than were recorded; ./dev bench --record writes them\n", path);
    } else if ((out = fopen(path, "we"))) {
        fputs(is, out);
        result = fclose(out) == 0 ? 0 : -1;
    }
out:
    free(was);
    free(is);
    return result;
}
