/* What the files of replay offer each other; see replay.h. One thread. */
#ifndef HOST_CORE_REPLAY_PARTS_H
#define HOST_CORE_REPLAY_PARTS_H

#include "core/internal.h"
#include "core/replay.h"
#include <sqlite3.h>

#define PAST_RECORDS 8192  /* parsed records kept */
#define PAST_CONTEXTS 8192 /* documents kept */

/* One row of turns. */
struct past_turn {
    int64_t seq, at_ms, conversation;
    int64_t configuration, context, sent_by; /* "run" of the record; configuration 0: it has none */
    cvm_id message;                          /* none: a turn without one */
    char component[CVM_NAME_MAX + 1], type[CVM_NAME_MAX + 1], sender[CVM_NAME_MAX + 1], outcome[16], build[16];
    char *text;     /* of the record */
    json_t *record; /* parsed */
};

/* A recorded conversation's document as of the turn `seq`, before it. */
struct past_context {
    int64_t conversation, seq, changes;
    json_t *doc;
};

/* Of one component, the turns in which it started. */
struct past_starts {
    struct past_starts *next;
    VECTOR(int64_t) seqs;
    VECTOR(uint64_t) builds; /* hashes of their short names */
    char component[];
};

struct imagine;

struct past {
    struct imagine *imagine; /* what differs now, which then counts in place of what is stored; NULL: nothing does */
    sqlite3 *db;
    sqlite3_stmt *turn, *of_message;
    struct past_known {
        int64_t seq, conversation;
        cvm_id message;
        json_t *record;
    } records[PAST_RECORDS];
    struct past_context contexts[PAST_CONTEXTS];
    struct past_starts *starts;
    uint64_t short_id_key;
    json_t *touched; /* numbers of turns read; NULL: nobody asks */
    json_t *names;   /* of an import: conversation -> key, where it is not that of the name any more; NULL: none */
};

/* A core set up as one configuration says. */
struct world {
    struct world *next;
    int64_t configuration; /* 0: as things are now */
    struct core *core;     /* NULL: it could not be made, `why` says why */
    struct config *config;
    json_t *doc, *lost; /* lost: names of secrets that are not what they were */
    json_t *gone;       /* object: plugin -> why its code is not there */
    json_t *started;    /* object: component -> number of the start that its code has seen last */
    uint64_t used;
    char why[512];
};

/* Of notes "decision" with a "subject": what was chosen then, and what now. */
struct decisions {
    json_t *then, *now; /* objects: "<conversation> <subject>" -> the note, with "at_ms" and "conversation" */
};

struct replay {
    const struct replay_options *options;
    struct past past;
    struct decisions decisions; /* with_current */
    struct world *worlds;
    struct config *present; /* of the home, for its secrets; NULL: it cannot be read */
    cvm_id alone;           /* of the conversations only this message's turn; none: all */
    uint64_t clock;
    char folder[4096]; /* our own */
    uint32_t folders;
    /* the turn under way */
    struct world *world;
    const struct past_turn *turn;
    VECTOR(struct item *) kept;  /* made for it */
    json_t *reads;               /* key -> turn, of its record; NULL: not asked for yet */
    uint32_t scans;              /* answered */
    char why[512];               /* what was not there; "" */
    bool asked_elsewhere;        /* it read what its record does not name */
    json_t *context;             /* before it; NULL: it did not come so far */
    char lane[CVM_NAME_MAX + 1]; /* name of its conversation, where something was committed */
    char outcome[16];            /* what came of it; "": nothing was committed */
    struct text made, scratch;
    struct replay_turn shown;
};

/* replay_past.c */
int past_open(struct past *past, const char *home, char *error, size_t size);
void past_close(struct past *past);
int past_read(sqlite3_stmt *row, struct past_turn *ret_turn); /* columns PAST_COLUMNS; to be cleared */
void past_clear(struct past_turn *turn);
/* A record that the turn has, or would have, becomes whole; `lane`: the name of its conversation, NULL: as stored. */
int past_whole(const struct past_turn *turn, const char *lane, json_t *record);
#define PAST_COLUMNS                                                                                                   \
    " seq, at_ms, conversation, component, message, type, outcome, build, record, sender,"                             \
    " (SELECT c.name FROM contexts c WHERE c.conversation = turns.conversation) "
void past_keep(struct past *past, const struct past_turn *turn);     /* its record is asked for soon */
const struct past_known *past_known(struct past *past, int64_t seq); /* the same */
const json_t *past_record(struct past *past, int64_t seq);           /* borrowed until the next; NULL: it is gone */
const json_t *past_handled(struct past *past, cvm_id id, int64_t *ret_seq); /* record of the turn of that message */
/* The envelope of a message, which stands in the record of `sent_by`, or in `record`, its own. Borrowed; NULL. */
const json_t *past_recorded(struct past *past, const json_t *record, int64_t sent_by, cvm_id id); /* as it was */
const json_t *past_envelope(struct past *past, const json_t *record, int64_t sent_by, cvm_id id);
/* Of a message by its id alone: sought in the turn that handled it, else among what `conversation` sent before `seq`.
 * *ret_conversation: of the turn that sent it. */
