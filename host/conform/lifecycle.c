/* The plugin as a library: does it load, agree with its manifest, come and go without leaving anything, start again
 * over what it left. */
#include "conform/parts.h"

#include "core/file.h"
#include "core/heap.h"
#include "core/vet.h"
#include "core/vet_program.h"
#include <cvm/json.h>
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 100
#define ROUNDS_WARM 20
#define GROWTH_PER_ROUND 16 /* bytes: less is the allocator's own doing */
#define STARTS 3

/* ---- vet ------------------------------------------------------------------------------------------------------------
 */

/* What keeps it from running in the host's process is a failure, what keeps it in memory for good is said. */
static void judge_file(struct conform *c, const struct vet_report *found)
{
    json_t *whole = vet_report_json(found);
    const json_t *stays = json_object_get(json_object_get(whole, "unload"), "reasons");
    for (size_t i = 0; i < found->n_findings; i++)
        if (found->findings[i].blocks & VET_INLINE)
            report_finding(c, "vet", found->findings[i].code, found->findings[i].subject, found->findings[i].text, "");
    if (!vet_may_inline(found))
        report(c, "vet", RESULT_FAILED, "may not run in the host's process; see cvmhost plugin vet");
    else
        report(c, "vet", RESULT_OK, "%s %s may run in the host's process%s%s", found->identity.name,
               found->identity.version,
               vet_may_unload(found) ? " and be taken out of it" : ", and stays in it for good: ",
               vet_may_unload(found) ? "" : json_string_value(json_array_get(stays, 0)));
    json_decref(whole);
}

static void vet_the_program(struct conform *c)
{
    struct vet_program found;
    char *bytes = NULL, error[512];
    size_t size = 0;
    if (file_read(c->library, ELF_FILE_MAX_BYTES, false, &bytes, &size, error, sizeof error) < 0 ||
        vet_program(c->library, bytes, size, &found, error, sizeof error) < 0)
        report_finding(c, "vet", "file", "", error, "");
    else
        report(c, "vet", RESULT_OK, "a program, run by %s, always in a process of its own%s%s",
               *found.interpreter ? found.interpreter : "the machine itself", *found.warning ? "; " : "",
               found.warning);
    free(bytes);
}

void check_vet(struct conform *c)
{
    char *bytes = NULL, error[512];
    size_t size = 0;
    if (c->manifest->program) {
        vet_the_program(c);
        return;
    }
    struct vet_report *found = calloc(1, sizeof *found);
    if (file_read(c->library, ELF_FILE_MAX_BYTES, false, &bytes, &size, error, sizeof error) < 0 || !found ||
        vet_library((const uint8_t *)bytes, size, found, error, sizeof error) < 0)
        report_finding(c, "vet", "file", "", found ? error : "out of memory", "");
    else
        judge_file(c, found);
    free(found);
    free(bytes);
}

/* ---- manifest
 * -------------------------------------------------------------------------------------------------------- */

static void write_routes(struct conform *c, const cvm_plugin_descriptor *d)
{
    json_t *routes = json_array(), *components = json_object();
    for (const cvm_route *r = d ? d->routes : NULL; r && r->component; r++)
        json_array_append_new(routes, json_pack("{s:s, s:s}", "component", r->component, "type", r->type));
    for (const cvm_component *k = d ? d->components : NULL; k && k->id && *k->id; k++)
        json_object_set_new(components, k->id,
                            json_pack("{s:i, s:b, s:b}", "state_version", (int)k->state_version, "upgrade",
                                      k->upgrade != NULL, "downgrade", k->downgrade != NULL));
    fact_write(c, json_pack("{s:s, s:o, s:o}", "kind", "routes", "routes", routes, "components", components));
}

static int load_body(struct conform *c, void *arg)
{
    struct world w;
    guard_begin(c, "manifest");
    int e = world_open(&w, c, arg, WORLD_CALM, 0);
    if (e)
        return e;
    write_routes(c, world_descriptor(&w));
    world_close(&w);
    return 0;
}

static bool listed(const struct manifest_strings *list, const char *text)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->at[i], text) == 0)
            return true;
    return false;
}

/* A reply to something it can have sent. */
static bool reply_explained(const struct conform *c, const struct manifest_component *component, const char *type)
{
    char sent[CVM_NAME_MAX + 1];
    snprintf(sent, sizeof sent, "%.*s", (int)(strlen(type) - 6), type);
    if (strcmp(sent, "query") == 0 || component->may_send_to.n || component->next.n ||
        manifest_find_job(c->manifest, sent))
        return true;
    for (size_t i = 0; i < c->manifest->n_calls; i++)
        if (strcmp(c->manifest->calls[i].name, sent) == 0)
            return true;
    return manifest_find_operation(component, sent) != NULL;
}

