/* A connection to the control socket of the host that runs in a home. Reads and writes without ever waiting for only
 * one of the two, so that a host that waits for us to read cannot stop us. One thread. */
#ifndef HOST_CLI_CLIENT_H
#define HOST_CLI_CLIENT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct client;

/* CVM_ENOENT: no host is running there. All errors come with a sentence. */
int client_open(const char *home, struct client **ret_client, char *ret_error, size_t error_size);
void client_free(struct client *client); /* accepts NULL */

/* Queues a line; it leaves while client_next waits. `line` is taken. */
int client_send(struct client *client, json_t *line);

/* The next line. CVM_ETIMEOUT: none within timeout_ms (negative: wait for ever); CVM_EIO: the connection has ended. */
int client_next(struct client *client, int64_t timeout_ms, json_t **ret_line);

/* The same, but gives CVM_PENDING and no line as soon as `fd` can be read. */
int client_next_or(struct client *client, int fd, int64_t timeout_ms, json_t **ret_line);

#endif
