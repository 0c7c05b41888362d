/* Plugins as files: what is there is loaded and said, a dropped-in one needs nothing but a restart, and a faulty one is
 * refused by name with what to do, whatever is wrong with it. */
#include "flow.h"

#include <cvm/cvm.h>
#include <dirent.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (16 * 1024 * 1024)

struct bytes {
    char *at;
    size_t n;
};

/* ---- files ---- */

static struct bytes load(const char *path)
{
    struct bytes b = {malloc(FILE_MAX_BYTES), 0};
    FILE *file = fopen(path, "r");
    ck_assert_msg(file && b.at, "%s cannot be read", path);
    b.n = fread(b.at, 1, FILE_MAX_BYTES, file);
    fclose(file);
    return b;
}

static void save(struct flow *f, const char *name, struct bytes b)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->home, name);
    unlink(path); /* a library in use is not written to */
    FILE *file = fopen(path, "w");
    ck_assert_msg(file && fwrite(b.at, 1, b.n, file) == b.n && fclose(file) == 0, "%s cannot be written", path);
}

/* Replaces every occurrence by a text of the same length. */
static void replace(struct bytes b, const char *from, const char *to)
{
    size_t len = strlen(from);
    int found = 0;
    ck_assert_uint_eq(len, strlen(to));
    for (size_t i = 0; i + len <= b.n; i++)
        if (memcmp(b.at + i, from, len) == 0) {
            memcpy(b.at + i, to, len);
            found++;
        }
    ck_assert_msg(found, "no \"%s\" in the library", from);
}

static cvm_plugin_descriptor *descriptor(struct bytes b)
{
    char *at = memmem(b.at, b.n, CVM_MAGIC, sizeof CVM_MAGIC - 1);
    ck_assert_ptr_nonnull(at);
    return (cvm_plugin_descriptor *)(void *)at;
}

static struct bytes library(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "tests/plugins/%s.so", name);
    return load(flow_build(path));
}

static json_t *manifest(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "tests/plugins/%s.json", name);
    json_t *doc = json_load_file(flow_source(path), 0, NULL);
    ck_assert_ptr_nonnull(doc);
    return doc;
}

static void save_manifest(struct flow *f, const char *name, json_t *doc)
{
    char *text = json_dumps(doc, JSON_INDENT(1));
    flow_write(f, name, text);
    free(text);
    json_decref(doc);
}

/* ---- loading ---- */

START_TEST(every_manifest_is_loaded_and_logged)
{
    struct flow *f = flow_new();
    flow_product(f);
    flow_start(f);
    struct flow_answer list;
    ck_assert_int_eq(FLOW_RUN(f, &list, "plugin", "list", "--output", "json"), 0);
    DIR *dir = opendir(flow_source("manifests"));
    int plugins = 0, agents = 0;
    for (struct dirent *file; (file = readdir(dir));) {
        char path[512], line[256];
        const char *dot = strrchr(file->d_name, '.');
        if (!dot || strcmp(dot, ".json") != 0)
            continue;
        snprintf(path, sizeof path, "manifests/%s", file->d_name);
        json_t *doc = json_load_file(flow_source(path), 0, NULL), *c;
        size_t i;
        snprintf(line, sizeof line, "plugin %s %s", json_string_value(json_object_get(doc, "name")),
                 json_string_value(json_object_get(doc, "version")));
        ck_assert_msg(flow_logged(f, line), "not logged: %s", line);
        snprintf(line, sizeof line, "\"name\":\"%s\"", json_string_value(json_object_get(doc, "name")));
        ck_assert_msg(strstr(list.text, line), "not listed: %s", line);
        json_array_foreach(json_object_get(doc, "components"), i, c)
        {
            json_t *tools = json_object_get(c, "tools");
            if (strcmp(json_string_value(json_object_get(c, "kind")), "agent") != 0)
                continue;
            int n = snprintf(line, sizeof line, "agent %s (%s)", json_string_value(json_object_get(c, "id")),
                             json_string_value(json_object_get(c, "alias")));
            if (json_array_size(tools))
                snprintf(line + n, sizeof line - (size_t)n, "; tools: %s", json_string_value(json_array_get(tools, 0)));
            ck_assert_msg(flow_logged(f, line), "not logged: %s", line);
            agents++;
        }
        json_decref(doc);
        plugins++;
    }
    closedir(dir);
    ck_assert_uint_eq(json_array_size(list.json), (size_t)plugins);
    ck_assert_int_gt(plugins, 3);
    ck_assert_int_gt(agents, 5);
    flow_answer_free(&list);
    flow_end(f);
}
END_TEST

