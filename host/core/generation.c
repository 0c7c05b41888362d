/* A generation of a plugin in memory: its library opened from a private copy, its descriptor checked against file and
 * manifest, created, and bound to the components. The operator's path is never opened: the dynamic linker caches by
 * name and inode, and gives the old code for a new file. */
#include "core/internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSE(error, size, code, ...) (snprintf(error, size, __VA_ARGS__), (code))

/* ---- the descriptor ---------------------------------------------------------------------------------------------- */

const cvm_job_entry *generation_jobs(const cvm_plugin_descriptor *d)
{
    return d->size >= offsetof(cvm_plugin_descriptor, jobs) + sizeof d->jobs ? d->jobs : NULL;
}

static const cvm_component *find_component(const cvm_plugin_descriptor *d, const char *id)
{
    const cvm_component *c = d->components;
    while (c->id && strcmp(c->id, id) != 0)
        c++;
    return c->id ? c : NULL;
}

/* "a, b, c": the components of the library, as far as they fit. */
static void list_components(const cvm_plugin_descriptor *d, char *ret_text, size_t size)
{
    size_t at = (size_t)snprintf(ret_text, size, "%s", d->components->id ? "" : "none");
    for (const cvm_component *c = d->components; c->id && at < size; c++)
        at += (size_t)snprintf(ret_text + at, size - at, "%s%s", c == d->components ? "" : ", ", c->id);
}

/* A route leads from a component that both sides know; else its messages would never come. */
static int check_routes(const struct manifest *m, const cvm_plugin_descriptor *d, char *error, size_t size)
{
    for (const cvm_route *r = d->routes; r->component; r++)
        if (!r->type || !find_component(d, r->component))
            return REFUSE(error, size, CVM_EINVAL,
                          "%s: the library has a route \"%s\" of %s, which is none of its components", m->path,
                          r->type ? r->type : "", r->component);
    return 0;
}

/* The descriptor must be that of our copy. */
static int check_copy(const struct generation *g, const cvm_plugin_descriptor *file, char *error, size_t error_size)
{
    Dl_info info;
    const char *name = g->manifest->name;
    if (!dladdr(g->descriptor, &info) || strcmp(info.dli_fname, g->path) != 0)
        return REFUSE(error, error_size, CVM_EINVAL, "%s: the linker gave another library's descriptor (%s)", name,
                      info.dli_fname ? info.dli_fname : "?");
    if (memcmp(g->descriptor, file, offsetof(cvm_plugin_descriptor, components)) != 0)
        return REFUSE(error, error_size, CVM_EABI, "%s: the library in memory describes itself otherwise than its file",
                      name);
    return 0;
}

/* Each side knows the jobs of the other: one that the manifest does not name would be allowed nothing. */
static int check_jobs(const struct manifest *m, const cvm_plugin_descriptor *d, char *error, size_t size)
{
    const cvm_job_entry *all = generation_jobs(d);
    for (size_t i = 0; i < m->n_jobs; i++) {
        const cvm_job_entry *job = all;
        while (job && job->name && strcmp(job->name, m->jobs[i].name) != 0)
            job++;
        if (!job || !job->name || !job->run)
            return REFUSE(error, size, CVM_EINVAL, "%s: jobs: the library has no job \"%s\"", m->path, m->jobs[i].name);
    }
    for (const cvm_job_entry *job = all; job && job->name; job++)
        if (!manifest_find_job(m, job->name))
            return REFUSE(error, size, CVM_EINVAL,
                          "%s: jobs: the library has a job \"%s\", which is not in the manifest", m->path, job->name);
    return 0;
}

