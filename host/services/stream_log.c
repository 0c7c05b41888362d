/* Owns the texts of events; see stream_log.h. */
#include "services/stream_log.h"

#include "core/json_text.h"

#include <cvm/cvm.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX_BYTES (16 * 1024 * 1024) /* a turn's megabyte with every character escaped */

struct event {
    int64_t turn;
    uint64_t begins; /* bytes of all events before it */
    char *text;
    size_t len;
};

struct stream_log {
    int64_t known;       /* of turns after this one all events are here */
    uint64_t first, end; /* numbers of the events that are here */
    uint64_t bytes;      /* of all events there ever were */
    struct event at[STREAM_LOG_EVENTS_MAX];
};

static struct event *event_at(struct stream_log *log, uint64_t number)
{
    return &log->at[number % STREAM_LOG_EVENTS_MAX];
}

struct stream_log *stream_log_new(int64_t turn)
{
    struct stream_log *log = calloc(1, sizeof *log);
    if (log)
        log->known = turn;
    return log;
}

static void drop_first(struct stream_log *log)
{
    struct event *event = event_at(log, log->first++);
    log->known = event->turn;
    free(event->text);
    event->text = NULL;
}

void stream_log_free(struct stream_log *log)
{
    while (log && log->first < log->end)
        drop_first(log);
    free(log);
}

int stream_log_add(struct stream_log *log, int64_t turn, const char *topic, const json_t *data, bool last)
{
    struct text text;
    text_init(&text, TEXT_MAX_BYTES);
    text_printf(&text, "event: %s\ndata: ", topic);
    if (data)
        text_json(&text, data);
    else
        text_puts(&text, "{}");
    if (last)
        text_printf(&text, "\nid: %lld", (long long)turn);
    text_puts(&text, "\n\n");
    if (text.failed) {
        text_free(&text);
        while (log->first < log->end)
            drop_first(log);
        log->first = ++log->end; /* who reads there has missed one */
        log->known = turn;
        return CVM_ENOMEM;
    }
    while (log->end > log->first && (log->end - log->first == STREAM_LOG_EVENTS_MAX ||
                                     log->bytes + text.len - event_at(log, log->first)->begins > STREAM_LOG_BYTES_MAX))
        drop_first(log);
    *event_at(log, log->end++) = (struct event){.turn = turn, .begins = log->bytes, .text = text.at, .len = text.len};
    log->bytes += text.len;
    return 0;
}

uint64_t stream_log_end(const struct stream_log *log)
{
    return log->end;
}

bool stream_log_after(const struct stream_log *log, int64_t turn, uint64_t *ret_at)
{
    uint64_t low = log->first, high = log->end;
    if (turn < log->known)
        return false;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (log->at[middle % STREAM_LOG_EVENTS_MAX].turn <= turn)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_at = low;
    return true;
}

const char *stream_log_text(const struct stream_log *log, uint64_t at, size_t *ret_len)
{
    if (at < log->first || at >= log->end)
        return NULL;
    const struct event *event = &log->at[at % STREAM_LOG_EVENTS_MAX];
    *ret_len = event->len;
    return event->text;
}

size_t stream_log_waiting(const struct stream_log *log, uint64_t at)
{
    if (at < log->first)
        return SIZE_MAX;
    return at >= log->end ? 0 : (size_t)(log->bytes - log->at[at % STREAM_LOG_EVENTS_MAX].begins);
}