static const char *const kinds[] = {"agent", "trigger", "treatment", "channel", "provider"};

/* The echo plugin under another name, of this kind: library and manifest dropped into plugins/. */
static void drop_in(struct flow *f, int kind, const char *version)
{
    char name[16], file[64], id[32];
    snprintf(name, sizeof name, "drop_%d", kind);
    struct bytes b = library("echo");
    snprintf(id, sizeof id, "drp%d.echo_", kind);
    replace(b, "test.echo_", id);
    snprintf(descriptor(b)->name, sizeof descriptor(b)->name, "%s", name);
    snprintf(descriptor(b)->version, sizeof descriptor(b)->version, "%s", version);
    snprintf(file, sizeof file, "plugins/%s.so", name);
    save(f, file, b);
    free(b.at);
    json_t *doc = manifest("echo"), *c;
    size_t i;
    json_object_set_new(doc, "name", json_string(name));
    json_object_set_new(doc, "version", json_string(version));
    json_object_set_new(doc, "library", json_sprintf("%s.so", name));
    json_array_foreach(json_object_get(doc, "components"), i, c)
    {
        json_object_set_new(c, "id", json_sprintf("drp%d.echo_%c", kind, (char)('a' + i)));
        json_object_set_new(c, "kind", json_string(kinds[kind]));
        json_t *operation;
        size_t k;
        json_array_foreach(json_object_get(c, "operations"), k, operation) json_object_del(operation, "expose");
    }
    snprintf(file, sizeof file, "plugins/%s.json", name);
    save_manifest(f, file, doc);
}

START_TEST(dropped_in_plugin_of_each_kind_needs_a_restart_only)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_start(f);
    EXPECT(f, 0, "faulty", "plugin", "list");
    for (int i = 0; i < 5; i++)
        drop_in(f, i, "1.0.0");
    EXPECT(f, 0, "6 plugins", "config", "check");
    ck_assert_int_eq(flow_stop(f), 0);
    flow_start(f);
    for (int i = 0; i < 5; i++) {
        char name[32], id[32];
        snprintf(name, sizeof name, "drop_%d  1.0.0", i);
        snprintf(id, sizeof id, "drp%d.echo_b", i);
        EXPECT(f, 0, name, "plugin", "list");
        EXPECT(f, 0, id, "plugin", "list", "--kind", kinds[i]);
        EXPECT(f, 0, "heard", "agent", "call", id, "heard");
    }
    /* Replaced by a newer one. */
    drop_in(f, 1, "1.0.1");
    ck_assert_int_eq(flow_stop(f), 0);
    flow_start(f);
    EXPECT(f, 0, "drop_1  1.0.1", "plugin", "list");
    EXPECT(f, 0, "drop_2  1.0.0", "plugin", "list");
    /* And taken out. */
    flow_remove(f, "plugins/drop_1.json");
    ck_assert_int_eq(flow_stop(f), 0);
    flow_start(f);
    EXPECT(f, 4, "there is no plugin", "plugin", "info", "drop_1");
    EXPECT(f, 0, "drop_2", "plugin", "info", "drop_2");
    flow_end(f);
}
END_TEST

START_TEST(inside_runs_what_is_trusted)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_plugin(f, "echo");
    flow_config(f, "plugins.inline", json_pack("[s]", "faulty"));
    flow_start(f);
    EXPECT(f, 0, "placement: inline", "plugin", "info", "faulty");
    EXPECT(f, 0, "placement: process", "plugin", "info", "echo");
    flow_stop(f);
    flow_config(f, "plugins.disabled", json_pack("[s]", "echo"));
    flow_start(f);
    EXPECT(f, 4, "there is no plugin", "plugin", "info", "echo");
    flow_end(f);
}
END_TEST

/* ---- faulty libraries ---- */

static void as_text(struct bytes *b)
{
    b->n =
        (size_t)snprintf(b->at, 100, "this is a text, and long enough to hold the head of a library or of a program");
}

static void as_empty(struct bytes *b)
{
    b->n = 0;
}

static void cut_in_half(struct bytes *b)
{
    b->n /= 2;
}

static void cut_at_the_end(struct bytes *b)
{
    b->n -= 40;
}

static void cut_in_the_head(struct bytes *b)
{
    b->n = 50;
}

static void for_abi_9(struct bytes *b)
{
    descriptor(*b)->abi_major = 9;
}

