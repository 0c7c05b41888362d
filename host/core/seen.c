/* What is known of files; see seen.h. The record is text: a head, "f KEY" for a file, "b ..." for a build, and a sum of
 * all before it at the end. */
#include "core/seen.h"

#include "core/file.h"
#include "core/hex.h"
#include "core/json_text.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SEEN_MAX_BYTES (4 * 1024 * 1024)
#define YOUNG_NS (2 * INT64_C(1000000000)) /* more than the grain of any file system's times */
#define BOOT_MAX 64

struct seen {
    char *path;
    char head[128];  /* "": the program or the boot cannot be told, so nothing is known or kept */
    uint64_t *known; /* sorted */
    size_t n_known;
    struct seen_build *builds;
    size_t n_builds;
    char *before;            /* the record as it stands */
    struct text files, news; /* lines for the next start */
};

/* ---- keys ---- */

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t seen_key(const char *path, const struct stat *st)
{
    struct timespec now;
    int64_t of[] = {(int64_t)st->st_dev, (int64_t)st->st_ino, (int64_t)st->st_size,
                    ns_of(st->st_mtim),  ns_of(st->st_ctim),  (int64_t)st->st_mode};
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t old = ns_of(now) - YOUNG_NS;
    if (of[3] >= old || of[4] >= old || !S_ISREG(st->st_mode))
        return 0;
    uint64_t key = mix(mix(0xcbf29ce484222325u, path, strlen(path) + 1), of, sizeof of);
    return key ? key : 1;
}

uint64_t seen_key_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? seen_key(path, &st) : 0;
}

uint64_t seen_join(uint64_t keys, uint64_t key)
{
    if (!keys || !key)
        return 0;
    keys = mix(keys, &key, sizeof key);
    return keys ? keys : 1;
}

/* ---- the record ---- */

static bool read_build(const char *line, struct seen_build *b)
{
    char identity[1024 + 1], flags[4]; /* the widths in the format */
    int at = 0;
    static_assert(2 * sizeof b->identity < sizeof identity, "the width in the format");
    int n = sscanf(line, "b %16lx %16lx %16lx %16lx %64s %64s %3s %1024s %n", &b->files, &b->library, &b->copy,
                   &b->saved, b->content, b->build, flags, identity, &at);
    if (n != 8 || !at || strlen(identity) != 2 * sizeof b->identity ||
        !hex_read(identity, b->identity, sizeof b->identity) || strlen(line + at) >= sizeof b->inline_reasons)
        return false;
    b->may_unload = flags[0] == 'u';
    b->may_inline = flags[0] && flags[1] == 'i';
    snprintf(b->inline_reasons, sizeof b->inline_reasons, "%s", line + at);
    return true;
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Takes the lines of `text`, which is cut into them. */
static void take(struct seen *s, char *text, size_t lines)
{
    s->known = calloc(lines + 1, sizeof *s->known);
    s->builds = calloc(lines + 1, sizeof *s->builds);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line && s->known && s->builds; line = strtok_r(NULL, "\n", &rest)) {
        if (*line == 'f')
            s->known[s->n_known++] = strtoull(line + 1, NULL, 16);
        else if (*line == 'b' && read_build(line, &s->builds[s->n_builds]))
            s->n_builds++;
    }
    if (s->known)
        qsort(s->known, s->n_known, sizeof *s->known, by_key);
}

static void sum_line(const char *text, size_t n, char ret_line[32])
{
    snprintf(ret_line, 32, "end %016lx\n", mix(n, text, n));
}

static void load(struct seen *s)
{
    char why[256], sum[32], *end;
    size_t len, head = strlen(s->head), lines = 0;
    if (!head || file_read(s->path, SEEN_MAX_BYTES, false, &s->before, &len, why, sizeof why) < 0)
        return;
    if (strlen(s->before) != len || len < head || strncmp(s->before, s->head, head) != 0 ||
        !(end = strstr(s->before, "\nend ")))
        return;
    sum_line(s->before, (size_t)(end + 1 - s->before), sum);
    if (strcmp(end + 1, sum) != 0)
        return;
    char *copy = strndup(s->before + head, (size_t)(end - s->before) - head + 1);
    for (const char *at = copy; at && *at; at++)
        lines += *at == '\n';
    if (copy)
        take(s, copy, lines);
    free(copy);
}

