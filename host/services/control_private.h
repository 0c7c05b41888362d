/* What the parts of the control server share: connections (control.c), open requests, and the answers to each "do"
 * (control_call.c, control_ask.c, control_change.c, control_keep.c, control_state.c, control_store.c,
 * control_upgrade.c, control_why.c). Loop thread. */
#ifndef HOST_SERVICES_CONTROL_PRIVATE_H
#define HOST_SERVICES_CONTROL_PRIVATE_H

#include "core/edge.h"
#include "services/control.h"
#include "services/operation_counters.h"
#include <cvm/json.h>

struct connection;

/* SQL: milliseconds as times for people and programs. */
#define AS_TIME "'%Y-%m-%dT%H:%M:%fZ'"
#define SQL_AT "strftime(" AS_TIME ", at_ms / 1000.0, 'unixepoch') AS at"
#define SQL_OPENED "strftime(" AS_TIME ", opened_ms / 1000.0, 'unixepoch') AS opened_at"
#define SQL_ENDED "strftime(" AS_TIME ", nullif(ended_ms, 0) / 1000.0, 'unixepoch') AS ended_at"
#define SQL_FOLDED "strftime(" AS_TIME ", folded_ms / 1000.0, 'unixepoch') AS folded_at"
#define SQL_MESSAGE "'MSG-' || lower(hex(message)) AS message_id"

/* A request that is not answered yet. It belongs to its connection until that closes; one with a query or change
 * under way then lives on, without a connection, until that ends. */
struct exchange {
    struct connection *connection; /* NULL: the client has gone */
    struct core *core;
    const struct control_options *options; /* of the server, which outlives it */
    const struct config *config;
    json_t *id; /* the client's number of it; NULL: it gave none */
    struct operation_counters *counters;
    struct operation_count *count; /* of a call */
    uint64_t begun_ns;
    cvm_id message;
    struct edge_tap *tap;
    struct exchange *next, *prev;
    json_t *filter; /* of a tail */
    uint8_t calling, querying;
    bool is_private; /* the host */
};

/* Sends one more line of the answer. `line` is an object and taken; "id" is put into it. */
void control__send(struct exchange *x, json_t *line);
void control__end(struct exchange *x);
/* The last line: {"data"}, taken; NULL: out of memory. */
void control__answer(struct exchange *x, json_t *data);
/* The last line: an error; `error` is a CVM_E.... */
void control__fail(struct exchange *x, int error, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
json_t *control__error(int error, const char *field, const char *text, int retry_after_s);

/* Something that ends with a callback of its own is under way: the exchange outlives its connection until
 * control__resume, which says whether the client is still there; if not, the exchange is gone too. */
void control__suspend(struct exchange *x);
bool control__resume(struct exchange *x);

/* Asks the committed data; `done` owns `rows` and is not called once the client has gone (`gone` is then, which may be
 * NULL and frees `arg`). On failure the exchange is answered and ended and `gone` called. */
typedef void (*control_rows)(struct exchange *x, void *arg, json_t *rows, bool more);
void control__query(struct exchange *x, const char *sql, json_t *binds, size_t limit, control_rows done,
                    void (*gone)(void *arg), void *arg);

void control__call(struct exchange *x, const json_t *request);
void control__tail(struct exchange *x, const json_t *request);
void control__ask(struct exchange *x, const char *what, const json_t *request);
void control__change(struct exchange *x, const json_t *request);
void control__revive(struct exchange *x, const char *plugin); /* a quarantined one */
void control__upgrade(struct exchange *x, const json_t *request);
void control__upgrade_status(struct exchange *x);
void control__edit(struct exchange *x, const char *what, const json_t *request);
void control__keep(struct exchange *x, const char *what, const json_t *request);
void control__why(struct exchange *x, const char *what);
/* control_store.c: whether the request is for a component that keeps values for others; it is then answered. */
bool control__store(struct exchange *x, const char *what, const json_t *request);
void control__count_stores(struct exchange *x, json_t *rows, bool more); /* "state.stores"; takes the others' rows */
/* control_why_facts.c */
json_t *control__why_writers(const json_t *story); /* gives an object: numbers of turns whose state the story's read */
void control__why_facts(json_t *story, const json_t *states);        /* states: number of a turn -> what it wrote */
void control__why_configurations(json_t *story, const json_t *rows); /* rows: id, hash, doc */

#endif
