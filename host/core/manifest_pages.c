/* The pages of a manifest: files that the listener serves as they are, read when the manifest is. Owns which files
 * those may be: in the manifest's folder, or below /usr/share. Knows no HTTP but the names of types. Loop thread. */
#include "core/file.h"
#include "core/hex.h"
#include "core/json_text.h"
#include "core/manifest_parts.h"

#include <dirent.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SYSTEM_FOLDER "/usr/share/"
#define FOLDER_DEPTH_MAX 8
#define FOLDER_ENTRIES_MAX 1024 /* of one folder, hidden ones too */
#define PATH_MAX_BYTES 200

static const struct {
    const char *end, *type;
} types[] = {{".html", "text/html; charset=utf-8"},
             {".css", "text/css; charset=utf-8"},
             {".js", "text/javascript; charset=utf-8"},
             {".mjs", "text/javascript; charset=utf-8"},
             {".json", "application/json"},
             {".map", "application/json"},
             {".webmanifest", "application/manifest+json"},
             {".txt", "text/plain; charset=utf-8"},
             {".svg", "image/svg+xml"},
             {".png", "image/png"},
             {".jpg", "image/jpeg"},
             {".jpeg", "image/jpeg"},
             {".webp", "image/webp"},
             {".gif", "image/gif"},
             {".ico", "image/x-icon"},
             {".woff2", "font/woff2"}};

static const char *type_of(const char *file)
{
    const char *dot = strrchr(file, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot, types[i].end) == 0)
            return types[i].type;
    return NULL;
}

/* ---- reading the files ------------------------------------------------------------------------------------------ */

/* What is collected while the files are read. */
struct collecting {
    struct reading *r;
    json_t *all; /* {"path", "type", "title", "nav", and "text", "data" (base64), "redirect" or "missing"} */
    size_t bytes;
    struct field field;
};

static json_t *page_of(const char *path, const json_t *decl)
{
    json_t *page = json_pack("{s:s}", "path", path);
    json_t *title = json_object_get(decl, "title");
    if (page && title)
        json_object_set(page, "title", title);
    if (page && json_is_true(json_object_get(decl, "nav")))
        json_object_set_new(page, "nav", json_true());
    return page;
}

static json_t *content_of(const char *bytes, size_t len)
{
    if (text_is_utf8(bytes, len) && !memchr(bytes, 0, len))
        return json_stringn(bytes, len);
    unsigned char *text = malloc(len / 3 * 4 + 8);
    int n = text ? EVP_EncodeBlock(text, (const unsigned char *)bytes, (int)len) : -1;
    json_t *content = n < 0 ? NULL : json_stringn((const char *)text, (size_t)n);
    free(text);
    return content;
}

/* Takes `page`. */
static int add_page(struct collecting *c, json_t *page)
{
    if (page && json_array_size(c->all) == MANIFEST_PAGES_MAX) {
        json_decref(page);
        return manifest_wrong(c->r, c->field.text, "a plugin has at most %d pages, files of folders among them",
                              MANIFEST_PAGES_MAX);
    }
    return page && json_array_append_new(c->all, page) == 0 ? 0 : CVM_ENOMEM;
}

/* `file` is the name by which the type is known and which messages show, `real` where it is read. */
static int add_file(struct collecting *c, const char *path, const json_t *decl, const char *file, const char *real)
{
    char *bytes = NULL, why[512];
    size_t len = 0;
    const char *type = type_of(file);
    if (!type)
        return manifest_wrong(c->r, c->field.text,
                              "%s: the end of its name says no type that pages have (.html, .css, "
                              ".js, .json, .svg, .png, .woff2, ...)",
                              file);
    bool known;
    int error = manifest_read_file(c->r, real, 'p', MANIFEST_PAGE_MAX_BYTES, &bytes, &len, &known, why, sizeof why);
    if (error) {
        manifest_wrong(c->r, c->field.text, "%s", why);
        return error == CVM_ELIMIT || error == CVM_ENOMEM ? error : CVM_EINVAL;
    }
    if ((c->bytes += len) > MANIFEST_PAGES_MAX_BYTES) {
        free(bytes);
        return manifest_wrong(c->r, c->field.text, "the pages of a plugin have at most %d MiB in all",
                              MANIFEST_PAGES_MAX_BYTES / 1024 / 1024);
    }
    json_t *page = page_of(path, decl), *content = content_of(bytes, len);
    bool text = json_string_length(content) == len && memcmp(json_string_value(content), bytes, len) == 0;
    free(bytes);
    if (!page || !content || json_object_set_new(page, "type", json_string(type)) < 0) {
        json_decref(content);
        json_decref(page);
        return CVM_ENOMEM;
    }
    json_object_set_new(page, text ? "text" : "data", content);
    return add_page(c, page);
}

