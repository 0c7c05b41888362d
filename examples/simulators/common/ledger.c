/* Owns the entries, their hash table and the file; see ledger.h. */
#include "ledger.h"

#include <cvm/json.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#define TABLE_FIRST_SLOTS 1024 /* a power of two */

struct ledger {
    const struct ledger_form *form;
    int fd; /* -1: in memory only */
    struct entry **slots;
    size_t n_slots, n_seen;
    const struct entry **vended; /* by number, from 0 */
    size_t n_vended, vended_capacity;
    int64_t spent_kobo[VENDORS_MAX];
};

static const char *const outcome_names[] = {"not_found", "delivered", "pending", "failed"};

bool ledger_vendor(const struct ledger_form *form, const char *name, size_t len, int *ret_vendor)
{
    for (int i = 0; i < form->n_vendors; i++) {
        if (strlen(form->vendors[i]) == len && strncasecmp(form->vendors[i], name, len) == 0) {
            *ret_vendor = i;
            return true;
        }
    }
    return false;
}

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

/* ---- the table ---- */

/* FNV-1a, 64 bits. */
static uint64_t hash(int vendor, const char *reference)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)vendor;
    for (; *reference; reference++)
        h = (h ^ (unsigned char)*reference) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static size_t slot_of(struct entry *const *slots, size_t n_slots, int vendor, const char *reference)
{
    size_t i = hash(vendor, reference) & (n_slots - 1);
    while (slots[i] && (slots[i]->vendor != vendor || strcmp(slots[i]->reference, reference) != 0))
        i = (i + 1) & (n_slots - 1);
    return i;
}

static void grow(struct ledger *l)
{
    size_t n = l->n_slots * 2;
    struct entry **slots = must(calloc(n, sizeof *slots));
    for (size_t i = 0; i < l->n_slots; i++)
        if (l->slots[i])
            slots[slot_of(slots, n, l->slots[i]->vendor, l->slots[i]->reference)] = l->slots[i];
    free(l->slots);
    l->slots = slots;
    l->n_slots = n;
}

struct entry *ledger_find(const struct ledger *l, int vendor, const char *reference)
{
    return l->slots[slot_of(l->slots, l->n_slots, vendor, reference)];
}

struct entry *ledger_see(struct ledger *l, int vendor, const char *reference, const char *subject, int64_t amount_kobo)
{
    size_t len = strlen(reference);
    assert(len <= REFERENCE_MAX && strlen(subject) < SUBJECT_SIZE);
    if (l->n_seen == LEDGER_ENTRIES_MAX)
        return NULL;
    if ((l->n_seen + 1) * 10 > l->n_slots * 7)
        grow(l);
    size_t slot = slot_of(l->slots, l->n_slots, vendor, reference);
    assert(!l->slots[slot]);
    struct entry *e = must(calloc(1, sizeof *e + len + 1));
    e->vendor = (uint8_t)vendor;
    e->amount_kobo = amount_kobo;
    memcpy(e->subject, subject, strlen(subject) + 1);
    memcpy(e->reference, reference, len + 1);
    l->slots[slot] = e;
    l->n_seen++;
    return e;
}

void ledger_vend(struct ledger *l, struct entry *e, enum outcome outcome, int64_t now_ms, int64_t settles_ms)
{
    assert(e->outcome == OUT_NONE && outcome != OUT_NONE);
    if (l->n_vended == l->vended_capacity) {
        l->vended_capacity = l->vended_capacity ? l->vended_capacity * 2 : 256;
        l->vended = must(realloc(l->vended, l->vended_capacity * sizeof(const struct entry *)));
    }
    l->vended[l->n_vended++] = e;
    e->n = (int64_t)l->n_vended;
    e->outcome = (uint8_t)outcome;
    e->time_ms = now_ms;
    e->settles_ms = settles_ms;
    if (outcome != OUT_FAILED)
        l->spent_kobo[e->vendor] += e->amount_kobo;
}

/* ---- what is known of an entry ---- */

const char *ledger_status(const struct entry *e, int64_t now_ms)
{
    if (!e || e->outcome == OUT_NONE)
        return outcome_names[OUT_NONE];
    return outcome_names[e->settles_ms > now_ms ? OUT_PENDING : e->outcome];
}

void ledger_transaction_id(const struct ledger *l, const struct entry *e, char *buf, size_t size)
{
    snprintf(buf, size, "%s-%010" PRId64, l->form->vendors[e->vendor], e->n);
}

static json_t *entry_json(const struct ledger *l, const struct entry *e)
{
    json_t *o =
        must(json_pack("{s:I, s:I, s:s, s:s, s:s, s:I, s:s, s:I}", "n", (json_int_t)e->n, "time_ms",
                       (json_int_t)e->time_ms, l->form->vendor_member, l->form->vendors[e->vendor], "reference",
                       e->reference, l->form->subject_member, e->subject, "amount_kobo", (json_int_t)e->amount_kobo,
                       "outcome", outcome_names[e->outcome], "settles_ms", (json_int_t)e->settles_ms));
    if (*e->item)
        json_object_set_new(o, l->form->item_member, json_string(e->item));
    if (l->form->describe && e->outcome == OUT_DELIVERED)
        l->form->describe(e, o);
    return o;
}

