/* The contract between cvmhost and a plugin. This header is the manual: everything a plugin may use is here.
 *
 * A plugin is a shared object that exports one data symbol, `cvm_plugin` (see CVM_PLUGIN at the end), and a JSON
 * manifest that says what its components answer. The host calls only the functions of that descriptor; a plugin
 * calls the host only through `struct cvm_turn`, `struct cvm_host` and the table they point to. It links nothing of
 * the host: libc, libm and libjansson are all it needs.
 *
 * The model: a message arrives, a handler runs one turn, the turn is kept whole or not at all. Within a turn a
 * handler reads its state and the conversation's context, changes them, emits messages, and returns. It never
 * blocks; what takes time is a message sent now and its reply received later, in another turn.
 *
 * Two ownership rules:
 *   - what comes in (messages, state, context, configuration) is borrowed until the handler returns;
 *   - a `json_t *` handed to a function below is taken, also when the function fails. A taken value is frozen: it
 *     is shared with other components and with the journal, so neither the value nor anything in it may be changed.
 *
 * All functions run on the host's loop thread, inside a turn unless the comment says otherwise. All times are
 * milliseconds; points in time are UTC since 1970. All text is UTF-8 and ends with NUL.
 *
 * Errors are negative, from the table CVM_ERRORS. An error that the host has a reason for (a name that the manifest
 * does not list, a limit) is also a line in its log, with what would allow the call. A handler that gets an error
 * passes it on (CVM_TRY): the turn is undone and the requester gets an ERROR reply. Any function that makes something
 * may also fail with CVM_ENOMEM.
 *
 * An ephemeral operation ("durable": false in the manifest) is a look without consequences: it is not journalled, and
 * what would be kept is refused with CVM_ESTATE. */
#ifndef CVM_CVM_H
#define CVM_CVM_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CVM_ABI_MAJOR 1 /* differs: the plugin is refused */
#define CVM_ABI_MINOR 6 /* a plugin built for a newer minor than the host's is refused */
#define CVM_MAGIC "CVMPLUG\1"

#define CVM_MUST_USE __attribute__((warn_unused_result))

/* ---- limits (the host refuses what is larger, naming the limit) ---------------------------------------------- */

#define CVM_STATE_KEY_MAX 128            /* bytes of a state key, without NUL */
#define CVM_STATE_VALUE_MAX_BYTES 65536  /* a state value, as JSON text */
#define CVM_TURN_OUTPUTS_MAX 256         /* messages, calls, timers and settlements of one turn */
#define CVM_TURN_BYTES_MAX (1024 * 1024) /* the JSON text of all of them together */
#define CVM_NAME_MAX 127                 /* bytes of a component id, type, topic, conversation or table name */
#define CVM_CONTENT_MAX_BYTES 65536      /* the text of a message */
#define CVM_TURN_METRICS_MAX 256         /* figures that one turn publishes */
#define CVM_NOTE_METRIC "host.metric"    /* the word of a note by which cvm_metric says it */

/* ---- errors: negative, from this one table ------------------------------------------------------------------- */

/* Name, value, text. Values never change; new ones are appended. */
#define CVM_ERRORS(X)                                                                                                  \
    X(CVM_EINVAL, -1, "a value is not what was expected")                                                              \
    X(CVM_ENOENT, -2, "not found")                                                                                     \
    X(CVM_ENOMEM, -3, "out of memory")                                                                                 \
    X(CVM_EACCES, -4, "not allowed by the manifest")                                                                   \
    X(CVM_ELIMIT, -5, "larger than a limit")                                                                           \
    X(CVM_EBUSY, -6, "busy, try later")                                                                                \
    X(CVM_EFAULT, -7, "fault: the component is broken, the turn must be undone")                                       \
    X(CVM_EREFUSED, -8, "refused by a rule")                                                                           \
    X(CVM_ESTATE, -9, "not possible in this state")                                                                    \
    X(CVM_EEXIST, -10, "exists already")                                                                               \
    X(CVM_EIO, -11, "input or output failed")                                                                          \
    X(CVM_EDATA, -12, "stored data is damaged")                                                                        \
    X(CVM_EABI, -13, "built for another interface")                                                                    \
    X(CVM_ETIMEOUT, -14, "too late")

/* What a handler may return: one of the errors, or one of these two. */
enum {
#define CVM_X(name, value, text) name = value,
    CVM_ERRORS(CVM_X)
#undef CVM_X
        CVM_OK = 0, /* the turn is kept; a request left without a reply gets an ERROR reply */
    CVM_PENDING = 1 /* the turn is kept; the request stays open, `cvm_settle` ends it in a later turn */
};

/* Text of an error; never NULL. Any thread. */
static inline const char *cvm_strerror(int error)
{
    switch (error) {
#define CVM_X(name, value, text)                                                                                       \
    case name:                                                                                                         \
        return text;
        CVM_ERRORS(CVM_X)
#undef CVM_X
    case CVM_OK:
        return "ok";
    case CVM_PENDING:
        return "pending";
    }
    return "unknown error";
}

/* Evaluates `call` once and leaves the function with its value if that is negative. In a handler the turn is then
 * undone. Release what you hold before: a json_t that was not given away yet would leak. */
#define CVM_TRY(call)                                                                                                  \
    do {                                                                                                               \
        int cvm_try_ = (call);                                                                                         \
        if (cvm_try_ < 0)                                                                                              \
            return cvm_try_;                                                                                           \
    } while (0)

