/* Plugins that are kept out because their code ran when the host died: the supervisor names them on the page, the start
 * leaves them out and remembers it, until the operator revives them or brings another build. What waits for them stays
 * in the store, as for a disabled plugin. Loop thread. */
#include "core/internal.h"

#include <cvm/json.h>
#include <string.h>

static const char held_note[] =
    "its code crashed the host: not loaded; cvmhost revive, or another build, brings it back";

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
    return (ran || !row) && entry_of(core->page, candidate->manifest);
}

void quarantine_hold(struct core *core, struct plugin *p, const struct candidate *candidate)
{
    bool is_new = entry_of(core->page, candidate->manifest) != NULL;
    quarantine_lift(core, p);
    p->phase = PLUGIN_QUARANTINED;
    p->held = manifest_hold(candidate->manifest);
    p->note = held_note;
    snprintf(p->quarantined.version, sizeof p->quarantined.version, "%s", candidate->manifest->version);
    memcpy(p->quarantined.build, candidate->build, sizeof p->quarantined.build);
    memcpy(p->quarantined.content, candidate->content, sizeof p->quarantined.content);
    if (is_new)
        log_error(p->name,
                  "quarantined: its code was running when the host died%s. It is not loaded and what is sent to it is "
                  "answered NOT_AVAILABLE; logs/crash.log tells where it died. cvmhost revive %s tries it again, "
                  "another build replaces it",
                  core->page->safe ? "" : " twice", p->name);
    else
        log_warning(p->name, "quarantined since an earlier crash; cvmhost revive %s tries it again", p->name);
    quarantine_forget(core, candidate->manifest);
}

void quarantine_lift(struct core *core, struct plugin *p)
{
    if (p->now)
        quarantine_forget(core, p->now->manifest);
    if (!p->held)
        return;
    quarantine_forget(core, p->held);
    manifest_free(p->held);
    p->held = NULL;
    p->quarantined = (struct build_mark){{0}, {0}, {0}};
    if (p->note == held_note)
        p->note = NULL;
}

static bool is_called(const struct plugin *p, const char *name)
{
    bool found = strcmp(p->name, name) == 0;
    for (size_t i = 0; !found && i < p->held->n_components; i++)
        found = strcmp(p->held->components[i].id, name) == 0 ||
                (p->held->components[i].alias && strcmp(p->held->components[i].alias, name) == 0);
    return found;
}

const struct plugin *quarantine_find(const struct core *core, const char *name)
{
    for (const struct plugin *p = core->plugins; p; p = p->next)
        if (p->held && is_called(p, name))
            return p;
    return NULL;
}

const char *core_quarantined(const struct core *core, const char *name)
{
    const struct plugin *p = quarantine_find(core, name);
    return p ? p->name : NULL;
}

void core_health(const struct core *core, json_t *body)
{
    json_t *names = json_array();
    for (const struct plugin *p = core->plugins; p; p = p->next)
        if (p->held)
            json_array_append_new(names, json_string(p->name));
    if (json_array_size(names))
        json_object_set(body, "quarantined", names);
    if (core->page->safe)
        json_object_set_new(body, "safe_mode", json_true());
    json_decref(names);
}
