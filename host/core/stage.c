/* Staging; see stage.h. */
#include "core/stage.h"

#include "core/elf.h"
#include "core/hex.h"
#include "core/internal.h"
#include "core/seen.h"
#include "core/vet.h"
#include "core/vet_program.h"
#include "link/link.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSE(error, size, code, ...) (snprintf(error, size, __VA_ARGS__), (code))

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static const char *base_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* One that is not there is empty; one that cannot be read is not. */
static int scan_folder(struct stage_list *list, const char *folder, bool installed, char *error, size_t size)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    size_t begin = list->n;
    int e = 0;
    if (!dir && errno != ENOENT)
        return REFUSE(error, size, CVM_EIO, "%s: %s", folder, strerror(errno));
    while (!e && dir && (entry = readdir(dir))) {
        char path[4096];
        size_t len = strlen(entry->d_name);
        bool known = false;
        if (len < 6 || strcmp(entry->d_name + len - 5, ".json") != 0 || entry->d_name[0] == '.')
            continue;
        for (size_t i = 0; i < begin; i++)
            known = known || strcmp(base_of(list->manifest[i]), entry->d_name) == 0;
        if (known)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (list->n >= STAGE_PLUGINS_MAX)
            e = REFUSE(error, size, CVM_ELIMIT, "%s: a host takes at most %d plugins", path, STAGE_PLUGINS_MAX);
        else if (!(list->manifest[list->n] = strdup(path)))
            e = REFUSE(error, size, CVM_ENOMEM, "out of memory");
        else
            list->installed[list->n++] = installed;
    }
    if (dir)
        closedir(dir);
    return e;
}

int stage_scan(const struct stage_place *place, struct stage_list *list, char *error, size_t size)
{
    char folder[4096];
    list->n = 0;
    snprintf(folder, sizeof folder, "%s/manifests", place->home);
    CVM_TRY(scan_folder(list, folder, false, error, size));
    snprintf(folder, sizeof folder, "%s/plugins", place->home);
    CVM_TRY(scan_folder(list, folder, false, error, size));
    if (place->installed) {
        snprintf(folder, sizeof folder, "%s/../../share/cvmhost/manifests", place->installed);
        CVM_TRY(scan_folder(list, folder, true, error, size));
    }
    for (size_t i = 1; i < list->n; i++) { /* by name: directories have no order */
        for (size_t k = i; k && strcmp(base_of(list->manifest[k - 1]), base_of(list->manifest[k])) > 0; k--) {
            char *path = list->manifest[k];
            bool installed = list->installed[k];
            list->manifest[k] = list->manifest[k - 1];
            list->installed[k] = list->installed[k - 1];
            list->manifest[k - 1] = path;
            list->installed[k - 1] = installed;
        }
    }
    return 0;
}

void stage_list_clear(struct stage_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->manifest[i]);
    list->n = 0;
}

static bool listed(const json_t *array, const char *name)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i,
                       value) if (json_is_string(value) && (strcmp(json_string_value(value), name) == 0 ||
                                                            strcmp(json_string_value(value), "*") == 0)) return true;
    return false;
}

static bool named(const json_t *array, const char *name)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i,
                       value) if (json_is_string(value) && strcmp(json_string_value(value), name) == 0) return true;
    return false;
}

bool stage_is_disabled(const struct config *config, const char *name)
{
    return listed(config_get(config, "plugins.disabled"), name);
}

/* Where the library of a manifest lies: in HOME/plugins, beside a dropped-in manifest, or in the installed set. A file
 * that is there and cannot be read is given too: opening it says why. */
