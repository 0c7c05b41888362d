/* See csv.h. */
#include "csv.h"

#include "value.h"
#include <stdlib.h>
#include <strings.h>

int csv_new(csv_line next, void *arg, char separator, struct csv **ret_csv)
{
    struct csv *csv = calloc(1, sizeof *csv);
    if (!csv || !(csv->room = malloc(CSV_RECORD_MAX_BYTES))) {
        free(csv);
        return CVM_ENOMEM;
    }
    csv->next = next;
    csv->arg = arg;
    csv->separator = separator;
    *ret_csv = csv;
    return 0;
}

void csv_free(struct csv *csv)
{
    if (!csv)
        return;
    free(csv->room);
    free(csv);
}

static int next_line(struct csv *csv, const char **ret_line, size_t *ret_len)
{
    int e = csv->next(csv->arg, ret_line, ret_len);
    if (e <= 0)
        return e;
    csv->lines++;
    if (csv->lines == 1 && *ret_len >= 3 && memcmp(*ret_line, "\xef\xbb\xbf", 3) == 0) { /* a mark of UTF-8 */
        *ret_line += 3;
        *ret_len -= 3;
    }
    return 1;
}

static size_t without_return(const char *line, size_t len)
{
    return len && line[len - 1] == '\r' ? len - 1 : len;
}

static void split_plain(struct csv *csv, const char *line, size_t len)
{
    const char *end = line + without_return(line, len);
    for (;;) {
        const char *stop = memchr(line, csv->separator, (size_t)(end - line));
        if (csv->n == CSV_FIELDS_MAX) {
            csv->fault = "has too many fields";
            return;
        }
        csv->fields[csv->n++] = (struct csv_field){line, (size_t)((stop ? stop : end) - line)};
        if (!stop)
            return;
        line = stop + 1;
    }
}

/* Reading a record with quotes, into the room. */
struct quoted {
    size_t at, begin; /* of the room; of the field in it */
    enum { PLAIN, INSIDE, AFTER } state;
};

static void put(struct csv *csv, struct quoted *q, char c)
{
    if (q->at < CSV_RECORD_MAX_BYTES)
        csv->room[q->at++] = c;
    else
        csv->fault = "is longer than 256 KiB";
}

static void end_field(struct csv *csv, struct quoted *q)
{
    if (csv->n < CSV_FIELDS_MAX)
        csv->fields[csv->n++] = (struct csv_field){csv->room + q->begin, q->at - q->begin};
    else
        csv->fault = "has too many fields";
    q->begin = q->at;
    q->state = PLAIN;
}

static void take(struct csv *csv, struct quoted *q, const char *line, size_t i)
{
    char c = line[i];
    if (q->state == INSIDE) {
        if (c == '"')
            q->state = AFTER;
        else
            put(csv, q, c);
    } else if (c == csv->separator) {
        end_field(csv, q);
    } else if (q->state == AFTER) {
        if (c == '"') { /* two of them stand for one */
            put(csv, q, c);
            q->state = INSIDE;
        } else
            csv->fault = "has text behind a closing quote";
    } else if (c == '"' && q->at == q->begin) {
        q->state = INSIDE;
    } else if (c == '"') {
        csv->fault = "has a quote within a field that does not begin with one";
    } else
        put(csv, q, c);
}

static int split_quoted(struct csv *csv, const char *line, size_t len)
{
    struct quoted q = {0};
    for (;;) {
        size_t n = without_return(line, len);
        for (size_t i = 0; i < len && !csv->fault; i++)
            if (i < n || q.state == INSIDE)
                take(csv, &q, line, i);
        if (csv->fault)
            return 1;
        if (q.state != INSIDE)
            break;
        put(csv, &q, '\n');
        int e = next_line(csv, &line, &len);
        if (e < 0)
            return e;
        if (e == 0) {
            csv->fault = "ends within a quoted field";
            return 1;
        }
    }
    end_field(csv, &q);
    if (!value_is_text(csv->room, q.at))
        csv->fault = "is not UTF-8 text";
    return 1;
}

int csv_next(struct csv *csv)
{
    const char *line;
    size_t len;
    int e;
    do {
        if ((e = next_line(csv, &line, &len)) <= 0)
            return e;
    } while (without_return(line, len) == 0);
    csv->line = csv->lines;
    csv->n = 0;
    csv->fault = NULL;
    if (memchr(line, '"', len))
        return split_quoted(csv, line, len);
    split_plain(csv, line, len);
    if (!value_is_text(line, len))
        csv->fault = "is not UTF-8 text";
    return 1;
}

int csv_find(const struct csv *csv, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < csv->n; i++) {
        struct csv_field f = csv->fields[i];
        value_trim(&f.text, &f.len);
        if (f.len == len && strncasecmp(f.text, name, len) == 0)
            return (int)i;
    }
    return -1;
}
