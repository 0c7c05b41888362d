/* A conversation as one document: its turns, what they read of others, the configurations they name; personal data
 * replaced unless that is to stay. What was made is imported into a folder of our own and run, so that who gets it
 * finds what was said. Reads the database only. */
#include "core/replay_parts.h"

#include "core/file.h"
#include "core/numbers.h"
#include "core/personal.h"
#include <cvm/json.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct export
{
    const struct replay_export_options *options;
    struct past past;
    json_t *keys;    /* of the conversations */
    json_t *touched; /* numbers of turns that running them read */
    json_t *before;  /* numbers of turns that are not the same as they are */
    json_t *document, *notes;
};

static void note_before(void *arg, const struct replay_turn *turn)
{
    if (turn->verdict != REPLAY_SAME && turn->verdict != REPLAY_NOT_RUN)
        numbers_put(arg, turn->seq, json_string(turn->why));
}

static json_t *hex_of(cvm_id id)
{
    char shown[40];
    id_text(id, shown);
    return cvm_id_is_none(id) ? json_null() : json_string(shown);
}

static json_t *turn_json(const struct past_turn *t, const char *sender)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:o, s:s, s:s, s:s, s:s, s:O}", "seq", (json_int_t)t->seq, "at_ms",
                     (json_int_t)t->at_ms, "conversation", (json_int_t)t->conversation, "component", t->component,
                     "message", hex_of(t->message), "type", t->type, "sender", sender, "outcome", t->outcome, "build",
                     t->build, "record", t->record);
}

static bool is_ours(const struct export *x, const struct past_turn *t)
{
    return numbers_get(x->keys, t->conversation) != NULL;
}

/* Of what another conversation did: the lane, what it sent to ours, and the values that ours read. */
static json_t *reduced(struct export *x, const struct past_turn *t, const char *texts)
{
    const json_t *e = past_envelope(&x->past, t->record, t->sent_by, t->message);
    json_t *out = json_array(), *state = json_array(), *one, *subject = past_subject(&x->past, e, t->sent_by);
    size_t i;
    json_array_foreach(json_object_get(t->record, "out"), i,
                       one) if (strstr(texts, cvm_json_str(one, "message_id", "?")))
    {
        json_t *whole = json_deep_copy(one);
        const char *member;
        json_t *value;
        json_object_foreach(subject, member, value) if (!json_object_get(whole, member))
            json_object_set(whole, member, value);
        json_array_append_new(out, whole);
    }
    json_array_foreach(json_object_get(t->record, "state"), i, one)
    {
        char *key = json_text(json_array_get(one, 0), NULL);
        if (key && strstr(texts, key))
            json_array_append(state, one);
        free(key);
    }
    json_decref(subject);
    json_t *record = json_pack("{s:[i, i, i], s:{s:s}, s:o, s:o, s:b}", "run", 0, 0, 0, "in", "conversation",
                               cvm_json_str(e, "conversation", ""), "out", out, "state", state, "reduced", 1);
    if (!t->sent_by && e && strstr(texts, cvm_json_str(e, "message_id", "?"))) /* a request that ours answers */
        json_object_set(record, "in", (json_t *)(uintptr_t)e);
    json_t *version = json_object_get(t->record, "state_version");
    if (version)
        json_object_set(record, "state_version", version);
    return record;
}