/* ---- messages ------------------------------------------------------------------------------------------------ */

/* The id of a message, request, timer or call: 128 bits. 0,0 is "none"; shown as MSG- and 32 hex digits. To keep one in
 * state, store both halves as integers. */
typedef struct {
    uint64_t hi, lo;
} cvm_id;

/* Whether the id is none. Any thread. */
static inline bool cvm_id_is_none(cvm_id id)
{
    return (id.hi | id.lo) == 0;
}

/* Whether two ids are the same. Any thread. */
static inline bool cvm_id_eq(cvm_id a, cvm_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* The message type of an envelope. */
enum cvm_message_type { CVM_REQUEST, CVM_RESPONSE, CVM_NOTIFICATION, CVM_ESCALATION };
/* How urgent: which lane runs first. A waiting lane rises a class each second, so that LOW is never starved. */
enum cvm_priority { CVM_LOW, CVM_MEDIUM, CVM_HIGH, CVM_CRITICAL };

/* How a request ended. Every request ends exactly once, with one of these. */
enum cvm_outcome {
    CVM_REPLIED, /* data is the operation's response */
    CVM_REFUSED, /* a rule said no: data is the operation's own body, or {"code","field","message"} */
    CVM_ERROR,   /* the handler failed or gave no reply: data is {"code","message"} */
    CVM_TIMEOUT, /* not settled by its deadline */
    CVM_BUSY,    /* the recipient's mailbox is full, it is down or not loaded; nothing was done */
    CVM_UNKNOWN  /* an outside effect may or may not have happened */
};

/* What a handler receives. Borrowed until the handler returns. Strings are never NULL. */
typedef struct cvm_msg {
    cvm_id id;
    cvm_id in_reply_to;       /* the request answered, in a reply; else none */
    cvm_id on_behalf;         /* the cookie given when the request, call or timer was made, else none */
    int64_t timestamp_ms;     /* when it was emitted */
    int64_t deadline_ms;      /* point in time by which a reply must be given; 0 is none */
    const char *sender;       /* component id; "" for a message from outside */
    const char *recipient;    /* component id */
    const char *type;         /* operation, topic, timer name, or "<type>.reply" for a reply */
    const char *conversation; /* "" for an ephemeral message, which may change no state and no context */
    const char *content;      /* human-readable */
    const char *enquiry_id;
    const char *customer_id;
    const char *session_id;
    const char *traceparent; /* W3C trace context, or "" */
    const json_t *data;      /* structured data: always an object */
    const json_t *tags;      /* array of strings */
    double confidence;       /* 0 to 1 */
    uint8_t message_type;    /* enum cvm_message_type */
    uint8_t priority;        /* enum cvm_priority */
    uint8_t outcome;         /* enum cvm_outcome; meaningful in a reply */
    uint8_t requires_response;
    uint16_t schema_version;
} cvm_msg;

/* ---- what a handler may ask of the host ------------------------------------------------------------------------ */

/* The turn: what a handler is given to ask of the host, valid until it returns. */
typedef struct cvm_turn cvm_turn;

/* What an emission is. */
enum cvm_out_kind {
    CVM_OUT_REQUEST, /* the reply comes as "<type>.reply" */
    CVM_OUT_MESSAGE, /* no reply is expected */
    CVM_OUT_PUBLISH, /* to all who subscribe to the topic `type`, without the sender; `to` is ignored */
    CVM_OUT_FORWARD, /* hands the request `request` on: the recipient settles it in our place, we are done with it */
    CVM_OUT_LOOK     /* since 1.6: a request that leaves no trace but its reply; see cvm_look */
};

/* An emission in full. The functions below fill it in for the usual cases; use it with t->host->emit for what they do
 * not offer (a forward into another conversation, tags, a confidence). */
typedef struct cvm_out {
    uint32_t size;  /* sizeof(cvm_out) */
    uint32_t kind;  /* enum cvm_out_kind */
    const char *to; /* component id, alias, or "role:R" (one holder is chosen); "BROADCAST" publishes */
    const char *type;
    json_t *data;             /* taken; an object, NULL for {} */
    const char *content;      /* copied; NULL for "" */
    json_t *tags;             /* taken; array of strings, NULL for [] */
    const char *conversation; /* NULL: the turn's own; else the name of another one, opened if it does not exist */
    const char *enquiry_id, *customer_id, *session_id; /* NULL: inherited */
    cvm_id on_behalf;                                  /* comes back in the reply */
    cvm_id request;                                    /* CVM_OUT_FORWARD: the open request */
    int64_t timeout_ms;   /* CVM_OUT_REQUEST: 0 means the recipient's default (30 s); at most 7 days */
    double confidence;    /* 0 means 1.0; give a negative number for a confidence of 0 */
    int8_t priority;      /* enum cvm_priority; -1: inherited */
    uint8_t message_type; /* CVM_OUT_MESSAGE: 0 means NOTIFICATION; may be CVM_ESCALATION */
    uint8_t fresh;        /* 1: `conversation` is new, the host need not look for an earlier one */
} cvm_out;

/* An outgoing HTTP call. It must be declared in the manifest (needs.hosts[].calls) under `name`; method, base URL
 * and what happens when its outcome is unknown are taken from there. It leaves when the turn is durable. The answer
 * comes as "<name>.reply": REPLIED with {"status", "headers", "body", "text"} for any complete HTTP answer ("body" is
 * the parsed JSON or null), ERROR when it certainly did not leave, TIMEOUT or UNKNOWN when it may have. */
typedef struct cvm_call {
    uint32_t size;
    const char *name;
    const char *path;    /* appended to the declared path; NULL for nothing */
    const json_t *query; /* borrowed; object of strings and numbers, NULL for none */
    json_t *headers;     /* taken; object of strings, NULL for none. A secret goes in as "${NAME}" */
    json_t *body;        /* taken; sent as JSON; NULL for no body */
    const char *key;     /* the business reference that makes a repeat harmless; NULL: the message id */
    cvm_id on_behalf;
    int64_t timeout_ms;  /* of one attempt; 0 means 30 s */
    int64_t deadline_ms; /* point in time when repeating and verifying end; 0: 5 minutes from now */
} cvm_call;

/* A further question of a search, to the same table, with the same `where`, `limit` and `keys_only`. */
typedef struct cvm_question {
    const char *match, *near_column, *near_vector; /* as in cvm_query */
} cvm_question;

/* A question to the tables that people read (manifest: needs.tables). Answers what is committed, as "query.reply"
 * with {"rows": [..], "more": bool}. Only tables of the component's own plugin. Rows are equal to `where`; with `match`
 * or a vector they are those that fit best (see docs/reference/search.md). */
typedef struct cvm_query {
    uint32_t size;
    const char *table;
    json_t *where;        /* taken; object column -> value (equal), NULL for all rows */
    const char *order_by; /* a column, "-" before it for descending; NULL: by key */
    int64_t limit;        /* 1 to 1000; 0 means 100 */
    cvm_id on_behalf;
    /* Since 1.2, for a table with "search" in the manifest. With either, `order_by` is NULL, the best rows come first,
     * at most `limit` of each kind, each with "text_score" (the higher the better) and "vector_score" (cosine), null
     * where it was not found that way; columns that hold vectors are left out. */
    const char *match; /* words, any of which may occur; nothing in it is syntax. A word that no row has is taken for
                          one that is spelled like it. The answer's "words" says {"n": rows, "terms": [[word, found as,
                          rows that have it], ..]}. NULL: not by words */
    const char *near_column, *near_vector; /* a vector column, and its numbers as base64 of
                                              little-endian floats, in which "*12;" is AAAAAAAAAAAA; NULL: not by it */
    json_t *with; /* taken; comes back as "with" in the answer, of any question, also in an error; NULL: nothing */
    /* Since 1.5. */
    bool keys_only; /* of a search: a row is [key, text score, vector score] */
    /* Since 1.6. */
    const cvm_question *also; /* of a search: what else is asked; the answer's "also" has {"rows", "words"} for each */
    size_t n_also;            /* at most CVM_QUESTIONS_MAX */
} cvm_query;

/* Further questions that may come with one. */
#define CVM_QUESTIONS_MAX 31

/* What a query of a plugin built for 1.0 or 1.1 has. */
#define CVM_QUERY_SIZE_1_0 offsetof(cvm_query, match)

/* A group of a match, by the offsets of its bytes in the text. */
typedef struct cvm_span {
    size_t start, end; /* bytes; start == (size_t)-1: the group did not take part */
} cvm_span;

/* Levels of the log. */
enum cvm_log_level { CVM_LOG_DEBUG, CVM_LOG_INFO, CVM_LOG_WARNING, CVM_LOG_ERROR };

/* Append-only; `size` says how much of it this host has. Use the cvm_...() functions below, not the table. */
typedef struct cvm_host {
    uint32_t size;
    uint16_t abi_major, abi_minor;
    int (*emit)(cvm_turn *t, const cvm_out *out, cvm_id *ret_id);
    int (*settle)(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *content);
    int (*refuse)(cvm_turn *t, const char *code, const char *field, const char *text);
    int (*timer)(cvm_turn *t, const char *type, int64_t delay_ms, json_t *data, cvm_id on_behalf, cvm_id *ret_id);
    int (*timer_cancel)(cvm_turn *t, cvm_id timer);
    int (*call)(cvm_turn *t, const cvm_call *call, cvm_id *ret_id);
    int (*query)(cvm_turn *t, const cvm_query *query);
    const json_t *(*context)(cvm_turn *t);
    int (*context_set)(cvm_turn *t, const char *path, json_t *value);
    int (*state_get)(cvm_turn *t, const char *key, const json_t **ret_value);
    int (*state_put)(cvm_turn *t, const char *key, json_t *value);
    int (*state_scan)(cvm_turn *t, const char *prefix, const char *after, size_t limit, json_t **ret_pairs);
    int (*row_put)(cvm_turn *t, const char *table, json_t *row);
    int (*row_del)(cvm_turn *t, const char *table, const char *key);
    int (*note)(cvm_turn *t, const char *what, json_t *data);
    int (*end)(cvm_turn *t);
    int64_t (*now_ms)(cvm_turn *t);
    uint64_t (*random)(cvm_turn *t);
    const json_t *(*settings)(cvm_turn *t);
    const json_t *(*registry)(cvm_turn *t, const char *what);
    int (*secret)(cvm_turn *t, const char *name, const char **ret_value);
    int (*match)(cvm_turn *t, const char *pattern, const char *text, size_t offset, cvm_span *spans, size_t n);
    int (*hmac_sha256)(cvm_turn *t, const void *key, size_t key_len, const void *data, size_t len, uint8_t ret[32]);
    void (*log)(cvm_turn *t, int level, const char *format, va_list args);
    int (*note_reply)(cvm_turn *t, int outcome, json_t *data, const char *content);
    int (*new_id)(cvm_turn *t, const char *prefix, char *ret_id, size_t size);
    /* Since 1.2. */
    int (*hmac)(cvm_turn *t, int digest, const void *key, size_t key_len, const void *data, size_t len,
                uint8_t *ret_mac, size_t size);
    /* Since 1.3. */
    int (*classify)(cvm_turn *t, const char *model, const char *text, json_t **ret_labels);
    /* Since 1.4. */
    int (*job_start)(cvm_turn *t, const char *job, json_t *input, cvm_id on_behalf, int64_t timeout_ms);
} cvm_host;

/* What of a turn a plugin sees. */
struct cvm_turn {
    const cvm_host *host; /* the rest is the host's own */
};

/* What a request may say beyond recipient, type and data. All borrowed; 0 and NULL mean: the usual. */
typedef struct cvm_request_opts {
    cvm_id on_behalf;         /* comes back in the reply: mostly the request being handled */
    int64_t timeout_ms;       /* until the reply is TIMEOUT; 0: the operation's own, else 30 s; at most 7 days */
    const char *conversation; /* another one than the turn's; opened if it does not exist */
    const char *content;      /* for people */
    const char *enquiry_id, *customer_id, *session_id; /* NULL: inherited */
    bool fresh;        /* `conversation` is new: the host need not look for an earlier one */
    bool has_priority; /* false: inherited */
    uint8_t priority;  /* enum cvm_priority */
    cvm_id *ret_id;    /* where the request's id goes; may be NULL */
} cvm_request_opts;

static inline int cvm__ask(cvm_turn *t, uint32_t kind, const char *to, const char *type, json_t *data,
                           const cvm_request_opts *opts)
{
    cvm_out out = {.size = sizeof out, .kind = kind, .to = to, .type = type, .data = data, .priority = -1};
    if (opts) {
        out.on_behalf = opts->on_behalf;
        out.timeout_ms = opts->timeout_ms;
        out.conversation = opts->conversation;
        out.content = opts->content;
        out.enquiry_id = opts->enquiry_id;
        out.customer_id = opts->customer_id;
        out.session_id = opts->session_id;
        out.fresh = opts->fresh;
        out.priority = opts->has_priority ? (int8_t)opts->priority : -1;
    }
    return t->host->emit(t, &out, opts ? opts->ret_id : NULL);
}

/* Sends a request when the turn is kept; its reply arrives as a message "<type>.reply", for which there should be a
 * route. `to` is a component's id, its alias, or "role:R" (one holder is chosen). Takes `data` (an object, NULL for
 * {}); `opts` may be NULL. Every request ends exactly once, at the latest by its timeout; a full recipient answers
 * BUSY, so this never fails for load. CVM_EACCES: `may_send_to` in the manifest does not list it. CVM_ENOENT: no such
 * component, or it has no such operation. CVM_EINVAL: no object, or text that is no UTF-8. CVM_ELIMIT: more than
 * CVM_TURN_OUTPUTS_MAX or CVM_TURN_BYTES_MAX in this turn, or more messages than the conversation may have. */
CVM_MUST_USE static inline int cvm_request(cvm_turn *t, const char *to, const char *type, json_t *data,
                                           const cvm_request_opts *opts)
{
    return cvm__ask(t, CVM_OUT_REQUEST, to, type, data, opts);
}

/* A request that asks and changes nothing: to an operation that is "durable": false. It runs outside of the turn's
 * conversation, beside others and before the turn is durable; nothing of it stands in the journal but the reply, which
 * comes as "<type>.reply" into the conversation as to any request. A host that ends meanwhile asks once more. To
 * another operation, with a `content` or a `conversation`, or from an ephemeral turn it is cvm_request, as it is where
 * the host is older than 1.6. Same rules and errors as cvm_request; `has_priority` and what follows from the turn are
 * as there. */
CVM_MUST_USE static inline int cvm_look(cvm_turn *t, const char *to, const char *type, json_t *data,
                                        const cvm_request_opts *opts)
{
    const bool look = t->host->abi_minor >= 6 && !(opts && (opts->content || opts->conversation));
    return cvm__ask(t, look ? CVM_OUT_LOOK : CVM_OUT_REQUEST, to, type, data, opts);
}

/* Sends a message that nobody answers, when the turn is kept. Takes `data` (an object, NULL for {}). To "BROADCAST" it
 * is cvm_publish on the topic `type`. Same rules and errors as cvm_request; to a full recipient it becomes a dead
 * letter. */
CVM_MUST_USE static inline int cvm_send(cvm_turn *t, const char *to, const char *type, json_t *data)
{
    cvm_out out = {.size = sizeof out, .kind = CVM_OUT_MESSAGE, .to = to, .type = type, .data = data, .priority = -1};
    return t->host->emit(t, &out, NULL);
}

/* Publishes on a topic when the turn is kept: each component that subscribes gets a copy in a lane of its own, the
 * sender none. Takes `data` (an object, NULL for {}). That nobody subscribes is no error. CVM_EACCES: `publishes` in
 * the manifest does not list the topic. CVM_EINVAL, CVM_ELIMIT: as for cvm_request. */
CVM_MUST_USE static inline int cvm_publish(cvm_turn *t, const char *topic, json_t *data)
{
    cvm_out out = {.size = sizeof out, .kind = CVM_OUT_PUBLISH, .type = topic, .data = data, .priority = -1};
    return t->host->emit(t, &out, NULL);
}

/* Hands an open request on, as a message `type` to `to`: that one settles it in our place; the requester and the
 * deadline stay. The handler returns CVM_PENDING if it is the request being handled. Takes `data` (an object, NULL for
 * {}). CVM_ENOENT: the request is not open any more, or there is no such recipient. CVM_EACCES: the request is another
 * component's, or `may_send_to` does not list `to`. CVM_ESTATE: an ephemeral operation may not hand on a durable
 * request. CVM_ELIMIT: as for cvm_request. */
CVM_MUST_USE static inline int cvm_forward(cvm_turn *t, cvm_id request, const char *to, const char *type, json_t *data)
{
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_FORWARD,
                   .to = to,
                   .type = type,
                   .data = data,
                   .request = request,
                   .priority = -1};
    return t->host->emit(t, &out, NULL);
}

