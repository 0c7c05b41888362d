/* A small keeper of notes, and in each build one mistake (BUG): what `plugin check` must find. With BUG 0 there is
 * none. BUG_OLD is the build before: its values are numbers where today's are objects. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NONE,
    LEAKS,          /* a value in a message is never freed */
    LEAKS_MEMORY,   /* memory of its own is never freed */
    DROPS,          /* json_decref of a value that is lent */
    CHANGES,        /* a member added to the message that came */
    CHANGES_SENT,   /* a member added to an answer that was given */
    SILENT,         /* no answer where the note is empty */
    FORGETS,        /* left open, and nothing will end it */
    CRASHES,        /* on a note that is null */
    LOOPS,          /* on a long name */
    FAULTS,         /* CVM_EFAULT for bad data */
    ROLLS,          /* rand() */
    REMEMBERS,      /* counts in memory what it must count in the state */
    TRUSTS_MEMORY,  /* does not look whether there was memory */
    SHORT,          /* an answer without a member its schema requires */
    MUTE,           /* refuses without a reason */
    UNDECLARED,     /* a row that its table does not allow */
    FREES_TWICE,    /* a value of its own */
    UPGRADES_WRONG, /* gives the borrowed value */
    UPGRADES_NONE,  /* refuses what the build before has stored */
    LEAKS_CREATE,   /* create() makes what destroy() does not free */
    SLOW,           /* far over the budget */
    ODD_REPLY       /* takes a reply for what it must be */
};

#ifndef BUG
#define BUG NONE
#endif

static long counter;
static char *made;

static int create(void **ret_instance)
{
    *ret_instance = NULL;
    if (BUG == LEAKS_CREATE && !(made = calloc(1, 100)))
        return CVM_ENOMEM;
    return CVM_OK;
}

static void spin(int64_t rounds)
{
    for (volatile int64_t i = 0; i < rounds; i++)
        ;
}

static json_t *note_of(const cvm_msg *m, int64_t n)
{
#ifdef BUG_OLD
    return json_integer(n);
#else
    return json_pack("{s:s, s:I}", "name", cvm_json_str(m->data, "name", ""), "n", (json_int_t)n);
#endif
}

static void misuse(const cvm_msg *m)
{
    json_t *data = (json_t *)(uintptr_t)m->data, *name = json_object_get(data, "name");
    if (BUG == LEAKS && json_object_size(data) > 2)
        (void)!json_string("left behind");
    if (BUG == LEAKS_MEMORY && json_object_size(data) > 2)
        made = strdup("left behind, too");
    if (BUG == DROPS && name)
        json_decref(name);
    if (BUG == CHANGES)
        json_object_set_new(data, "seen", json_true());
    if (BUG == FREES_TWICE) {
        json_t *own = json_string("mine");
        json_decref(own);
        json_decref(own);
    }
    if (BUG == LOOPS && strlen(cvm_json_str(data, "name", "")) > 24)
        spin(INT64_MAX);
    if (BUG == SLOW && strlen(cvm_json_str(data, "name", "")) > 50)
        spin(2000 * INT64_C(1000000));
    if (BUG == CRASHES && json_is_null(json_object_get(data, "note")))
        counter += json_string_value(json_object_get(data, "note"))[0];
}