static void for_a_later_abi(struct bytes *b)
{
    descriptor(*b)->abi_minor = 99;
}

static void with_other_magic(struct bytes *b)
{
    descriptor(*b)->magic[0] = 'X';
}

static void with_a_wrong_size(struct bytes *b)
{
    descriptor(*b)->size = 60000;
}

static void for_32_bits(struct bytes *b)
{
    b->at[EI_CLASS] = ELFCLASS32;
}

static void as_program(struct bytes *b)
{
    free(b->at);
    *b = load("/bin/sh");
}

static void without_symbol(struct bytes *b)
{
    replace(*b, "cvm_plugin", "cvm_plugxx");
}

static void needing_what_is_not_there(struct bytes *b)
{
    replace(*b, "libjansson.so.4", "libjansson.so.9");
}

static void calling_what_is_not_there(struct bytes *b)
{
    replace(*b, "json_object_get", "json_object_gat");
}

static void with_another_name(struct bytes *b)
{
    snprintf(descriptor(*b)->name, sizeof descriptor(*b)->name, "stranger");
}

static void with_another_version(struct bytes *b)
{
    snprintf(descriptor(*b)->version, sizeof descriptor(*b)->version, "7.0.0");
}

static const struct {
    void (*damage)(struct bytes *);
    const char *says;
} libraries[] = {{as_text, "faulty.so: is not an ELF file"},
                 {as_empty, "faulty.so: is not an ELF file"},
                 {cut_in_half, "faulty.so: is cut off"},
                 {cut_at_the_end, "faulty.so: is cut off"},
                 {cut_in_the_head, "faulty.so: is not an ELF file"},
                 {for_abi_9, "faulty.so: was built for ABI 9.6, this host has 1.6; rebuild it"},
                 {for_a_later_abi, "faulty.so: was built for ABI 1.99, this host has 1.6; rebuild it"},
                 {with_other_magic, "faulty.so: its descriptor begins with another magic"},
                 {with_a_wrong_size, "faulty.so: its descriptor says it is 60000 bytes long"},
                 {for_32_bits, "faulty.so: is not a 64-bit shared library"},
                 {as_program, "faulty.so: is a program, not a library; link it with -shared"},
                 {without_symbol, "faulty.so: exports no symbol cvm_plugin"},
                 {needing_what_is_not_there, "libjansson.so.9: cannot open shared object file"},
                 {calling_what_is_not_there, "undefined symbol: json_object_gat"},
                 {with_another_name, "faulty.json: the library calls itself \"stranger\""},
                 {with_another_version, "faulty.json: version: the manifest says 1.0.0, the library 7.0.0"}};

/* Starts, which must fail with status 3 and this sentence, and says that it is not tried again. */
static void refused(struct flow *f, const char *says)
{
    int status = flow_start_status(f, NULL);
    ck_assert_msg(status == 3, "exit status %d where \"%s\" was expected: %s", status, says, f->start_errors);
    ck_assert_msg(strstr(f->start_errors, says), "no \"%s\" in: %s", says, f->start_errors);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "is not started again"));
    ck_assert_ptr_null(strstr(f->start_errors, "signal"));
}

START_TEST(faulty_library)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_plugin(f, "echo");
    struct bytes b = library("faulty");
    libraries[_i].damage(&b);
    save(f, "plugins/faulty.so", b);
    refused(f, libraries[_i].says);
    free(b.at);
    b = library("faulty"); /* the right one put back is all it takes */
    save(f, "plugins/faulty.so", b);
    free(b.at);
    flow_start(f);
    flow_end(f);
}
END_TEST

START_TEST(missing_library)
{
    struct flow *f = flow_new();
    char path[128];
    flow_plugin(f, "faulty");
    flow_remove(f, "plugins/faulty.so");
    refused(f, "faulty.json: its library faulty.so is not in ");
    EXPECT(f, 3, "faulty.json: its library faulty.so is not in ", "config", "check");
    snprintf(path, sizeof path, "%s/plugins/faulty.so", f->home);
    ck_assert_int_eq(mkdir(path, 0755), 0);
    refused(f, "faulty.so: is not a regular file");
    flow_free(f);
}
END_TEST

/* ---- faulty manifests ---- */

/* What of the manifest of "faulty" is set to what: path into it, value (none: taken out), what the start says, and
 * whether `config check` says it too (it runs no code, so it cannot know the library). */