/* Ends an open request that this component holds: the one being handled, or an earlier one that was left CVM_PENDING.
 * `outcome` is an enum cvm_outcome. Takes `data` (an object, NULL for {}); copies `content`, text for people, which may
 * be NULL. CVM_ENOENT: it is not open any more (its deadline passed, or it was answered): harmless in a later turn.
 * CVM_EACCES: another component holds it. CVM_ESTATE: an ephemeral operation may not end a durable request. CVM_EINVAL,
 * CVM_ELIMIT: as for cvm_request. */
CVM_MUST_USE static inline int cvm_settle(cvm_turn *t, cvm_id request, int outcome, json_t *data, const char *content)
{
    return t->host->settle(t, request, outcome, data, content);
}

/* Ends the request being handled with REPLIED. Takes `data`: the operation's response. Same errors as cvm_settle; of a
 * message that asks for no reply CVM_ENOENT. */
CVM_MUST_USE static inline int cvm_reply(cvm_turn *t, const cvm_msg *m, json_t *data)
{
    return t->host->settle(t, m->id, CVM_REPLIED, data, NULL);
}

/* Refuses the request being handled with {"code","field","message"} and undoes the turn, if the handler returns what
 * this returns: always CVM_EREFUSED. `code` is a word for programs (NOT_FOUND), `field` the member of the request that
 * is to blame or NULL, `text` a sentence for people. All copied. At an edge it is the status that `expose` names under
 * `refused` and exit status 5. */
