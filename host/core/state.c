/* Components' keyed state: a cache in front of the store. An entry with changes on their way to the journal stays;
 * others may be dropped and read again. */
#include "core/internal.h"

#include "core/broken.h"

#include "core/pairs.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_BUCKETS CORE_HASH_BUCKETS
#define STATE_TRIM_BUCKETS 8192      /* looked at in a tick */
#define REMOTE_DROPPED_MAX 20000     /* operations of a turn in a process of its own */
#define STATE_LOWER_KEYS 50          /* of the largest size they fit a turn */
#define STATE_UNREAD (INT64_MIN / 2) /* when an entry was read whose value is not known */

static uint64_t hash_key(const struct component *c, const char *key)
{
    return id_hash(key, strlen(key), c->salt);
}

static struct state_entry *lookup(struct core *core, const struct component *c, const char *key, uint64_t hash)
{
    for (struct state_entry *e = core->states[hash & (STATE_BUCKETS - 1)]; e; e = e->hash_next)
        if (e->hash == hash && e->component == c && strcmp(e->key, key) == 0)
            return e;
    return NULL;
}

static void entry_free(struct state_entry *e)
{
    json_decref(e->value);
    json_decref(e->view);
    free(e);
}

/* Drops entries that are durable and were not used since the hand last passed. Between turns: a turn holds entries and
 * has lent their values to its handler. */
void state_trim(struct core *core)
{
    for (int looked = 0; looked < STATE_TRIM_BUCKETS && core->n_states > CORE_STATE_CACHE_MAX; looked++) {
        struct state_entry **at = &core->states[core->state_hand++ & (STATE_BUCKETS - 1)];
        while (*at) {
            struct state_entry *e = *at;
            if (e->pending || e->used) {
                e->used = false;
                at = &e->hash_next;
                continue;
            }
            *at = e->hash_next;
            entry_free(e);
            core->n_states--;
        }
    }
}

static struct state_entry *insert(struct core *core, struct component *c, const char *key, uint64_t hash)
{
    size_t len = strlen(key);
    struct state_entry *e = calloc(1, sizeof *e + len + 1);
    if (!e)
        return NULL;
    memcpy(e->key, key, len + 1);
    e->component = c;
    e->hash = hash;
    e->hash_next = core->states[hash & (STATE_BUCKETS - 1)];
    core->states[hash & (STATE_BUCKETS - 1)] = e;
    core->n_states++;
    return e;
}

/* A stored value in the version of the code in service: an older one is upgraded by that code, a newer one downgraded
 * by the code that wrote it, which is there while the two generations are. Borrows `value`, gives the new one. */
static int convert(const struct component *c, const char *key, uint32_t version, const json_t *value,
                   json_t **ret_value)
{
    const struct binding *b = c->now;
    json_t *made = NULL;
    int e = CVM_EDATA;
    if (version < b->decl->state_version && b->code && b->code->upgrade) {
        e = b->remote ? remote_convert(b->remote, c->id->text, false, version, key, value, &made)
                      : b->code->upgrade(version, key, value, &made);
    } else if (version > b->decl->state_version) {
        const struct binding *newer = c->before;
        uint32_t to = b->decl->state_version;
        if (newer && newer->decl->state_version == version && newer->code && newer->code->downgrade)
            e = newer->remote ? remote_convert(newer->remote, c->id->text, true, to, key, value, &made)
                              : newer->code->downgrade(to, key, value, &made);
    }
    if (e < 0 || !made) {
        json_decref(made);
        log_error(c->id->text, "a stored value of state version %u cannot be read by version %u%s", version,
                  b->decl->state_version, e < 0 && e != CVM_EDATA ? ": its conversion failed" : "");
        return CVM_EDATA;
    }
    *ret_value = made;
    return 0;
}

/* Counters of short ids stand among the component's keys and are the host's: no code of a plugin sees them. */
static bool is_the_hosts(const char *key)
{
    return strncmp(key, ".id/", 4) == 0;
}

