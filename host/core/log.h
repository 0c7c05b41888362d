/* Log lines of the host: one JSON object a line in a file, a readable line on stderr. Only command and loop code logs;
 * library code returns errors. Secrets and personal data never go here. Any thread. */
#ifndef HOST_CORE_LOG_H
#define HOST_CORE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Opens `path` for appending (NULL: stderr only), and as soon as they log something AREA.log beside it for components
 * called AREA.x. Returns 0 or a negative error. */
int log_open(const char *path, enum log_level level, int to_stderr);
void log_close(void);
/* Opens those anew that were moved away or removed, as programs that turn logs over do. */
void log_reopen(void);
int log_level_from_name(const char *name); /* -1: unknown */

/* This thread says nothing until it is told otherwise: what it does has been told of before. */
void log_mute(int mute);

/* `about` names what the line concerns ("host", "orders 1.2.0", a component id). */
void log_write(enum log_level level, const char *about, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_debug(about, ...) log_write(LOG_DEBUG, about, __VA_ARGS__)
#define log_info(about, ...) log_write(LOG_INFO, about, __VA_ARGS__)
#define log_warning(about, ...) log_write(LOG_WARNING, about, __VA_ARGS__)
#define log_error(about, ...) log_write(LOG_ERROR, about, __VA_ARGS__)

#endif
