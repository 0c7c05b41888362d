/* "why": the causal story behind an id. Finds the conversations the id leads to, walks to those that opened them and
 * that they opened, and collects their turns and the rows these wrote. Reads committed data only. Loop thread. */
#include "services/control_private.h"

#include "core/id.h"
#include "core/numbers.h"
#include "core/record_read.h"
#include <stdio.h>
#include <stdlib.h>

#define CONVERSATIONS_MAX 64
#define TURNS_MAX 1000
#define CONFIGURATIONS_MAX 200
#define ROWS_MAX 200 /* of one table */
#define SQL_MAX_BYTES 65536
#define COPIES_MAX 64
#define ABOVE_TURNS_MAX 100 /* of each conversation that opened ours */
#define ROUNDS_MAX 8        /* hops from conversation to conversation that only the turns tell of */

struct why {
    char what[513];
    cvm_id message; /* what was asked for, if it is one; else none */
    json_t *tables; /* [{table, key}]: rows that name their conversation */
    size_t table;   /* the next to read rows of */
    json_t *keys;   /* conversations the story starts from or was led to, as integers */
    json_t *above;  /* those that only opened ours: told of, but where else they led is not our story */
    json_t *seen;   /* both, as members of an object: true for `keys`, false for `above` */
    json_t
        *copies; /* messages in lanes shared with others, [conversation, after seq, id]: only their own turns count */
    json_t *story;
    int rounds;
};

static void free_why(void *arg)
{
    struct why *w = arg;
    json_decref(w->tables);
    json_decref(w->keys);
    json_decref(w->above);
    json_decref(w->seen);
    json_decref(w->copies);
    json_decref(w->story);
    free(w);
}

/* Adds a conversation; returns whether it is new. */
static bool add_key(struct why *w, int64_t key, bool above)
{
    if (key == 0 || numbers_get(w->seen, key) || json_object_size(w->seen) >= CONVERSATIONS_MAX)
        return false;
    numbers_put(w->seen, key, json_boolean(!above));
    return json_array_append_new(above ? w->above : w->keys, json_integer(key)) == 0;
}

/* "1,2,3": integers of our own, nothing a client wrote. */
static void add_keys(struct text *sql, const json_t *keys, const char *between)
{
    for (size_t i = 0; i < json_array_size(keys); i++) {
        text_puts(sql, i ? between : "");
        text_int(sql, json_integer_value(json_array_get(keys, i)));
    }
}

/* A name from the store's own catalogue, as an identifier. */
static void add_name(struct text *sql, const char *name)
{
    text_char(sql, '"');
    for (; *name; name++) {
        if (*name == '"')
            text_char(sql, '"');
        text_char(sql, *name);
    }
    text_char(sql, '"');
}

/* Runs the query and frees its text. Takes `binds`. */
static void run(struct exchange *x, struct why *w, struct text *sql, json_t *binds, size_t limit, control_rows done)
{
    if (sql->failed) {
        json_decref(binds);
        free_why(w);
        control__fail(x, CVM_ELIMIT, "", "too many tables or conversations");
    } else {
        control__query(x, sql->at, binds, limit, done, free_why, w);
    }
    text_free(sql);
}

/* A lane of a topic, component or the host itself, where everybody's work passes. */
static bool is_shared(const char *name)
{
    return strncmp(name, "topic:", 6) == 0 || strncmp(name, "component:", 10) == 0 || strncmp(name, "host:", 5) == 0;
}

/* ---- rows ---- */

static void next_rows(struct exchange *x, struct why *w);
static void find_facts(struct exchange *x, struct why *w);

/* Columns that hold JSON are text in the store. */
static void unpack_row(json_t *row)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(row, next, name, value)
    {
        const char *text = json_string_value(value);
        json_t *inner = text && (text[0] == '{' || text[0] == '[') ? json_loads(text, 0, NULL) : NULL;
        if (inner)
            json_object_set_new(row, name, inner);
    }
}

