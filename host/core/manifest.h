/* A plugin's manifest: read, checked against the manifest schema and for sense, compiled into structs.
 * Owns everything it points to; `const char *` members point into `doc`. Knows no registry and loads no code. */
#ifndef HOST_CORE_MANIFEST_H
#define HOST_CORE_MANIFEST_H

#include "schema.h"
#include <cvm/cvm.h>

#define MANIFEST_FILE_MAX_BYTES (1024 * 1024)
#define MANIFEST_COMPONENTS_MAX 64
#define MANIFEST_OPERATIONS_MAX 256 /* of one component */

enum manifest_kind { KIND_AGENT, KIND_TRIGGER, KIND_TREATMENT, KIND_CHANNEL, KIND_PROVIDER };
enum manifest_unknown { UNKNOWN_SAFE, UNKNOWN_REPEAT, UNKNOWN_VERIFY, UNKNOWN_REPORT };

struct manifest_strings {
    const char **at;
    size_t n;
};

/* "expose" of an operation; members are NULL or 0 where the manifest has none. */
struct manifest_expose {
    const char *cli;              /* "order place" */
    const char *help;             /* one line */
    struct manifest_strings args; /* positional arguments, in order; each names a request property. A "?" at the end
                                     of the name makes it optional, which is already cut off here: see n_required */
    size_t n_required;
    const char *method, *path; /* REST: "POST", "/api/v1/transactions/{transaction_id}" */
    const json_t *rename;      /* object: edge name -> request property */
    int refused;               /* HTTP status of a REFUSED reply; default 422 */
    int success;               /* default 200 */
    const char *permission;
    const json_t *columns; /* array of strings: columns of the table output; NULL: all scalar members */
    const char *rows;      /* member of the response that holds the array shown as a table; NULL: none */
    bool list;             /* JSON output is that array alone */
    bool explains;         /* `why` asks it about a subject */
    bool text;             /* the answer's "body" is given as it stands */
};

struct manifest_operation {
    const char *type;
    const char *description;                        /* "" where there is none */
    struct schema *request, *response;              /* NULL: any object */
    const json_t *request_schema, *response_schema; /* as written, $ref not resolved; NULL where there is none */
    const struct manifest_expose *expose;           /* NULL: only on the bus */
    bool ephemeral;                                 /* "durable": false: a pure look-up, not journalled */
    bool redrive, raw;
    int retry;          /* 0 to 3: how often a faulted turn is run again */
    int64_t timeout_ms; /* default for requests to it; 0: 30 s */
};

struct manifest_component {
    const char *id, *alias; /* without an alias of its own: the id */
    enum manifest_kind kind;
    struct manifest_strings roles, next, may_send_to, publishes, subscribes;
    const json_t *serves;          /* {"region": ["north"]}: which requests a role holder takes; NULL: all */
    const json_t *settings;        /* object, never NULL */
    struct schema *settings_check; /* what they may be; NULL: anything */
    const json_t *tools;           /* array of strings or NULL */
    const json_t *metrics;         /* array of {name, kind, help, label, buckets} or NULL */
    uint32_t state_version;        /* default 1 */
    struct manifest_operation *operations;
    size_t n_operations;
};

struct manifest_call {
    const char *name, *method;
    bool text;                     /* a success is answered by text */
    bool mail;                     /* the method is MAIL: it goes by SMTP */
    const char *url;               /* base URL, or "setting:NAME": the calling component's setting of that name */
    const char *path;              /* "" or "/..." */
    enum manifest_unknown unknown; /* "safe": true gives UNKNOWN_SAFE */
    const char *by;                /* UNKNOWN_VERIFY: the component's operation that looks the outcome up */
    const char *key_header;        /* header that carries the key, default "Idempotency-Key" */
    bool exact;                    /* decimals of an answer come as strings, as they were written */
};

struct manifest_column {
    const char *name;
    enum { COLUMN_TEXT, COLUMN_INTEGER, COLUMN_REAL, COLUMN_JSON } type; /* arrays and objects: JSON text */
};

#define MANIFEST_SEARCH_TEXTS_MAX 16
#define MANIFEST_SEARCH_VECTORS_MAX 4
#define MANIFEST_SEARCH_DIMENSION_MAX 4096

/* What of a table's rows can be searched: words of text columns, each with the weight of its words, and vectors. */
struct manifest_search {
    struct {
        const char *column;
        double weight;
    } texts[MANIFEST_SEARCH_TEXTS_MAX];
    struct {
        const char *column; /* base64 of little-endian floats; kept in the index only */
        int dimension;
    } vectors[MANIFEST_SEARCH_VECTORS_MAX];
    size_t n_texts, n_vectors;
};

struct manifest_table {
    const char *name;
    const char *key;           /* the column that is the primary key: a string */
    const json_t *schema_json; /* as written, without the outermost $ref */
    struct schema *schema;     /* of a row: an object of the columns, additionalProperties false */
    struct manifest_column *columns;
    size_t n_columns;
    struct manifest_strings indexes; /* one column each; "-column" for descending, "NAME=column" with a name */
    struct manifest_search search;   /* no texts and no vectors: it is not searched */
    bool bulk;                       /* its rows come from jobs, not from turns */
};

