/* The home of one life: a folder with the plugins' files and a configuration. Its database is on the disk in memory. */
#include "sim/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_text(const char *home, const char *name, const char *text)
{
    char path[SIM_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *f = fopen(path, "we");
    if (!f)
        return CVM_EIO;
    int e = fputs(text, f) < 0 ? CVM_EIO : 0;
    return fclose(f) != 0 ? CVM_EIO : e;
}

/* A file that a core may have open or mapped is replaced, not written over. */
static int put_file(const char *from, const char *home, const char *name)
{
    char path[SIM_PATH + 200], fresh[SIM_PATH + 220];
    snprintf(path, sizeof path, "%s/%s", home, name);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    int e = plan_copy(from, fresh);
    return e ? e : rename(fresh, path) < 0 ? CVM_EIO : 0;
}

int life_put(struct sim *s, size_t plugin, int build)
{
    const struct sim_plugin *p = &s->plugins->at[plugin];
    char name[200], folder[SIM_PATH + 200];
    snprintf(name, sizeof name, "plugins/%s", p->decl->library);
    int e = put_file(p->library[build], s->home, name);
    snprintf(name, sizeof name, "manifests/%s.json", p->name);
    if (!e)
        e = put_file(p->manifest[build], s->home, name);
    snprintf(folder, sizeof folder, "%s/manifests/%s", s->home, p->name);
    if (!e && p->decl->dir && access(p->decl->dir, R_OK) == 0)
        e = plan_copy(p->decl->dir, folder);
    s->build[plugin] = build;
    return e;
}

static int put_secrets(struct sim *s)
{
    char text[8192] = "";
    size_t n = 0;
    for (size_t i = 0; i < s->plugins->n; i++) {
        const struct manifest *m = s->plugins->at[i].decl;
        for (size_t k = 0; k < m->secrets.n && n < sizeof text - 300; k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s=%s\n", m->secrets.at[k], SIM_CANARY);
    }
    return write_text(s->home, ".env", text);
}

/* Small limits, so that what is rare in service is common here. */
static int put_config(struct sim *s)
{
    json_t *agents = json_object();
    s->units = 2 + (int64_t)gen_below(&s->gen, 8);
    if (s->plugins->own)
        json_object_set_new(agents, "sim.ledger", json_pack("{s:{s:I}}", "settings", "units", (json_int_t)s->units));
    if (s->plugins->own && gen_chance(&s->gen, 30))
        json_object_set_new(agents, "sim.sink", json_pack("{s:i}", "concurrency", 1 + (int)gen_below(&s->gen, 3)));
    json_t *config = json_pack("{s:{s:[s], s:i, s:i}, s:{s:i}, s:o}", "plugins", "inline", "*", "probation_turns",
                               5 + (int)gen_below(&s->gen, 100), "probation_s", 1 + (int)gen_below(&s->gen, 60),
                               "journal", "group_max", 1 + (int)gen_below(&s->gen, 64), "agents", agents);
    char *text = json_dumps(config, JSON_COMPACT);
    int e = text ? write_text(s->home, "config/cvmhost.json", text) : CVM_ENOMEM;
    free(text);
    json_decref(config);
    return e;
}

int life_home(struct sim *s, const char *root)
{
    static const char *const folders[] = {"", "/config", "/manifests", "/plugins", "/data"};
    char path[SIM_PATH + 32];
    int e = 0;
    snprintf(s->home, sizeof s->home, "%.900s/seed-%llu", root, (unsigned long long)s->seed);
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !e; i++) {
        snprintf(path, sizeof path, "%s%s", s->home, folders[i]);
        e = mkdir(path, 0700) < 0 ? CVM_EIO : 0;
    }
    if (!e)
        e = put_config(s);
    if (!e)
        e = put_secrets(s);
    for (size_t i = 0; i < s->plugins->n && !e; i++)
        e = life_put(s, i, 0);
    return e;
}

void life_away(struct sim *s)
{
    if (*s->home)
        plan_remove(s->home);
}
