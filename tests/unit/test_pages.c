/* Pages and streams of a manifest: which files are read, which are refused and why, and that a saved copy has them. */
#include "core/manifest.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96], error[1024];

static void write_bytes(const char *name, const void *bytes, size_t n)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    FILE *f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void make_folder(const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    ck_assert_int_eq(mkdir(file, 0700), 0);
}

static void make_link(const char *to, const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    ck_assert_int_eq(symlink(to, file), 0);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_pages.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/shop.json", folder);
    make_folder("shop");
    make_folder("shop/site");
    make_folder("shop/site/deep");
    make_folder("other");
    write_text("shop/a.html", "<p>a</p>");
    write_text("shop/a.exe", "a");
    write_text("other/b.html", "<p>b</p>");
    write_text("shop/site/index.html", "<p>index</p>");
    write_text("shop/site/deep/x.css", "p {}");
    write_bytes("shop/site/x.png", "\x89PNG\0\xff", 6);
}

static int drop(const char *file, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(file);
}

static void teardown(void)
{
    nftw(folder, drop, 16, FTW_DEPTH | FTW_PHYS);
}

/* Loads a manifest with these members, ' standing for ". */
static int load(const char *members, struct manifest **ret_manifest)
{
    char text[4096];
    snprintf(text, sizeof text,
             "{'manifest':1,'name':'shop','version':'0.1.0','abi':'1.0','components':[{'id':'a.b','kind':'channel',"
             "'operations':[{'type':'see','expose':{'rest':'GET /see'}}]}], %s}",
             members);
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    write_text("shop.json", text);
    error[0] = 0;
    return manifest_load(path, ret_manifest, error, sizeof error);
}

static struct manifest *loaded(const char *members)
{
    struct manifest *m = NULL;
    int e = load(members, &m);
    ck_assert_msg(e == 0, "%s", error);
    return m;
}

static void refuses(const char *members, const char *part)
{
    struct manifest *m = NULL;
    ck_assert_msg(load(members, &m) < 0, "accepts %s", members);
    ck_assert_msg(strstr(error, part), "\"%s\" lacks \"%s\"", error, part);
    ck_assert_msg(strncmp(error, path, strlen(path)) == 0, "%s", error);
}

static const struct manifest_page *page(const struct manifest *m, const char *at)
{
    for (size_t i = 0; i < m->n_pages; i++)
        if (strcmp(m->pages[i].path, at) == 0)
            return &m->pages[i];
    ck_abort_msg("there is no page %s", at);
    return NULL;
}

static const char *const all = "'pages': [{'path': '/ui/a', 'file': 'a.html', 'title': 'A', 'nav': true},"
                               "{'path': '/ui/', 'folder': 'site', 'title': 'Site'}, {'path': '/', 'redirect': '/ui/'},"
                               "{'path': '/ui/lib.js', 'system': '/usr/share/no-such-folder/lib.js'}],"
                               "'streams': [{'rest': 'GET /events', 'topics': ['a', 'b'], 'permission': 'look'}]";

static void check_all(const struct manifest *m)
{
    ck_assert_uint_eq(m->n_pages, 7);
    for (size_t i = 1; i < m->n_pages; i++)
        ck_assert_int_lt(strcmp(m->pages[i - 1].path, m->pages[i].path), 0);
    const struct manifest_page *a = page(m, "/ui/a"), *index = page(m, "/ui/"), *picture = page(m, "/ui/x.png");
    ck_assert_str_eq(a->title, "A");
    ck_assert(a->nav && !index->nav);
    ck_assert_str_eq(a->type, "text/html; charset=utf-8");
    ck_assert_uint_eq(a->len, 8);
    ck_assert_mem_eq(a->bytes, "<p>a</p>", 8);
    ck_assert_uint_eq(strlen(a->etag), 34);
    ck_assert_str_eq(index->title, "Site");
    ck_assert_mem_eq(index->bytes, "<p>index</p>", 12);
    ck_assert_ptr_null(page(m, "/ui/index.html")->title);
    ck_assert_str_eq(index->etag, page(m, "/ui/index.html")->etag);
    ck_assert_str_ne(index->etag, a->etag);
    ck_assert_str_eq(page(m, "/ui/deep/x.css")->type, "text/css; charset=utf-8");
    ck_assert_str_eq(picture->type, "image/png");
    ck_assert_uint_eq(picture->len, 6);
    ck_assert_mem_eq(picture->bytes, "\x89PNG\0\xff", 6);
    ck_assert_str_eq(page(m, "/")->redirect, "/ui/");
    ck_assert_str_eq(page(m, "/ui/lib.js")->missing, "/usr/share/no-such-folder/lib.js");
    ck_assert_uint_eq(m->n_streams, 1);
    ck_assert_str_eq(m->streams[0].path, "/events");
    ck_assert_str_eq(m->streams[0].permission, "look");
    ck_assert_uint_eq(m->streams[0].topics.n, 2);
}