static int find_library(const struct stage_place *place, const struct manifest *m, bool installed, char ret_path[4096],
                        char *error, size_t size)
{
    const char *slash = strrchr(m->path, '/');
    int n = installed ? snprintf(ret_path, 4096, "%s/plugins/%s", place->installed, m->library)
                      : snprintf(ret_path, 4096, "%s/plugins/%s", place->home, m->library);
    if (access(ret_path, F_OK) != 0)
        n = snprintf(ret_path, 4096, "%.*s/%s", (int)(slash - m->path), m->path, m->library);
    if (n >= 4096 || access(ret_path, F_OK) != 0)
        return REFUSE(error, size, CVM_EINVAL, "%s: its %s %s is not in %s/plugins: copy it there", m->path,
                      m->program ? "program" : "library", m->library, installed ? place->installed : place->home);
    return 0;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Gives the file's bytes, for free(), and its key (seen.h). */
static int read_file(const char *path, uint8_t **ret_bytes, size_t *ret_size, uint64_t *ret_key, char *error,
                     size_t error_size)
{
    int e = 0;
    uint8_t *bytes = NULL;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return REFUSE(error, error_size, CVM_ENOENT, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        e = REFUSE(error, error_size, CVM_EINVAL, "%s: is not a regular file", path);
    else if (st.st_size > ELF_FILE_MAX_BYTES)
        e = REFUSE(error, error_size, CVM_ELIMIT, "%s: is larger than %d MiB", path, ELF_FILE_MAX_BYTES >> 20);
    else if (!(bytes = malloc((size_t)st.st_size + 1)))
        e = REFUSE(error, error_size, CVM_ENOMEM, "%s: out of memory", path);
    size_t have = 0;
    while (!e && have < (size_t)st.st_size) {
        ssize_t n = read(fd, bytes + have, (size_t)st.st_size - have);
        if (n <= 0)
            e = REFUSE(error, error_size, CVM_EIO, "%s: cannot be read whole", path);
        else
            have += (size_t)n;
    }
    close(fd);
    if (e) {
        free(bytes);
        return e;
    }
    *ret_bytes = bytes;
    *ret_size = have;
    *ret_key = seen_key(path, &st);
    return 0;
}

static bool holds(const char *path, const uint8_t *bytes, size_t size)
{
    uint8_t *there = NULL;
    size_t n = 0;
    uint64_t key;
    char ignored[64];
    bool same =
        read_file(path, &there, &n, &key, ignored, sizeof ignored) == 0 && n == size && memcmp(there, bytes, n) == 0;
    free(there);
    return same;
}

/* A copy may stand there from an earlier start, but a power cut leaves files of the right name and size with other
 * bytes: it is written anew unless it is the same. */
static int keep_copy(const char *path, const uint8_t *bytes, size_t size, char *error, size_t error_size)
{
    char temporary[4200];
    if (holds(path, bytes, size))
        return 0;
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0500);
    size_t have = 0;
    while (fd >= 0 && have < size) {
        ssize_t n = write(fd, bytes + have, size - have);
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    if (fd >= 0 && fsync(fd) < 0)
        have = 0;
    if (fd >= 0)
        close(fd);
    if (have != size || rename(temporary, path) < 0) {
        unlink(temporary);
        return REFUSE(error, error_size, CVM_EIO, "%s: cannot be written: %s", path, strerror(errno));
    }
    return 0;
}

/* What the manifest says of the interface, before any code of the library runs. */
static int check_interface(const struct manifest *m, const cvm_plugin_descriptor *file, char *error, size_t size)
{
    if (m->abi_major != CVM_ABI_MAJOR || m->abi_minor > CVM_ABI_MINOR)
        return REFUSE(error, size, CVM_EABI,
                      "%s: abi: the manifest asks for the plugin interface %s, this host has %d.%d", m->path, m->abi,
                      CVM_ABI_MAJOR, CVM_ABI_MINOR);
    if (m->abi_major != file->abi_major || m->abi_minor > file->abi_minor)
        return REFUSE(error, size, CVM_EABI, "%s: abi: the manifest says %s, the library was built for %u.%u", m->path,
                      m->abi, file->abi_major, file->abi_minor);
    return 0;
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

static void path_of(const struct stage_place *place, const char *hash, const char *end, char ret_path[4096])
{
    snprintf(ret_path, 4096, "%s/data/builds/%s.%s", place->home, hash, end);
}

static int64_t us_since(int64_t begun_ns)
{
    return (clock_ns() - begun_ns) / 1000;
}

/* Jobs run on threads of the host; `why`: it may not run inside. */
static int check_jobs(const struct stage_place *place, const struct candidate *c, const char *why, char *error,
                      size_t size)
{
    if (!c->manifest->n_jobs || c->placement != PLACEMENT_PROCESS || place->jobs_anywhere)
        return 0;
    return REFUSE(error, size, CVM_EREFUSED, "%s: jobs: a plugin with jobs runs inside the host only%s%s",
                  c->manifest->path,
                  *why ? ", and this one may not: " : "; name it in plugins.inline of the configuration", why);
}

/* What vetting has found decides where it runs. */
static int judge(const struct stage_place *place, struct candidate *c, const struct seen_build *found, char *error,
                 size_t size)
{
    c->may_unload = found->may_unload;
    if (found->may_inline || c->placement == PLACEMENT_PROCESS)
        return 0;
    c->placement = PLACEMENT_PROCESS;
    CVM_TRY(check_jobs(place, c, found->inline_reasons, error, size));
    log_warning(c->manifest->name, "runs in a process of its own: it may not run inside the host: %s",
                found->inline_reasons);
    return 0;
}

static int vet(struct candidate *c, const uint8_t *bytes, size_t n, struct seen_build *found, char *error, size_t size)
{
    struct vet_verdict verdict;
    char why[256];
    int e = elf_read_identity(bytes, n, &c->identity, why, sizeof why);
    if (!e)
        e = check_interface(c->manifest, &c->identity, error, size);
    else
        snprintf(error, size, "%s: %s", c->library, why);
    if (e)
        return e;
    e = vet_judge(bytes, n, &verdict, why, sizeof why);
    if (e)
        return REFUSE(error, size, e, "%s: %s", c->library, why);
    memcpy(found->identity, &c->identity, sizeof found->identity);
    found->may_unload = verdict.may_unload;
    found->may_inline = verdict.may_inline;
    static_assert(sizeof found->inline_reasons == sizeof verdict.inline_reasons, "they are the same");
    memcpy(found->inline_reasons, verdict.inline_reasons, sizeof found->inline_reasons);
    return 0;
}

const char *placement_name(enum placement placement)
{
    static const char *const names[] = {"any", "inline", "process"};
    return names[placement];
}

/* Inside the host runs what the operator trusts, never what a manifest asks for. */
static enum placement choose_placement(const struct stage_place *place, const struct candidate *c, enum placement asked)
{
    const char *name = c->manifest->name;
    if (asked == PLACEMENT_ANY)
        asked = (enum placement)json_integer_value(json_object_get(place->moved, name));
    if (c->manifest->program)
        return PLACEMENT_PROCESS;
    if (asked != PLACEMENT_ANY)
        return asked;
    const json_t *outside = config_get(place->config, "plugins.process");
    if (c->manifest->process || named(outside, name))
        return PLACEMENT_PROCESS;
    if (listed(outside, name) && !c->manifest->n_jobs) /* "*" is all that can */
        return PLACEMENT_PROCESS;
    return c->installed || listed(config_get(place->config, "plugins.inline"), name) ? PLACEMENT_INLINE
                                                                                     : PLACEMENT_PROCESS;
}

/* Of the library's bytes: identity, verdict, hash, copy. */
static int take_library(const struct stage_place *place, struct candidate *c, struct seen_build *found, char *error,
                        size_t size)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    char path[4096];
    int64_t begun = clock_ns();
    c->failed = "stage";
    int e = read_file(c->library, &bytes, &n, &found->library, error, size);
    if (e)
        return e;
    c->stage_us += us_since(begun);
    begun = clock_ns();
    c->failed = "vet";
    if (c->manifest->program) { /* what it is besides, it says itself, when it runs confined */
        struct vet_program program;
        e = vet_program(c->library, bytes, n, &program, error, size);
        found->library = 0;
    } else {
        e = vet(c, bytes, n, found, error, size);
        if (!e)
            e = judge(place, c, found, error, size);
    }
    c->vet_us = us_since(begun);
    begun = clock_ns();
    if (!e) {
        c->failed = "stage";
        hash_hex(bytes, n, c->build);
        path_of(place, c->build, "so", path);
        e = keep_copy(path, bytes, n, error, size);
    }
    if (!e && !(c->path = realpath(path, NULL)))
        e = REFUSE(error, size, CVM_EIO, "%s: %s", path, strerror(errno));
    c->stage_us += us_since(begun);
    free(bytes);
    return e;
}

/* The manifest's hash, and a copy of it with its domain, from which the build can come back. */
static int take_manifest(const struct stage_place *place, struct candidate *c, char *error, size_t size)
{
    char path[4096];
    char *text = manifest_text(c->manifest);
    if (!text)
        return REFUSE(error, size, CVM_ENOMEM, "%s: out of memory", c->manifest->path);
    size_t len = strlen(text);
    hash_hex(text, len, c->content);
    path_of(place, c->content, "json", path);
    bool there = holds(path, (const uint8_t *)text, len);
    free(text);
    if (!there && manifest_save(c->manifest, path) < 0)
        return REFUSE(error, size, CVM_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return 0;
}

/* Takes what an earlier start has found, where not one file has changed since: neither the operator's nor the copies.
 * CVM_ENOENT: that is not so. */
static int take_seen(const struct stage_place *place, struct candidate *c, char *error, size_t size)
{
    char path[4096];
    int64_t begun = clock_ns();
    const struct seen_build *b = seen_find(place->seen, c->manifest->files);
    if (!b || c->manifest->program || b->library != seen_key_of(c->library))
        return CVM_ENOENT;
    path_of(place, b->content, "json", path);
    if (b->saved != seen_key_of(path))
        return CVM_ENOENT;
    path_of(place, b->build, "so", path);
    if (b->copy != seen_key_of(path) || !(c->path = realpath(path, NULL)))
        return CVM_ENOENT;
    memcpy(c->content, b->content, sizeof c->content);
    memcpy(c->build, b->build, sizeof c->build);
    memcpy(&c->identity, b->identity, sizeof c->identity);
    c->stage_us += us_since(begun);
    c->failed = "vet";
    CVM_TRY(check_interface(c->manifest, &c->identity, error, size));
    CVM_TRY(judge(place, c, b, error, size));
    seen_note(place->seen, b);
    return 0;
}

static int take_files(const struct stage_place *place, struct candidate *c, char *error, size_t size)
{
    char path[4096];
    struct seen_build found = {.files = c->manifest->files};
    int64_t begun = clock_ns();
    int e = take_seen(place, c, error, size);
    if (e != CVM_ENOENT)
        return e;
    CVM_TRY(take_manifest(place, c, error, size));
    c->stage_us += us_since(begun);
    CVM_TRY(take_library(place, c, &found, error, size));
    memcpy(found.content, c->content, sizeof found.content);
    memcpy(found.build, c->build, sizeof found.build);
    path_of(place, c->content, "json", path);
    found.saved = seen_key_of(path);
    path_of(place, c->build, "so", path);
    found.copy = seen_key_of(path);
    seen_note(place->seen, &found);
    return 0;
}

/* What crashed the host runs outside it, until the operator or another build changes that; with jobs it runs nowhere.
 */
static void keep_outside(const struct stage_place *place, struct candidate *c)
{
    char own[132];
    const char *mark = json_string_value(json_object_get(place->quarantined, c->manifest->name));
    snprintf(own, sizeof own, "%s %s", c->build, c->content);
    if (mark && strcmp(mark, own) == 0 && (!c->manifest->n_jobs || place->jobs_anywhere))
        c->placement = PLACEMENT_PROCESS;
}

static int read_candidate(const struct stage_place *place, const char *path, bool installed, struct candidate *c,
                          char *error, size_t size)
{
    char library[4096];
    int64_t begun = clock_ns();
    *c = (struct candidate){.installed = installed, .failed = "stage"};
    CVM_TRY(manifest_load_seen(path, place->seen, &c->manifest, error, size));
    if (stage_is_disabled(place->config, c->manifest->name))
        return REFUSE(error, size, CVM_EEXIST, "%s: disabled in the configuration", path);
    c->placement = choose_placement(place, c, PLACEMENT_ANY);
    CVM_TRY(check_jobs(place, c, "", error, size));
    CVM_TRY(find_library(place, c->manifest, installed, library, error, size));
    if (!(c->library = strdup(library)))
        return REFUSE(error, size, CVM_ENOMEM, "%s: out of memory", path);
    c->stage_us = us_since(begun);
    CVM_TRY(take_files(place, c, error, size));
    keep_outside(place, c);
    c->failed = NULL;
    return 0;
}

int stage_read(const struct stage_place *place, const char *path, bool installed, struct candidate *c, char *error,
               size_t size)
{
    size_t mark = seen_mark(place->seen);
    int e = read_candidate(place, path, installed, c, error, size);
    if (e)
        seen_take_back(place->seen, mark);
    return e;
}

int stage_recall(const struct stage_place *place, const char *build, const char *content, bool installed,
                 enum placement placement, struct candidate *c, char *error, size_t size)
{
    char path[4096];
    struct seen_build found;
    int64_t begun = clock_ns();
    *c = (struct candidate){.installed = installed, .failed = "stage"};
    path_of(place, content, "json", path);
    CVM_TRY(manifest_load_saved(path, &c->manifest, error, size));
    c->placement = choose_placement(place, c, placement);
    CVM_TRY(check_jobs(place, c, "", error, size));
    CVM_TRY(take_manifest(place, c, error, size));
    if (strcmp(c->content, content) != 0)
        return REFUSE(error, size, CVM_EDATA, "%s: is not what it was when it was staged", path);
    path_of(place, build, "so", path);
    if (!(c->library = strdup(path)))
        return REFUSE(error, size, CVM_ENOMEM, "%s: out of memory", path);
    c->stage_us = us_since(begun);
    CVM_TRY(take_library(place, c, &found, error, size));
    if (placement == PLACEMENT_ANY)
        keep_outside(place, c);
    if (strcmp(c->build, build) != 0)
        return REFUSE(error, size, CVM_EDATA, "%s: is not what it was when it was staged", path);
    c->failed = NULL;
    return 0;
}

void stage_forget(const struct stage_place *place, const char *build, const char *content)
{
    char path[4096];
    if (*build) {
        path_of(place, build, "so", path);
        unlink(path);
    }
    if (*content) {
        path_of(place, content, "json", path);
        unlink(path);
    }
}

void stage_sweep(const struct stage_place *place, bool (*needed)(const void *arg, const char *hash), const void *arg)
{
    char folder[4096], path[4400], hash[65];
    struct dirent *entry;
    snprintf(folder, sizeof folder, "%s/data/builds", place->home);
    DIR *dir = opendir(folder);
    while (dir && (entry = readdir(dir))) {
        snprintf(hash, sizeof hash, "%s", entry->d_name);
        bool unsaved = strncmp(entry->d_name, ".seen.", 6) == 0; /* a host ended while it wrote */
        if (!unsaved && (entry->d_name[0] == '.' || (strlen(hash) == 64 && needed(arg, hash))))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
}

int stage_launch(const struct stage_place *place, struct candidate *c, char *error, size_t size)
{
    if (c->placement != PLACEMENT_PROCESS || c->link)
        return 0;
    int64_t begun = clock_ns();
    int e = remote_launch(c->manifest, c->path, place->runner, &c->link, &c->ready, error, size);
    c->stage_us += us_since(begun);
    if (e)
        c->failed = "load";
    return e;
}

void stage_clear(struct candidate *c)
{
    link_close(c->link);
    json_decref(c->ready);
    manifest_free(c->manifest);
    free(c->library);
    free(c->path);
    *c = (struct candidate){0};
}
