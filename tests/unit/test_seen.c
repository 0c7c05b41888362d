/* What a start knows of files that have not changed, and that no change of them is missed. */
#include "core/manifest.h"
#include "core/seen.h"
#include "core/stage.h"
#include "files.h"
#include "virtual.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const PLUGINS[] = {"echo", NULL};

/* Files that changed within the last two seconds are never known. */
static void grow_old(void)
{
    usleep(2200000);
}

/* A start of the staging alone. Gives whether its build was known without a look into the files. */
static bool stage(const struct virtual *v, char ret_content[65], char ret_build[65])
{
    char manifest[200], error[512] = "";
    struct candidate c;
    struct stage_place place = {.home = v->home, .config = v->config, .seen = seen_open(v->home)};
    ck_assert_ptr_nonnull(place.seen);
    snprintf(manifest, sizeof manifest, "%s/manifests/echo.json", v->home);
    ck_assert_msg(stage_read(&place, manifest, false, &c, error, sizeof error) == 0, "%s", error);
    bool known = seen_find(place.seen, c.manifest->files) && c.vet_us == 0;
    ck_assert_str_eq(c.identity.name, "echo");
    ck_assert_int_eq(access(c.path, R_OK), 0);
    memcpy(ret_content, c.content, 65);
    memcpy(ret_build, c.build, 65);
    seen_save(place.seen);
    seen_free(place.seen);
    stage_clear(&c);
    return known;
}

struct home {
    struct virtual *v;
    char content[65], build[65];
};

/* A home whose files are known. */
static struct home known_home(void)
{
    struct home h = {.v = virtual_new(PLUGINS, NULL)};
    virtual_open(h.v); /* which makes its folders */
    virtual_close(h.v);
    char content[65], build[65];
    stage(h.v, h.content, h.build);
    ck_assert(!stage(h.v, content, build)); /* too young */
    grow_old();
    ck_assert(!stage(h.v, content, build));
    ck_assert(stage(h.v, content, build));
    ck_assert_str_eq(content, h.content);
    ck_assert_str_eq(build, h.build);
    return h;
}

/* The same size and the same time of change: what a careful copy leaves. */
static void alter(const char *path, const char *from, const char *to)
{
    struct stat st;
    size_t n;
    ck_assert_int_eq(stat(path, &st), 0);
    chmod(path, 0700);
    char *bytes = (char *)files_read(path, &n), *at = memmem(bytes, n, from, strlen(from));
    ck_assert_msg(at != NULL, "%s has no %s", path, from);
    memcpy(at, to, strlen(to));
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, bytes, n, 0), (ssize_t)n);
    close(fd);
    free(bytes);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    chmod(path, st.st_mode & 07777);
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

START_TEST(a_manifest_that_changed_is_read)
{
    struct home h = known_home();
    char path[200], content[65], build[65];
    snprintf(path, sizeof path, "%s/manifests/echo.json", h.v->home);
    alter(path, "\"echo\"", "\"echo\"");
    grow_old();
    ck_assert(!stage(h.v, content, build)); /* written, though with the same bytes */
    ck_assert_str_eq(content, h.content);
    ck_assert(stage(h.v, content, build));
    alter(path, "test.echo_a", "test.echo_z");
    grow_old();
    ck_assert(!stage(h.v, content, build));
    ck_assert_str_ne(content, h.content);
    ck_assert_str_eq(build, h.build);
    virtual_free(h.v);
}
END_TEST

START_TEST(a_library_that_changed_is_read)
{
    struct home h = known_home();
    char path[200], content[65], build[65];
    snprintf(path, sizeof path, "%s/plugins/echo.so", h.v->home);
    alter(path, "GCC: ", "gcc: ");
    grow_old();
    ck_assert(!stage(h.v, content, build));
    ck_assert_str_eq(content, h.content);
    ck_assert_str_ne(build, h.build);
    virtual_free(h.v);
}
END_TEST

/* Each of the two copies: changed in place, cut off, gone. All are made anew. */
START_TEST(copies_are_healed)
{
    struct home h = known_home();
    char path[2][200], content[65], build[65];
    snprintf(path[0], sizeof path[0], "%s/data/builds/%s.json", h.v->home, h.content);
    snprintf(path[1], sizeof path[1], "%s/data/builds/%s.so", h.v->home, h.build);
    for (int i = 0; i < 6; i++) {
        size_t size, n;
        const char *at = path[i % 2];
        uint8_t *bytes = files_read(at, &size), *now;
        if (i < 2)
            alter(at, "echo", "acho");
        else if (i < 4)
            ck_assert_int_eq(truncate(at, (off_t)size / 2), 0);
        else
            unlink(at);
        ck_assert_msg(!stage(h.v, content, build), "%d", i);
        ck_assert_str_eq(content, h.content);
        ck_assert_str_eq(build, h.build);
        now = files_read(at, &n);
        ck_assert_msg(n == size && memcmp(now, bytes, n) == 0, "%d", i);
        free(bytes);
        free(now);
        grow_old();
        ck_assert(!stage(h.v, content, build));
        ck_assert_msg(stage(h.v, content, build), "%d", i);
    }
    virtual_free(h.v);
}
END_TEST

