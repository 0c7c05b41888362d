/* What is checked, and where: the files of the plugin, the homes it runs in.
 * Parent, before the children. */
#include "conform/parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACE_BYTES_LEAST (256u << 20)

/* ---- files --------------------------------------------------------------------------------------------------------
 */

static int copy_file(const char *from, const char *to)
{
    char buffer[65536], folder[CONFORM_PATH];
    size_t n;
    FILE *in = fopen(from, "re");
    snprintf(folder, sizeof folder, "%s", to);
    mkdir(dirname(folder), 0700);
    FILE *out = in ? fopen(to, "we") : NULL;
    bool good = in && out;
    while (good && (n = fread(buffer, 1, sizeof buffer, in)) > 0)
        good = fwrite(buffer, 1, n, out) == n;
    if (in)
        fclose(in);
    if (out && fclose(out) != 0)
        good = false;
    return good ? 0 : CVM_EIO;
}

int plan_copy(const char *from, const char *to)
{
    struct stat st;
    struct dirent *entry;
    if (stat(from, &st) < 0)
        return CVM_ENOENT;
    if (!S_ISDIR(st.st_mode))
        return copy_file(from, to);
    DIR *dir = opendir(from);
    int e = dir ? 0 : CVM_EIO;
    if (dir && mkdir(to, 0700) < 0 && errno != EEXIST)
        e = CVM_EIO;
    while (!e && (entry = readdir(dir))) {
        char a[CONFORM_PATH], b[CONFORM_PATH];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(a, sizeof a, "%s/%s", from, entry->d_name);
        snprintf(b, sizeof b, "%s/%s", to, entry->d_name);
        e = plan_copy(a, b);
    }
    if (dir)
        closedir(dir);
    return e;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

void plan_remove(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* "x.so" -> "x.json" beside it, in ../manifests, in manifests/ above that; false: none there. */
static bool find_manifest(const char *library, char ret_path[CONFORM_PATH])
{
    static const char *const places[] = {"%.*s/%s.json", "%.*s/../manifests/%s.json", "%.*s/../../manifests/%s.json"};
    char folder[CONFORM_PATH], file[CONFORM_PATH], name[256];
    snprintf(folder, sizeof folder, "%s", library);
    snprintf(file, sizeof file, "%s", library);
    snprintf(name, sizeof name, "%s", basename(file));
    char *end = strrchr(name, '.');
    if (end)
        *end = 0;
    const char *in = dirname(folder);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(ret_path, CONFORM_PATH, places[i], (int)strlen(in), in, name);
        if (access(ret_path, R_OK) == 0)
            return true;
    }
    return false;
}

static bool find_library(const struct manifest *m, char ret_path[CONFORM_PATH])
{
    char folder[CONFORM_PATH];
    static const char *const places[] = {"%s/%s", "%s/../plugins/%s"};
    snprintf(folder, sizeof folder, "%s", m->path);
    const char *in = dirname(folder);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(ret_path, CONFORM_PATH, places[i], in, m->library);
        if (access(ret_path, R_OK) == 0)
            return true;
    }
    return false;
}

static int find_files(struct conform *c, char *error, size_t size)
{
    const char *file = c->options.file;
    size_t n = strlen(file);
    bool is_manifest = n > 5 && strcmp(file + n - 5, ".json") == 0;
    if (access(file, R_OK) != 0) {
        snprintf(error, size, "%s: %s", file, strerror(errno));
        return errno == ENOENT ? CVM_ENOENT : CVM_EIO;
    }
    if (is_manifest || c->options.manifest) {
        snprintf(c->manifest_path, sizeof c->manifest_path, "%s", is_manifest ? file : c->options.manifest);
    } else if (!find_manifest(file, c->manifest_path)) {
        snprintf(error, size, "%s: its manifest is neither beside it nor in ../manifests: name it with --manifest FILE",
                 file);
        return CVM_EINVAL;
    }
    int e = manifest_load(c->manifest_path, &c->manifest, error, size);
    if (e)
        return e;
    if (!is_manifest) {
        snprintf(c->library, sizeof c->library, "%s", file);
    } else if (!find_library(c->manifest, c->library)) {
        snprintf(error, size, "%s: its library %s is neither beside it nor in ../plugins: give the library itself",
                 c->manifest_path, c->manifest->library);
        return CVM_EINVAL;
    }
    return 0;
}

/* ---- homes ---------------------------------------------------------------------------------------------------------
 */

static int write_json(const char *path, json_t *value)
{
    int e = json_dump_file(value, path, JSON_INDENT(1)) == 0 ? 0 : CVM_EIO;
    json_decref(value);
    return e;
}

/* An address that is a setting and has no default would keep its calls from being tried. */
static json_t *agents(const struct conform *c)
{
    json_t *all = json_object();
    for (size_t i = 0; i < c->manifest->n_components; i++) {
        const struct manifest_component *component = &c->manifest->components[i];
        for (size_t k = 0; k < c->manifest->n_calls; k++) {
            const char *url = c->manifest->calls[k].url;
            const char *value = strncmp(url, "setting:", 8) == 0
                                    ? json_string_value(json_object_get(component->settings, url + 8))
                                    : NULL;
            json_t *agent = value && !*value ? json_object_get(all, component->id) : NULL;
            if (value && !*value && !agent) {
                agent = json_pack("{s:{}}", "settings");
                json_object_set_new(all, component->id, agent);
            }
            if (agent)
                json_object_set_new(
                    json_object_get(agent, "settings"), url + 8,
                    json_string(c->manifest->calls[k].mail ? "smtp://outside.invalid" : "https://outside.invalid"));
        }
    }
    return all;
}