static void rows_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    (void)more;
    const char *table = cvm_json_str(json_array_get(w->tables, w->table), "table", "");
    json_t *all = json_object_get(w->story, "rows"), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        json_object_del(row, "key_id");
        unpack_row(row);
        json_array_append_new(all, json_pack("{s:s, s:O}", "table", table, "row", row));
    }
    json_decref(rows);
    w->table++;
    next_rows(x, w);
}

/* Keys of rows of one table that the turns wrote. */
static json_t *written_keys(const struct why *w, const char *table)
{
    json_t *keys = json_array(), *seen = json_object(), *turn, *pair;
    size_t i, k, turns = json_array_size(json_object_get(w->story, "turns"));
    const json_t *folded = json_object_get(w->story, "folded");
    for (i = 0; i < turns + json_array_size(folded); i++) {
        turn = json_array_get(json_object_get(w->story, "turns"), i);
        const json_t *told = turn ? json_object_get(turn, "record") : json_array_get(folded, i - turns);
        json_array_foreach(json_object_get(told, "rows"), k, pair)
        {
            const char *name = json_string_value(json_array_get(pair, 0));
            json_t *key = json_array_get(pair, 1);
            if (!name || strcmp(name, table) != 0 || !json_is_string(key) || json_array_size(keys) >= ROWS_MAX ||
                json_object_get(seen, json_string_value(key)))
                continue;
            json_object_set_new(seen, json_string_value(key), json_true());
            json_array_append(keys, key);
        }
    }
    json_decref(seen);
    return keys;
}

static void put_name(json_t *names, const char *name)
{
    int64_t key = conversation_key(name);
    if (name[0] && !numbers_get(names, key))
        numbers_put(names, key, json_string(name));
}

/* Keys of conversations become their names, as far as the story tells them; those without a stored context join the
 * list. */
static void name_turns(json_t *story)
{
    json_t *names = json_object(), *conversations = json_object_get(story, "conversations"), *item, *out;
    size_t i, k;
    json_array_foreach(conversations, i, item)
    {
        put_name(names, cvm_json_str(item, "name", ""));
        json_object_del(item, "conversation");
    }
    json_array_foreach(json_object_get(story, "turns"), i, item)
    {
        const json_t *record = json_object_get(item, "record");
        put_name(names, cvm_json_str(json_object_get(record, "in"), "conversation", ""));
        json_array_foreach(json_object_get(record, "out"), k, out)
            put_name(names, cvm_json_str(out, "conversation", ""));
    }
    json_array_foreach(conversations, i, item)
    {
        json_t *name = numbers_get(names, cvm_json_int(item, "parent", 0));
        json_object_set(item, "parent", name ? name : json_null());
        const char *own = cvm_json_str(item, "name", "");
        numbers_put(names, conversation_key(own), json_pack("[s]", own)); /* a list: is there */
    }
    json_array_foreach(json_object_get(story, "turns"), i, item)
    {
        int64_t key = cvm_json_int(item, "conversation", 0);
        json_t *name = numbers_get(names, key);
        if (json_is_string(name) && !is_shared(json_string_value(name))) {
            json_array_append_new(conversations, json_pack("{s:O}", "name", name));
            numbers_put(names, key, json_pack("[O]", name));
            name = numbers_get(names, key);
        }
        json_object_set(item, "conversation",
                        json_is_array(name) ? json_array_get(name, 0)
                        : name              ? name
                                            : json_null());
    }
    json_decref(names);
}

/* ---- what the turns knew ---- */

static void configurations_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    (void)more;
    control__why_configurations(w->story, rows);
    json_decref(rows);
    name_turns(w->story);
    json_t *story = json_incref(w->story);
    free_why(w);
    control__answer(x, story);
}