/* What is written stays as it is until the component writes the key itself: the view is beside it. */
static int view(const struct component *c, struct state_entry *e, const json_t **ret_value)
{
    const struct binding *b = c->now;
    if (e->value && e->version != b->decl->state_version && !is_the_hosts(e->key)) {
        if (!e->view || e->view_epoch != b->epoch) {
            json_t *made = NULL;
            CVM_TRY(convert(c, e->key, e->version, e->value, &made));
            json_decref(e->view);
            e->view = made;
            e->view_epoch = b->epoch;
        }
        *ret_value = e->view;
        return 0;
    }
    *ret_value = e->value;
    return 0;
}

/* From the store into `e`, a new entry where it is NULL. */
static int read_stored(struct core *core, struct component *c, const char *key, uint64_t hash, struct state_entry **e)
{
    json_t *value = NULL;
    int64_t version = 0, turn = 0;
    int r = store_state_get(core->reader, c->id->text, key, &value, &version, &turn);
    core_check_read(core, r);
    if (r < 0 && r != CVM_ENOENT)
        return r;
    if (!*e && !(*e = insert(core, c, key, hash))) {
        json_decref(value);
        return CVM_ENOMEM;
    }
    json_decref((*e)->value);
    json_decref((*e)->view);
    (*e)->view = NULL;
    (*e)->value = value;
    (*e)->version = (uint32_t)version;
    (*e)->turn = turn;
    (*e)->read_ms = core->now_ms;
    return 0;
}

/* What is in memory is what is stored, as long as only this process writes; the time to live bounds the doubt. */
static int load(struct core *core, struct component *c, const char *key, struct state_entry **ret_entry)
{
    uint64_t hash = hash_key(c, key);
    struct state_entry *e = lookup(core, c, key, hash);
    if (core->replay) {
        if (!e && !(e = insert(core, c, key, hash)))
            return CVM_ENOMEM;
        *ret_entry = e;
        return 0;
    }
    bool hit = e && !(BROKEN(stale_state) && e->pending) &&
               (e->pending || core->now_ms - e->read_ms <= CORE_STATE_CACHE_TTL_MS);
    hit ? core->total.state_hits++ : core->total.state_misses++;
    if (!hit)
        CVM_TRY(read_stored(core, c, key, hash, &e));
    e->used = true;
    *ret_entry = e;
    return 0;
}

/* For one that writes without having read: what is stored is looked at only by who reads, should the turn come to
 * nothing. */
static int place(struct core *core, struct component *c, const char *key, struct state_entry **ret_entry)
{
    uint64_t hash = hash_key(c, key);
    struct state_entry *e = lookup(core, c, key, hash);
    if (!e) {
        if (!(e = insert(core, c, key, hash)))
            return CVM_ENOMEM;
        e->read_ms = STATE_UNREAD;
    }
    e->used = true;
    *ret_entry = e;
    return 0;
}

static struct state_change *own_change(struct turn *t, const char *key)
{
    for (uint32_t i = t->states.n; i-- > 0;)
        if (strcmp(t->states.at[i].entry->key, key) == 0)
            return &t->states.at[i];
    return NULL;
}

static bool key_good(const char *key)
{
    size_t n = key ? strlen(key) : 0;
    return n > 0 && n <= CVM_STATE_KEY_MAX && text_is_utf8(key, n);
}

/* What the disk did not give is an input of the turn, too: its record says so, and a replay meets it again. */
static bool may_read(const struct turn *t, const char *key)
{
    return !t->core->replay || !replay_met(t->core, "unread", key);
}

static int unread(struct turn *t, const char *key, int error)
{
    if (error == CVM_ENOMEM)
        return error;
    turn_met(t, "unread", key);
    return CVM_EIO;
}