int plan_home(struct conform *c, const char *library, char ret_home[CONFORM_PATH])
{
    static const char *const folders[] = {"", "/config", "/manifests", "/plugins", "/data"};
    char path[CONFORM_PATH + 300];
    int e = 0;
    snprintf(ret_home, CONFORM_PATH, "%.3000s/home%d", c->work, ++c->homes);
    for (size_t i = 0; i < sizeof folders / sizeof *folders && !e; i++) {
        snprintf(path, sizeof path, "%s%s", ret_home, folders[i]);
        e = mkdir(path, 0700) < 0 ? CVM_EIO : 0;
    }
    snprintf(path, sizeof path, "%s/plugins/%s", ret_home, c->manifest->library);
    if (!e)
        e = plan_copy(library, path);
    snprintf(path, sizeof path, "%s/manifests/%s.json", ret_home, c->manifest->name);
    if (!e)
        e = plan_copy(c->manifest_path, path);
    snprintf(path, sizeof path, "%s/manifests/%s", ret_home, c->manifest->name);
    if (!e && access(c->manifest->dir, R_OK) == 0)
        e = plan_copy(c->manifest->dir, path);
    snprintf(path, sizeof path, "%s/config/cvmhost.json", ret_home);
    if (!e)
        e = write_json(path,
                       json_pack("{s:{s:[s]}, s:{s:b}, s:o}", "plugins", c->process ? "process" : "inline",
                                 c->process ? c->manifest->name : "*", "models", "enabled", 0, "agents", agents(c)));
    snprintf(path, sizeof path, "%s/.env", ret_home);
    FILE *env = e ? NULL : fopen(path, "we");
    for (size_t i = 0; env && i < c->manifest->secrets.n; i++)
        fprintf(env, "%s=check-%zu\n", c->manifest->secrets.at[i], i);
    if (env)
        fclose(env);
    return e;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------
 */

/* In memory, where libraries can be run from there: all is thrown away in the end, and disks are slow to be sure. */
static const char *place(void)
{
    struct statvfs fs;
    const char *tmp = getenv("TMPDIR");
    if (tmp && *tmp)
        return tmp;
    return statvfs("/dev/shm", &fs) == 0 && !(fs.f_flag & (ST_NOEXEC | ST_RDONLY)) && access("/dev/shm", W_OK) == 0 &&
                   fs.f_bavail * fs.f_bsize > PLACE_BYTES_LEAST
               ? "/dev/shm"
               : "/tmp";
}

/* A process that waits for the end of this one, however it ends, and clears away. */
static int start_janitor(struct conform *c)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return CVM_EIO;
    fflush(NULL);
    c->janitor = fork();
    if (c->janitor == 0) {
        char byte;
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        close(ends[1]);
        while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
            ;
        plan_remove(c->work);
        _exit(0);
    }
    close(ends[0]);
    c->alive = ends[1];
    return c->janitor < 0 ? CVM_EIO : 0;
}

int plan_make(struct conform *c, char *error, size_t size)
{
    static struct manifest_operation sent[] = {{.type = "forward", .description = ""},
                                               {.type = "publish", .description = ""}};
    int e = find_files(c, error, size);
    if (e)
        return e;
    snprintf(c->work, sizeof c->work, "%.1000s/cvmhost-check-XXXXXX", place());
    if (!mkdtemp(c->work)) {
        snprintf(error, size, "%s: no folder can be made there (%s); set TMPDIR", c->work, strerror(errno));
        c->work[0] = 0;
        return CVM_EIO;
    }
    if (start_janitor(c) < 0) {
        snprintf(error, size, "no process can be started: %s", strerror(errno));
        return CVM_EIO;
    }
    c->shared = mmap(NULL, sizeof *c->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->shared == MAP_FAILED) {
        c->shared = NULL;
        snprintf(error, size, "out of memory");
        return CVM_ENOMEM;
    }
    c->sender = (struct manifest_component){
        .id = "check.sender", .kind = KIND_AGENT, .operations = sent, .n_operations = sizeof sent / sizeof *sent};
    c->learned = json_object();
    c->checks = json_array();
    plan_words(c);
    plan_read_others(c);
    return 0;
}

void plan_free(struct conform *c)
{
    plan_forget_peers(c);
    for (size_t i = 0; i < c->n_others; i++)
        manifest_free(c->others[i]);
    manifest_free(c->manifest);
    json_decref(c->routes);
    json_decref(c->components);
    json_decref(c->words);
    json_decref(c->learned);
    json_decref(c->checks);
    if (c->shared)
        munmap(c->shared, sizeof *c->shared);
    if (c->janitor > 0) {
        close(c->alive);
        waitpid(c->janitor, NULL, 0);
    }
}