const json_t *past_message(struct past *past, cvm_id id, int64_t conversation, int64_t seq, int64_t *ret_sent_by,
                           int64_t *ret_conversation);
json_t *past_subject(struct past *past, const json_t *envelope, int64_t sent_by); /* gives an object */
int past_context(struct past *past, int64_t conversation, int64_t seq, int64_t version, json_t **ret_doc, char *why,
                 size_t size); /* gives */
void past_context_after(struct past *past, const struct past_turn *turn);
/* What a turn has written under a key. Gives; *ret_value NULL: it deleted it. CVM_ENOENT: it is not known any more. */
int past_state(struct past *past, const char *component, const char *key, int64_t turn, json_t **ret_value,
               uint32_t *ret_version);
int past_state_now(struct past *past, const char *component, const char *key, int64_t before, json_t **ret_value,
                   uint32_t *ret_version, int64_t *ret_turn);
int64_t past_start(struct past *past, const char *component, const char *build, int64_t before); /* 0: none */
bool past_turn_at(struct past *past, int64_t seq, struct past_turn *ret_turn);
cvm_id past_id(const json_t *object, const char *member);

json_t *past_configuration(struct past *past, int64_t id); /* gives its document; NULL: it is gone */
int64_t past_key(const struct past *past, const char *conversation);

/* replay_world.c */
#define REPLAY_BUILD_MAX_BYTES (256 * 1024 * 1024)
/* `end`: ".so" or ".json", or "" where `hash` has it. 0 where it is there already. */
int replay_copy_build(const char *from_home, const char *to_home, const char *hash, const char *end);
struct world *world_of(struct replay *r, int64_t configuration); /* never NULL but for memory; `core` may be */
void worlds_free(struct replay *r);

/* replay.c: keys of the conversations of an id, as members of an object; NULL: none */
json_t *replay_conversations(struct past *past, const char *id);

/* replay_message.c: gives; NULL: no memory */
struct message *replay_message(struct replay *r, struct core *core, const json_t *envelope);
int replay_carry(struct replay *r, struct core *core, struct message *m,
                 const json_t *envelope); /* its request is open */
/* As one that has been taken out of the run queue. */
int replay_put_in_lane(struct replay *r, struct core *core, struct message *m, const char *lane);

/* replay_turn.c */
void replay_say(struct replay *r, const char *format, ...) __attribute__((format(printf, 2, 3))); /* r->why, once */
struct component *replay_component(const struct core *core, const char *id); /* NULL: there is none */
enum replay_verdict replay_run(struct replay *r, const struct past_turn *turn, json_t **ret_differences);

/* replay_imagine.c */
struct imagine *imagine_new(void);
void imagine_free(struct imagine *im);
const struct past_known *imagine_known(const struct imagine *im, int64_t seq); /* of a turn that is not recorded */
/* False: nothing is imagined of this message. The envelope NULL: it is not sent now. */
bool imagine_message(const struct imagine *im, cvm_id id, const json_t **ret_envelope, int64_t *ret_sent_by,
                     int64_t *ret_conversation);
const json_t *imagine_context(const struct imagine *im, int64_t conversation); /* NULL: it is as stored */
/* False: the key is as stored. *ret_value is given; NULL: it is not there. */
bool imagine_state(const struct imagine *im, const char *component, const char *key, json_t **ret_value,
                   uint32_t *ret_version, int64_t *ret_turn);
/* A turn has run, and this is its record now; an empty object: it was not reached. */
void imagine_after(struct imagine *im, struct past *past, const struct past_turn *turn, const json_t *made,
                   const json_t *context_before);
void imagine_again(struct imagine *im, cvm_id id); /* its message goes elsewhere now, and is still to be handled */
/* A turn that follows from what was sent now and not then; to be cleared. False: there is none. */
bool imagine_next(struct imagine *im, const struct past *past, const struct past_turn *cause,
                  struct past_turn *ret_turn);

/* replay_decisions.c */
void decisions_take(json_t *of, const json_t *record, const char *conversation, int64_t at_ms);
/* Gives an array of those that differ: {"subject", "was", "is", "because", "because_then", ..}. */
json_t *decisions_differ(const struct decisions *d, int64_t *ret_all);

/* replay_diff.c: gives an array; NULL: there are none */
json_t *replay_differences(const struct replay *r, const struct past_turn *turn, const char *made, size_t len);

#endif
