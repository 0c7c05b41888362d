/* A build of a plugin as files, before any code of it runs: manifest and library read, checked, hashed, and kept under
 * data/builds, where neither an overwrite nor a rename of the operator's file reaches them. Works on files and the
 * configuration alone, so it may run beside the loop: on any thread, one at a time. */
#ifndef HOST_CORE_STAGE_H
#define HOST_CORE_STAGE_H

#include "config.h"
#include "manifest.h"

#define STAGE_PLUGINS_MAX 256

/* Where the code of a plugin runs. */
enum placement { PLACEMENT_ANY, PLACEMENT_INLINE, PLACEMENT_PROCESS };

const char *placement_name(enum placement placement); /* "inline", "process" or "any" */

struct link;

struct candidate {
    struct manifest *manifest;
    bool installed;           /* of the installed set */
    bool may_unload;          /* as vetted */
    enum placement placement; /* where it will run; never PLACEMENT_ANY */
    struct link *link;        /* PLACEMENT_PROCESS: its process, which has said `ready`; NULL: not started yet */
    json_t *ready;
    char *library;               /* the operator's file, for messages */
    char *path;                  /* the copy in data/builds */
    char build[65], content[65]; /* SHA-256 of the library; of the manifest with its domain */
    cvm_plugin_descriptor identity;
    int64_t stage_us, vet_us;
    const char *failed; /* "stage" or "vet"; NULL: none */
};

struct stage_place {
    const char *home, *installed; /* installed: PREFIX/lib/cvmhost, NULL: none */
    const struct config *config;
    const char *runner;  /* binary that runs plugins in a process of their own; NULL: the one that runs */
    const json_t *moved; /* object: plugin -> enum placement as the operator moved it; NULL: none */
    /* object: plugin -> "build content" that crashed the host and runs outside it; NULL: none */
    const json_t *quarantined;
    struct seen *seen;  /* of the files at a start; NULL: all are checked */
    bool jobs_anywhere; /* no job will be run: a plugin with jobs may run outside too */
};

/* Where the manifests lie, of the home before the installed set, by name; a name that stands in both is the home's. */
struct stage_list {
    char *manifest[STAGE_PLUGINS_MAX];
    bool installed[STAGE_PLUGINS_MAX];
    size_t n;
};

/* To be cleared also on failure: CVM_EIO, a folder is there and cannot be read; CVM_ELIMIT, there are too many. */
int stage_scan(const struct stage_place *place, struct stage_list *ret_list, char *ret_error, size_t error_size);
void stage_list_clear(struct stage_list *list);

/* Is the plugin named in plugins.disabled of the configuration? */
bool stage_is_disabled(const struct config *config, const char *name);

/* Reads the manifest at `path` and stages its library. Returns 0, or an error with a sentence in `ret_error` and
 * candidate->failed set; what it holds is to be cleared in both cases. CVM_EEXIST: disabled in the configuration. */
int stage_read(const struct stage_place *place, const char *path, bool installed, struct candidate *ret_candidate,
               char *ret_error, size_t error_size);

/* The build that ran before, from data/builds, to run at `placement` (PLACEMENT_ANY: as the rules say). */
int stage_recall(const struct stage_place *place, const char *build, const char *content, bool installed,
                 enum placement placement, struct candidate *ret_candidate, char *ret_error, size_t error_size);
/* Starts the process of a candidate that is to have one, and waits until it is ready. */
int stage_launch(const struct stage_place *place, struct candidate *candidate, char *ret_error, size_t error_size);

/* Lets go of a build that is not needed any more. */
void stage_forget(const struct stage_place *place, const char *build, const char *content);

/* Lets go of every build for which `needed` says no. */
void stage_sweep(const struct stage_place *place, bool (*needed)(const void *arg, const char *hash), const void *arg);

void stage_clear(struct candidate *candidate);

/* The operator's settings of a plugin's components, against what it says they may be. CVM_EINVAL with a sentence that
 * names the setting as the file has it. */
int stage_check_settings(const struct config *config, const struct manifest *m, char *ret_error, size_t error_size);

#endif