static void find_configurations(struct exchange *x, struct why *w)
{
    json_t *ids = json_object(), *turn;
    size_t i;
    struct text sql;
    json_array_foreach(json_object_get(w->story, "turns"), i, turn)
    {
        const json_t *run_of = json_object_get(json_object_get(turn, "record"), "run");
        numbers_put(ids, json_integer_value(json_array_get(run_of, 0)), json_null());
    }
    text_init(&sql, SQL_MAX_BYTES);
    text_puts(&sql, "SELECT id, hash, doc FROM host_configs WHERE id IN (");
    numbers_list(&sql, ids);
    text_puts(&sql, ")");
    json_decref(ids);
    run(x, w, &sql, NULL, CONFIGURATIONS_MAX, configurations_found);
}

static void writers_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    json_t *states = json_object(), *row;
    size_t i;
    (void)more;
    json_array_foreach(rows, i, row)
    {
        const char *text = cvm_json_str(row, "state", NULL);
        numbers_put(states, cvm_json_int(row, "seq", 0), text ? json_loads(text, JSON_ALLOW_NUL, NULL) : json_null());
    }
    control__why_facts(w->story, states);
    json_decref(states);
    json_decref(rows);
    find_configurations(x, w);
}

/* The values of state that the turns read stand in the records of the turns that wrote them. */
static void find_facts(struct exchange *x, struct why *w)
{
    json_t *writers = control__why_writers(w->story);
    struct text sql;
    text_init(&sql, SQL_MAX_BYTES);
    text_puts(&sql, "SELECT seq, json_extract(record, '$.state') AS state FROM turns WHERE seq IN (");
    numbers_list(&sql, writers);
    text_puts(&sql, ")");
    json_decref(writers);
    run(x, w, &sql, NULL, TURNS_MAX, writers_found);
}

static void next_rows(struct exchange *x, struct why *w)
{
    for (; w->table < json_array_size(w->tables); w->table++) {
        const json_t *entry = json_array_get(w->tables, w->table);
        json_t *keys = written_keys(w, cvm_json_str(entry, "table", ""));
        if (json_array_size(keys) == 0) {
            json_decref(keys);
            continue;
        }
        struct text sql;
        text_init(&sql, SQL_MAX_BYTES);
        text_puts(&sql, "SELECT * FROM ");
        add_name(&sql, cvm_json_str(entry, "table", ""));
        text_puts(&sql, " WHERE ");
        add_name(&sql, cvm_json_str(entry, "key", ""));
        for (size_t i = 0; i < json_array_size(keys); i++)
            text_printf(&sql, "%s?%zu", i ? "," : " IN (", i + 1);
        text_puts(&sql, ")");
        run(x, w, &sql, keys, ROWS_MAX, rows_found);
        return;
    }
    find_facts(x, w);
}

/* ---- turns ---- */

static void find_family(struct exchange *x, struct why *w);

static bool add_copy(struct why *w, int64_t conversation, int64_t after, const char *message)
{
    size_t i;
    json_t *copy;
    json_array_foreach(w->copies, i,
                       copy) if (strcmp(json_string_value(json_array_get(copy, 2)), message) == 0) return false;
    cvm_id id;
    if (json_array_size(w->copies) >= COPIES_MAX || id_parse(message, &id) < 0)
        return false;
    return json_array_append_new(w->copies,
                                 json_pack("[I, I, s]", (json_int_t)conversation, (json_int_t)after, message)) == 0;
}

/* Where the turns sent to: whole conversations, but of the lanes shared with others only the messages themselves. */
static bool add_outgoing(struct why *w)
{
    bool added = false;
    size_t i, k;
    json_t *turn, *out;
    char key[24];
    json_array_foreach(json_object_get(w->story, "turns"), i, turn)
    {
        snprintf(key, sizeof key, "%lld", (long long)cvm_json_int(turn, "conversation", 0));
        if (!cvm_json_bool(w->seen, key, true))
            continue;
        json_array_foreach(json_object_get(json_object_get(turn, "record"), "out"), k, out)
        {
            const char *name = cvm_json_str(out, "conversation", "");
            if (strncmp(name, "topic:", 6) == 0)
                added |= add_copy(w, conversation_key(name), cvm_json_int(turn, "seq", 0),
                                  cvm_json_str(out, "message_id", ""));
            else if (name[0] && !is_shared(name))
                added |= add_key(w, conversation_key(name), false);
        }
    }
    return added;
}

