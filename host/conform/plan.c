/* What is checked, and where: the files of the plugin, the homes it runs in, the words it knows, the peers around it.
 * Parent, before the children. */
#include "conform/parts.h"

#include "core/elf.h"
#include "core/file.h"
#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define WORDS_MAX 600
#define WORD_MAX_BYTES 40
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

/* ---- words: what the plugin looks for is written in it ------------------------------------------------------------
 */

static void add_word(struct conform *c, json_t *known, const char *text, size_t n)
{
    char word[WORD_MAX_BYTES + 1];
    if (n < 2 || n > WORD_MAX_BYTES || json_array_size(c->words) >= WORDS_MAX)
        return;
    memcpy(word, text, n);
    word[n] = 0;
    if (json_object_get(known, word))
        return;
    json_object_set_new(known, word, json_true());
    json_array_append_new(c->words, json_string(word));
}

/* Names and codes of descriptions: all capitals, or with a digit in it. */
static void words_of_text(struct conform *c, json_t *known, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, " ,;:()\"'"), upper = 0, digits = 0;
        for (size_t i = 0; i < n; i++) {
            upper += isupper((unsigned char)text[i]) != 0;
            digits += isdigit((unsigned char)text[i]) != 0;
        }
        if (n && text[n - 1] == '.')
            add_word(c, known, text, digits || upper == n - 1 ? n - 1 : 0);
        else if (digits || (n && upper == n))
            add_word(c, known, text, n);
        text += n + (text[n] != 0);
    }
}

static void words_of_json(struct conform *c, json_t *known, const json_t *value, int depth)
{
    const char *name;
    json_t *member;
    size_t i;
    if (depth > 32)
        return;
    if (json_is_string(value)) {
        if (!strchr(json_string_value(value), ' '))
            add_word(c, known, json_string_value(value), json_string_length(value));
        words_of_text(c, known, json_string_value(value));
    }
    json_array_foreach((json_t *)(uintptr_t)value, i, member) words_of_json(c, known, member, depth + 1);
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        words_of_json(c, known, member, depth + 1);
        if (json_is_array(member) || json_is_object(member))
            add_word(c, known, name, strlen(name));
    }
}

static void words_of_bytes(struct conform *c, json_t *known, const char *bytes, size_t size)
{
    for (size_t i = 1, begin = 1; i < size; i++) {
        if (isalnum((unsigned char)bytes[i]) || bytes[i] == '_' || bytes[i] == '-')
            continue;
        bool name = bytes[i] == 0 && bytes[begin - 1] == 0 && isalpha((unsigned char)bytes[begin]) && i - begin > 2;
        if (name && strncmp(bytes + begin, "json_", 5) != 0 && strncmp(bytes + begin, "cvm", 3) != 0)
            add_word(c, known, bytes + begin, i - begin);
        begin = i + 1;
    }
}

/* Texts of the library's read-only data that look like names. */
static void words_of_library(struct conform *c, json_t *known)
{
    char *bytes = NULL, error[256];
    size_t size = 0;
    struct elf *elf = calloc(1, sizeof *elf);
    if (elf && file_read(c->library, ELF_FILE_MAX_BYTES, false, &bytes, &size, error, sizeof error) == 0 &&
        elf_open((const uint8_t *)bytes, size, elf, error, sizeof error) == 0)
        for (size_t i = 0; i < elf->n_loads; i++)
            if (elf->loads[i].flags == PF_R)
                words_of_bytes(c, known, bytes + elf->loads[i].offset, (size_t)elf->loads[i].bytes);
    free(elf);
    free(bytes);
}

static void learn_words(struct conform *c)
{
    json_t *known = json_object();
    const json_t *schemas = json_object_get(c->manifest->doc, "schemas");
    for (size_t i = 0; i < c->manifest->n_components; i++)
        words_of_json(c, known, c->manifest->components[i].settings, 0);
    words_of_json(c, known, schemas, 0);
    words_of_library(c, known);
    json_decref(known);
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
            if (value && !*value)
                json_object_set_new(all, component->id,
                                    json_pack("{s:{s:s}}", "settings", url + 8, "https://outside.invalid"));
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
        e = write_json(path, json_pack("{s:{s:[s]}, s:o}", "plugins", "inline", "*", "agents", agents(c)));
    snprintf(path, sizeof path, "%s/.env", ret_home);
    FILE *env = e ? NULL : fopen(path, "we");
    for (size_t i = 0; env && i < c->manifest->secrets.n; i++)
        fprintf(env, "%s=check-%zu\n", c->manifest->secrets.at[i], i);
    if (env)
        fclose(env);
    return e;
}

/* ---- the peers -----------------------------------------------------------------------------------------------------
 */

static void read_others(struct conform *c)
{
    char folder[CONFORM_PATH], path[CONFORM_PATH], error[512];
    snprintf(folder, sizeof folder, "%s", c->manifest_path);
    const char *in = dirname(folder);
    DIR *dir = opendir(in);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)) && c->n_others < sizeof c->others / sizeof *c->others) {
        size_t n = strlen(entry->d_name);
        struct manifest *m = NULL;
        if (n < 6 || strcmp(entry->d_name + n - 5, ".json") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", in, entry->d_name);
        if (manifest_load(path, &m, error, sizeof error) < 0)
            continue;
        if (strcmp(m->name, c->manifest->name) == 0)
            manifest_free(m);
        else
            c->others[c->n_others++] = m;
    }
    if (dir)
        closedir(dir);
}

