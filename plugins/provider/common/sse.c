/* See sse.h. The form is that of the HTML standard, "Server-sent events": lines end with \n, \r or \r\n, an empty line
 * ends an event, one that begins with a colon is a comment. What stands after the last empty line is no event. */
#include "sse.h"

#include <cvm/cvm.h>
#include <stdlib.h>

void sse_init(struct sse *sse, sse_event event, void *arg)
{
    *sse = (struct sse){.event = event, .arg = arg};
}

void sse_fini(struct sse *sse)
{
    free(sse->line);
    free(sse->data);
    *sse = (struct sse){0};
}

static int append(char **at, size_t *len, size_t *size, const char *bytes, size_t n)
{
    if (n > SSE_EVENT_MAX_BYTES || *len + n > SSE_EVENT_MAX_BYTES)
        return CVM_ELIMIT;
    if (*len + n + 1 > *size) {
        size_t grown = *size ? *size * 2 : 1024;
        while (grown < *len + n + 1)
            grown *= 2;
        char *moved = realloc(*at, grown);
        if (!moved)
            return CVM_ENOMEM;
        *at = moved;
        *size = grown;
    }
    memcpy(*at + *len, bytes, n);
    *len += n;
    (*at)[*len] = 0;
    return 0;
}

static int end_event(struct sse *sse)
{
    if (!sse->has_data)
        return 0;
    int e = append(&sse->data, &sse->data_len, &sse->data_size, "", 0);
    if (!e)
        e = sse->event(sse->arg, sse->data, sse->data_len);
    sse->has_data = false;
    sse->data_len = 0;
    return e;
}

static int end_line(struct sse *sse)
{
    const char *line = sse->line ? sse->line : "";
    size_t len = sse->line_len;
    sse->line_len = 0;
    if (!sse->begun && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        len -= 3;
    }
    sse->begun = true;
    if (!len)
        return end_event(sse);
    if (len < 4 || memcmp(line, "data", 4) != 0 || (len > 4 && line[4] != ':'))
        return 0; /* a comment, or a field that says nothing to us */
    size_t skip = len > 5 && line[5] == ' ' ? 6 : len > 4 ? 5 : 4;
    if (sse->has_data) {
        int e = append(&sse->data, &sse->data_len, &sse->data_size, "\n", 1);
        if (e)
            return e;
    }
    sse->has_data = true;
    return append(&sse->data, &sse->data_len, &sse->data_size, line + skip, len - skip);
}

int sse_feed(struct sse *sse, const char *bytes, size_t len)
{
    size_t begin = 0;
    int e = 0;
    for (size_t i = 0; i < len && !e; i++) {
        char c = bytes[i];
        if (c != '\n' && c != '\r') {
            sse->after_cr = false;
            continue;
        }
        if (c == '\n' && sse->after_cr) { /* the second half of a line's end */
            sse->after_cr = false;
            begin = i + 1;
            continue;
        }
        e = append(&sse->line, &sse->line_len, &sse->line_size, bytes + begin, i - begin);
        if (!e)
            e = end_line(sse);
        sse->after_cr = c == '\r';
        begin = i + 1;
    }
    return e ? e : append(&sse->line, &sse->line_len, &sse->line_size, bytes + begin, len - begin);
}
