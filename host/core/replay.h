/* Recorded turns run again. Each turn of a home's journal goes once more through the build that ran it, with exactly
 * the inputs its record names; nothing is written and nothing leaves; what it puts out is compared with the record bit
 * for bit. Reads the database only, so it works beside a running host. Plugins are loaded into the calling process,
 * from copies in a folder of its own under TMPDIR. One thread; no core is needed. */
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
    int64_t since_ms;  /* 0: from the beginning */
    int64_t limit;     /* conversations, the newest; 0: all */
    bool with_current; /* by the plugins as they lie in the home now, with its configuration as it is now */
    void (*seen)(void *arg, const struct replay_turn *turn); /* each, in order; NULL: nobody looks */
    void *arg;
};

struct replay_report {
    int64_t turns, same, differ, missing, not_run; /* turns is the sum of the others */
    int64_t conversations;
    int64_t first;  /* number of the first turn that differs; 0: none */
    char what[512]; /* what that turn was and what differs, in a sentence; "" */
};

/* Returns 0 and fills the report, also where turns differ; or CVM_ENOENT (nothing is stored about `id`), CVM_EDATA,
 * CVM_EIO, CVM_ENOMEM with a sentence in `ret_error`. */
int replay_home(const struct replay_options *options, struct replay_report *ret_report, char *ret_error,
                size_t error_size);

const char *replay_verdict_name(enum replay_verdict verdict); /* "same", "differs", "missing", "not run" */

#endif
