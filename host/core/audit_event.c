/* Receipts of what happened to the host: turns of its own component. They are gathered and written with the next tick,
 * because whoever reports one may stand within a turn. Loop thread. */
#include "core/audit.h"
#include "core/internal.h"

#include <cvm/json.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 1024 /* not yet written; more are counted only */
#define KINDS_MAX 16    /* of limited ones */
#define OFTEN_MS 60000

struct audit_event {
    struct audit_event *next;
    const char *what;
    json_t *data;
};

struct audit_kind {
    const char *what;
    int64_t since_ms;
    uint32_t n, left_out;
};

struct audit_events {
    struct audit_event *first, *last;
    uint32_t n, lost;
    struct audit_kind kinds[KINDS_MAX];
};

static struct audit_events *events_of(struct core *core)
{
    if (!core->events)
        core->events = calloc(1, sizeof *core->events);
    return core->events;
}

void audit_event(struct core *core, const char *what, json_t *data)
{
    struct audit_events *all = events_of(core);
    struct audit_event *event = all && all->n < EVENTS_MAX ? calloc(1, sizeof *event) : NULL;
    if (!event) {
        json_decref(data);
        if (all)
            all->lost++;
        log_error("host", "%s: too many events at once; this one is not in the audit", what);
        return;
    }
    *event = (struct audit_event){.what = what, .data = data ? data : json_object()};
    if (all->last)
        all->last->next = event;
    else
        all->first = event;
    all->last = event;
    all->n++;
    kick(core);
}

static struct audit_kind *kind_of(struct audit_events *all, const char *what)
{
    for (int i = 0; i < KINDS_MAX; i++) {
        if (!all->kinds[i].what)
            all->kinds[i].what = what;
        if (strcmp(all->kinds[i].what, what) == 0)
            return &all->kinds[i];
    }
    return NULL;
}

void audit_event_limited(struct core *core, const char *what, json_t *data)
{
    struct audit_events *all = events_of(core);
    struct audit_kind *kind = all ? kind_of(all, what) : NULL;
    if (kind && core->now_ms - kind->since_ms >= OFTEN_MS) {
        kind->since_ms = core->now_ms;
        kind->n = 0;
    }
    if (!kind || kind->n >= AUDIT_OFTEN) {
        if (kind)
            kind->left_out++;
        json_decref(data);
        return;
    }
    kind->n++;
    if (kind->left_out && data)
        json_object_set_new(data, "left_out", json_integer(kind->left_out));
    kind->left_out = 0;
    audit_event(core, what, data);
}

void audit_events_write(struct core *core)
{
    struct audit_events *all = core->events;
    struct audit_event *event;
    while (all && (event = all->first)) {
        struct name *type = names_intern(core->names, event->what);
        all->first = event->next;
        if (!all->first)
            all->last = NULL;
        all->n--;
        if (all->lost)
            json_object_set_new(event->data, "lost_before", json_integer(all->lost));
        all->lost = type ? 0 : all->lost + 1;
        if (type)
            host_record(core, type, event->what, event->data);
        json_decref(event->data);
        free(event);
    }
}

/* ---- the host's own life ---- */

/* The one before did not say that it stopped. */
static bool ran_before(struct core *core, char ret_since[32])
{
    static const char sql[] = "SELECT type, at_ms FROM turns INDEXED BY turns_of_host WHERE component = 'host'"
                              " AND type IN ('host.started', 'host.stopped') ORDER BY seq DESC LIMIT 1";
    json_t *rows = NULL;
    bool more, ran = false;
    if (store_query(core->reader, sql, NULL, 1, &rows, &more) == 0) {
        const json_t *row = json_array_get(rows, 0);
        ran = strcmp(cvm_json_str(row, "type", ""), "host.started") == 0;
        time_text(cvm_json_int(row, "at_ms", 0), ret_since);
    }
    json_decref(rows);
    return ran;
}

void audit_host_started(struct core *core, json_t *data)
{
    struct page *page = core->page;
    char since[32] = "", id[40];
    bool ran = ran_before(core, since);
    if (ran || *page->ended.how) {
        json_t *died = json_pack("{s:s, s:s, s:I}", "how",
                                 *page->ended.how ? page->ended.how : "not known: nobody was there to see it",
                                 "started_at", since, "restarts", (json_int_t)page->restarts);
        if (*page->ended.component) {
            id_text(page->ended.message, id);
            json_object_set_new(died, "component", json_string(page->ended.component));
            json_object_set_new(died, "message", json_string(id));
            json_object_set_new(died, "crashes_of_message", json_integer(page->ended.crashes));
        }
        audit_event(core, "host.died", died);
        *page->ended.how = 0;
    }
    audit_event(core, "host.started", data);
}

void audit_events_free(struct core *core)
{
    struct audit_events *all = core->events;
    for (struct audit_event *event = all ? all->first : NULL, *next; event; event = next) {
        next = event->next;
        json_decref(event->data);
        free(event);
    }
    free(all);
    core->events = NULL;
}
