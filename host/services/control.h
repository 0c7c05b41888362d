/* The control socket: what the command line client talks to. Newline-delimited JSON over a Unix stream socket; a
 * request may be sent before the last is answered, answers carry its "id". Knows the core only through edge.h,
 * core.h and registry.h. Loop thread.
 *
 *   -> {"id":1,"do":"call","to":"a.b","type":"t","data":{..},"key":"k","priority":"HIGH","timeout_ms":5000,
 *       "content":"..","conversation":"..","session_id":"..","trace":true}    or "envelope":{..} instead of to..content
 *   <- {"id":1,"trace":ENVELOPE} ...
 *   <- {"id":1,"outcome":"REPLIED","data":{..},"content":"..","message_id":"MSG-..","repeated":true}
 *   <- {"id":1,"error":{"code":"INVALID","field":"amount","text":"a sentence","retry_after_s":1}}
 *   -> {"id":2,"do":"ps"}          <- {"id":2,"data":..}
 *   -> {"id":5,"do":"hello"}       <- {"id":5,"data":{"pid":42,"private":false,"version":"1.2.0","database":5}}
 *                                                                       private: ends with its last client
 *   -> {"id":4,"do":"change","what":"reload","plugin":"p","now":false}    what: reload, rollback, enable, disable,
 * remove;
 *   <- {"id":4,"data":REPORT}                                             the report is that of core/reload.h
 *   -> {"id":3,"do":"tail",..}     <- {"id":3,"open":true}, then {"id":3,"envelope":ENVELOPE} until the client goes
 *
 * "do" is one of hello, call, operations, ps, plugins, plugin, components, metrics, config, revive, change, tail, why,
 * dlq.list, dlq.show, state.stores, state.list, state.get, state.put, state.delete, audit, conversation,
 * journal.prune, journal.stats, backup, upgrade, upgrade.status. */
#ifndef HOST_SERVICES_CONTROL_H
#define HOST_SERVICES_CONTROL_H

#include "core/config.h"
#include "core/core.h"
#include <uv.h>

#define CONTROL_LINE_MAX_BYTES (1024 * 1024)
#define CONTROL_CONNECTIONS_MAX 64
#define CONTROL_CALLS_MAX 4096                       /* open calls of one connection */
#define CONTROL_BACKLOG_MAX_BYTES (16 * 1024 * 1024) /* unread answers; a client that lets more pile up is cut off */

struct control;
struct operation_counters;

struct control_options {
    uv_loop_t *loop;
    struct core *core;                   /* borrowed; closed after the control server */
    const struct config *config;         /* borrowed; NULL: "config" answers nothing */
    struct operation_counters *counters; /* borrowed; NULL: nothing is counted by operation */
    int fd;                  /* a bound Unix stream socket (data/cvmhost.sock); taken also on failure. Its file is
                                the caller's */
    bool is_private;         /* what "hello" says */
    void (*idle)(void *arg); /* the last connection has closed; NULL: nobody wants to know */
    void *idle_arg;
    struct page *page; /* by which a supervisor is asked to go over to another program; NULL: there is none. Borrowed */
    const char *version; /* of the host; borrowed */
    int64_t database;    /* the format of its store */
};

/* Starts to listen. Returns 0 or a negative error. */
int control_open(const struct control_options *options, struct control **ret_control);

size_t control_connections(const struct control *control);

/* Takes no new connections; those that are open go on. */
void control_drain(struct control *control);
/* Whether somebody waits for an answer; with `fresh`, also where somebody has come and not asked yet. */
bool control_busy(const struct control *control, bool fresh);

/* Stops listening, cuts all connections off (calls already taken go on) and calls `closed` (may be NULL) from the loop
 * when nothing of it is left. Accepts NULL: `closed` is then called at once. */
void control_close(struct control *control, void (*closed)(void *), void *arg);

#endif