/* Of an index as the manifest writes it: its column, its name in the database. */
const char *manifest_index_column(const char *index, bool *ret_descending);
#define MANIFEST_INDEX_NAME_MAX 160
void manifest_index_name(const char *table, const char *index, char *ret_name, size_t size);

/* A text model that is trained from the examples of all loaded domains (docs/reference/models.md). */
struct manifest_model {
    const char *name;
    const json_t *heads; /* {"intent": ["domain", "intent"]}: the members that make a head's label */
    const char *notes;   /* "component/type": what reads the texts before the model does; "" */
};

/* Long work beside the loop. */
struct manifest_job {
    const char *name;
    struct manifest_strings reads, writes; /* tables: of others, of its own */
    bool files;                            /* absolute paths, and saving */
    int64_t timeout_ms;                    /* default 600000 */
};

#define MANIFEST_PAGES_MAX 128 /* files of a plugin, those of its folders too */
#define MANIFEST_PAGE_MAX_BYTES (2 * 1024 * 1024)
#define MANIFEST_PAGES_MAX_BYTES (16 * 1024 * 1024) /* of a plugin */

/* A file that the listener serves as it is. */
struct manifest_page {
    const char *path;     /* "/ui/orders" */
    const char *title;    /* NULL: it is listed nowhere */
    const char *type;     /* Content-Type */
    const char *redirect; /* where the client is sent in place of an answer; NULL: nowhere */
    const char *missing;  /* the system's file that is not there; NULL: it is */
    const char *bytes;
    size_t len;
    char *decoded; /* what `bytes` point into where they are no text; else NULL */
    bool nav;
    char etag[40]; /* with its quotes */
};

/* A route on which clients are told of publications. */
struct manifest_stream {
    const char *path;
    const char *permission; /* NULL: none */
    struct manifest_strings topics;
};

struct manifest_limits {
    int64_t mailbox;               /* messages waiting for a component; default 4096 */
    int64_t turn_budget_ms;        /* default 25 */
    int64_t memory_mib;            /* default 64 */
    int64_t conversation_messages; /* default 10000 */
};

struct manifest {
    uint32_t refs;  /* beyond the first */
    uint64_t files; /* what it was made of, as seen.h joins it; 0: that cannot be told, or it is a saved copy */
    json_t *doc;
    char *path; /* where it was read, for messages */
    char *dir;  /* folder of the manifest's own files: <manifests>/NAME */
    const char *name, *version, *abi;
    const char *library;     /* default: NAME.so; or `program` */
    const char *program;     /* an executable that speaks the link, in place of a library; NULL: none */
    bool process;            /* asks for a process of its own */
    const char *description; /* "" where there is none */
    uint16_t abi_major, abi_minor;
    struct manifest_limits limits;
    struct manifest_component *components;
    size_t n_components;
    struct manifest_strings secrets;
    struct manifest_call *calls;
    size_t n_calls;
    struct manifest_table *tables;
    size_t n_tables;
    struct manifest_model *models;
    size_t n_models;
    struct manifest_job *jobs;
    size_t n_jobs;
    struct manifest_strings needs_models; /* of others, that it may ask */
    json_t *pages_read;                   /* array: what `pages` was made of, with the files' content; NULL: no pages */
    struct manifest_page *pages;          /* by path */
    size_t n_pages;
    const json_t *workflows; /* as written: whole ones ("steps") and what it adds to others'; or NULL */
    struct manifest_stream *streams;
    size_t n_streams;
    json_t *domain; /* the domain section with its files read in: "intents" (object), "name", "label", "routes",
                       "words", "knowledge" (array of {file, text}); "examples" is an empty array,
                       "taught" whether there are enough to go by; NULL: none */
    char *examples; /* of the domain: a JSON object a line, as they were written; NULL: none */
    size_t examples_len;
    char examples_hash[65];
};

/* Reads and checks the manifest at `path`. Returns 0 and gives *ret_manifest; or CVM_EINVAL, CVM_EIO, CVM_ELIMIT with
 * a full sentence in `ret_error` (file, field, what was expected, what came). */
int manifest_load(const char *path, struct manifest **ret_manifest, char *ret_error, size_t error_size);
/* The same; files that `seen` knows are not checked again. */
struct seen;
int manifest_load_seen(const char *path, struct seen *seen, struct manifest **ret_manifest, char *ret_error,
                       size_t error_size);
/* The same of a saved copy (manifest_save), whose files are in it: `path` is where it was read first. */
int manifest_load_saved(const char *saved, struct manifest **ret_manifest, char *ret_error, size_t error_size);
int manifest_save(const struct manifest *manifest, const char *path); /* as a whole or not at all */
/* Everything it says, its domain's files too, as one text. Gives a string for free(). */
char *manifest_text(const struct manifest *manifest);

struct manifest *manifest_hold(struct manifest *manifest); /* gives a reference */
void manifest_free(struct manifest *manifest);             /* drops a reference; accepts NULL */

json_t *manifest_strings_json(const struct manifest_strings *strings); /* gives an array */
const char *manifest_kind_name(enum manifest_kind kind);
const struct manifest_job *manifest_find_job(const struct manifest *manifest, const char *name); /* NULL: none */
const struct manifest_operation *manifest_find_operation(const struct manifest_component *component, const char *type);

#endif
