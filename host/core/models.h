/* Text models of the loaded plugins: which there are, what they are to be trained on, and their exchange between turns.
 * The training itself runs on a thread of its own (models_job.c), under the virtual clock at once. Knows no domain.
 * Loop thread. */
#ifndef HOST_CORE_MODELS_H
#define HOST_CORE_MODELS_H

#include "core/internal.h"
#include "models/model.h"

#define MODELS_NAME_SIZE 64

/* A model that a loaded manifest declares. */
struct hosted_model {
    struct hosted_model *next;
    char name[MODELS_NAME_SIZE], plugin[64];
    json_t *heads;
    char notes[2 * MODELS_NAME_SIZE]; /* "component/type"; "" */
    bool declared;
    char key[MODEL_ID_SIZE]; /* of what it is to be trained on; "" where there are no examples */
    struct model *now;       /* answers; NULL: none yet */
    json_t *sections;        /* what `now` was trained on: plugin -> hash of its examples; "" -> of the heads */
    double seconds;          /* the last training took; 0: it was found in the home */
    char trouble[400];       /* why there is none, or an old one; "" */
};

struct model_section {
    char plugin[64], domain[64];
    struct manifest *manifest; /* held; its examples are read */
};

/* One training at a time. What the thread reads is its own or never changes. */
struct model_job {
    struct core *core;
    char name[MODELS_NAME_SIZE], key[MODEL_ID_SIZE];
    char folder[4096];
    char *heads, *sections; /* JSON text */
    struct model_section *parts;
    size_t n_parts, max_bytes;
    /* What the component `noter` says of each example in order, before the thread begins; NULL: there is none. */
    char noter[MODELS_NAME_SIZE], noter_type[MODELS_NAME_SIZE];
    json_t *notes;
    size_t at_part, at_byte, asked;
    bool asking;
    uv_thread_t thread;
    atomic_bool stop, done;
    bool threaded;
    /* What came of it: */
    struct model *model;
    double seconds;
    char error[400];
};

struct models {
    struct hosted_model *first;
    struct model_job *job; /* NULL: none runs */
    uint64_t seen_registry, seen_settings;
    bool started;
};

/* models_notes.c: asks for the notes of all examples, then calls models_noted (models.c). */
void models_ask_notes(struct model_job *job);
void models_noted(struct core *core);

/* models_job.c */
void model_job_run(struct model_job *job); /* trains, stores, opens; tidies the folder */
void model_job_free(struct model_job *job);
void model_path(const char *folder, const char *key, char ret_path[4200]);

#endif