/* The texts of our own turns' records and their messages' ids: what they speak of. For free(). */
static char *own_texts(struct export *x)
{
    struct text all;
    const char *name;
    json_t *value;
    text_init(&all, SIZE_MAX / 4);
    json_object_foreach(x->touched, name, value)
    {
        struct past_turn t;
        char shown[40];
        if (!past_turn_at(&x->past, strtoll(name, NULL, 10), &t))
            continue;
        id_text(t.message, shown);
        if (is_ours(x, &t) || strcmp(t.type, "start") == 0) {
            text_json(&all, t.record);
            text_puts(&all, shown);
        }
        past_clear(&t);
    }
    text_char(&all, 0);
    return all.at;
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int add_turns(struct export *x)
{
    json_t *turns = json_array(), *configurations = json_object(), *value;
    size_t n = 0;
    int64_t *all = calloc(json_object_size(x->touched) + 1, sizeof *all);
    char *texts = own_texts(x);
    const char *name;
    json_object_foreach(x->touched, name, value) if (all) all[n++] = strtoll(name, NULL, 10);
    if (all)
        qsort(all, n, sizeof *all, by_number);
    for (size_t i = 0; texts && i < n; i++) {
        struct past_turn t;
        if (!past_turn_at(&x->past, all[i], &t))
            continue;
        bool own = is_ours(x, &t) || strcmp(t.type, "start") == 0;
        const json_t *e = past_envelope(&x->past, t.record, t.sent_by, t.message);
        json_t *row = turn_json(&t, cvm_json_str(e, "sender", ""));
        if (!own)
            json_object_set_new(row, "record", reduced(x, &t, texts));
        else
            numbers_put(configurations, t.configuration, json_true());
        json_object_del(json_object_get(row, "record"), "_state");
        json_object_del(json_object_get(row, "record"), "_subject");
        json_array_append_new(turns, row);
        past_clear(&t);
    }
    free(all);
    free(texts);
    json_object_set_new(x->document, "turns", turns);
    json_object_set_new(x->document, "configurations", configurations);
    return 0;
}

/* Secrets get stand-ins: that they were set counts, not what they were. */
static void add_configurations(struct export *x)
{
    json_t *wanted = json_object_get(x->document, "configurations"), *all = json_array(), *value;
    const char *id;
    json_object_foreach(wanted, id, value)
    {
        json_t *doc = past_configuration(&x->past, strtoll(id, NULL, 10));
        const char *name;
        json_t *digest;
        json_object_foreach(json_object_get(doc, "secrets"), name, digest) if (json_is_string(digest))
            json_string_set(digest, "stand-in");
        if (doc)
            json_array_append_new(all, json_pack("{s:I, s:o}", "id", (json_int_t)strtoll(id, NULL, 10), "doc", doc));
    }
    json_object_set_new(x->document, "configurations", all);
}

static json_t *base64_of(const char *bytes, size_t n)
{
    char *text = malloc((n + 2) / 3 * 4 + 1);
    json_t *value = NULL;
    if (text) {
        EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)bytes, (int)n);
        value = json_string(text);
    }
    free(text);
    return value;
}

static void add_build(struct export *x, json_t *builds, const char *hash, const char *end, bool embed)
{
    char path[4200], why[256], *bytes = NULL;
    size_t n = 0;
    snprintf(path, sizeof path, "%s.%s", hash, end);
    if (!*hash || json_object_get(builds, path))
        return;
    json_object_set_new(builds, path, json_null());
    if (!embed)
        return;
    snprintf(path, sizeof path, "%s/data/builds/%s.%s", x->options->home, hash, end);
    if (file_read(path, REPLAY_BUILD_MAX_BYTES, false, &bytes, &n, why, sizeof why) < 0) {
        json_array_append_new(x->notes, json_string(why));
        return;
    }
    snprintf(path, sizeof path, "%s.%s", hash, end);
    json_object_set_new(builds, path, base64_of(bytes, n));
    free(bytes);
}

/* Manifests are always in it, code where it was asked for. */
static void add_builds(struct export *x)
{
    json_t *builds = json_object(), *configuration, *plugin;
    size_t i, k;
    json_array_foreach(json_object_get(x->document, "configurations"), i, configuration)
    {
        json_array_foreach(json_object_get(json_object_get(configuration, "doc"), "plugins"), k, plugin)
        {
            const json_t *before = json_object_get(plugin, "before");
            add_build(x, builds, cvm_json_str(plugin, "build", ""), "so", x->options->with_builds);
            add_build(x, builds, cvm_json_str(plugin, "content", ""), "json", true);
            add_build(x, builds, cvm_json_str(before, "build", ""), "so", x->options->with_builds);
            add_build(x, builds, cvm_json_str(before, "content", ""), "json", true);
        }
    }
    json_object_set_new(x->document, "builds", builds);
}

/* ---- personal data ------------------------------------------------------------------------------------------------
 */

static void star_digests(json_t *record)
{
    json_t *row;
    size_t i;
    json_array_foreach(json_object_get(record, "rows"), i, row) if (json_array_size(row) == 3)
        json_array_set_new(row, 2, json_string("*"));
    json_array_foreach(json_object_get(record, "calls"), i, row) json_object_set_new(row, "sent", json_string("*"));
}

/* A conversation that has another name now keeps its key, from which the ids of its messages are made. */
static void name_conversation(struct export *x, const json_t *envelope, struct personal *p)
{
    const char *name = cvm_json_str(envelope, "conversation", "");
    char *other = personal_text(p, name);
    if (other && strcmp(other, name) != 0)
        json_object_set_new(json_object_get(x->document, "names"), other, json_integer(past_key(&x->past, name)));
    free(other);
}

