/* Server-sent events as they come, in pieces of any size: a piece may end within a line, within "\r\n", within a
 * character. Gives the data of each event; knows nothing of what stands in it. Pure; any thread. */
#ifndef PROVIDER_COMMON_SSE_H
#define PROVIDER_COMMON_SSE_H

#include <stdbool.h>
#include <stddef.h>

#define SSE_EVENT_MAX_BYTES (256 * 1024) /* of a line, and of an event's data */

/* `data` is NUL-terminated and borrowed. Negative ends the reading. */
typedef int (*sse_event)(void *arg, const char *data, size_t len);

struct sse {
    sse_event event;
    void *arg;
    char *line, *data;
    size_t line_len, line_size, data_len, data_size;
    bool after_cr, has_data, begun;
};

void sse_init(struct sse *sse, sse_event event, void *arg);
void sse_fini(struct sse *sse);
/* Reads a piece. 0, or an error: CVM_ELIMIT, CVM_ENOMEM, or what `event` gave. */
int sse_feed(struct sse *sse, const char *bytes, size_t len);

#endif
