/* Recorded turns run again. Each turn of a home's journal goes once more through the build that ran it, with exactly
 * the inputs its record names; nothing is written and nothing leaves; what it puts out is compared with the record bit
 * for bit. Reads the database only, so it works beside a running host. Plugins run from copies in a folder of its own
 * under TMPDIR, confined in processes of their own unless the caller trusts them. One thread; no core is needed. */
#ifndef HOST_CORE_REPLAY_H
#define HOST_CORE_REPLAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum replay_verdict {
    REPLAY_SAME,
    REPLAY_DIFFERS, /* `differences` says where */
    REPLAY_MISSING, /* it cannot be run: `why` says what is not there any more */
    REPLAY_NOT_RUN  /* no plugin's work, and nothing that depends on inputs: the host's own notes, edits of its state */
};

struct replay_turn {
    int64_t seq, at_ms, configuration;
    const char *conversation, *component, *type, *outcome;
    const char *plugin, *version, *build; /* "" for the host's own */
    enum replay_verdict verdict;
    const char *why;     /* a sentence; "" where there is nothing to say */
    json_t *differences; /* [{"where", "recorded", "replayed"}]; NULL: none. Borrowed, as all of it */
};

struct replay_options {
    const char *home;
    const char *installed; /* for with_current: PREFIX/lib/cvmhost; NULL: none */
    /* A conversation's name, an enquiry's, message's or row's id: its conversations with those they opened. NULL: all.
     */
    const char *id;
    int64_t since_ms; /* 0: from the beginning */
    int64_t limit;    /* conversations, the newest; 0: all */
    bool trusted;     /* libraries run inside this process: faster, and they may do whatever it may */
    /* By the plugins as they lie in the home now, with its configuration as it is now. What comes of a turn that
     * differs goes on to those after it: what would have come of then's inputs. */
    bool with_current;
    const char *with;          /* for with_current: this library in place of the plugin's of its name; NULL: none */
    const char *with_manifest; /* its manifest; NULL: it lies beside the library, or it is the plugin's own */
    bool decisions;            /* `limit` counts conversations with decisions about a subject, where there are any */
    void (*seen)(void *arg, const struct replay_turn *turn); /* each, in order; NULL: nobody looks */
    void *arg;
    json_t *touched; /* object: gets the numbers of all turns that were read; NULL: nobody asks */
    /* Array: gets the decisions that are others now: {"subject", "was", "is", "because", "because_then", "figures",
     * "conversation", "at_ms"}, "" for none. NULL: nobody asks. Of notes "decision" that have a "subject". */
    json_t *differing;
    json_t *decided; /* object: gets all decisions as they are now, with_current; NULL: nobody asks */
};

struct replay_report {
    int64_t turns, same, differ, missing, not_run; /* turns is the sum of the others */
    int64_t conversations;
    int64_t decisions, decisions_differ; /* about a subject; with_current only */
    int64_t first;                       /* number of the first turn that differs; 0: none */
    char what[512];                      /* what that turn was and what differs, in a sentence; "" */
};

/* Returns 0 and fills the report, also where turns differ; or CVM_ENOENT (nothing is stored about `id`), CVM_EDATA,
 * CVM_EIO, CVM_ENOMEM with a sentence in `ret_error`. */
int replay_home(const struct replay_options *options, struct replay_report *ret_report, char *ret_error,
                size_t error_size);

struct replay_export_options {
    const char *home, *id;
    bool keep_personal, with_builds;
    bool trusted; /* as of replay_options: its turns are run to see whether they come out the same */
};

/* The conversations of an id with all that running them again needs, as one document; docs/reference/journal.md says
 * what is in it. Gives *ret_document, and *ret_notes, an array of sentences: what is missing, which turns come out
 * differently without personal data. Errors as replay_home. */
int replay_export(const struct replay_export_options *options, json_t **ret_document, json_t **ret_notes,
                  char *ret_error, size_t error_size);
/* Makes a home of such a document, for replay_home, in a folder that is empty or not there. *ret_missing: an array of
 * builds that are to be put into its data/builds. CVM_EINVAL: it is none; CVM_EEXIST: there is a home already. */
int replay_import(const json_t *document, const char *home, json_t **ret_missing, char *ret_error, size_t error_size);

/* A folder of our own, for an import that is run at once. */
int replay_make_folder(char ret_path[4096], char *ret_error, size_t error_size);
void replay_remove_folder(const char *path, int depth); /* with what is in it */

const char *replay_verdict_name(enum replay_verdict verdict); /* "same", "differs", "missing", "not run" */

#endif