START_TEST(are_read)
{
    struct manifest *m = loaded(all);
    check_all(m);
    manifest_free(m);
    m = loaded("'pages': [], 'streams': []");
    ck_assert_uint_eq(m->n_pages + m->n_streams, 0);
    manifest_free(m);
}
END_TEST

START_TEST(are_in_the_saved_copy)
{
    char copy[128];
    struct manifest *m = loaded(all), *again = NULL;
    snprintf(copy, sizeof copy, "%s/copy", folder);
    ck_assert_int_eq(manifest_save(m, copy), 0);
    char *text = manifest_text(m);
    manifest_free(m);
    write_text("shop/a.html", "<p>other</p>"); /* not looked at */
    ck_assert_int_eq(manifest_load_saved(copy, &again, error, sizeof error), 0);
    check_all(again);
    char *same = manifest_text(again);
    ck_assert_str_eq(text, same);
    manifest_free(again);
    free(same);
    m = loaded(all); /* another page is another plugin */
    same = manifest_text(m);
    ck_assert_str_ne(text, same);
    manifest_free(m);
    free(same);
    free(text);
}
END_TEST

START_TEST(stay_in_their_folder)
{
    make_link("../other/b.html", "shop/out.html");
    make_link("../../other", "shop/site/out");
    make_link("a.html", "shop/in.html");
    struct manifest *m = loaded("'pages': [{'path': '/a', 'file': 'in.html'}]");
    manifest_free(m);
    refuses("'pages': [{'path': '/a', 'file': 'out.html'}]", "pages[0]: must be a file in the folder");
    refuses("'pages': [{'path': '/a/', 'folder': 'site'}]", "leads out of it");
    refuses("'pages': [{'path': '/a', 'file': '../other/b.html'}]", "must be a file in the folder");
    refuses("'pages': [{'path': '/a', 'file': 'site/../../other/b.html'}]", "must be a file in the folder");
    refuses("'pages': [{'path': '/a', 'file': '/etc/hosts.html'}]", "must be a file in the folder");
    refuses("'pages': [{'path': '/a/', 'folder': '..'}]", "must be a file in the folder");
    refuses("'pages': [{'path': '/a.txt', 'system': '/etc/passwd'}]", "a file below /usr/share/");
    refuses("'pages': [{'path': '/a.txt', 'system': '/usr/share/../../etc/passwd'}]", "below /usr/share/");
}
END_TEST

/* "." and ".." do not occur in what can be asked for, nor anything that must be escaped. */
START_TEST(have_plain_paths)
{
    static const char *const odd[] = {"a",      "/a/../b", "/..",  "/./a", "//a",   "/a//b",  "/a b",
                                      "/a%20b", "/a?b",    "/a#b", "/.a",  "/a/.b", "/a\\\\b"};
    char members[256];
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        snprintf(members, sizeof members, "'pages': [{'path': '%s', 'file': 'a.html'}]", odd[i]);
        refuses(members, "pages[0].path: must be a path such as /ui/orders");
    }
    write_text("shop/site/a b.html", "x");
    refuses("'pages': [{'path': '/a/', 'folder': 'site'}]", "a name in it");
}
END_TEST