CVM_MUST_USE static inline int cvm_refuse(cvm_turn *t, const char *code, const char *field, const char *text)
{
    return t->host->refuse(t, code, field, text);
}

/* Refuses with the operation's own body (an object, taken) and undoes the turn. Returns CVM_EREFUSED; CVM_EINVAL if the
 * body is no object. To refuse and keep what the turn changed, use cvm_settle(t, m->id, CVM_REFUSED, body, NULL) and
 * return CVM_OK. */
CVM_MUST_USE static inline int cvm_refuse_with(cvm_turn *t, json_t *body)
{
    return t->host->note_reply(t, CVM_REFUSED, body, NULL);
}

/* Delivers a message of type `type` to this component, in this conversation, after `delay_ms` (0 to 400 days). It is
 * kept with the turn: it survives a restart and a reload, and a late one fires at once. Takes `data` (an object, NULL
 * for {}). `on_behalf` comes back in the message; `ret_id`, for cvm_timer_cancel, may be NULL. CVM_ENOENT: no route of
 * that name. CVM_EINVAL: the delay or the data. CVM_ESTATE: in an ephemeral operation. CVM_ELIMIT: as for cvm_request.
 */
CVM_MUST_USE static inline int cvm_timer(cvm_turn *t, const char *type, int64_t delay_ms, json_t *data,
                                         cvm_id on_behalf, cvm_id *ret_id)
{
    return t->host->timer(t, type, delay_ms, data, on_behalf, ret_id);
}

