/* Plugins whose code ran when the host died: the supervisor names them on the page. From the next start on they run in
 * a process of their own, or not at all where they cannot, until the operator revives them or brings another build;
 * what waits for one that is not loaded stays in the store, as for a disabled plugin. Loop thread. */
#include "core/internal.h"

#include <cvm/json.h>
#include <string.h>

static const char held_note[] =
    "its code crashed the host: not loaded; cvmhost revive, or another build, brings it back";
static const char outside_note[] =
    "its code crashed the host: runs in a process of its own; cvmhost revive, or another build, brings it back";

static const char faulty_note[] =
    "faulted too often inside the host: runs in a process of its own until the next start; "
    "cvmhost revive, or another build, brings it back";

/* The entry of the page that is about this plugin: one of its components, or itself while it was loaded. */
static char *entry_of(struct page *page, const struct manifest *m)
{
    for (int i = 0; i < PAGE_BLAMES_MAX; i++) {
        char *name = page->quarantine[i];
        if (*name && strcmp(name, m->name) == 0)
            return name;
        for (size_t k = 0; *name && k < m->n_components; k++)
            if (strcmp(name, m->components[k].id) == 0)
                return name;
    }
    return NULL;
}

void quarantine_forget(struct core *core, const struct manifest *m)
{
    struct page *page = core->page;
    for (char *name; (name = entry_of(page, m));)
        *name = 0;
    for (int i = 0; i < PAGE_BLAMES_MAX; i++) {
        struct page_blame *b = &page->blames[i];
        bool ours = strcmp(b->name, m->name) == 0;
        for (size_t k = 0; !ours && k < m->n_components; k++)
            ours = strcmp(b->name, m->components[k].id) == 0;
        if (ours)
            *b = (struct page_blame){{0}, 0, 0, 0};
    }
}

/* `row` (NULL: none) is what is remembered of the plugin. What was taken back after a crash in probation has another
 * build now, which is not to blame. */
bool quarantine_wanted(const struct core *core, const struct plugin_row *row, const struct candidate *candidate)
{
    bool ran = row && build_mark_is(&row->now, candidate->build, candidate->content);
    if (ran && strcmp(row->phase, "quarantined") == 0)
        return true;
    if (candidate->placement == PLACEMENT_PROCESS) /* cannot have crashed the host */
        return false;
    return (ran || !row) && entry_of(core->page, candidate->manifest);
}

/* What the staging of candidates goes by. It may read the one of before beside the loop, which is kept within the new
 * one: there are few. */
static void exchange_list(struct core *core)
{
    char mark[132];
    json_t *list = json_object();
    for (const struct plugin *p = core->plugins; p; p = p->next) {
        if (!*p->quarantined.build)
            continue;
        snprintf(mark, sizeof mark, "%s %s", p->quarantined.build, p->quarantined.content);
        json_object_set_new(list, p->name, json_string(mark));
    }
    if (core->quarantined)
        json_object_set_new(list, "", core->quarantined);
    core->quarantined = list;
}

static void note(struct core *core, struct plugin *p, const struct candidate *candidate)
{
    snprintf(p->quarantined.version, sizeof p->quarantined.version, "%s", candidate->manifest->version);
    memcpy(p->quarantined.build, candidate->build, sizeof p->quarantined.build);
    memcpy(p->quarantined.content, candidate->content, sizeof p->quarantined.content);
    quarantine_forget(core, candidate->manifest);
    exchange_list(core);
}

/* Not loaded at all. */
void quarantine_hold(struct core *core, struct plugin *p, const struct candidate *candidate)
{
    p->phase = PLUGIN_QUARANTINED;
    p->held = manifest_hold(candidate->manifest);
    p->note = held_note;
    note(core, p, candidate);
    log_error(p->name,
              "not loaded: what is sent to it is answered NOT_AVAILABLE; cvmhost revive %s tries it in the host again, "
              "another build replaces it",
              p->name);
}

/* The same build, for a process of its own. */
static bool place_outside(struct core *core, struct plugin *p, struct candidate *candidate)
{
    struct stage_place place = plugin_place(core);
    struct candidate away;
    char error[512];
    if (candidate->placement == PLACEMENT_PROCESS)
        return true;
    if (!core->options.loop) /* nothing beside the virtual clock */
        return false;
    if (stage_recall(&place, candidate->build, candidate->content, candidate->installed, PLACEMENT_PROCESS, &away,
                     error, sizeof error) < 0) {
        log_error(p->name, "%s", error);
        stage_clear(&away);
        return false;
    }
    stage_clear(candidate);
    *candidate = away;
    return true;
}