/* Where folded turns led to, and whether that was new. */
static bool add_led_to(struct why *w, const json_t *doc)
{
    bool added = false;
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(doc, "led_to"), i, name) if (json_is_string(name)) added |=
        add_key(w, conversation_key(json_string_value(name)), false);
    return added;
}

/* What is left of those whose turns were folded away: "folded" beside "turns". */
static void folded_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    (void)more;
    size_t i;
    json_t *row;
    bool added = false;
    json_array_foreach(rows, i, row)
    {
        const char *text = cvm_json_str(row, "doc", NULL);
        json_t *doc = text ? json_loads(text, 0, NULL) : NULL;
        json_object_del(row, "doc");
        added |= add_led_to(w, doc);
        json_object_update(row, doc);
        json_decref(doc);
    }
    json_object_set_new(w->story, "folded", rows);
    if (added && ++w->rounds < ROUNDS_MAX) {
        find_family(x, w);
        return;
    }
    if (json_array_size(rows) + json_array_size(json_object_get(w->story, "turns")) +
            json_array_size(json_object_get(w->story, "conversations")) ==
        0) {
        char what[128];
        snprintf(what, sizeof what, "%.100s", w->what);
        free_why(w);
        control__fail(x, CVM_ENOENT, "what", "nothing is stored about %s", what);
        return;
    }
    next_rows(x, w);
}

static void find_folded(struct exchange *x, struct why *w)
{
    struct text sql;
    text_init(&sql, SQL_MAX_BYTES);
    text_puts(&sql,
              "SELECT name, " SQL_FOLDED ", turns, first_seq, last_seq, doc FROM folded WHERE conversation IN (0");
    text_puts(&sql, json_array_size(w->keys) ? "," : "");
    add_keys(&sql, w->keys, ",");
    text_puts(&sql, json_array_size(w->above) ? "," : "");
    add_keys(&sql, w->above, ",");
    text_puts(&sql, ") ORDER BY first_seq");
    run(x, w, &sql, NULL, CONVERSATIONS_MAX * 2, folded_found);
}

static void turns_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) record_unpack(row);
    json_object_set_new(w->story, "turns", rows);
    json_object_set_new(w->story, "more", json_boolean(more));
    if (!more && ++w->rounds < ROUNDS_MAX && add_outgoing(w)) {
        find_family(x, w);
        return;
    }
    find_folded(x, w);
}

#define TURN_COLUMNS                                                                                                   \
    "SELECT seq, " SQL_AT ", conversation, component, " SQL_MESSAGE                                                    \
    ", type, sender, outcome, us, build, record, " RECORD_COLUMNS("turns") " FROM turns WHERE "

static void find_turns(struct exchange *x, struct why *w)
{
    struct text sql;
    size_t i;
    json_t *copy, *key;
    text_init(&sql, SQL_MAX_BYTES);
    text_puts(&sql, TURN_COLUMNS "conversation IN (");
    add_keys(&sql, w->keys, ",");
    text_puts(&sql, ")");
    json_array_foreach(w->above, i, key)
    {
        text_puts(&sql, " UNION ALL SELECT * FROM (" TURN_COLUMNS);
        text_printf(&sql, "conversation = %lld ORDER BY seq LIMIT %d)", (long long)json_integer_value(key),
                    ABOVE_TURNS_MAX);
    }
    json_array_foreach(w->copies, i, copy) /* their ids have passed id_parse: MSG- and hex digits */
    {
        text_puts(&sql, " UNION ALL SELECT * FROM (" TURN_COLUMNS);
        text_printf(&sql, "conversation = %lld AND seq > %lld AND message = x'%s' LIMIT 1)",
                    (long long)json_integer_value(json_array_get(copy, 0)),
                    (long long)json_integer_value(json_array_get(copy, 1)),
                    json_string_value(json_array_get(copy, 2)) + 4);
    }
    text_puts(&sql, " ORDER BY seq");
    run(x, w, &sql, NULL, TURNS_MAX, turns_found);
}