START_TEST(say_what_is_wrong)
{
    refuses("'pages': [{'path': '/a', 'file': 'no.html'}]", "pages[0]: there is no file");
    refuses("'pages': [{'path': '/a/', 'folder': 'no'}]", "pages[0]: there is no folder");
    refuses("'pages': [{'path': '/a', 'folder': 'site'}]", "the path of a folder ends with");
    refuses("'pages': [{'path': '/a', 'file': 'a.exe'}]", "says no type that pages have");
    refuses("'pages': [{'path': '/a'}]", "must have one of");
    refuses("'pages': [{'path': '/a', 'file': 'a.html', 'redirect': '/b'}]", "got 2");
    refuses("'pages': [{'path': '/a', 'file': 'a.html', 'colour': 'red'}]", "colour: unknown field");
    refuses("'pages': [{'path': '/a', 'file': 'a.html'}, {'path': '/a', 'redirect': '/b'}]",
            "\"/a\" is declared twice");
    refuses("'pages': [{'path': '/a/', 'folder': 'site'}, {'path': '/a/x.png', 'file': 'a.html'}]", "declared twice");
    refuses("'streams': [{'rest': 'POST /e', 'topics': ['a']}]", "streams[0].rest: must be GET and a path");
    refuses("'streams': [{'rest': 'GET /e/{id}', 'topics': ['a']}]", "streams[0].rest: must be GET and a path");
    refuses("'streams': [{'rest': 'GET /e', 'topics': []}]", "streams[0].topics");
    refuses("'streams': [{'rest': 'GET /e', 'topics': ['a', 'a']}]", "\"a\" occurs twice");
    refuses("'streams': [{'rest': 'GET /see', 'topics': ['a']}]", "the route \"GET /see\" is declared twice");
}
END_TEST

START_TEST(have_limits)
{
    char name[64];
    char *big = malloc(MANIFEST_PAGE_MAX_BYTES + 1);
    memset(big, 'a', MANIFEST_PAGE_MAX_BYTES + 1);
    write_bytes("shop/a.html", big, MANIFEST_PAGE_MAX_BYTES);
    struct manifest *m = loaded("'pages': [{'path': '/a', 'file': 'a.html'}]");
    ck_assert_uint_eq(m->pages[0].len, MANIFEST_PAGE_MAX_BYTES);
    manifest_free(m);
    write_bytes("shop/a.html", big, MANIFEST_PAGE_MAX_BYTES + 1);
    refuses("'pages': [{'path': '/a', 'file': 'a.html'}]", "larger than the limit of 2048 KiB");
    make_folder("shop/many");
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof name, "shop/many/%d.txt", i);
        write_bytes(name, big, MANIFEST_PAGE_MAX_BYTES);
    }
    refuses("'pages': [{'path': '/a/', 'folder': 'many'}]", "at most 16 MiB in all");
    free(big);
    for (int i = 0; i < MANIFEST_PAGES_MAX; i++) {
        snprintf(name, sizeof name, "shop/many/%d.txt", i);
        write_text(name, "x");
    }
    m = loaded("'pages': [{'path': '/a/', 'folder': 'many'}]");
    ck_assert_uint_eq(m->n_pages, MANIFEST_PAGES_MAX);
    manifest_free(m);
    write_text("shop/many/more.txt", "x");
    refuses("'pages': [{'path': '/a/', 'folder': 'many'}]", "at most 128 pages");
    make_folder("shop/loop");
    make_link(".", "shop/loop/again");
    refuses("'pages': [{'path': '/a/', 'folder': 'loop'}]", "folders stand at most 8 deep");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pages");
    TCase *c = tcase_create("pages");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, are_read);
    tcase_add_test(c, are_in_the_saved_copy);
    tcase_add_test(c, stay_in_their_folder);
    tcase_add_test(c, have_plain_paths);
    tcase_add_test(c, say_what_is_wrong);
    tcase_add_test(c, have_limits);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
