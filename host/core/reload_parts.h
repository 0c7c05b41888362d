/* What the files of a change share: reload.c asks, queues and answers; reload_stage.c reads what stands in the folders
 * and plans; switch.c loads and switches; receipt.c tells. Nothing else includes this. */
#ifndef HOST_CORE_RELOAD_PARTS_H
#define HOST_CORE_RELOAD_PARTS_H

#include "core/internal.h"

#define RELOAD_ERROR_BYTES 768

struct change_waiter {
    struct change_waiter *next;
    core_change_done done;
    void *arg;
};

/* One change that was asked for; equal ones that wait are one. */
struct change {
    struct change *next;
    enum core_change what;
    char *plugin; /* NULL: all */
    bool now;
    struct change_waiter *waiters;
};

/* One plugin of the change under way. */
struct entry {
    struct plugin *plugin;
    struct candidate *candidate;
    struct generation *fresh, *old;
    struct manifest *was;  /* held for the writer: that of `old` when the change began */
    struct table **tables; /* until the generation has them */
    json_t *warnings;      /* the writer's, while it makes the tables */
    const char *action;
    bool unchanged, moved, no_way_back;
    int64_t load_us, switch_us, held;
    struct turn *starts; /* run and not yet kept */
    size_t n_starts;
};

enum reload_step { RELOAD_IDLE, RELOAD_STAGING, RELOAD_MARKING, RELOAD_ENDING };

struct reload {
    struct core *core;
    struct alarm alarm; /* begins the next change from the loop */
    struct change *queue, *running;
    uint32_t waiters;
    enum reload_step step;
    uv_work_t work;
    bool working;
    /* of the change under way */
    struct config *config, *own_config; /* read anew; and the core's, while the new one is tried */
    struct transitions *transitions;    /* read anew with it */
    struct stage_place place;
    struct stage_list list;
    struct candidate candidates[STAGE_PLUGINS_MAX];
    size_t n_candidates;
    struct entry entries[STAGE_PLUGINS_MAX];
    size_t n_entries;
    struct plugin_row rows[STAGE_PLUGINS_MAX];
    size_t n_rows;
    struct build_mark back; /* what a rollback goes to, or what is moved */
    bool back_installed;
    enum placement placement; /* of what is moved; else PLACEMENT_ANY */
    int64_t at_ms;            /* for the writer, which may not look at the loop's clock */
    int error;
    const char *failed; /* step */
    char failed_plugin[CVM_NAME_MAX + 1];
    char text[RELOAD_ERROR_BYTES];
    json_t *kept; /* names of plugins whose build in the folder was rolled back: not tried again */
    json_t *report;
};

/* reload.c */
void reload__staged(struct reload *r);                                       /* r->candidates are there, or r->error */
void reload__refuse(struct reload *r, const char *step, const char *plugin); /* with r->error and r->text; answers */
void reload__refuse_now(struct reload *r, int error, const char *step, const char *plugin, const char *text);
void reload__mark(struct reload *r, struct plugin *p, const char *phase); /* for the rows that reload__end writes */
int reload__by_writer(struct reload *r, void (*done)(struct core *core, void *arg)); /* rows, and tables of entries */
void reload__end(struct reload *r); /* writes the rows, then answers with r->report */

/* reload_stage.c */
void reload__stage(struct reload *r);         /* beside the loop; then reload__staged */
int reload__check_settings(struct reload *r); /* of all plugins; the same */
int reload__plan(struct reload *r);           /* candidates to entries; a sentence in r->text on failure */
void reload__add_entry(struct reload *r, struct plugin *p, struct candidate *c);
bool reload__anything_to_do(const struct reload *r);
void reload__try_config(struct reload *r);      /* the core sees what was read anew */
void reload__drop_config(struct reload *r);     /* and what it had before */
uint32_t reload__take_config(struct reload *r); /* for good; gives how many plugins have other settings now */

void reload__launch(struct reload *r); /* processes that the change needs, beside the loop; then reload__prepare */

/* switch.c */
void reload__prepare(struct reload *r); /* marks, tables, loading, the switch; ends in reload__end or reload__refuse */

/* receipt.c */
json_t *reload__build_json(const struct generation *g);
void reload__report_entry(struct reload *r, const struct entry *e, json_t *from); /* takes */

#endif