/* Cancels a timer of this component when the turn is kept, from any conversation. CVM_ENOENT: it has fired, was
 * cancelled, or was armed by this very turn. CVM_ESTATE: in an ephemeral operation. */
CVM_MUST_USE static inline int cvm_timer_cancel(cvm_turn *t, cvm_id timer)
{
    return t->host->timer_cancel(t, timer);
}

/* Makes an outgoing HTTP call; see cvm_call. It leaves when the turn is durable (one that is declared safe as soon as
 * the turn is kept), the answer is a message "<name>.reply". `ret_id` may be NULL. CVM_EACCES: not declared.
 * CVM_ENOENT: the setting that holds its address is empty. CVM_EINVAL: the query is no object, a header has a line
 * break, the key is longer than 256 bytes. CVM_ESTATE: an ephemeral operation may make safe calls only. CVM_ELIMIT: as
 * for cvm_request. */
CVM_MUST_USE static inline int cvm_http_call(cvm_turn *t, const cvm_call *call, cvm_id *ret_id)
{
    return t->host->call(t, call, ret_id);
}

/* Asks a table; see cvm_query. The answer is a message "query.reply". CVM_EACCES: the manifest declares no such table.
 * CVM_EINVAL: `where` or `order_by` names no column, the limit is none, or what is searched is not declared so.
 * CVM_ELIMIT: as for cvm_request. */
CVM_MUST_USE static inline int cvm_ask(cvm_turn *t, const cvm_query *query)
{
    return t->host->query(t, query);
}

/* The conversation's shared document: an object, never NULL, borrowed until the handler returns or the next
 * cvm_context_set. Other components of the conversation read and write it too. */
static inline const json_t *cvm_context(cvm_turn *t)
{
    return t->host->context(t);
}

