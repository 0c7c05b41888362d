/* HTTP for a simulator: requests in, answers out when they are durable and due. Two threads: the server's own
 * (libmicrohttpd: reads requests, decides answers, owns the ledger's entries) and the loop (commits ledger lines in
 * groups, waits out delays, lets answers go). */
#ifndef SIMULATOR_SERVER_H
#define SIMULATOR_SERVER_H

#include "vend.h"

#include <uv.h>

#define BODY_MAX_BYTES 4096
#define CONNECTIONS_MAX 2048

struct server_options {
    int port; /* 0: chosen by the system */
    char keys[VENDORS_MAX][KEY_MAX + 1];
    bool quiet;
};

struct server;

/* Listens on 127.0.0.1. Borrows `options` and `vending` until server_stop(). Returns 0, or -1 with a sentence. */
int server_start(uv_loop_t *loop, const struct server_options *options, struct vending *vending,
                 struct server **ret_server, char *ret_error, size_t error_size);
int server_port(const struct server *server);

/* Commits what is queued, closes every connection, ends the server's thread and closes its handles in the loop. Run
 * the loop once more, then server_free(). Loop thread. */
void server_stop(struct server *server);
void server_free(struct server *server);

#endif