static bool holds(const struct manifest_component *component, const char *pattern)
{
    for (size_t i = 0; strncmp(pattern, "role:", 5) == 0 && i < component->roles.n; i++)
        if (strcmp(component->roles.at[i], pattern + 5) == 0)
            return true;
    return strcmp(component->id, pattern) == 0 || (component->alias && strcmp(component->alias, pattern) == 0);
}

static bool add_peer(struct conform *c, const struct manifest_component *component, bool known)
{
    for (size_t i = 0; i < c->n_peers; i++)
        if (strcmp(c->peers[i].id, component->id) == 0)
            return true;
    if (c->n_peers == CONFORM_PEERS_MAX)
        return false;
    c->peer_known[c->n_peers] = known;
    c->peers[c->n_peers++] = *component;
    return true;
}

/* What it may be sent: all whose replies the plugin has a route for, and what it was seen to send. */
static void invent_operations(struct conform *c, struct manifest_component *peer, const char *pattern)
{
    json_t *types = json_object(), *route, *yes;
    const char *type;
    size_t i;
    json_array_foreach(c->routes, i, route)
    {
        const char *text = json_string_value(json_object_get(route, "type"));
        size_t n = strlen(text);
        char name[CVM_NAME_MAX + 1];
        if (n <= 6 || strcmp(text + n - 6, ".reply") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(n - 6), text);
        json_object_set_new(types, name, json_true());
    }
    json_object_set_new(types, "handle", json_true());
    json_object_update(types, json_object_get(c->learned, pattern));
    peer->operations = calloc(json_object_size(types) + 1, sizeof *peer->operations);
    json_object_foreach(types, type, yes) if (peer->operations && peer->n_operations < MANIFEST_OPERATIONS_MAX)
        peer->operations[peer->n_operations++] = (struct manifest_operation){.type = strdup(type), .description = ""};
    json_decref(types);
}

static void invent(struct conform *c, const char *pattern)
{
    bool role = strncmp(pattern, "role:", 5) == 0;
    char id[CVM_NAME_MAX + 1];
    struct manifest_component peer = {.kind = KIND_AGENT};
    if (role || !strchr(pattern, '.')) {
        snprintf(id, sizeof id, "check.%.100s", role ? pattern + 5 : pattern);
        for (char *s = id + 6; *s; s++)
            *s = isalnum((unsigned char)*s) ? (char)tolower((unsigned char)*s) : '_';
    } else {
        snprintf(id, sizeof id, "%s", pattern);
    }
    peer.id = strdup(id);
    peer.alias = role || strchr(pattern, '.') ? NULL : pattern;
    if (role && (peer.roles.at = calloc(1, sizeof *peer.roles.at)))
        peer.roles.at[peer.roles.n++] = pattern + 5;
    invent_operations(c, &peer, pattern);
    if (!peer.id || !add_peer(c, &peer, false))
        free((void *)(uintptr_t)peer.id);
}

static void peers_for(struct conform *c, const struct manifest_strings *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *pattern = list->at[i];
        bool own = strcmp(pattern, "*") == 0 || strncmp(pattern, "host.", 5) == 0, found = false;
        for (size_t k = 0; k < c->manifest->n_components; k++)
            own = own || holds(&c->manifest->components[k], pattern);
        for (size_t k = 0; k < c->n_others && !own; k++)
            for (size_t n = 0; n < c->others[k]->n_components; n++)
                if (holds(&c->others[k]->components[n], pattern))
                    found = add_peer(c, &c->others[k]->components[n], true) || found;
        if (!own && !found)
            invent(c, pattern);
    }
}

static void forget_peers(struct conform *c)
{
    for (size_t i = 0; i < c->n_peers; i++) {
        struct manifest_component *peer = &c->peers[i];
        if (c->peer_known[i])
            continue;
        for (size_t k = 0; k < peer->n_operations; k++)
            free((void *)(uintptr_t)peer->operations[k].type);
        free(peer->operations);
        free(peer->roles.at);
        free((void *)(uintptr_t)peer->id);
    }
    c->n_peers = 0;
}

int plan_peers(struct conform *c)
{
    forget_peers(c);
    for (size_t i = 0; i < c->manifest->n_components; i++)
        peers_for(c, &c->manifest->components[i].may_send_to);
    for (size_t i = 0; i < c->manifest->n_components; i++)
        peers_for(c, &c->manifest->components[i].next);
    return 0;
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
    c->shared = mmap(NULL, sizeof *c->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->shared == MAP_FAILED) {
        c->shared = NULL;
        snprintf(error, size, "out of memory");
        return CVM_ENOMEM;
    }
    c->sender = (struct manifest_component){
        .id = "check.sender", .kind = KIND_AGENT, .operations = sent, .n_operations = sizeof sent / sizeof *sent};
    c->words = json_array();
    c->learned = json_object();
    c->checks = json_array();
    learn_words(c);
    read_others(c);
    return 0;
}

void plan_free(struct conform *c)
{
    forget_peers(c);
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
    if (c->work[0])
        plan_remove(c->work);
}