int turn_state_get(cvm_turn *pub, const char *key, const json_t **ret_value)
{
    struct turn *t = (struct turn *)pub;
    if (!key_good(key))
        return CVM_ELIMIT;
    const struct state_change *own = own_change(t, key);
    const json_t *value = own ? own->value : NULL;
    if (!own) {
        struct state_entry *e;
        int r = may_read(t, key) ? load(t->core, t->component, key, &e) : CVM_EIO;
        if (r < 0)
            return unread(t, key, r);
        if (t->core->replay)
            r = replay_state(t->core, e);
        if (!r) {
            r = view(t->component, e, &value);
            t->unreadable = t->unreadable || r < 0;
        }
        if (r < 0)
            return r;
        if (t->conversation && !BROKEN(no_reads)) /* which version was read: the record must be able to say */
            turn_note_key(t, key, e->turn);
    }
    if (!value)
        return CVM_ENOENT;
    *ret_value = value;
    return CVM_OK;
}

bool state_is_of(const struct core *core, const struct component *c, const char *key, int64_t turn)
{
    const struct state_entry *e = lookup((struct core *)(uintptr_t)core, c, key, hash_key(c, key));
    return !e || e->read_ms == STATE_UNREAD ||
           e->turn == turn; /* an entry that has left memory was durable, and is read with the same turn */
}

int turn_state_put(cvm_turn *pub, const char *key, json_t *value)
{
    struct turn *t = (struct turn *)pub;
    struct state_entry *e;
    size_t bytes = json_text_size(value, CVM_STATE_VALUE_MAX_BYTES);
    int r = !t->conversation                                                      ? CVM_ESTATE
            : !key_good(key) || bytes > CVM_STATE_VALUE_MAX_BYTES                 ? CVM_ELIMIT
            : (bytes += strlen(key)) > CORE_TURN_STATE_BYTES_MAX - t->state_bytes ? CVM_ELIMIT
                                                                                  : 0;
    if (!r)
        t->state_bytes += bytes;
    if (!r) {
        struct state_change *own = own_change(t, key);
        if (own) {
            json_decref(own->value);
            own->value = value;
            return CVM_OK;
        }
        r = may_read(t, key) ? place(t->core, t->component, key, &e) : CVM_EIO;
        if (r < 0)
            r = unread(t, key, r);
    }
    if (!r) {
        struct state_change change = {.entry = e, .value = value};
        if (VECTOR_PUSH(t->states, change))
            return CVM_OK;
        r = CVM_ENOMEM;
    }
    json_decref(value);
    return r;
}

void state_apply(struct core *core, const struct state_change *change, int64_t seq)
{
    struct state_entry *e = change->entry;
    if (core->replay) /* the next turn finds what its own record says */
        return;
    json_decref(e->value);
    json_decref(e->view);
    e->view = NULL;
    e->value = json_incref(change->value);
    e->version = e->component->now->decl->state_version;
    e->turn = seq;
    e->component->state_seq = seq;
    e->read_ms = core->now_ms;
    if (e->pending++ == 0) {
        e->pending_prev = NULL;
        e->pending_next = core->pending;
        if (core->pending)
            core->pending->pending_prev = e;
        core->pending = e;
    }
}

void state_durable(struct core *core, const struct state_change *change)
{
    struct state_entry *e = change->entry;
    assert(e->pending > 0);
    if (--e->pending)
        return;
    if (e->pending_prev)
        e->pending_prev->pending_next = e->pending_next;
    else
        core->pending = e->pending_next;
    if (e->pending_next)
        e->pending_next->pending_prev = e->pending_prev;
}

/* [key, value, version, turn] as stored to [key, value, turn] as the code in service reads them. */
static int convert_pairs(const struct component *c, json_t *pairs)
{
    size_t i;
    json_t *pair;
    json_array_foreach(pairs, i, pair)
    {
        uint32_t version = (uint32_t)json_integer_value(json_array_get(pair, 2));
        json_t *value = NULL;
        if (version != c->now->decl->state_version && !is_the_hosts(json_string_value(json_array_get(pair, 0)))) {
            CVM_TRY(convert(c, json_string_value(json_array_get(pair, 0)), version, json_array_get(pair, 1), &value));
            json_array_set_new(pair, 1, value);
        }
        json_array_remove(pair, 2);
    }
    return 0;
}