/* And agree with the manifest. */
static int check(const struct generation *g, char *error, size_t error_size)
{
    const struct manifest *m = g->manifest;
    const cvm_plugin_descriptor *d = g->descriptor;
    if (strcmp(d->name, m->name) != 0)
        return REFUSE(error, error_size, CVM_EINVAL, "%s: the library calls itself \"%s\", the manifest \"%s\"",
                      m->path, d->name, m->name);
    if (strcmp(d->version, m->version) != 0)
        return REFUSE(error, error_size, CVM_EINVAL, "%s: version: the manifest says %s, the library %s", m->path,
                      m->version, d->version);
    if (!d->components || !d->routes || !d->turn)
        return REFUSE(error, error_size, CVM_EINVAL, "%s: the descriptor has no components, routes or turn", m->name);
    for (size_t i = 0; i < m->n_components; i++) {
        const cvm_component *c = find_component(d, m->components[i].id);
        if (!c) {
            char has[256];
            list_components(d, has, sizeof has);
            return REFUSE(error, error_size, CVM_EINVAL, "%s: component %s is not in the library, which has: %s",
                          m->path, m->components[i].id, has);
        }
        if (c->state_version != m->components[i].state_version)
            return REFUSE(error, error_size, CVM_EINVAL, "%s: %s: state_version: the manifest says %u, the library %u",
                          m->path, c->id, m->components[i].state_version, c->state_version);
        for (size_t k = 0; k < m->components[i].n_operations; k++) {
            const cvm_route *r = d->routes;
            while (r->component &&
                   (strcmp(r->component, c->id) != 0 || strcmp(r->type, m->components[i].operations[k].type) != 0))
                r++;
            if (!r->component)
                return REFUSE(error, error_size, CVM_EINVAL, "%s: %s: the library has no handler for operation %s",
                              m->path, c->id, m->components[i].operations[k].type);
        }
    }
    if (!g->remote) /* where none runs */
        CVM_TRY(check_jobs(m, d, error, error_size));
    return check_routes(m, d, error, error_size);
}

/* ---- the library ------------------------------------------------------------------------------------------------- */

static int copy_file(const char *from, const char *to)
{
    struct stat st;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500);
    bool good = out >= 0 && fstat(in, &st) == 0;
    for (off_t left = good ? st.st_size : 0; good && left > 0;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)left);
        good = n > 0;
        left -= n;
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    if (!good && out >= 0)
        unlink(to);
    return good ? 0 : CVM_EIO;
}

/* What is mapped from a path would be given again by the linker, with the data of the generation that runs: a second
 * load of the same bytes comes from a copy of its own, which lives as long as the opening takes. */
static int open_library(struct generation *g, const char *staged, char *error, size_t size)
{
    void *there = dlopen(staged, RTLD_NOW | RTLD_NOLOAD);
    if (!there) {
        if (!(g->path = strdup(staged)))
            return REFUSE(error, size, CVM_ENOMEM, "out of memory");
        g->library = dlopen(g->path, RTLD_NOW | RTLD_LOCAL);
        return g->library ? 0 : REFUSE(error, size, CVM_EINVAL, "%s: %s", g->manifest->library, dlerror());
    }
    dlclose(there);
    if (asprintf(&g->path, "%s.%ld.%u", staged, (long)getpid(), g->number) < 0) {
        g->path = NULL;
        return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    }
    unlink(g->path);
    if (copy_file(staged, g->path) < 0)
        return REFUSE(error, size, CVM_EIO, "%s: cannot be written: %s", g->path, strerror(errno));
    g->library = dlopen(g->path, RTLD_NOW | RTLD_LOCAL);
    unlink(g->path);
    return g->library ? 0 : REFUSE(error, size, CVM_EINVAL, "%s: %s", g->manifest->library, dlerror());
}

/* ---- a generation ------------------------------------------------------------------------------------------------ */

static int bind_components(struct core *core, struct generation *g, char *error, size_t size)
{
    const struct manifest *m = g->manifest;
    g->bindings = calloc(m->n_components + 1, sizeof *g->bindings);
    g->components = calloc(m->n_components + 1, sizeof *g->components);
    g->tables = calloc(m->n_tables + 1, sizeof *g->tables);
    if (!g->bindings || !g->components || !g->tables)
        return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->n_calls; i++)
        if (!names_intern(core->names, m->calls[i].name))
            return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->n_jobs; i++)
        if (!names_intern(core->names, m->jobs[i].name))
            return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    for (size_t i = 0; i < m->n_components; i++) {
        struct component *c = component_get(core, m->components[i].id);
        if (!c)
            return REFUSE(error, size, CVM_ENOMEM, "out of memory");
        if (!c->absent && c->plugin != g->plugin)
            return REFUSE(error, size, CVM_EINVAL, "%s: component id %s is already taken by plugin %s; %s", m->path,
                          m->components[i].id, c->plugin ? c->plugin->name : "host",
                          "take one of them out, or name it in plugins.disabled");
        g->components[i] = c;
        CVM_TRY(binding_make(core, g, &m->components[i], &g->bindings[i], error, size));
    }
    return 0;
}