static void look_at_routes(struct conform *c)
{
    json_t *route;
    size_t i;
    json_array_foreach(c->routes, i, route)
    {
        const char *id = cvm_json_str(route, "component", ""), *type = cvm_json_str(route, "type", "");
        const struct manifest_component *component = NULL;
        char where[300], text[400];
        size_t n = strlen(type);
        for (size_t k = 0; k < c->manifest->n_components; k++)
            if (strcmp(c->manifest->components[k].id, id) == 0)
                component = &c->manifest->components[k];
        snprintf(where, sizeof where, "%s, %s", id, type);
        if (!component) {
            snprintf(text, sizeof text,
                     "the library has a route of this component, which the manifest does not declare");
            report_finding(c, "manifest", "route", where, text, "");
        } else if (!manifest_find_operation(component, type) && n > 6 && strcmp(type + n - 6, ".reply") == 0 &&
                   !reply_explained(c, component, type)) {
            snprintf(text, sizeof text,
                     "the library has a route for replies that cannot come: the manifest declares no such call, and "
                     "names nobody under may_send_to");
            report_finding(c, "manifest", "route", where, text, "");
        }
    }
}

static void look_at_operations(struct conform *c)
{
    for (size_t i = 0; i < c->manifest->n_components; i++) {
        const struct manifest_component *component = &c->manifest->components[i];
        for (size_t k = 0; k < component->n_operations; k++) {
            const struct manifest_operation *op = &component->operations[k];
            char where[300];
            snprintf(where, sizeof where, "%s, %s", component->id, op->type);
            if (!*op->description)
                report_finding(c, "manifest", "description", where,
                               "has no \"description\": people read it in help, OpenAPI and the catalogue", "");
            if (op->expose && op->expose->cli && !op->expose->help)
                report_finding(c, "manifest", "help", where,
                               "its command has no \"help\": say in one line what it does", "");
        }
        for (size_t k = 0; k < component->publishes.n; k++)
            if (listed(&component->subscribes, component->publishes.at[k]) && c->manifest->n_components == 1)
                report_finding(c, "manifest", "topic", component->id,
                               "subscribes to a topic that only it publishes: a publication never comes back to its "
                               "sender",
                               "");
    }
}

/* `text` with the names of the plugin's files in place of those of their copies in `home`. */
static void name_files(const struct conform *c, const char *home, const char *text, char *ret_text, size_t size)
{
    const struct {
        const char *folder, *name, *end, *real;
    } files[] = {{"plugins", c->manifest->library, "", c->library},
                 {"manifests", c->manifest->name, ".json", c->manifest_path}};
    size_t at = 0;
    while (*text && at + 1 < size) {
        size_t n = 0;
        for (size_t i = 0; i < 2 && !n; i++) {
            char copy[CONFORM_PATH + 300];
            snprintf(copy, sizeof copy, "%s/%s/%s%s", home, files[i].folder, files[i].name, files[i].end);
            if (strncmp(text, copy, strlen(copy)) != 0)
                continue;
            n = strlen(copy);
            at += (size_t)snprintf(ret_text + at, size - at, "%s", files[i].real);
        }
        if (!n)
            ret_text[at++] = *text;
        text += n ? n : 1;
    }
    ret_text[at < size ? at : size - 1] = 0;
}

int check_manifest(struct conform *c, char *error, size_t size)
{
    char home[CONFORM_PATH], text[400];
    json_t *facts = NULL, *fact;
    size_t i;
    if (plan_home(c, c->library, home) < 0) {
        snprintf(error, size, "%s: no home can be made there; is the disk full?", c->work);
        return CVM_EIO;
    }
    enum child_end end = child_run(c, load_body, home, &facts, text, sizeof text);
    json_array_foreach(facts, i, fact) if (strcmp(cvm_json_str(fact, "kind", ""), "routes") == 0)
    {
        c->routes = json_incref(json_object_get(fact, "routes"));
        c->components = json_incref(json_object_get(fact, "components"));
    }
    plan_remove(home);
    if (end != CHILD_DONE && !c->routes) {
        const char *why = cvm_json_str(json_array_get(facts, 0), "text", "");
        const char *after = strstr(why, "does not start: ");
        if (*why)
            name_files(c, home, after ? after + 16 : why, error, size);
        else
            snprintf(error, size, "%s: %s in %s", c->library, text, c->shared->where);
        json_decref(facts);
        return CVM_EINVAL;
    }
    report_facts(c, facts);
    json_decref(facts);
    if (end != CHILD_DONE)
        report_finding(c, "manifest", "start", c->shared->where, text, "");
    look_at_routes(c);
    look_at_operations(c);
    report(c, "manifest", RESULT_OK, "%zu component%s, %zu operations, %zu routes, as the library has them",
           c->manifest->n_components, c->manifest->n_components == 1 ? "" : "s", operations_count(c),
           json_array_size(c->routes));
    return 0;
}