/* The component's entries of a range as they stand before this turn: what is stored, and what is on its way there. */
static int scan_before(struct turn *t, const char *prefix, const char *after, size_t limit, json_t **ret_entries)
{
    struct core *core = t->core;
    size_t deletions = 0;
    char place[CVM_STATE_KEY_MAX + 8];
    snprintf(place, sizeof place, "scan %s", prefix);
    if (core->replay)
        return may_read(t, place) ? replay_scan(core, t->component, prefix, after, limit, ret_entries)
                                  : unread(t, place, CVM_EIO);
    for (struct state_entry *e = core->pending; e; e = e->pending_next)
        deletions += e->component == t->component && !e->value;
    json_t *entries = json_array();
    int r =
        store_state_scan(core->reader, t->component->id->text, after ? after : "", prefix, limit + deletions, entries);
    core_check_read(core, r);
    if (r < 0) {
        json_decref(entries);
        return unread(t, place, r);
    }
    if (!r) {
        r = convert_pairs(t->component, entries);
        t->unreadable = t->unreadable || r < 0;
    }
    for (struct state_entry *e = core->pending; e && !r; e = e->pending_next) {
        const json_t *value = NULL;
        if (e->component != t->component || !pairs_in_range(e->key, prefix, after))
            continue;
        r = view(t->component, e, &value);
        t->unreadable = t->unreadable || r < 0;
        if (!r)
            pairs_overlay(entries, e->key, (json_t *)(uintptr_t)value, e->turn);
    }
    if (r < 0) {
        json_decref(entries);
        return r;
    }
    *ret_entries = pairs_sorted(entries, limit);
    return 0;
}

/* ["scan", prefix, after, limit, [key, turn], ..]: what it found before the turn's own changes. */
static void note_scan(struct turn *t, const char *prefix, const char *after, size_t limit, const json_t *entries)
{
    size_t i;
    json_t *entry;
    json_t *note = json_pack("[s, s, s, I]", "scan", prefix, after ? after : "", (json_int_t)limit);
    json_array_foreach((json_t *)(uintptr_t)entries, i, entry)
        json_array_append_new(note, json_pack("[O, O]", json_array_get(entry, 0), json_array_get(entry, 2)));
    turn_note_read(t, note);
}

int turn_state_scan(cvm_turn *pub, const char *prefix, const char *after, size_t limit, json_t **ret_pairs)
{
    struct turn *t = (struct turn *)pub;
    json_t *entries = NULL, *entry;
    size_t i, changes = t->trial && t->dropped > 0 && t->dropped <= REMOTE_DROPPED_MAX ? (size_t)t->dropped : 0;
    if (!prefix || strlen(prefix) > CVM_STATE_KEY_MAX || limit < 1 || limit > STATE_SCAN_MAX)
        return CVM_EINVAL;
    for (uint32_t k = 0; k < t->states.n; k++)
        changes += !t->states.at[k].value && pairs_in_range(t->states.at[k].entry->key, prefix, after);
    CVM_TRY(scan_before(t, prefix, after, limit + changes, &entries));
    if (t->conversation)
        note_scan(t, prefix, after, limit + changes, entries);
    for (uint32_t k = 0; k < t->states.n; k++)
        if (pairs_in_range(t->states.at[k].entry->key, prefix, after))
            pairs_overlay(entries, t->states.at[k].entry->key, t->states.at[k].value, 0);
    entries = pairs_sorted(entries, t->trial ? limit + changes : limit);
    json_array_foreach(entries, i, entry) json_array_remove(entry, 2);
    *ret_pairs = entries;
    return CVM_OK;
}

/* A stored value as the code of `c` reads it; for those who give it back what was recorded. Borrows, gives. */
int state_converted(const struct component *c, const char *key, uint32_t version, json_t *value, json_t **ret_value)
{
    if (version != c->now->decl->state_version && !is_the_hosts(key))
        return convert(c, key, version, value, ret_value);
    *ret_value = json_incref(value);
    return 0;
}