static int replace_personal(struct export *x)
{
    struct personal *p = personal_new();
    json_t *turn, *out;
    size_t i, k;
    if (!p)
        return CVM_ENOMEM;
    json_array_foreach(json_object_get(x->document, "turns"), i, turn)
        personal_learn(p, json_object_get(turn, "record"));
    json_array_foreach(json_object_get(x->document, "turns"), i, turn)
    {
        json_t *record = json_object_get(turn, "record");
        name_conversation(x, json_object_get(record, "in"), p);
        json_array_foreach(json_object_get(record, "out"), k, out) name_conversation(x, out, p);
        record = personal_replaced(p, record);
        star_digests(record);
        json_object_set_new(turn, "record", record);
    }
    static const char *const parts[] = {"configurations", "id"};
    for (int part = 0; part < 2; part++) {
        json_t *value = json_object_get(x->document, parts[part]);
        if (part == 0) {
            json_array_foreach(value, i, turn)
            {
                json_t *doc = json_object_get(turn, "doc");
                json_object_set_new(doc, "settings", personal_replaced(p, json_object_get(doc, "settings")));
            }
        } else {
            json_object_set_new(x->document, "id", personal_replaced(p, value));
        }
    }
    json_object_set_new(x->document, "personal", json_sprintf("%zu values replaced", personal_count(p)));
    personal_free(p);
    return 0;
}

/* ---- trying it ----------------------------------------------------------------------------------------------------
 */

static void note_after(void *arg, const struct replay_turn *turn)
{
    struct export *x = arg;
    const json_t *was = numbers_get(x->before, turn->seq);
    if (turn->verdict == REPLAY_SAME || turn->verdict == REPLAY_NOT_RUN)
        return;
    const char *where = cvm_json_str(json_array_get(turn->differences, 0), "where", "");
    json_array_append_new(
        x->notes,
        json_sprintf("turn %lld, %s of %s, %s%s%s%s", (long long)turn->seq, turn->type, turn->component,
                     was                               ? "differs from its record in this home too: "
                     : turn->verdict == REPLAY_MISSING ? "cannot be run from the export: "
                                                       : "comes out differently without personal data, first at ",
                     turn->verdict == REPLAY_MISSING ? turn->why : where, *turn->why ? " " : "",
                     turn->verdict == REPLAY_MISSING ? "" : turn->why));
}

static int try_out(struct export *x, char *error, size_t size)
{
    char folder[4096], home[4200];
    const char *name;
    json_t *missing = NULL, *value;
    struct replay_report report;
    CVM_TRY(replay_make_folder(folder, error, size));
    snprintf(home, sizeof home, "%s/home", folder);
    int e = replay_import(x->document, home, &missing, error, size);
    json_decref(missing);
    if (!e) {
        json_object_foreach(json_object_get(x->document, "builds"), name, value)(void)
            replay_copy_build(x->options->home, home, name, ""); /* one that is not there is said by its turns */
        const struct replay_options options = {
            .home = home, .trusted = x->options->trusted, .seen = note_after, .arg = x};
        e = replay_home(&options, &report, error, size);
    }
    replay_remove_folder(folder, 5);
    return e;
}

int replay_export(const struct replay_export_options *options, json_t **ret_document, json_t **ret_notes, char *error,
                  size_t size)
{
    struct export x = {.options = options, .touched = json_object(), .before = json_object(), .notes = json_array()};
    struct replay_report report;
    const struct replay_options run = {.home = options->home,
                                       .id = options->id,
                                       .trusted = options->trusted,
                                       .seen = note_before,
                                       .arg = x.before,
                                       .touched = x.touched};
    struct past *past = &x.past;
    int e = replay_home(&run, &report, error, size);
    if (!e)
        e = past_open(past, options->home, error, size);
    if (!e) {
        x.keys = replay_conversations(past, options->id);
        x.document =
            json_pack("{s:i, s:s, s:s, s:{}}", "cvmhost_export", 1, "id", options->id, "personal", "kept", "names");
        e = x.keys && x.document ? add_turns(&x) : CVM_ENOMEM;
    }
    if (!e) {
        add_configurations(&x);
        add_builds(&x);
        e = options->keep_personal ? 0 : replace_personal(&x);
    }
    if (!e)
        e = try_out(&x, error, size);
    past_close(past);
    json_decref(x.keys);
    json_decref(x.touched);
    json_decref(x.before);
    if (e) {
        json_decref(x.document);
        json_decref(x.notes);
        return e;
    }
    *ret_document = x.document;
    *ret_notes = x.notes;
    return 0;
}
