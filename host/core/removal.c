/* Taking a plugin out. First its entry closes: new work is answered NOT_AVAILABLE, conversations it takes part in go
 * on. When nothing of them is left, or at once where the operator says so, it goes. What is open then is parked: it
 * leaves memory, its rows stay in the store, and it comes back with the plugin. */
#include "core/internal.h"

#include "core/crash.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REMOVAL_LOOK_MS 200

struct removal {
    struct plugin *plugin;
    struct alarm alarm;
    bool disable; /* until somebody enables it */
    bool missing; /* nobody asked: its files have left the folders */
    bool keep;    /* the files stay */
};

static bool belongs(const struct plugin *p, const struct component *c)
{
    return c && c->plugin == p;
}

/* Conversations in which it takes part and that go on. Its own lanes have no end. */
static uint32_t conversations_of(const struct core *core, const struct plugin *p)
{
    uint32_t n = 0;
    for (int i = 0; i < CORE_HASH_BUCKETS; i++)
        for (const struct conversation *c = core->conversations[i]; c; c = c->hash_next)
            n += c->open && !c->pinned && (c->touched & p->bit);
    return n;
}

static bool is_idle(const struct core *core, const struct plugin *p)
{
    for (size_t i = 0; i < p->now->manifest->n_components; i++)
        if (p->now->components[i]->counts.queued || p->now->components[i]->counts.lent)
            return false;
    return conversations_of(core, p) == 0;
}

/* ---- parking ----------------------------------------------------------------------------------------------------- */

/* The request is answered by nobody for now: the host holds it until its deadline, or until the plugin is back. */
static void hold_by_host(struct core *core, struct request *r)
{
    r->holder = core->host;
    core->host->counts.delivered++;
}

static void park_message(struct core *core, struct message *m)
{
    struct component *c = m->to;
    struct request *r = m->request;
    c->counts.queued--;
    c->counts.delivered--;
    core->bytes_queued -= m->weight;
    component_assert(c);
    if (r && !r->ended) {
        r->item.no = m->item.no; /* the message's row now stands for both */
        r->item.written = true;
        hold_by_host(core, r);
        request_lend(core, r);
    }
    item_release(core, &m->item);
}

/* Whether the store has, or will have, what brings it back: its own row, or that of the timer or call it is of. An
 * input from outside has none before its turn: it was not accepted, and is told that nobody is there. */
static bool may_park(const struct message *m)
{
    return m->item.no || m->origin;
}

/* Messages that left their lanes before their turn; ephemeral ones stay, and are told that nobody is there. */
static void park_queue(struct core *core, struct queue *q, bool waiting)
{
    for (struct message *m = q->head, *next; m; m = next) {
        next = m->queue_next;
        if (!m->outside || !may_park(m))
            continue;
        schedule_take(core, m, q, waiting);
        park_message(core, m);
    }
}

static void park_lane(struct core *core, struct conversation *lane, const struct plugin *p)
{
    for (struct message *m = lane->head, *next; m; m = next) {
        next = m->next;
        if (!belongs(p, m->to) || m->route == ROUTE_STATE_EDIT || !may_park(m))
            continue;
        conversation_hold(lane);
        lane_take(core, m);
        park_message(core, m);
        conversation_release(core, lane);
    }
}

static void park_item(struct core *core, struct item *item, const struct plugin *p)
{
    struct request *r = (struct request *)item;
    struct timer *t = (struct timer *)item;
    if (item->kind == ITEM_REQUEST && belongs(p, r->holder) && !r->ended && !r->message) {
        struct component *c = r->holder;
        c->counts.lent--;
        c->counts.delivered--;
        hold_by_host(core, r);
        core->host->counts.lent++;
    } else if (item->kind == ITEM_TIMER && belongs(p, t->component)) {
        alarm_clear(core, &t->alarm);
        item_remove(core, item);
        item_release(core, item);
    }
}