int turn_new_id(cvm_turn *pub, const char *prefix, char *ret_id, size_t size)
{
    struct turn *t = (struct turn *)pub;
    char key[32];
    const json_t *value = NULL;
    size_t n = strlen(prefix);
    if (n < 1 || n > 8 || size < CVM_SHORT_ID_SIZE)
        return CVM_EINVAL;
    if (json_array_size(t->ids) >= CVM_TURN_OUTPUTS_MAX)
        return CVM_ELIMIT;
    snprintf(key, sizeof key, ".id/%s", prefix);
    int r = turn_state_get(pub, key, &value);
    if (r < 0 && r != CVM_ENOENT)
        return r;
    int64_t counter = (value ? (int64_t)json_integer_value(value) : 0) + 1;
    r = turn_state_put(pub, key, json_integer(counter));
    if (r < 0)
        return r;
    uint64_t id = id_permute48((uint64_t)counter, t->core->short_id_key ^ id_hash(prefix, n, t->component->salt));
    snprintf(ret_id, size, "%s-%012llx", prefix, (unsigned long long)id);
    if (t->core->replay) /* another installation's key gives others */
        replay_short_id(t->core, t->ids, ret_id, size);
    if (!t->ids)
        t->ids = json_array();
    json_array_append_new(t->ids, json_string(ret_id));
    return CVM_OK;
}

void state_free(struct core *core)
{
    for (int i = 0; i < STATE_BUCKETS; i++) {
        for (struct state_entry *e = core->states[i], *next; e; e = next) {
            next = e->hash_next;
            entry_free(e);
        }
    }
}

/* Whether code that would come can read what is stored: each of the first `limit` values is tried. */
int state_prove(struct core *core, const struct component *c, const struct binding *b, size_t limit,
                uint32_t *ret_version)
{
    struct component trial = {.id = c->id, .now = b, .before = c->now};
    json_t *pairs = json_array(), *pair;
    size_t i;
    int e = b->decl->state_version == c->now->decl->state_version
                ? 0
                : store_state_scan(core->reader, c->id->text, "", "", limit, pairs);
    core_check_read(core, e);
    json_array_foreach(pairs, i, pair)
    {
        uint32_t version = (uint32_t)json_integer_value(json_array_get(pair, 2));
        json_t *value = NULL;
        if (!e && version != b->decl->state_version && !is_the_hosts(json_string_value(json_array_get(pair, 0)))) {
            *ret_version = version;
            e = convert(&trial, json_string_value(json_array_get(pair, 0)), version, json_array_get(pair, 1), &value);
        }
        json_decref(value);
    }
    json_decref(pairs);
    return e;
}

/* Of one component, in turns of its own: after this no newer code is needed to read what is stored. */
static void lower(struct core *core, struct component *c)
{
    char after[CVM_STATE_KEY_MAX + 1] = "";
    for (size_t n = STATE_LOWER_KEYS; n == STATE_LOWER_KEYS;) {
        json_t *pairs = NULL, *pair;
        size_t i;
        turn_begin(core, c, c->lane, NULL);
        int e = turn_state_scan(&core->turn.pub, "", after, STATE_LOWER_KEYS, &pairs);
        n = json_array_size(pairs);
        json_array_foreach(pairs, i, pair)
        {
            const char *key = json_string_value(json_array_get(pair, 0));
            snprintf(after, sizeof after, "%s", key);
            if (!e)
                e = turn_state_put(&core->turn.pub, key, json_incref(json_array_get(pair, 1)));
        }
        json_decref(pairs);
        if (e) {
            log_error(c->id->text, "its state cannot be brought back to version %u: %s", c->now->decl->state_version,
                      cvm_strerror(e));
            turn_undo(core);
            return;
        }
        if (n)
            turn_commit(core, "OK", 0);
        else
            turn_undo(core);
    }
}

void state_lower(struct core *core, const struct generation *newer, const struct generation *older)
{
    for (size_t i = 0; newer && i < newer->manifest->n_components; i++) {
        struct component *c = newer->components[i];
        if (c->now->generation == older && c->now->decl->state_version < newer->bindings[i].decl->state_version)
            lower(core, c);
    }
}