const struct binding *generation_binding(const struct generation *g, const struct component *c)
{
    for (size_t i = 0; g && i < g->manifest->n_components; i++)
        if (g->components[i] == c)
            return &g->bindings[i];
    return NULL;
}

static int load_here(struct generation *g, const struct candidate *candidate, char *error, size_t size)
{
    CVM_TRY(open_library(g, candidate->path, error, size));
    if (!(g->descriptor = dlsym(g->library, "cvm_plugin")))
        return REFUSE(error, size, CVM_EINVAL, "%s: no symbol cvm_plugin", g->manifest->library);
    CVM_TRY(check_copy(g, &candidate->identity, error, size));
    CVM_TRY(check(g, error, size));
    int e = g->descriptor->create ? g->descriptor->create(&g->instance) : 0;
    if (e < 0)
        return REFUSE(error, size, e, "%s: create failed: %s", g->manifest->name, cvm_strerror(e));
    g->created = true;
    return 0;
}

/* In a process of its own, which has created it by then. */
static int load_away(struct core *core, struct generation *g, struct candidate *candidate, char *error, size_t size)
{
    if (!(g->path = strdup(candidate->path)))
        return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    CVM_TRY(remote_open(core, g, candidate, error, size));
    return check(g, error, size);
}

enum placement generation_placement(const struct generation *g)
{
    return g->remote ? PLACEMENT_PROCESS : PLACEMENT_INLINE;
}

int generation_load(struct core *core, struct plugin *p, struct candidate *candidate, struct generation **ret_g,
                    char *error, size_t size)
{
    char short_build[16];
    struct generation *g = calloc(1, sizeof *g);
    if (!g)
        return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    g->plugin = p;
    g->number = ++p->loads;
    g->manifest = manifest_hold(candidate->manifest);
    g->may_unload = candidate->may_unload;
    memcpy(g->build, candidate->build, sizeof g->build);
    memcpy(g->content, candidate->content, sizeof g->content);
    snprintf(short_build, sizeof short_build, "%.12s", g->build);
    g->short_build = names_intern(core->names, short_build);
    int e = !g->short_build                             ? REFUSE(error, size, CVM_ENOMEM, "out of memory")
            : candidate->placement == PLACEMENT_PROCESS ? load_away(core, g, candidate, error, size)
                                                        : load_here(g, candidate, error, size);
    if (!e)
        e = bind_components(core, g, error, size);
    if (e) {
        generation_free(core, g);
        return e;
    }
    *ret_g = g;
    return 0;
}

/* A library that cannot be unloaded, or is still there afterwards, stays mapped and is counted. */
static void close_library(struct core *core, struct generation *g)
{
    if (!g->library)
        return;
    if (!g->may_unload) {
        core->mapped++;
        return;
    }
    dlclose(g->library);
    void *there = dlopen(g->path, RTLD_NOW | RTLD_NOLOAD);
    if (there) {
        dlclose(there);
        core->mapped++;
        log_warning(g->manifest->name, "the build %.12s stays in memory: something holds its library", g->build);
    }
}

void generation_free(struct core *core, struct generation *g)
{
    if (!g)
        return;
    if (g->created && g->descriptor->size >= offsetof(cvm_plugin_descriptor, stop) + sizeof g->descriptor->stop &&
        g->descriptor->stop)
        g->descriptor->stop(g->instance);
    if (g->created && g->descriptor->destroy)
        g->descriptor->destroy(g->instance);
    for (size_t i = 0; g->bindings && i < g->manifest->n_components; i++)
        binding_clear(&g->bindings[i]);
    for (size_t i = 0; g->tables && i < g->manifest->n_tables; i++)
        table_release(g->tables[i]);
    remote_free(g->remote);
    close_library(core, g);
    free(g->bindings);
    free(g->components);
    free(g->tables);
    free(g->path);
    manifest_free(g->manifest);
    free(g);
}