/* Sets the value at `path` in the conversation's document ("/a/b"; missing objects on the way are made; "/a/b/-"
 * appends to the array at "/a/b"). Takes `value`; NULL removes. Read back by cvm_context in the same turn. CVM_EINVAL:
 * the path does not begin with "/". CVM_ESTATE: in an ephemeral operation. */
CVM_MUST_USE static inline int cvm_context_set(cvm_turn *t, const char *path, json_t *value)
{
    return t->host->context_set(t, path, value);
}

/* Reads a value of the component's own durable data; a turn sees its own writes. The value is borrowed until the
 * handler returns. One that an older build wrote comes through `upgrade`. CVM_ENOENT: no such key, *ret_value is
 * untouched. CVM_ELIMIT: the key has no bytes or more than CVM_STATE_KEY_MAX, or is no UTF-8. CVM_EDATA: the value is
 * of a state version that this build cannot read. */
CVM_MUST_USE static inline int cvm_state_get(cvm_turn *t, const char *key, const json_t **ret_value)
{
    return t->host->state_get(t, key, ret_value);
}

/* Writes a value of the component's own durable data, kept with the turn. Takes `value`: any JSON of at most
 * CVM_STATE_VALUE_MAX_BYTES as text. CVM_ELIMIT: key or value. CVM_ESTATE: in an ephemeral operation. CVM_ENOMEM: NULL,
 * a value for which there was no memory (to remove a key there is cvm_state_del). */
CVM_MUST_USE static inline int cvm_state_put(cvm_turn *t, const char *key, json_t *value)
{
    return value ? t->host->state_put(t, key, value) : CVM_ENOMEM;
}

/* Removes a key; that it is not there is no error. Same errors as cvm_state_put. */
CVM_MUST_USE static inline int cvm_state_del(cvm_turn *t, const char *key)
{
    return t->host->state_put(t, key, NULL);
}

/* Up to `limit` (1 to 1000) pairs [key, value] whose key begins with `prefix` ("" for all), in byte order, after the
 * key `after` (NULL: from the first; to go on, the last key seen). Sees the turn's own writes. Gives an array, to be
 * released. CVM_ELIMIT: the limit. CVM_EDATA: as for cvm_state_get. */
CVM_MUST_USE static inline int cvm_state_scan(cvm_turn *t, const char *prefix, const char *after, size_t limit,
                                              json_t **ret_pairs)
{
    return t->host->state_scan(t, prefix, after, limit, ret_pairs);
}

/* Reads an integer; a missing key reads as 0. CVM_EDATA: the value is something else. Else as cvm_state_get. */
CVM_MUST_USE static inline int cvm_state_int(cvm_turn *t, const char *key, int64_t *ret_value)
{
    const json_t *v = NULL;
    int e = t->host->state_get(t, key, &v);
    if (e == CVM_ENOENT) {
        *ret_value = 0;
        return CVM_OK;
    }
    if (e < 0)
        return e;
    if (!json_is_integer(v))
        return CVM_EDATA;
    *ret_value = (int64_t)json_integer_value(v);
    return CVM_OK;
}

/* Writes an integer. Same errors as cvm_state_put. */
CVM_MUST_USE static inline int cvm_state_put_int(cvm_turn *t, const char *key, int64_t value)
{
    return cvm_state_put(t, key, json_integer(value));
}

/* Inserts or replaces a row of a table the manifest declares, kept with the turn. Takes `row`: an object that has the
 * table's key (a string of at most 256 bytes) and fits its schema. What a turn wrote is seen by cvm_ask when it is
 * committed. CVM_EACCES: no such table in the manifest. CVM_EINVAL: key or schema. CVM_ESTATE: in an ephemeral
 * operation. CVM_ELIMIT: as for cvm_request. */
CVM_MUST_USE static inline int cvm_row_put(cvm_turn *t, const char *table, json_t *row)
{
    return t->host->row_put(t, table, row);
}

/* Removes a row; that it is not there is no error. Same errors as cvm_row_put. */
CVM_MUST_USE static inline int cvm_row_del(cvm_turn *t, const char *table, const char *key)
{
    return t->host->row_del(t, table, key);
}

/* Records why: what was known, considered and chosen. Kept with the turn, shown by `cvmhost why`. `what` is a short
 * word such as "decision", "rule", "tool". A "decision" about somebody or something names it as "subject", beside
 * "chose" and "because": `reload --prove` tells which of these a change of code alters. Takes `data`. Dropped in an
 * ephemeral operation. CVM_ELIMIT: as for cvm_request. */
CVM_MUST_USE static inline int cvm_note(cvm_turn *t, const char *what, json_t *data)
{
    return t->host->note(t, what, data);
}

/* Publishes a figure on /metrics when the turn is kept: the component's metric `name`, which the manifest declares
 * (`metrics`), shown as cvmhost_NAME. A counter grows by `value`, a gauge becomes it, a histogram counts it. `label` is
 * the value of the metric's label, NULL where it has none; of the first 100 values each has a row, the rest share one
 * called "other". Nothing of it is journalled: after a start of the host counters begin at 0 and gauges have no value,
 * so publish what is known in the turn "start". No personal data. Dropped in an ephemeral operation. CVM_EACCES: the
 * manifest declares no such metric. CVM_EINVAL: no finite number, or less than 0 for a counter. CVM_ELIMIT: more than
 * CVM_TURN_METRICS_MAX in this turn. */