/* ---- lifecycle
 * -------------------------------------------------------------------------------------------------------- */

static int descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static int once(struct conform *c, const char *path, int instances)
{
    void *instance[2] = {NULL, NULL}, *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const cvm_plugin_descriptor *d = library ? dlsym(library, "cvm_plugin") : NULL;
    int made = 0, e = 0;
    if (!d) {
        find(c, "lifecycle", "load", "", "", "cannot be loaded again: %s", dlerror());
        return CVM_EINVAL;
    }
    for (; made < instances && d->create && !e; made++)
        if ((e = d->create(&instance[made])) < 0) {
            find(c, "lifecycle", "create", "", "", "create() failed%s: %s", made ? " for a second instance" : "",
                 cvm_strerror(e));
            break;
        }
    for (int i = 0; i < made && d->destroy; i++)
        d->destroy(instance[i]);
    dlclose(library);
    return e < 0 ? e : 0;
}

static void come_and_go(struct conform *c, const char *path)
{
    size_t before = 0;
    int open_before = 0;
    for (int i = 0; i < ROUNDS; i++) {
        c->shared->done = i;
        if (i == ROUNDS_WARM) {
            before = heap_used();
            open_before = descriptors();
        }
        snprintf(c->shared->where, sizeof c->shared->where, "create and destroy, round %d", i + 1);
        if (once(c, path, i % 2 + 1) < 0)
            return;
    }
    size_t after = heap_used(), rounds = ROUNDS - ROUNDS_WARM;
    if (after > before + rounds * GROWTH_PER_ROUND)
        find(c, "lifecycle", "memory", "", "",
             "create and destroy leave %zu bytes each time: free in destroy() what "
             "create() and the handlers made",
             (after - before) / rounds);
    if (descriptors() > open_before)
        find(c, "lifecycle", "files", "", "", "create and destroy leave files open: %d more after %zu rounds",
             descriptors() - open_before, rounds);
    if (dlopen(path, RTLD_NOW | RTLD_NOLOAD))
        find(c, "lifecycle", "unload", "", "",
             "the library stays in memory after dlclose: it has unique or thread-local symbols, or is linked with "
             "-z nodelete; see cvmhost plugin vet");
}

static int life_body(struct conform *c, void *arg)
{
    const char *home = arg;
    char path[CONFORM_PATH + 300];
    guard_begin(c, "lifecycle");
    snprintf(path, sizeof path, "%s/plugins/%s", home, c->manifest->library);
    if (!c->manifest->program)
        come_and_go(c, path);
    for (int i = 0; i < STARTS; i++) {
        struct world w;
        snprintf(c->shared->where, sizeof c->shared->where, "start %d over the same home", i + 1);
        int e = world_open(&w, c, home, WORLD_CALM, 1700000000000 + i * 3600000);
        if (e)
            return e;
        world_pass(&w, 3600000);
        world_close(&w);
    }
    return 0;
}

void check_lifecycle(struct conform *c)
{
    char home[CONFORM_PATH], text[400];
    json_t *facts = NULL;
    if (plan_home(c, c->library, home) < 0)
        return;
    enum child_end end = child_run(c, life_body, home, &facts, text, sizeof text);
    report_facts(c, facts);
    if (end != CHILD_DONE && !json_array_size(facts))
        report_finding(c, "lifecycle", "crash", c->shared->where, text, "");
    if (c->manifest->program)
        report(c, "lifecycle", RESULT_OK, "started and ended %d times, in a process of its own", STARTS);
    else
        report(c, "lifecycle", RESULT_OK,
               "%d times created and destroyed, two instances at once, unloaded, started %d times", ROUNDS, STARTS);
    json_decref(facts);
    plan_remove(home);
}