bool quarantine_begin(struct core *core, struct plugin *p, struct candidate *candidate)
{
    bool is_new = entry_of(core->page, candidate->manifest) != NULL;
    if (is_new)
        log_error(p->name,
                  "quarantined: its code was running when the host died%s; logs/crash.log tells where. From now on it "
                  "runs in a process of its own; cvmhost revive %s brings it back into the host, another build too",
                  core->page->safe ? "" : " twice", p->name);
    else
        log_warning(p->name, "quarantined since an earlier crash; cvmhost revive %s brings it back into the host",
                    p->name);
    if (!place_outside(core, p, candidate)) {
        quarantine_hold(core, p, candidate);
        return false;
    }
    p->note = outside_note;
    note(core, p, candidate);
    return true;
}

void quarantine_faulty(struct core *core, struct plugin *p)
{
    build_mark_of(p->now, &p->quarantined);
    p->faulty = true;
    p->note = faulty_note;
    exchange_list(core);
}

void quarantine_lift(struct core *core, struct plugin *p)
{
    if (p->now)
        quarantine_forget(core, p->now->manifest);
    if (!*p->quarantined.build)
        return;
    if (p->held)
        quarantine_forget(core, p->held);
    manifest_free(p->held);
    p->held = NULL;
    p->quarantined = (struct build_mark){{0}, {0}, {0}};
    p->faulty = false;
    if (p->note == held_note || p->note == outside_note || p->note == faulty_note)
        p->note = NULL;
    exchange_list(core);
}

static bool is_called(const struct plugin *p, const char *name)
{
    const struct manifest *m = p->now ? p->now->manifest : p->held;
    bool found = strcmp(p->name, name) == 0;
    for (size_t i = 0; m && !found && i < m->n_components; i++)
        found = strcmp(m->components[i].id, name) == 0 ||
                (m->components[i].alias && strcmp(m->components[i].alias, name) == 0);
    return found;
}

const struct plugin *quarantine_find(const struct core *core, const char *name)
{
    for (const struct plugin *p = core->plugins; p; p = p->next)
        if (*p->quarantined.build && is_called(p, name))
            return p;
    return NULL;
}

const char *core_quarantined(const struct core *core, const char *name)
{
    const struct plugin *p = quarantine_find(core, name);
    return p ? p->name : NULL;
}

/* Their requests are answered BUSY: the host serves, but not all that it should. */
static void add_down(const struct core *core, json_t *body)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < core->n_components; i++)
        if (core->components[i]->down && !core->components[i]->absent)
            json_array_append_new(names, json_string(core->components[i]->id->text));
    if (json_array_size(names) && strcmp(cvm_json_str(body, "status", ""), "healthy") == 0)
        json_object_set_new(body, "status", json_string("degraded"));
    if (json_array_size(names))
        json_object_set(body, "down", names);
    json_decref(names);
}

void core_health(const struct core *core, json_t *body)
{
    json_t *names = json_array();
    add_down(core, body);
    int loaded = 0, failed = 0;
    for (const struct plugin *p = core->plugins; p; p = p->next) {
        if (*p->quarantined.build)
            json_array_append_new(names, json_string(p->name));
        loaded += p->now != NULL;
        failed += !p->now && *p->quarantined.build;
    }
    json_object_set_new(body, "plugins", json_pack("{s:i, s:i}", "loaded", loaded, "failed", failed));
    if (json_array_size(names))
        json_object_set(body, "quarantined", names);
    if (core->page->safe)
        json_object_set_new(body, "safe_mode", json_true());
    json_decref(names);
    json_t *models = core_models(core, NULL), *own = json_object(), *one;
    size_t i;
    json_array_foreach(models, i, one)
        json_object_set_new(own, cvm_json_str(one, "name", ""),
                            json_pack("{s:O, s:O, s:O}", "ready", json_object_get(one, "ready"), "training",
                                      json_object_get(one, "training"), "hash", json_object_get(one, "hash")));
    if (json_object_size(own))
        json_object_set(body, "models", own);
    json_decref(own);
    json_decref(models);
}