CVM_MUST_USE static inline int cvm_metric(cvm_turn *t, const char *name, const char *label, double value)
{
    json_t *data = json_pack("{s:s, s:s, s:f}", "name", name, "label", label ? label : "", "value", value);
    return data ? t->host->note(t, CVM_NOTE_METRIC, data) : CVM_EINVAL;
}

/* Says that the conversation is over: it leaves memory once nothing in it is open. A later message opens it again.
 * CVM_ESTATE: in an ephemeral operation. */
CVM_MUST_USE static inline int cvm_end(cvm_turn *t)
{
    return t->host->end(t);
}

/* The turn's time, milliseconds since 1970 UTC; constant within a turn. The only clock a handler should use: a turn
 * that is run again gets the same. */
static inline int64_t cvm_now_ms(cvm_turn *t)
{
    return t->host->now_ms(t);
}

/* A short id for people, "<prefix>-" and 12 hex digits ("ENQ-5b1d3c9a7e20"): a durable counter of this component and
 * prefix through a keyed permutation of 48 bits, so unique without a look-up and not guessable in order. `prefix` is 1
 * to 8 letters, else CVM_EINVAL. Undone with the turn. CVM_ESTATE: in an ephemeral operation. CVM_ELIMIT: more than
 * CVM_TURN_OUTPUTS_MAX in this turn. */
#define CVM_SHORT_ID_SIZE 24 /* bytes that `ret_id` needs */
CVM_MUST_USE static inline int cvm_new_id(cvm_turn *t, const char *prefix, char ret_id[CVM_SHORT_ID_SIZE])
{
    return t->host->new_id(t, prefix, ret_id, CVM_SHORT_ID_SIZE);
}

/* Random bits seeded by (message id, component): the same turn run again gets the same. Not for secrets. */
static inline uint64_t cvm_random(cvm_turn *t)
{
    return t->host->random(t);
}

/* The component's settings: the manifest's `settings` overridden by the operator's configuration
 * (`agents.<id>.settings`). An object, never NULL, borrowed until the handler returns. */
static inline const json_t *cvm_settings(cvm_turn *t)
{
    return t->host->settings(t);
}

/* What is loaded: "domains" (array of domain sections, each with "intents" and "routes" resolved), "components"
 * (array of {id, alias, kind, roles, plugin, version, tools, operations}), "knowledge" (array of {plugin, domain, file,
 * text}: the texts of the domains' folders), "pages" (array of {path, title, nav, plugin}), "workflows" (array
 * of {name, plugin, description, steps} as the manifests declare them, what others add put in and every "next" written
 * out). A component that subscribes
 * to the topic "host.registry" is told when any of it has changed. Also "roles": the operator's order of who holds a
 * role (object role -> array of ids; without those he says nothing of). Borrowed until the handler returns; a list that
 * has not changed is the same value in the next turn, so what is made of it may be kept beside a reference to it. NULL
 * for another word. */
static inline const json_t *cvm_registry(cvm_turn *t, const char *what)
{
    return t->host->registry(t, what);
}

/* A secret the manifest names (needs.secrets), borrowed until the handler returns. CVM_EACCES: not named (and written
 * to the audit). CVM_ENOENT: not set. The value must not be put into a message, state, note or log: in a call's header
 * use "${NAME}", which the host replaces as the call leaves. */
CVM_MUST_USE static inline int cvm_secret(cvm_turn *t, const char *name, const char **ret_value)
{
    return t->host->secret(t, name, ret_value);
}

/* Finds a regular expression (PCRE2, UTF-8, without regard to case) in text from byte `offset`; the pattern is
 * compiled once and kept. spans[0] is the whole match, spans[i] its group i, of `n` places; those beyond the match's
 * groups say "took no part". Returns the number of groups found, the whole one counted (>= 1; it may be more than `n`).
 * CVM_ENOENT: no match. CVM_EINVAL: a bad pattern. CVM_ELIMIT: text over 64 KiB, pattern over 4 KiB, or a match that
 * takes too many steps. */
CVM_MUST_USE static inline int cvm_match(cvm_turn *t, const char *pattern, const char *text, size_t offset,
                                         cvm_span *spans, size_t n)
{
    return t->host->match(t, pattern, text, offset, spans, n);
}

/* What a text model of the host says of a text: {"topic": [["BILLS", .93], ["CARDS", .04]], "urgent": [["no", .99]]},
 * for each head its best labels, at most three, best first, with probabilities (thousandths; a label that rounds to 0
 * is left out): of what it says with .8 about 80 % is right. A pure function of model and text, in some microseconds;
 * at most 2,000 symbols of the text count. The turn's record keeps the answer with the model's hash, so a turn that is
 * run again gets the same. Labels may name what is not loaded any more. Gives a new object. CVM_ENOENT: no model
 * answers yet (its training takes seconds after a change of the examples), or models are switched off: go by rules
 * then. CVM_EACCES: the manifest neither declares the model (`models`) nor names it (needs.models). CVM_ELIMIT: text
 * over 64 KiB. Since 1.3. */
CVM_MUST_USE static inline int cvm_classify(cvm_turn *t, const char *model, const char *text, json_t **ret_labels)
{
    return t->host->classify(t, model, text, ret_labels);
}

/* The digest of a code of authentication. */
enum cvm_digest { CVM_SHA256, CVM_SHA512 };
#define CVM_MAC_MAX 64 /* bytes that `ret_mac` needs */

/* The HMAC of `len` bytes, as it comes with a webhook. Gives its length: 32 or 64. CVM_EINVAL: no such digest. Since
 * 1.2. */