/* ---- conversations ---- */

/* Whether the key is that of "component:<id>", the host's own among them. */
static bool is_component_lane(const struct core *core, int64_t key)
{
    json_t *components = core_components(core), *component;
    bool found = conversation_key("component:host") == key;
    size_t i;
    char name[CVM_NAME_MAX + 16];
    json_array_foreach(components, i, component)
    {
        snprintf(name, sizeof name, "component:%s", cvm_json_str(component, "id", ""));
        found = found || conversation_key(name) == key;
    }
    json_decref(components);
    return found;
}

/* The message asked for went through a shared lane: its turn is the story, not the lane. */
static void only_the_message(struct why *w)
{
    json_array_clear(w->keys);
    json_object_clear(w->seen);
    add_copy(w, (int64_t)w->message.hi, 0, w->what);
    w->message.hi = 0;
}

static void family_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    (void)more;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        int64_t key = cvm_json_int(row, "conversation", 0);
        if (key == (int64_t)w->message.hi && is_shared(cvm_json_str(row, "name", "")))
            only_the_message(w);
        else
            add_key(w, key, cvm_json_int(row, "below", 1) == 0);
        json_object_del(row, "below");
        const char *text = cvm_json_str(row, "doc", NULL);
        json_t *doc = text ? json_loads(text, 0, NULL) : NULL;
        json_object_del(row, "doc");
        if (doc)
            json_object_set_new(row, "context", doc);
    }
    json_array_foreach(rows, i, row)
    {
        int64_t parent = cvm_json_int(row, "parent", 0);
        if (!is_shared(cvm_json_str(row, "name", "")) && !is_component_lane(x->core, parent))
            add_key(w, parent, true); /* one that keeps no context has no row */
    }
    json_object_set_new(w->story, "conversations", rows);
    find_turns(x, w);
}

/* Those that opened ours, upwards, and those that ours opened, downwards; not our brothers. */
static void find_family(struct exchange *x, struct why *w)
{
    static const char own_lane[] =
        " name NOT GLOB 'topic:*' AND name NOT GLOB 'component:*' AND name NOT GLOB 'host:*'";
    struct text sql;
    text_init(&sql, SQL_MAX_BYTES);
    text_puts(&sql, "WITH RECURSIVE own(c) AS (VALUES(");
    add_keys(&sql, w->keys, "),(");
    text_puts(&sql, json_array_size(w->keys) ? ")" : "0)");
    text_printf(&sql,
                "), up(c) AS (SELECT c FROM own UNION SELECT parent FROM contexts, up WHERE conversation = up.c"
                " AND parent != 0 AND%s LIMIT 64),",
                own_lane);
    text_printf(&sql,
                " down(c) AS (SELECT c FROM own UNION SELECT conversation FROM contexts, down"
                " WHERE parent = down.c AND parent != 0 AND%s LIMIT 64)",
                own_lane);
    text_puts(&sql, " SELECT conversation, name, parent, version, " SQL_OPENED ", " SQL_ENDED ", doc,"
                    " conversation IN (SELECT c FROM down) AS below FROM contexts"
                    " WHERE conversation IN (SELECT c FROM up UNION SELECT c FROM down)");
    text_printf(&sql, " AND (conversation IN (SELECT c FROM own) OR (%s)) ORDER BY opened_ms", own_lane);
    run(x, w, &sql, NULL, CONVERSATIONS_MAX * 2, family_found);
}

/* ---- what the id names ---- */

static void row_writers_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    (void)more;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        int64_t key = cvm_json_int(row, "conversation", 0);
        const char *name = cvm_json_str(row, "name", NULL);
        if (name && !is_shared(name)) /* else the lane is not known to be its own: the turn alone is the story */
            add_key(w, key, false);
        else
            add_copy(w, key, cvm_json_int(row, "seq", 1) - 1, cvm_json_str(row, "message_id", ""));
    }
    json_decref(rows);
    find_family(x, w);
}