/* By which the record is that of this program on a machine that has not been down. */
static void make_head(struct seen *s)
{
    char why[256], *boot = NULL;
    size_t len = 0;
    uint64_t program = seen_key_of("/proc/self/exe");
    if (program && file_read("/proc/sys/kernel/random/boot_id", BOOT_MAX, false, &boot, &len, why, sizeof why) == 0 &&
        len)
        snprintf(s->head, sizeof s->head, "cvmhost-seen 1 %016lx %.*s\n", program, (int)strcspn(boot, "\n"), boot);
    free(boot);
}

struct seen *seen_open(const char *home)
{
    struct seen *s = calloc(1, sizeof *s);
    if (!s || asprintf(&s->path, "%s/data/builds/.seen", home) < 0) {
        free(s);
        return NULL;
    }
    text_init(&s->files, SEEN_MAX_BYTES / 2);
    text_init(&s->news, SEEN_MAX_BYTES / 2);
    make_head(s);
    load(s);
    return s;
}

void seen_save(struct seen *s)
{
    char temporary[4200], sum[32];
    struct text all;
    if (!*s->head || s->files.failed || s->news.failed)
        return;
    text_init(&all, SEEN_MAX_BYTES);
    text_puts(&all, s->head);
    text_add(&all, s->files.at ? s->files.at : "", s->files.len);
    text_add(&all, s->news.at ? s->news.at : "", s->news.len);
    sum_line(all.at, all.failed ? 0 : all.len, sum);
    text_puts(&all, sum);
    text_char(&all, 0);
    snprintf(temporary, sizeof temporary, "%s.%ld", s->path, (long)getpid()); /* stage_sweep() knows the name */
    if (!all.failed && (!s->before || strcmp(s->before, all.at) != 0) &&
        (file_write(temporary, all.at, all.len - 1) < 0 || rename(temporary, s->path) < 0))
        unlink(temporary); /* the next start takes longer, that is all */
    text_free(&all);
}

void seen_free(struct seen *s)
{
    if (!s)
        return;
    text_free(&s->files);
    text_free(&s->news);
    free(s->known);
    free(s->builds);
    free(s->before);
    free(s->path);
    free(s);
}

/* ---- asking and noting ---- */

bool seen_file(struct seen *s, uint64_t key)
{
    if (!s || !key)
        return false;
    text_printf(&s->files, "f%016lx\n", key);
    return s->n_known && bsearch(&key, s->known, s->n_known, sizeof key, by_key);
}

const struct seen_build *seen_find(const struct seen *s, uint64_t files)
{
    for (size_t i = 0; s && files && i < s->n_builds; i++)
        if (s->builds[i].files == files)
            return &s->builds[i];
    return NULL;
}

void seen_note(struct seen *s, const struct seen_build *b)
{
    char identity[2 * sizeof b->identity + 1];
    if (!s || !b->files || !b->library || !b->copy || !b->saved || strchr(b->inline_reasons, '\n'))
        return; /* the reasons end a line */
    hex_text(b->identity, sizeof b->identity, identity);
    text_printf(&s->news, "b %016lx %016lx %016lx %016lx %s %s %c%c %s %s\n", b->files, b->library, b->copy, b->saved,
                b->content, b->build, b->may_unload ? 'u' : '-', b->may_inline ? 'i' : '-', identity,
                b->inline_reasons);
}

size_t seen_mark(const struct seen *s)
{
    return s ? s->files.len : 0;
}

void seen_take_back(struct seen *s, size_t mark)
{
    if (s && mark < s->files.len)
        s->files.len = mark;
}
