/* The last events of a stream, as text that is ready to be sent: what clients who come back have missed is found here,
 * and each who listens reads from here at a pace of their own, so a slow one costs no memory. Knows no HTTP. Pure. */
#ifndef HOST_SERVICES_STREAM_LOG_H
#define HOST_SERVICES_STREAM_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_LOG_EVENTS_MAX 16384
#define STREAM_LOG_BYTES_MAX (8 * 1024 * 1024)

struct stream_log;

/* `turn`: what was told up to it is not known here. NULL: out of memory. */
struct stream_log *stream_log_new(int64_t turn);
void stream_log_free(struct stream_log *log); /* accepts NULL */

/* Adds an event of `turn`, which is none before the last one's. Its id goes to the client with the `last` event of the
 * turn only: who was cut off before hears all of the turn again. Returns 0 or CVM_ENOMEM, and then the log is as after
 * stream_log_new(turn). */
int stream_log_add(struct stream_log *log, int64_t turn, const char *topic, const json_t *data, bool last);

/* The number of the next event that will be added. */
uint64_t stream_log_end(const struct stream_log *log);
/* The number of the first event after `turn`, in *ret_at. False: some after it may not be here any more. */
bool stream_log_after(const struct stream_log *log, int64_t turn, uint64_t *ret_at);
/* The text of event `at`, borrowed until the next is added; NULL: it is gone, or is yet to come. */
const char *stream_log_text(const struct stream_log *log, uint64_t at, size_t *ret_len);
/* Bytes from event `at` to the end; SIZE_MAX: it is gone. */
size_t stream_log_waiting(const struct stream_log *log, uint64_t at);

#endif