static const struct {
    const char *path, *value, *says;
    bool checked;
} manifests[] = {
    {"manifest", "2", "manifest: must be 1", true},
    {"name", NULL, "name: is required", true},
    {"name", "\"other\"", "the library calls itself \"faulty\"", false},
    {"version", "\"2.0.0\"", "version: the manifest says 2.0.0, the library 1.0.0", false},
    {"version", "\"new\"", "version: must be a version", true},
    {"colour", "1", "colour: unknown field", true},
    {"abi", "\"1\"", "abi: must be", true},
    {"abi", "\"2.0\"", "abi: the manifest asks for the plugin interface 2.0, this host has 1.6", true},
    {"abi", "\"1.7\"", "abi: the manifest asks for the plugin interface 1.7, this host has 1.6", true},
    {"library", "\"../x.so\"", "library: must be a file name", true},
    {"components", "[]", "components: must have at least 1", true},
    {"components.0.id", "\"Test\"", "components[0].id: must be", true},
    {"components.0.id", "\"test.other\"", "component test.other is not in the library", false},
    {"components.0.kind", "\"fruit\"", "components[0].kind: must be one of", true},
    {"components.0.state_version", "2", "state_version: the manifest says 2, the library 1", false},
    {"components.0.operations.1.type", "\"unheard\"", "the library has no handler for operation unheard", false},
    {"components.0.operations.1.type", "\"ok\"", "answers \"ok\" twice", true},
    {"components.0.operations.0.request", "{\"type\": \"nothing\"}", "components/0/operations/0/request", true},
    {"components.0.operations.0.expose.rest", "\"GET nowhere\"", "expose.rest: must be", true},
    {"components.0.operations.0.expose.args", "[\"none\"]", "\"args\" must name properties", true},
    {"components.1.subscribes", "[\"gossip\"]", "test.caller: subscribes to gossip but has no handler for it", false},
    {"needs", "{\"tables\": [{\"name\": \"turns\", \"key\": \"id\", \"schema\": {}}]}", "needs.tables", true},
};

static void set(json_t *doc, const char *path, const char *value)
{
    char *parts = strdup(path), *save = NULL;
    char *part = strtok_r(parts, ".", &save);
    for (char *next; (next = strtok_r(NULL, ".", &save)); part = next)
        doc = json_is_array(doc) ? json_array_get(doc, (size_t)strtoul(part, NULL, 10)) : json_object_get(doc, part);
    if (value)
        json_object_set_new(doc, part, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(doc, part);
    free(parts);
}

START_TEST(faulty_manifest)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    json_t *doc = manifest("faulty");
    set(doc, manifests[_i].path, manifests[_i].value);
    save_manifest(f, "manifests/faulty.json", doc);
    refused(f, manifests[_i].says);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "faulty.json"));
    if (manifests[_i].checked)
        EXPECT(f, 3, manifests[_i].says, "config", "check");
    flow_free(f);
}
END_TEST

START_TEST(command_of_the_host)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    json_t *doc = manifest("faulty");
    set(doc, "components.0.operations.0.expose.cli", "\"ps\"");
    save_manifest(f, "manifests/faulty.json", doc);
    refused(f, "the command \"ps\" belongs to the host already");
    EXPECT(f, 3, "the command \"ps\" belongs to the host already", "config", "check");
    flow_free(f);
}
END_TEST

START_TEST(manifest_that_is_no_json)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_write(f, "manifests/faulty.json", "{\"manifest\": 1, ");
    refused(f, "faulty.json: line 1, column");
    EXPECT(f, 3, "faulty.json: line 1, column", "config", "check");
    flow_write(f, "manifests/faulty.json", "");
    refused(f, "faulty.json: ");
    flow_free(f);
}
END_TEST

/* ---- two that want the same ---- */

/* Writes a second plugin "twin" made of echo; its manifest may be changed before it is written. */
static json_t *twin(struct flow *f, const char *ids)
{
    struct bytes b = library("echo");
    replace(b, "test.echo_", ids);
    snprintf(descriptor(b)->name, sizeof descriptor(b)->name, "twin");
    save(f, "plugins/twin.so", b);
    free(b.at);
    json_t *doc = manifest("echo"), *c;
    size_t i;
    json_object_set_new(doc, "name", json_string("twin"));
    json_object_set_new(doc, "library", json_string("twin.so"));
    json_array_foreach(json_object_get(doc, "components"), i, c)
        json_object_set_new(c, "id", json_sprintf("%s%c", ids, (char)('a' + i)));
    return doc;
}