static void park(struct core *core, const struct plugin *p)
{
    for (size_t i = 0; i < p->now->manifest->n_components; i++) {
        struct component *c = p->now->components[i];
        for (int class = 0; class < CORE_CLASSES; class ++)
            park_queue(core, &c->run[class], false);
        park_queue(core, &c->waiting, true);
        park_queue(core, &c->kept, true);
    }
    for (int i = 0; i < CORE_HASH_BUCKETS; i++) {
        for (struct conversation *c = core->conversations[i], *next; c; c = next) {
            conversation_hold(c); /* others may leave the bucket with what is let go here */
            park_lane(core, c, p);
            next = c->hash_next;
            conversation_release(core, c);
        }
        for (struct item *item = core->items[i], *next; item; item = next) {
            next = item->hash_next;
            park_item(core, item, p);
        }
    }
    core->parked_seq = core->seq;
}

/* A message made for a component that is out of service: its row stands until the plugin is back. False: it has none.
 */
bool removal_park(struct core *core, struct message *m)
{
    if (!may_park(m))
        return false;
    core->parked_seq = core->seq;
    item_release(core, &m->item);
    return true;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void put_away(const struct core *core, const char *from, const char *base)
{
    char to[4200];
    snprintf(to, sizeof to, "%s/data/removed", core->home);
    if (mkdir(to, 0750) < 0 && errno != EEXIST)
        return;
    snprintf(to, sizeof to, "%s/data/removed/%s", core->home, base);
    if (rename(from, to) == 0 || errno == ENOENT)
        return;
    snprintf(to, sizeof to, "%s/data/removed/%s.%lld", core->home, base,
             (long long)core->now_ms); /* a folder's name is taken */
    if (rename(from, to) < 0)
        log_error("host", "%s cannot be moved away: %s", from, strerror(errno));
}

/* Out of the folders, so that the next start does not find it; kept, because removing is done in haste. */
static void put_files_away(const struct core *core, const struct plugin *p, const struct manifest *m)
{
    char path[4200], base[300];
    snprintf(path, sizeof path, "%s/plugins/%s", core->home, m->library);
    put_away(core, path, m->library);
    snprintf(base, sizeof base, "%s.json", p->name);
    put_away(core, m->path, base);
    if (m->dir)
        put_away(core, m->dir, p->name);
}

/* ---- the end of it ----------------------------------------------------------------------------------------------- */

static json_t *go(struct core *core, struct plugin *p, bool disable, bool keep)
{
    struct generation *g = p->now;
    struct build_mark forgotten = p->previous;
    char error[256];
    remote_recall(g);
    jobs_leave(core, p);
    park(core, p);
    if (!keep)
        put_files_away(core, p, g->manifest);
    for (size_t i = 0; i < g->manifest->n_components; i++)
        g->components[i]->closing = false;
    p->previous = p->bad = (struct build_mark){{0}, {0}, {0}};
    probation_end(core, p);
    quarantine_lift(core, p);
    p->phase = disable ? PLUGIN_DISABLED : PLUGIN_GONE;
    if (plugin_exchange(core, p, NULL, error, sizeof error) < 0) { /* with less there is less to collide */
        log_error("host", "the plugins do not fit together any more: %s", error);
        crash_promised("a registry without the plugin");
    }
    json_t *receipt = change_receipt(core, p, disable ? "disabled" : "removed", g, NULL, 0);
    json_t *receipts = json_pack("[O]", receipt);
    change_record(core, receipts);
    json_decref(receipts);
    log_info(p->name, "%s", keep ? "disabled" : "removed; its files are in data/removed");
    plugin_remember(core, p, plugin_phase_name(p->phase));
    generation_retire(core, g);
    build_forget_unused(core, &forgotten);
    return receipt;
}

static void look(struct core *core, struct alarm *alarm)
{
    struct removal *r = (struct removal *)((char *)alarm - offsetof(struct removal, alarm));
    if (!is_idle(core, r->plugin)) {
        alarm_set(core, alarm, core->now_ms + REMOVAL_LOOK_MS, look);
        return;
    }
    r->plugin->removal = NULL;
    json_decref(go(core, r->plugin, r->disable, r->keep));
    free(r);
}

static void close_entry(struct plugin *p)
{
    p->phase = PLUGIN_REMOVING;
    for (size_t i = 0; i < p->now->manifest->n_components; i++)
        p->now->components[i]->closing = true;
}

static int wait_for_end(struct core *core, struct plugin *p, bool disable, bool keep)
{
    struct removal *r = p->removal ? p->removal : calloc(1, sizeof *r);
    if (!r)
        return CVM_ENOMEM;
    r->plugin = p;
    r->disable = disable;
    r->keep = keep;
    r->missing = false;
    p->removal = r;
    close_entry(p);
    return alarm_set(core, &r->alarm, core->now_ms + REMOVAL_LOOK_MS, look);
}

/* The files of a plugin that was leaving for want of them are back: it stays. */
void removal_take_back(struct core *core, struct plugin *p)
{
    if (p->phase != PLUGIN_REMOVING || !p->removal || !p->removal->missing)
        return;
    alarm_clear(core, &p->removal->alarm);
    free(p->removal);
    p->removal = NULL;
    p->phase = p->before ? PLUGIN_PROBATION : PLUGIN_RUNNING;
    for (size_t i = 0; i < p->now->manifest->n_components; i++)
        p->now->components[i]->closing = false;
    log_info(p->name, "its files are back: it stays");
}

/* Nothing of it is in memory, so there is nothing to wait for. */
static json_t *go_from_quarantine(struct core *core, struct plugin *p, bool disable)
{
    struct build_mark forgotten = p->quarantined;
    if (!disable)
        put_files_away(core, p, p->held);
    quarantine_lift(core, p);
    p->phase = disable ? PLUGIN_DISABLED : PLUGIN_GONE;
    json_t *receipt = change_receipt(core, p, disable ? "disabled" : "removed", NULL, NULL, 0);
    json_t *receipts = json_pack("[O]", receipt);
    change_record(core, receipts);
    json_decref(receipts);
    log_info(p->name, "%s", disable ? "disabled" : "removed; its files are in data/removed");
    build_forget_unused(core, &forgotten);
    return json_pack("{s:s, s:[o], s:n}", "result", "removed", "plugins", receipt, "error");
}

int removal_begin(struct core *core, struct plugin *p, bool disable, bool now, json_t **ret_report, char *error,
                  size_t size)
{
    if (p->installed && !disable) {
        snprintf(error, size,
                 "%s belongs to the installed set, which the package manager changes; to take it out of "
                 "service: cvmhost plugin disable %s",
                 p->name, p->name);
        return CVM_EACCES;
    }
    if (p->held) {
        *ret_report = go_from_quarantine(core, p, disable);
        return 0;
    }
    if (!p->now) { /* disabled already */
        snprintf(error, size, "%s is disabled already; enable it before it can be removed", p->name);
        return CVM_ESTATE;
    }
    if (!now && !is_idle(core, p)) {
        uint32_t n = conversations_of(core, p);
        if (wait_for_end(core, p, disable, disable) < 0) {
            snprintf(error, size, "out of memory");
            return CVM_ENOMEM;
        }
        *ret_report = json_pack("{s:s, s:[o], s:n, s:I}", "result", "removing", "plugins",
                                change_receipt(core, p, disable ? "disabled" : "removed", p->now, NULL, 0), "error",
                                "conversations", (json_int_t)n);
        log_info(p->name, "takes nothing new; goes when %u conversations have ended", n);
        return 0;
    }
    if (p->removal) {
        alarm_clear(core, &p->removal->alarm);
        free(p->removal);
        p->removal = NULL;
    }
    *ret_report =
        json_pack("{s:s, s:[o], s:n}", "result", "removed", "plugins", go(core, p, disable, disable), "error");
    return 0;
}

/* Whose files have left the folders: they are removed as if each had been named. What the configuration disables is as
 * if it were not there, until the configuration says otherwise. Gives their names, NULL for none. */
json_t *removal_of_missing(struct core *core, const struct candidate *candidates, size_t n)
{
    json_t *names = NULL;
    for (struct plugin *p = core->plugins; p; p = p->next) {
        bool there = !p->now || p->phase == PLUGIN_REMOVING;
        for (size_t i = 0; i < n && !there; i++)
            there = strcmp(candidates[i].manifest->name, p->name) == 0;
        if (there)
            continue;
        if (names || (names = json_array()))
            json_array_append_new(names, json_string(p->name));
        if (wait_for_end(core, p, false, stage_is_disabled(core->options.config, p->name)) < 0)
            log_error(p->name, "cannot be removed: out of memory");
        else
            p->removal->missing = true;
    }
    return names;
}

void removal_free(struct removal *removal)
{
    free(removal);
}
