/* Manifests of any content, as a file in a folder of their own. */
#include "fuzz.h"

#include "core/manifest.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];

static const char *const files[] = {"sample/a.html", "sample/site/b.js", "sample/site/c.png"};

static void in_folder(const char *name, char ret_path[160])
{
    snprintf(ret_path, 160, "%s/%s", folder, name);
}

static void remove_folder(void)
{
    char file[160];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        in_folder(files[i], file);
        unlink(file);
    }
    in_folder("sample/site", file);
    rmdir(file);
    in_folder("sample", file);
    rmdir(file);
    unlink(path);
    rmdir(folder);
}

/* What its pages may be made of. */
static void make_files(void)
{
    char file[160];
    in_folder("sample", file);
    FUZZ_CHECK(mkdir(file, 0700) == 0);
    in_folder("sample/site", file);
    FUZZ_CHECK(mkdir(file, 0700) == 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        in_folder(files[i], file);
        int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        FUZZ_CHECK(fd >= 0 && write(fd, "\x89<p>", i + 1) == (ssize_t)i + 1);
        close(fd);
    }
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "%s/fuzz_manifest_XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sample.json", folder);
    atexit(remove_folder);
    make_files();
}

static void use(const struct manifest *m)
{
    json_t *object = json_object();
    struct schema_error error;
    FUZZ_CHECK(m->name && m->version && m->abi && m->library);
    for (size_t i = 0; i < m->n_components; i++) {
        const struct manifest_component *c = &m->components[i];
        json_decref(manifest_strings_json(&c->roles));
        FUZZ_CHECK(c->id && c->alias && manifest_kind_name(c->kind));
        for (size_t k = 0; k < c->n_operations; k++) {
            const struct manifest_operation *o = &c->operations[k];
            FUZZ_CHECK(manifest_find_operation(c, o->type) && o->timeout_ms >= 0);
            schema_check(o->request, object, &error);
            schema_check(o->response, object, &error);
        }
    }
    json_decref(object);
    FUZZ_CHECK(m->n_pages <= MANIFEST_PAGES_MAX);
    for (size_t i = 0; i < m->n_pages; i++) {
        const struct manifest_page *p = &m->pages[i];
        FUZZ_CHECK(p->path[0] == '/' && !strstr(p->path, "..") && p->len <= MANIFEST_PAGE_MAX_BYTES && p->type);
        FUZZ_CHECK(i == 0 || strcmp(m->pages[i - 1].path, p->path) < 0);
    }
    for (size_t i = 0; i < m->n_streams; i++)
        FUZZ_CHECK(m->streams[i].path[0] == '/' && m->streams[i].topics.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest *m = NULL;
    char error[1024] = "";
    if (!folder[0])
        make_folder();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    int e = manifest_load(path, &m, error, sizeof error);
    FUZZ_CHECK(e == 0 ? m != NULL : e < 0 && !m && error[0]);
    if (m)
        use(m);
    manifest_free(m);
    return 0;
}