static bool servable(const char *name)
{
    for (const char *s = name; *s; s++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-", *s))
            return false;
    return true;
}

static int add_folder(struct collecting *c, const char *path, const json_t *decl, const char *folder, int depth);

/* A file or folder in a folder that is known to be inside; `plain`: a file, and no link to one. Its title belongs to
 * the folder's own path, which index.html answers. */
static int add_entry(struct collecting *c, const char *path, const json_t *decl, const char *folder, const char *name,
                     bool plain, int depth)
{
    char below[PATH_MAX_BYTES + 2], inside[512], *real = NULL;
    struct stat st;
    int n = snprintf(inside, sizeof inside, "%s/%s", folder, name);
    int m = snprintf(below, sizeof below, "%s%s", path, name);
    if (!servable(name) || n >= (int)sizeof inside || m > PATH_MAX_BYTES - 1)
        return manifest_wrong(c->r, c->field.text,
                              "%s: a name in it is too long, or has others than letters, digits and . _ ~ -", folder);
    if (!plain)
        CVM_TRY(manifest_inside(c->r, inside, c->field.text, &real));
    else if (asprintf(&real, "%s/%s", c->r->m->dir, inside) < 0)
        return CVM_ENOMEM;
    int error = 0;
    if (!plain && stat(real, &st) == 0 && S_ISDIR(st.st_mode)) {
        below[m] = '/';
        below[m + 1] = 0;
        error = add_folder(c, below, NULL, inside, depth + 1);
    } else {
        error = add_file(c, below, NULL, inside, real);
        if (!error && strcmp(name, "index.html") == 0)
            error = add_file(c, path, decl, inside, real);
    }
    free(real);
    return error;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int add_folder(struct collecting *c, const char *path, const json_t *decl, const char *folder, int depth)
{
    char *real = NULL;
    struct dirent **names = NULL;
    if (depth > FOLDER_DEPTH_MAX)
        return manifest_wrong(c->r, c->field.text, "%s: folders stand at most %d deep in each other", folder,
                              FOLDER_DEPTH_MAX);
    int error = manifest_inside(c->r, folder, c->field.text, &real);
    int n = error ? -1 : scandir(real, &names, is_shown, alphasort);
    free(real);
    if (error == CVM_ENOENT || (!error && n < 0))
        return manifest_wrong(c->r, c->field.text, "there is no folder %s/%s", c->r->m->dir, folder);
    if (n > FOLDER_ENTRIES_MAX)
        error = manifest_wrong(c->r, c->field.text, "%s: has more than %d entries", folder, FOLDER_ENTRIES_MAX);
    for (int i = 0; i < n; i++) {
        if (!error)
            error = add_entry(c, path, decl, folder, names[i]->d_name, names[i]->d_type == DT_REG, depth);
        if (error == CVM_ENOENT)
            error = manifest_wrong(c->r, c->field.text, "%s/%s: leads nowhere", folder, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return error;
}

/* Packages of the system are not ours to demand: what is missing is said when somebody asks for it. */
static int add_system(struct collecting *c, const char *path, const json_t *decl, const char *file)
{
    char real[PATH_MAX];
    const char *type = type_of(file);
    if (!realpath(file, real)) {
        json_t *page = page_of(path, decl);
        manifest_read_none(c->r, file);
        if (page && (json_object_set_new(page, "missing", json_string(file)) < 0 ||
                     json_object_set_new(page, "type", json_string(type ? type : "text/plain")) < 0)) {
            json_decref(page);
            return CVM_ENOMEM;
        }
        return add_page(c, page);
    }
    if (strncmp(real, SYSTEM_FOLDER, strlen(SYSTEM_FOLDER)) != 0)
        return manifest_wrong(c->r, c->field.text, "must be a file below " SYSTEM_FOLDER ", but \"%s\" leads out of it",
                              file);
    return add_file(c, path, decl, file, real);
}

static int add_redirect(struct collecting *c, const char *path, const json_t *decl, const char *to)
{
    json_t *page = page_of(path, decl);
    if (page && (json_object_set_new(page, "redirect", json_string(to)) < 0 ||
                 json_object_set_new(page, "type", json_string("text/plain")) < 0)) {
        json_decref(page);
        return CVM_ENOMEM;
    }
    return add_page(c, page);
}

static int add_declared(struct collecting *c, const json_t *decl)
{
    static const char *const ways[] = {"file", "folder", "system", "redirect"};
    const char *path = json_string_value(json_object_get(decl, "path")), *what = NULL;
    char *real = NULL;
    int way = -1, n = 0;
    for (int i = 0; i < 4; i++)
        if (json_object_get(decl, ways[i])) {
            way = i;
            n++;
        }
    if (n != 1)
        return manifest_wrong(c->r, c->field.text,
                              "must have one of \"file\", \"folder\", \"system\" and \"redirect\", got %d", n);
    what = json_string_value(json_object_get(decl, ways[way]));
    bool slash = path[strlen(path) - 1] == '/';
    if (way == 1)
        return slash ? add_folder(c, path, decl, what, 1)
                     : manifest_wrong(c->r, c->field.text, "the path of a folder ends with \"/\", got \"%s\"", path);
    if (way == 2)
        return add_system(c, path, decl, what);
    if (way == 3)
        return add_redirect(c, path, decl, what);
    int error = manifest_inside(c->r, what, c->field.text, &real);
    if (error == CVM_ENOENT)
        return manifest_wrong(c->r, c->field.text, "there is no file %s/%s", c->r->m->dir, what);
    if (!error)
        error = add_file(c, path, decl, what, real);
    free(real);
    return error;
}

static int read_files(struct reading *r, const json_t *pages)
{
    struct collecting c = {.r = r, .all = r->m->pages_read = json_array()};
    if (!c.all)
        return CVM_ENOMEM;
    for (size_t i = 0; i < json_array_size(pages); i++) {
        manifest_field(&c.field, "pages[%zu]", i);
        CVM_TRY(add_declared(&c, json_array_get(pages, i)));
    }
    return 0;
}

/* ---- what they are served by ------------------------------------------------------------------------------------ */

static const char *text_of(const json_t *page, const char *name)
{
    return json_string_value(json_object_get(page, name));
}

static int decode(const json_t *data, struct manifest_page *page)
{
    size_t n = json_string_length(data), padding = 0;
    const char *text = json_string_value(data);
    while (padding < 2 && padding < n && text[n - 1 - padding] == '=')
        padding++;
    page->decoded = malloc(n / 4 * 3 + 4);
    if (!page->decoded)
        return CVM_ENOMEM;
    int len = EVP_DecodeBlock((unsigned char *)page->decoded, (const unsigned char *)text, (int)n);
    if (len < (int)padding)
        return CVM_EINVAL;
    page->bytes = page->decoded;
    page->len = (size_t)len - padding;
    return 0;
}

static int make_page(const json_t *from, struct manifest_page *page)
{
    const json_t *text = json_object_get(from, "text"), *data = json_object_get(from, "data");
    char hash[HASH_HEX_SIZE];
    page->path = text_of(from, "path");
    page->title = text_of(from, "title");
    page->nav = json_is_true(json_object_get(from, "nav"));
    page->type = text_of(from, "type");
    page->redirect = text_of(from, "redirect");
    page->missing = text_of(from, "missing");
    page->bytes = text ? json_string_value(text) : "";
    page->len = json_string_length(text);
    if (!page->path || !page->type || !page->bytes)
        return CVM_EINVAL;
    if (data)
        CVM_TRY(decode(data, page));
    hash_hex(page->bytes, page->len, hash);
    snprintf(page->etag, sizeof page->etag, "\"%.32s\"", hash);
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct manifest_page *x = a, *y = b;
    return strcmp(x->path, y->path);
}

int manifest_read_pages(struct reading *r, const json_t *pages)
{
    struct manifest *m = r->m;
    if (!json_array_size(pages))
        return 0;
    if (r->saved)
        m->pages_read = json_incref(r->saved_pages);
    else
        CVM_TRY(read_files(r, pages));
    size_t n = json_array_size(m->pages_read);
    m->pages = calloc(n + 1, sizeof *m->pages);
    if (!m->pages)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        m->n_pages = i + 1; /* also a half-made one is freed */
        int error = make_page(json_array_get(m->pages_read, i), &m->pages[i]);
        if (error)
            return error == CVM_EINVAL ? manifest_wrong(r, "pages", "is no saved page") : error;
    }
    qsort(m->pages, n, sizeof *m->pages, by_path);
    for (size_t i = 1; i < n; i++)
        if (strcmp(m->pages[i].path, m->pages[i - 1].path) == 0)
            return manifest_wrong(r, "pages", "\"%s\" is declared twice, or a folder has a file of that name",
                                  m->pages[i].path);
    return 0;
}

void manifest_free_pages(struct manifest *m)
{
    for (size_t i = 0; i < m->n_pages; i++)
        free(m->pages[i].decoded);
    free(m->pages);
    json_decref(m->pages_read);
}