json_t *ledger_entry_json(const struct ledger *l, const struct entry *e, int64_t now_ms)
{
    char id[32];
    json_t *o = entry_json(l, e);
    ledger_transaction_id(l, e, id, sizeof id);
    json_object_set_new(o, "transaction_id", json_string(id));
    json_object_set_new(o, "status", json_string(ledger_status(e, now_ms)));
    json_object_set_new(o, "attempts", json_integer(e->attempts));
    json_object_set_new(o, "verifies", json_integer(e->verifies));
    return o;
}

char *ledger_line(const struct ledger *l, const struct entry *e)
{
    json_t *o = entry_json(l, e);
    char *line = must(malloc(LEDGER_LINE_MAX));
    size_t len = json_dumpb(o, line, LEDGER_LINE_MAX - 2, JSON_COMPACT | JSON_REAL_PRECISION(15));
    assert(len > 0 && len <= LEDGER_LINE_MAX - 2);
    line[len] = '\n';
    line[len + 1] = '\0';
    json_decref(o);
    return line;
}

int64_t ledger_spent_kobo(const struct ledger *l, int vendor)
{
    return l->spent_kobo[vendor];
}

int64_t ledger_size(const struct ledger *l)
{
    return (int64_t)l->n_vended;
}

const struct entry *ledger_at(const struct ledger *l, int64_t n)
{
    assert(n >= 1 && (size_t)n <= l->n_vended);
    return l->vended[n - 1];
}

/* ---- the file ---- */

static bool read_line(struct ledger *l, const char *line, size_t len)
{
    json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
    const char *name = cvm_json_str(o, l->form->vendor_member, ""), *reference = cvm_json_str(o, "reference", "");
    const char *subject = cvm_json_str(o, l->form->subject_member, ""), *word = cvm_json_str(o, "outcome", "");
    const char *item = l->form->item_member ? cvm_json_str(o, l->form->item_member, "") : "";
    int64_t amount = cvm_json_int(o, "amount_kobo", 0);
    int vendor, outcome = OUT_FAILED;
    while (outcome > OUT_NONE && strcmp(outcome_names[outcome], word) != 0)
        outcome--;
    bool good = outcome != OUT_NONE && ledger_vendor(l->form, name, strlen(name), &vendor) && reference[0] &&
                strlen(reference) <= REFERENCE_MAX && strlen(subject) < SUBJECT_SIZE && strlen(item) < ITEM_SIZE &&
                amount > 0 && cvm_json_int(o, "n", 0) == (int64_t)l->n_vended + 1 && !ledger_find(l, vendor, reference);
    struct entry *e = good ? ledger_see(l, vendor, reference, subject, amount) : NULL;
    if (e) {
        memcpy(e->item, item, strlen(item) + 1);
        ledger_vend(l, e, (enum outcome)outcome, cvm_json_int(o, "time_ms", 0), cvm_json_int(o, "settles_ms", 0));
    }
    json_decref(o);
    return e;
}

/* Returns the length of the whole lines read, or -1: the line after ledger_size() is damaged. */
static off_t read_file(struct ledger *l, FILE *file)
{
    char line[LEDGER_LINE_MAX + 1];
    off_t end = 0;
    while (fgets(line, sizeof line, file)) {
        size_t len = strlen(line);
        if (line[len ? len - 1 : 0] != '\n' && feof(file))
            break; /* torn: nobody was told of it */
        if (!len || line[len - 1] != '\n' || !read_line(l, line, len))
            return -1;
        end += (off_t)len;
    }
    return ferror(file) ? -1 : end;
}

static int sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int e = fd >= 0 ? fsync(fd) : -1;
    if (fd >= 0)
        close(fd);
    free(folder);
    return e;
}

int ledger_open(const struct ledger_form *form, const char *path, struct ledger **ret_ledger, char *ret_error,
                size_t error_size)
{
    assert(form->n_vendors <= VENDORS_MAX);
    FILE *file = NULL;
    struct ledger *l = must(calloc(1, sizeof *l));
    l->form = form;
    l->fd = -1;
    l->n_slots = TABLE_FIRST_SLOTS;
    l->slots = must(calloc(l->n_slots, sizeof *l->slots));
    if (!path) {
        *ret_ledger = l;
        return 0;
    }
    l->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (l->fd < 0) {
        snprintf(ret_error, error_size, "%s: cannot be opened: %s", path, strerror(errno));
        goto failed;
    }
    if (flock(l->fd, LOCK_EX | LOCK_NB) < 0) {
        snprintf(ret_error, error_size, "%s: in use by another simulator", path);
        goto failed;
    }
    file = fopen(path, "re");
    off_t end = file ? read_file(l, file) : -1;
    if (end < 0) {
        snprintf(ret_error, error_size, "%s: line %" PRId64 " is damaged; give another --ledger", path,
                 ledger_size(l) + 1);
        goto failed;
    }
    if (ftruncate(l->fd, end) < 0 || fsync(l->fd) < 0 || sync_folder(path) < 0) {
        snprintf(ret_error, error_size, "%s: cannot be written: %s", path, strerror(errno));
        goto failed;
    }
    fclose(file);
    *ret_ledger = l;
    return 0;

failed:
    if (file)
        fclose(file);
    ledger_close(l);
    return -1;
}

void ledger_close(struct ledger *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    for (size_t i = 0; i < l->n_slots; i++)
        free(l->slots[i]);
    free(l->slots);
    free(l->vended);
    free(l);
}

int ledger_commit(struct ledger *l, const char *lines, size_t len)
{
    if (l->fd < 0 || !len)
        return 0;
    while (len) {
        ssize_t n = write(l->fd, lines, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        lines += n;
        len -= (size_t)n;
    }
    return fdatasync(l->fd);
}