static int put(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    int64_t count = 0, n = cvm_json_int(m->data, "n", 0);
    const char *name = cvm_json_str(m->data, "name", "");
    misuse(m);
    if (!*name || strlen(name) > 40)
        return BUG == FAULTS ? CVM_EFAULT
               : BUG == MUTE ? cvm_refuse_with(t, json_object())
                             : cvm_refuse(t, "NAME", "name", "a name has 1 to 40 bytes");
    if (BUG == SILENT && !*cvm_json_str(m->data, "note", "x"))
        return CVM_OK;
    if (BUG == FORGETS && n == 0)
        return CVM_PENDING;
    CVM_TRY(cvm_state_int(t, "count", &count));
    count = BUG == REMEMBERS ? ++counter : BUG == ROLLS ? rand() : count + 1;
    CVM_TRY(cvm_state_put_int(t, "count", count));
    snprintf(key, sizeof key, "note/%s", name);
    json_t *note = note_of(m, n);
    if (BUG == TRUSTS_MEMORY)
        (void)*(volatile json_type *)&note->type;
    if (!note)
        return CVM_ENOMEM;
    CVM_TRY(cvm_state_put(t, key, note));
    CVM_TRY(cvm_row_put(t, "bad_notes",
                        BUG == UNDECLARED && n > 50 ? json_pack("{s:s, s:s}", "name", name, "n", "many")
                                                    : json_pack("{s:s, s:I}", "name", name, "n", (json_int_t)n)));
    if (n == 7)
        CVM_TRY(cvm_timer(t, "remind", 60000, json_pack("{s:s}", "name", name), m->id, NULL));
    json_t *answer = BUG == SHORT && n > 90 ? json_object() : json_pack("{s:I}", "count", (json_int_t)count);
    int e = cvm_reply(t, m, answer);
    if (BUG == CHANGES_SENT)
        json_object_set_new(answer, "late", json_true());
    return e;
}

static int get(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *note = NULL;
    const char *name = cvm_json_str(m->data, "name", "");
    if (!*name || strlen(name) > 40)
        return cvm_refuse(t, "NAME", "name", "a name has 1 to 40 bytes");
    snprintf(key, sizeof key, "note/%s", name);
    int e = cvm_state_get(t, key, &note);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "name", "there is no such note");
    CVM_TRY(e);
    return cvm_reply(t, m, json_pack("{s:o}", "note", cvm_json_share(note)));
}

/* Asks a peer, and answers with what it says. */
static int ask(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, "test.library", "look_up", cvm_json_share(m->data),
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = 5000}));
    return CVM_PENDING;
}

static int asked(cvm_turn *t, const cvm_msg *m)
{
    if (BUG == ODD_REPLY && m->outcome == CVM_REPLIED &&
        strlen(json_string_value(json_object_get(m->data, "text"))) > 0)
        counter++;
    int e = m->outcome == CVM_REPLIED
                ? cvm_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:o}", "found", cvm_json_share(m->data)), NULL)
                : cvm_settle(t, m->on_behalf, CVM_ERROR,
                             json_pack("{s:s, s:s}", "code", "LIBRARY", "message", "the library did not answer"), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int remind(cvm_turn *t, const cvm_msg *m)
{
    return cvm_context_set(t, "/reminded", json_string(cvm_json_str(m->data, "name", "")));
}

#ifndef BUG_OLD
static int upgrade(uint32_t from, const char *key, const json_t *value, json_t **ret_value)
{
    (void)from;
    if (BUG == UPGRADES_WRONG) {
        *ret_value = (json_t *)(uintptr_t)value;
        return CVM_OK;
    }
    if (strncmp(key, "note/", 5) != 0 || json_is_object(value)) {
        *ret_value = cvm_json_share(value);
        return CVM_OK;
    }
    if (!json_is_integer(value) || (BUG == UPGRADES_NONE && json_integer_value(value) > 50))
        return CVM_EDATA;
    *ret_value = json_pack("{s:s, s:o}", "name", key + 5, "n", cvm_json_share(value));
    return *ret_value ? CVM_OK : CVM_ENOMEM;
}

#endif

#ifdef BUG_OLD
static const cvm_component components[] = {{.id = "test.bad", .state_version = 1}, {0}};
#else
static const cvm_component components[] = {{.id = "test.bad", .state_version = 2, .upgrade = upgrade}, {0}};
#endif

static const cvm_route routes[] = {{"test.bad", "put", put},       {"test.bad", "get", get},
                                   {"test.bad", "ask", ask},       {"test.bad", "look_up.reply", asked},
                                   {"test.bad", "remind", remind}, {0}};

CVM_PLUGIN(.name = "bad", .version = "1.0.0", .components = components, .routes = routes, .create = create);