CVM_MUST_USE static inline int cvm_hmac(cvm_turn *t, enum cvm_digest digest, const void *key, size_t key_len,
                                        const void *data, size_t len, uint8_t ret_mac[CVM_MAC_MAX])
{
    return t->host->hmac(t, (int)digest, key, key_len, data, len, ret_mac, CVM_MAC_MAX);
}

/* Whether two texts are equal, in a time that says nothing about where they differ: for signatures and keys. What their
 * lengths are is no secret. Any thread. */
static inline bool cvm_same_secret(const char *a, const char *b)
{
    size_t len = strlen(a);
    volatile unsigned char differs = 0;
    if (len != strlen(b))
        return false;
    for (size_t i = 0; i < len; i++)
        differs = (unsigned char)(differs | ((unsigned char)a[i] ^ (unsigned char)b[i]));
    return differs == 0;
}

/* Writes a line of at most 1 KiB to the host's log, with the component's name. `level` is an enum cvm_log_level. Not
 * undone with the turn. No personal data, no secret. */
__attribute__((format(printf, 3, 4))) static inline void cvm_log(cvm_turn *t, int level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    t->host->log(t, level, format, args);
    va_end(args);
}

/* ---- long work: job.h ----------------------------------------------------------------------------------------------
 */

#include <cvm/job.h>

/* ---- mail: mail.h --------------------------------------------------------------------------------------------------
 */

#include <cvm/mail.h>

/* ---- the descriptor ---------------------------------------------------------------------------------------------- */

/* A component of the library; the manifest has one of the same id and state version. */
typedef struct cvm_component {
    const char *id;
    uint32_t state_version; /* of the values it writes, from 1 */
    /* Turns a stored value of an older state version into today's, when it is read. Borrows `value`, gives the new
     * one; called for every key, so give back a copy of what has not changed. Pure, outside a turn. NULL:
     * values of other versions are an error. */
    int (*upgrade)(uint32_t from_version, const char *key, const json_t *value, json_t **ret_value);
    /* The other way, so that a rollback can read what this build has written. NULL: there is no way back. */
    int (*downgrade)(uint32_t to_version, const char *key, const json_t *value, json_t **ret_value);
} cvm_component;

/* A handler: one function for one (component, type), run in a turn of its own. Borrows `m`. Returns CVM_OK, CVM_PENDING
 * or an error; after an error nothing of its turn is kept, and CVM_EFAULT says that the component is broken and is a
 * strike against the build. It never blocks and is done within the turn's budget (`limits.turn_budget_ms`). The type is
 * an operation of the manifest, "<type>.reply", the name of a timer or call reply, a subscribed topic, or "start" (the
 * first turn of a loaded build, in the conversation "component:<id>", where timers may be armed and first state be
 * written). */
typedef int (*cvm_handler)(cvm_turn *t, const cvm_msg *m);

/* The type of a route that takes each reply which no other route of its component takes: for a component that asks for
 * operations whose names it is told. The message's type is "<type>.reply" all the same. */
#define CVM_ANY_REPLY "*.reply"

/* Which handler takes which messages. Each operation of the manifest has one; replies, timers and topics as needed. */
typedef struct cvm_route {
    const char *component;
    const char *type;
    cvm_handler handler;
} cvm_route;

/* What the library exports, as the symbol `cvm_plugin`. */
typedef struct cvm_plugin_descriptor {
    char magic[8]; /* CVM_MAGIC; these first fields are read from the file before any code of it runs */
    uint32_t size; /* sizeof(cvm_plugin_descriptor) */
    uint16_t abi_major, abi_minor;
    char name[64];
    char version[32];
    const cvm_component *components; /* ends with { 0 } */
    const cvm_route *routes;         /* ends with { 0 } */
    /* Cold: no effects, no turn. Both may be NULL. A failing create refuses the load. */
    int (*create)(void **ret_instance);
    void (*destroy)(void *instance);
    int (*turn)(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route);
    /* Since 1.1, may be NULL. No turn comes to this build any more; a newer one may be running already. Outside any
     * turn, cold like create; destroy follows. */
    void (*stop)(void *instance);
    const cvm_job_entry *jobs; /* since 1.4, ends with { 0 }; NULL: none */
} cvm_plugin_descriptor;

/* Defines the descriptor. `static const cvm_component components[]` and `static const cvm_route routes[]` are given
 * as .components and .routes:
 *     CVM_PLUGIN(.name = "orders", .version = "1.4.0", .components = components, .routes = routes); */
#define CVM_PLUGIN(...)                                                                                                \
    static int cvm__turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route);                               \
    __attribute__((visibility("default"), used))                                                                       \
    const cvm_plugin_descriptor cvm_plugin = {.magic = CVM_MAGIC,                                                      \
                                              .size = sizeof(cvm_plugin_descriptor),                                   \
                                              .abi_major = CVM_ABI_MAJOR,                                              \
                                              .abi_minor = CVM_ABI_MINOR,                                              \
                                              .turn = cvm__turn,                                                       \
                                              __VA_ARGS__};                                                            \
    static int cvm__turn(void *instance, cvm_turn *t, const cvm_msg *m, uint32_t route)                                \
    {                                                                                                                  \
        (void)instance;                                                                                                \
        return cvm_plugin.routes[route].handler(t, m);                                                                 \
    }                                                                                                                  \
    extern const cvm_plugin_descriptor cvm_plugin

#ifdef __cplusplus
}
#endif
#endif
