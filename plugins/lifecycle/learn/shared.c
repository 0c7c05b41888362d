/* What the jobs share; see learn.h. Any thread. */
#include "learn.h"

#include "../../cvm/common/csv.h"
#include "../../cvm/common/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define NAMED_MAX 20
#define TEXT_MAX_BYTES ((size_t)16 << 20)

bool learn_column(const char *columns, const char *name, const char **ret_text, size_t *ret_len)
{
    size_t len = strlen(name);
    for (const char *at = columns; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strncmp(at, name, len) != 0 || at[len] != '=')
            continue;
        *ret_text = at + len + 1;
        *ret_len = strcspn(*ret_text, ",");
        return *ret_len > 0;
    }
    return false;
}

const char *learn_unknown_column(const char *columns, const char *const *names, char room[64])
{
    for (const char *at = columns; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t len = strcspn(at, "=,"), i = 0;
        while (names[i] && (strlen(names[i]) != len || strncmp(names[i], at, len) != 0))
            i++;
        if (names[i] && at[len] == '=' && at[len + 1] && at[len + 1] != ',')
            continue;
        snprintf(room, 64, "%.*s", (int)strcspn(at, ","), at);
        return room;
    }
    return NULL;
}

int learn_once(cvm_job *j, const struct csv *csv, int at)
{
    char text[LEARN_TEXT_SIZE];
    struct csv_field own = csv->fields[at];
    value_trim(&own.text, &own.len);
    for (size_t i = (size_t)at + 1; i < csv->n; i++) {
        struct csv_field f = csv->fields[i];
        value_trim(&f.text, &f.len);
        if (f.len != own.len || strncasecmp(f.text, own.text, f.len) != 0)
            continue;
        snprintf(text, sizeof text, "the header names the column \"%.*s\" more than once",
                 (int)(own.len < 100 ? own.len : 100), own.text);
        return cvm_job_fail(j, "COLUMNS", text);
    }
    return CVM_OK;
}

void learn_fault(struct learn_faults *f, int64_t line, const char *text)
{
    f->n++;
    if (!f->list)
        f->list = json_array();
    if (json_array_size(f->list) < NAMED_MAX)
        json_array_append_new(f->list, json_pack("{s:I, s:s}", "line", (json_int_t)line, "fault", text));
}

json_t *learn_number(double x, int digits)
{
    double scale = pow(10, digits);
    return isfinite(x) ? json_real(round(x * scale) / scale + 0.0) : json_null();
}

json_t *learn_figure(double x)
{
    char text[40];
    if (!isfinite(x))
        return json_null();
    snprintf(text, sizeof text, "%.6g", x);
    return json_real(strtod(text, NULL) + 0.0);
}

int learn_unreadable(cvm_job *j, const char *path, int error)
{
    char text[LEARN_TEXT_SIZE];
    if (error == CVM_ENOMEM || error == CVM_ESTATE)
        return error;
    snprintf(text, sizeof text, "%.250s: %s", path,
             error == CVM_ENOENT ? "no such file"
             : error == CVM_EACCES
                 ? "it may not be read: a path is absolute, or relative to the home and stays there; and "
                   "the host must be allowed to read it"
             : error == CVM_EINVAL ? "it is no text file"
             : error == CVM_ELIMIT ? "it is too long, or a line of it is"
                                   : "it cannot be read");
    return cvm_job_fail(j, "FILE", text);
}

int learn_text(cvm_job *j, const char *path, char **ret_text)
{
    cvm_file *f;
    const char *line;
    char *text = NULL;
    size_t len = 0, room = 0, n;
    int e = cvm_job_file(j, path, &f);
    if (e < 0)
        return e;
    while ((e = cvm_file_line(f, &line, &n)) > 0) {
        if (len + n + 2 > room) {
            size_t more = 2 * (len + n + 2);
            char *grown = more > 2 * TEXT_MAX_BYTES ? NULL : realloc(text, more);
            if (!grown) {
                e = more > 2 * TEXT_MAX_BYTES ? CVM_ELIMIT : CVM_ENOMEM;
                break;
            }
            text = grown;
            room = more;
        }
        memcpy(text + len, line, n);
        text[len + n] = '\n';
        len += n + 1;
    }
    cvm_file_close(f);
    if (e < 0) {
        free(text);
        return e;
    }
    if (!text && !(text = calloc(1, 1)))
        return CVM_ENOMEM;
    if (room)
        text[len] = 0;
    *ret_text = text;
    return CVM_OK;
}
