/* What a simulator says by itself: POSTs to the one who has asked for them, from a thread of its own, in the order of
 * their times, each again until it is taken. */
#ifndef SIMULATOR_HOOKS_H
#define SIMULATOR_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#define HOOKS_MAX 4096     /* waiting; further ones are dropped with a line */
#define HOOK_TRIES 5       /* of each */
#define HOOK_RETRY_MS 1000 /* between them */

struct hooks;

struct hooks *hooks_start(const char *program);
void hooks_end(struct hooks *hooks); /* accepts NULL; what still waits is not sent */

/* To be sent at `due_ms` (UTC): `header` is "Name: value" or several such lines, or NULL, `answer` what a taking answer
 * must contain besides status 200, or NULL. All copied. Any thread. */
void hooks_add(struct hooks *hooks, int64_t due_ms, const char *url, const char *header, const char *body,
               const char *answer);

#endif
