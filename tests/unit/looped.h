/* A core on a real loop with its writer's thread, over a home of its own with test plugins inside the host or in
 * processes of their own: what test_link and its kin share. */
#ifndef TESTS_UNIT_LOOPED_H
#define TESTS_UNIT_LOOPED_H

#include "core/page.h"
#include "core/reload.h"
#include "virtual.h"

#include <uv.h>

#define LOOPED_WAITING_MAX 512

struct looped {
    struct virtual *v;
    struct page page;
    uv_loop_t loop;
    bool on_loop, stopped; /* on_loop false: under the virtual clock */
    struct {
        http_done done;
        void *arg;
    } waiting[LOOPED_WAITING_MAX]; /* calls to the outside: all are answered 200 {} */
    int n_waiting, calls;
    json_t *report; /* of the last change */
    int error, reports;
    const struct page *suspects; /* of a host before; NULL: none */
};

/* Makes the home; nothing runs. `process`: in processes of their own. `extra`: more members of the configuration, with
 * a comma at the end; NULL: none. */
struct looped *looped_new(const char *const *plugins, bool process, int strikes, const char *extra);
void looped_open(struct looped *l, bool on_loop);
void looped_stop(struct looped *l); /* as a host that ends; the home stays */
void looped_free(struct looped *l);

void looped_pass(struct looped *l, int64_t ms); /* so much time passes, of its clock */
void looped_quiet(struct looped *l);            /* until no message waits any more */
/* Passes until `*flag` is not 0 or `ms` are over. */
bool looped_until(struct looped *l, const int *flag, int64_t ms);

/* Submits "steps" (JSON text of the array) to a component; expects to be taken. conversation NULL: its own. */
cvm_id looped_submit(struct looped *l, const char *to, const char *type, const char *conversation, json_t *data,
                     struct answer_seen *seen);
json_t *looped_steps(const char *text);

void looped_change(struct looped *l, enum core_change what, const char *plugin, const char *result);
const json_t *looped_process(struct looped *l, const char *plugin); /* "process" of it; borrowed until the next call */
int64_t looped_count(struct looped *l, const char *sql);
void looped_path(const struct looped *l, const char *name, char ret_path[256]);

#endif
