/* A simulator's books: one entry per (vendor, reference), in memory and in an append-only JSONL file. Knows nothing of
 * HTTP and of how the simulator misbehaves. Entries belong to the server thread alone; ledger_commit()
 * touches only the file and may run in another thread. */
#ifndef SIMULATOR_LEDGER_H
#define SIMULATOR_LEDGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFERENCE_MAX 128 /* bytes, without NUL */
#define SUBJECT_SIZE 16   /* a phone or meter number, with NUL */
#define ITEM_SIZE 24      /* what was bought, where a vendor sells several things, with NUL */
#define VENDORS_MAX 32
#define LEDGER_LINE_MAX 1024       /* bytes of one line, with its newline */
#define LEDGER_ENTRIES_MAX 8000000 /* references ever seen; further vends are answered 503 */

enum outcome { OUT_NONE, OUT_DELIVERED, OUT_PENDING, OUT_FAILED }; /* OUT_NONE: asked for, but never vended */

struct entry {
    int64_t n;          /* number in the file, from 1; 0: not in it */
    int64_t time_ms;    /* when it was vended, UTC */
    int64_t settles_ms; /* until then the network says "pending"; 0: settled at once */
    int64_t amount_kobo;
    uint32_t attempts, verifies;                 /* requests since the simulator started */
    uint8_t vendor, outcome;                     /* vendor: index in the books' vendors */
    char subject[SUBJECT_SIZE], item[ITEM_SIZE]; /* item: "" where there is none */
    char reference[];                            /* NUL-terminated */
};

/* How the books are written. */
struct ledger_form {
    const char *const *vendors;                                /* their names */
    int n_vendors;                                             /* at most VENDORS_MAX */
    const char *vendor_member, *subject_member, *item_member;  /* item_member: NULL where nothing is told apart */
    void (*describe)(const struct entry *entry, json_t *into); /* adds what else is known of a vend; may be NULL */
};

struct ledger;

/* Opens or makes the file, reads it, cuts off a torn last line (it was never answered) and locks it. Returns 0, or -1
 * with a sentence in `ret_error`. Borrows `form`; `path` NULL keeps the books in memory only. */
int ledger_open(const struct ledger_form *form, const char *path, struct ledger **ret_ledger, char *ret_error,
                size_t error_size);
void ledger_close(struct ledger *ledger); /* accepts NULL */

/* Borrowed; NULL where the reference was never seen. */
struct entry *ledger_find(const struct ledger *ledger, int vendor, const char *reference);

/* An entry with outcome OUT_NONE for a reference that was not seen. Borrowed; NULL when the books are full. */
struct entry *ledger_see(struct ledger *ledger, int vendor, const char *reference, const char *subject,
                         int64_t amount_kobo);

/* Vends: gives the entry its number and outcome. The caller commits ledger_line() before it tells anybody. */
void ledger_vend(struct ledger *ledger, struct entry *entry, enum outcome outcome, int64_t now_ms, int64_t settles_ms);

/* Appends the lines and syncs them. Returns 0, or -1 with errno: what the file then holds is not known. */
int ledger_commit(struct ledger *ledger, const char *lines, size_t len);

char *ledger_line(const struct ledger *ledger, const struct entry *entry); /* gives a line with its newline */
json_t *ledger_entry_json(const struct ledger *ledger, const struct entry *entry, int64_t now_ms); /* gives */
const char *ledger_status(const struct entry *entry, int64_t now_ms); /* accepts NULL: "not_found" */
void ledger_transaction_id(const struct ledger *ledger, const struct entry *entry, char *buf, size_t size);
int64_t ledger_spent_kobo(const struct ledger *ledger, int vendor);    /* all but what failed */
int64_t ledger_size(const struct ledger *ledger);                      /* entries in the file */
const struct entry *ledger_at(const struct ledger *ledger, int64_t n); /* 1 to ledger_size() */

/* The vendor of that name, in any case. */
bool ledger_vendor(const struct ledger_form *form, const char *name, size_t len, int *ret_vendor);

#endif