/* A row names the conversation that it began in; others wrote it later. Of the newest turns, which is where one looks.
 */
static void find_writers(struct exchange *x, struct why *w)
{
    struct text sql;
    json_t *row, *binds = json_array();
    size_t i;
    text_init(&sql, SQL_MAX_BYTES);
    text_puts(&sql,
              "SELECT t.seq AS seq, t.conversation AS conversation, c.name AS name, 'MSG-' || lower(hex(t.message))"
              " AS message_id FROM turns t LEFT JOIN contexts c ON c.conversation = t.conversation WHERE t.seq >"
              " (SELECT max(seq) FROM turns) - 200000 AND (0");
    json_array_foreach(json_object_get(w->story, "named_by"), i, row)
    {
        const json_t *entry = json_array_get(w->tables, (size_t)cvm_json_int(row, "no", 0));
        json_t *pair = json_pack("[s, s]", cvm_json_str(entry, "table", ""), w->what);
        char *text = json_text(pair, NULL); /* ["table","key"]: in the record without its end */
        if (text)
            json_array_append_new(binds, json_stringn(text, strlen(text) - 1));
        text_printf(&sql, " OR instr(t.record, ?%zu)", json_array_size(binds));
        free(text);
        json_decref(pair);
    }
    text_printf(&sql, ") GROUP BY t.conversation LIMIT %d", CONVERSATIONS_MAX);
    run(x, w, &sql, binds, CONVERSATIONS_MAX, row_writers_found);
}

static void looked_up(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    (void)more;
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        const char *conversation = cvm_json_str(row, "conversation", "");
        if (conversation[0])
            add_key(w, conversation_key(conversation), false);
    }
    json_object_set_new(w->story, "named_by", rows);
    find_writers(x, w);
}

static void tables_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    struct why *w = arg;
    (void)more;
    w->tables = rows;
    if (json_array_size(rows) == 0) {
        find_family(x, w);
        return;
    }
    struct text sql;
    text_init(&sql, SQL_MAX_BYTES);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *entry = json_array_get(rows, i);
        text_puts(&sql, i ? " UNION ALL SELECT " : "SELECT ");
        text_printf(&sql, "%zu AS no, conversation FROM ", i);
        add_name(&sql, cvm_json_str(entry, "table", ""));
        text_puts(&sql, " WHERE ");
        add_name(&sql, cvm_json_str(entry, "key", ""));
        text_puts(&sql, " = ?1");
    }
    run(x, w, &sql, json_pack("[s]", w->what), CONVERSATIONS_MAX, looked_up);
}

void control__why(struct exchange *x, const char *what)
{
    struct why *w = calloc(1, sizeof *w);
    if (!w) {
        control__fail(x, CVM_ENOMEM, "", "out of memory");
        return;
    }
    snprintf(w->what, sizeof w->what, "%s", what);
    w->keys = json_array();
    w->above = json_array();
    w->seen = json_object();
    w->copies = json_array();
    w->story = json_pack("{s:s, s:[], s:[], s:[]}", "what", what, "conversations", "turns", "rows");
    if (id_parse(what, &w->message) == 0 && w->message.hi) {
        if (is_component_lane(x->core, (int64_t)w->message.hi))
            only_the_message(w); /* a lane that keeps no context has no row to be known by */
        else
            add_key(w, (int64_t)w->message.hi, false);
    }
    add_key(w, conversation_key(what), false);
    /* The journal's own tables know a conversation by its key, an integer. */
    static const char sql[] =
        "SELECT m.name AS \"table\", (SELECT k.name FROM pragma_table_info(m.name) k WHERE k.pk = 1) AS \"key\""
        " FROM sqlite_schema m WHERE m.type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) c"
        " WHERE c.name = 'conversation' AND c.type = 'TEXT') AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) k"
        " WHERE k.pk = 1) ORDER BY m.name LIMIT 200";
    control__query(x, sql, NULL, 200, tables_found, free_why, w);
}