static json_t *table(void)
{
    return json_loads("{\"tables\": [{\"name\": \"things\", \"key\": \"id\", \"schema\": {\"type\": \"object\", "
                      "\"properties\": {\"id\": {\"type\": \"string\"}}}}]}",
                      0, NULL);
}

static const struct {
    const char *what, *says, *check;
} claims[] = {
    {"id", "component id test.echo_a is already taken by plugin echo", "the component \"test.echo_a\" belongs to"},
    {"command", "the command \"echo publish\" is claimed by test.echo_a and by twin.echo_a",
     "the command \"echo publish\""},
    {"route", "the route POST /test/publish is claimed by test.echo_a and by twin.echo_a",
     "the route \"POST /test/publish\""},
    {"parameter", "the route GET /things/{name} is claimed by test.echo_a and by twin.echo_a",
     "the route \"GET /things/{}\""},
    {"table", "the table things is declared by plugins echo and twin", "the table \"things\" belongs to"},
    {"name", "plugin name echo is claimed by", "the plugin \"echo\" belongs to"},
};

static void claim(struct flow *f, const char *what)
{
    bool id = strcmp(what, "id") == 0;
    json_t *doc = twin(f, id ? "test.echo_" : "twin.echo_"), *echo = manifest("echo");
    json_t *first =
               json_array_get(json_object_get(json_array_get(json_object_get(doc, "components"), 0), "operations"), 0),
           *other =
               json_array_get(json_object_get(json_array_get(json_object_get(doc, "components"), 0), "operations"), 1);
    if (!id)
        json_object_del(other, "expose");
    if (strcmp(what, "command") == 0) {
        json_object_del(json_object_get(first, "expose"), "rest");
    } else if (!id) {
        json_object_del(json_object_get(first, "expose"), "cli");
        if (strcmp(what, "route") != 0)
            json_object_del(first, "expose");
    }
    if (strcmp(what, "parameter") == 0) {
        const char *expose = "{\"rest\": \"GET /things/{%s}\"}",
                   *request = "{\"properties\": {\"%s\": {\"type\": \"string\"}}}";
        json_t *theirs =
            json_array_get(json_object_get(json_array_get(json_object_get(echo, "components"), 0), "operations"), 0);
        char text[128];
        for (int i = 0; i < 2; i++) {
            snprintf(text, sizeof text, expose, i ? "name" : "id");
            json_object_set_new(i ? first : theirs, "expose", json_loads(text, 0, NULL));
            snprintf(text, sizeof text, request, i ? "name" : "id");
            json_object_set_new(i ? first : theirs, "request", json_loads(text, 0, NULL));
        }
    }
    if (strcmp(what, "table") == 0) {
        json_object_set_new(doc, "needs", table());
        json_object_set_new(echo, "needs", table());
    }
    if (strcmp(what, "name") == 0) {
        struct bytes b = load(flow_build("tests/plugins/echo.so"));
        replace(b, "test.echo_", "twin.echo_");
        save(f, "plugins/twin.so", b);
        free(b.at);
        json_object_set_new(doc, "name", json_string("echo"));
    }
    save_manifest(f, "manifests/twin.json", doc);
    save_manifest(f, "manifests/echo.json", echo);
}

START_TEST(claimed_twice)
{
    struct flow *f = flow_new();
    flow_plugin(f, "echo");
    claim(f, claims[_i].what);
    refused(f, claims[_i].says);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "take one of them out"));
    EXPECT(f, 3, claims[_i].check, "config", "check");
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *l = tcase_create("loading"), *b = tcase_create("faulty");
    tcase_set_timeout(l, 60);
    tcase_set_timeout(b, 60);
    tcase_add_test(l, every_manifest_is_loaded_and_logged);
    tcase_add_test(l, dropped_in_plugin_of_each_kind_needs_a_restart_only);
    tcase_add_test(l, inside_runs_what_is_trusted);
    tcase_add_loop_test(b, faulty_library, 0, (int)(sizeof libraries / sizeof *libraries));
    tcase_add_test(b, missing_library);
    tcase_add_loop_test(b, faulty_manifest, 0, (int)(sizeof manifests / sizeof *manifests));
    tcase_add_test(b, manifest_that_is_no_json);
    tcase_add_test(b, command_of_the_host);
    tcase_add_loop_test(b, claimed_twice, 0, (int)(sizeof claims / sizeof *claims));
    return flow_main("plugins", (TCase *[]){l, b, NULL});
}
