/* Libraries: checked as files, copied to a private path named by their hash, opened from there. The user's path is
 * never opened: the dynamic linker caches by name and inode. */
#include "core/internal.h"

#include "core/elf.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSE(error, size, code, ...) (snprintf(error, size, __VA_ARGS__), (code))

/* Gives the file's bytes, for free(). */
static int read_file(const char *path, uint8_t **ret_bytes, size_t *ret_size, char *error, size_t error_size)
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
    return 0;
}

static void hash_hex(const uint8_t *bytes, size_t size, char ret_hex[65])
{
    uint8_t digest[32] = {0};
    EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL);
    for (int i = 0; i < 32; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static bool holds(const char *path, const uint8_t *bytes, size_t size)
{
    uint8_t *there = NULL;
    size_t n = 0;
    char ignored[64];
    bool same = read_file(path, &there, &n, ignored, sizeof ignored) == 0 && n == size && memcmp(there, bytes, n) == 0;
    free(there);
    return same;
}

/* A copy may stand there from an earlier start, but a power cut leaves files of the right name and size with other
 * bytes: it is written anew unless it is the same. */
static int stage(const char *path, const uint8_t *bytes, size_t size, char *error, size_t error_size)
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
    if (m->abi_major != file->abi_major || m->abi_minor != file->abi_minor)
        return REFUSE(error, size, CVM_EABI, "%s: abi: the manifest says %s, the library was built for %u.%u", m->path,
                      m->abi, file->abi_major, file->abi_minor);
    return 0;
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

/* The descriptor must be that of our copy, and agree with the manifest. */
static int check(const struct plugin *p, const cvm_plugin_descriptor *d, const cvm_plugin_descriptor *file, char *error,
                 size_t error_size)
{
    Dl_info info;
    const struct manifest *m = p->manifest;
    if (!dladdr(d, &info) || strcmp(info.dli_fname, p->path) != 0)
        return REFUSE(error, error_size, CVM_EINVAL, "%s: the linker gave another library's descriptor (%s)", m->name,
                      info.dli_fname ? info.dli_fname : "?");
    if (memcmp(d, file, offsetof(cvm_plugin_descriptor, components)) != 0)
        return REFUSE(error, error_size, CVM_EABI, "%s: the library in memory describes itself otherwise than its file",
                      m->name);
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
    return check_routes(m, d, error, error_size);
}

int loader_load(struct core *core, struct plugin *p, const char *library, char *error, size_t error_size)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    char path[4096], why[256];
    cvm_plugin_descriptor identity;
    int e = read_file(library, &bytes, &size, error, error_size);
    if (e)
        return e;
    e = elf_read_identity(bytes, size, &identity, why, sizeof why);
    if (e) {
        snprintf(error, error_size, "%s: %s", library, why);
        goto out;
    }
    e = check_interface(p->manifest, &identity, error, error_size);
    if (e)
        goto out;
    hash_hex(bytes, size, p->build);
    snprintf(path, sizeof path, "%s/data/builds/%s.so", core->home, p->build);
    e = stage(path, bytes, size, error, error_size);
    if (e)
        goto out;
    if (!(p->path = realpath(path, NULL))) {
        e = REFUSE(error, error_size, CVM_EIO, "%s: %s", path, strerror(errno));
        goto out;
    }
    p->library = dlopen(p->path, RTLD_NOW | RTLD_LOCAL);
    if (!p->library) {
        e = REFUSE(error, error_size, CVM_EINVAL, "%s: %s", library, dlerror());
        goto out;
    }
    p->descriptor = dlsym(p->library, "cvm_plugin");
    e = p->descriptor ? check(p, p->descriptor, &identity, error, error_size)
                      : REFUSE(error, error_size, CVM_EINVAL, "%s: no symbol cvm_plugin", library);
    if (!e && p->descriptor->create && (e = p->descriptor->create(&p->instance)) < 0)
        snprintf(error, error_size, "%s: create failed: %s", p->manifest->name, cvm_strerror(e));
    p->created = !e;
out:
    free(bytes);
    return e;
}

void loader_unload(struct plugin *p)
{
    if (p->created && p->descriptor->destroy)
        p->descriptor->destroy(p->instance);
    if (p->library)
        dlclose(p->library);
    free(p->path);
    p->created = false;
    p->library = NULL;
    p->descriptor = NULL;
    p->path = NULL;
}