START_TEST(a_record_that_is_not_whole_says_nothing)
{
    struct home h = known_home();
    char path[200], content[65], build[65];
    size_t size;
    snprintf(path, sizeof path, "%s/data/builds/.seen", h.v->home);
    uint8_t *good = files_read(path, &size), *bad = malloc(size);
    for (size_t n = 0; n < size; n += 1 + n / 7) {
        files_write(path, good, n);
        ck_assert_msg(!stage(h.v, content, build), "cut off behind %zu", n);
        memcpy(bad, good, size);
        bad[n] ^= 1;
        files_write(path, bad, size);
        ck_assert_msg(!stage(h.v, content, build), "byte %zu", n);
        ck_assert_str_eq(content, h.content);
    }
    files_write(path, good, size);
    ck_assert(stage(h.v, content, build));
    free(good);
    free(bad);
    virtual_free(h.v);
}
END_TEST

/* A whole start over files that are known, and the messages of one whose manifest is faulty since. */
START_TEST(a_start_finds_what_changed)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    struct core *core = NULL;
    char path[200], error[512] = "";
    grow_old();
    for (int i = 0; i < 3; i++) {
        virtual_open(v);
        snprintf(path, sizeof path, "%s/data/builds/.seen.12345", v->home);
        ck_assert_int_lt(access(path, F_OK), 0);
        files_write(path, "cvmhost", 7); /* as of a host that ended while it wrote */
        ck_assert_int_eq(virtual_call(v, "test.echo_a", "heard", NULL, &a), CVM_REPLIED);
        json_decref(a.data);
        a = (struct answer_seen){0};
        virtual_close(v);
        if (i == 0)
            grow_old(); /* the copies */
    }
    snprintf(path, sizeof path, "%s/manifests/echo.json", v->home);
    alter(path, "\"components\"", "\"compunents\"");
    grow_old();
    struct core_options options = {.home = v->home, .config = v->config, .seed = 42};
    for (int i = 0; i < 2; i++) { /* a faulty file is not known the second time either */
        ck_assert_int_eq(core_open(&options, &core, error, sizeof error), 0);
        ck_assert_int_lt(core_load(core, error, sizeof error), 0);
        ck_assert_msg(strstr(error, "compunents") != NULL || strstr(error, "components") != NULL, "%s", error);
        core_close(core);
    }
    alter(path, "\"compunents\"", "\"components\"");
    virtual_free(v);
}
END_TEST

static int read_manifest(const char *path, const char *home, char error[512])
{
    struct manifest *m = NULL;
    struct seen *seen = seen_open(home);
    int e = manifest_load_seen(path, seen, &m, error, 512);
    if (!e)
        seen_save(seen);
    manifest_free(m);
    seen_free(seen);
    return e;
}

/* What a file was good for as one thing says nothing of it as another. */
START_TEST(a_text_is_no_examples)
{
    static const char *const domains[] = {"\"knowledge\": \"texts\"", "\"examples\": \"texts/one.txt\""};
    struct virtual *v = virtual_new(PLUGINS, NULL);
    char path[200], text[1024], error[512] = "";
    virtual_open(v);
    virtual_close(v);
    snprintf(path, sizeof path, "%s/manifests/words", v->home);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/manifests/words/texts", v->home);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/manifests/words/texts/one.txt", v->home);
    files_write(path, "Good morning", 12);
    grow_old();
    snprintf(path, sizeof path, "%s/manifests/words.json", v->home);
    for (int i = 0; i < 2; i++) {
        int n = snprintf(text, sizeof text,
                         "{\"manifest\": 1, \"name\": \"words\", \"version\": \"1.0.0\", \"abi\": \"1.0\","
                         " \"library\": \"echo.so\", \"description\": \"Words\", \"components\": [{\"id\":"
                         " \"test.words\", \"alias\": \"Words\", \"kind\": \"provider\", \"roles\": [\"test.words\"],"
                         " \"state_version\": 1, \"operations\": [{\"type\": \"say\"}]}],"
                         " \"domain\": {\"name\": \"WORDS\", %s}}",
                         domains[i]);
        files_write(path, text, (size_t)n);
        int e = read_manifest(path, v->home, error);
        ck_assert_msg((e < 0) == (i == 1), "%d %s", e, error);
    }
    ck_assert_msg(strstr(error, "must be a JSON object") != NULL || strstr(error, "line 1") != NULL, "%s", error);
    virtual_free(v);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seen");
    TCase *tests = tcase_create("seen");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_manifest_that_changed_is_read);
    tcase_add_test(tests, a_library_that_changed_is_read);
    tcase_add_test(tests, copies_are_healed);
    tcase_add_test(tests, a_record_that_is_not_whole_says_nothing);
    tcase_add_test(tests, a_start_finds_what_changed);
    tcase_add_test(tests, a_text_is_no_examples);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
