/* What `why` adds to the turns of a story: the values of state that a turn read, as they were then, and the version of
 * the plugin and the configuration that ran it. Works on the story's JSON; control_why.c asks the questions. */
#include "services/control_private.h"

#include "core/numbers.h"
#include <stdio.h>
#include <stdlib.h>

#define FACTS_OF_TURN_MAX 30
#define FACTS_MAX 600

/* Calls for each [key, turn] that the turn read, those of scans too. False: enough. */
static bool each_read(const json_t *turn, bool (*fn)(void *arg, const json_t *turn, const char *key, int64_t written),
                      void *arg)
{
    const json_t *reads = json_object_get(json_object_get(turn, "record"), "reads");
    size_t i, k, n = 0;
    json_t *read;
    json_array_foreach((json_t *)(uintptr_t)reads, i, read)
    {
        bool scan = json_array_size(read) > 3;
        for (k = scan ? 4 : 0; k < (scan ? json_array_size(read) : 1); k++) {
            const json_t *one = scan ? json_array_get(read, k) : read;
            const char *key = json_string_value(json_array_get(one, 0));
            if (!key || strncmp(key, ".id/", 4) == 0)
                continue;
            if (n++ == FACTS_OF_TURN_MAX)
                break;
            if (!fn(arg, turn, key, (int64_t)json_integer_value(json_array_get(one, 1))))
                return false;
        }
    }
    return true;
}

static bool want(void *arg, const json_t *turn, const char *key, int64_t written)
{
    (void)turn;
    (void)key;
    if (written > 0)
        numbers_put(arg, written, json_null());
    return json_object_size(arg) < FACTS_MAX;
}

json_t *control__why_writers(const json_t *story)
{
    json_t *wanted = json_object(), *turn;
    size_t i;
    json_array_foreach(json_object_get(story, "turns"), i, turn) if (!each_read(turn, want, wanted)) break;
    return wanted;
}

static const json_t *value_in(const json_t *state, const char *key)
{
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)(uintptr_t)state, i, pair) if (strcmp(json_string_value(json_array_get(pair, 0)),
                                                                       key) == 0) return json_array_get(pair, 1);
    return NULL;
}

struct adding {
    const json_t *states; /* number of a turn -> what it wrote */
    json_t *facts;
};

static bool add(void *arg, const json_t *turn, const char *key, int64_t written)
{
    struct adding *a = arg;
    (void)turn;
    const json_t *state = numbers_get(a->states, written);
    bool known = written == 0 || json_is_array(state);
    json_array_append_new(a->facts, json_pack("{s:s, s:O?, s:I, s:b}", "key", key, "value", value_in(state, key),
                                              "turn", (json_int_t)written, "known", known));
    return true;
}

/* What text models said to the turn: ["model", name, hash, mark, {head: [label, thousandths, ..]}]. */
static void add_models(const json_t *turn, json_t *facts)
{
    const json_t *reads = json_object_get(json_object_get(turn, "record"), "reads");
    size_t i;
    json_t *read;
    json_array_foreach((json_t *)(uintptr_t)reads, i, read)
    {
        const char *first = json_string_value(json_array_get(read, 0));
        if (json_array_size(read) != 5 || !first || strcmp(first, "model") != 0 ||
            !json_is_object(json_array_get(read, 4)))
            continue;
        json_array_append_new(facts, json_pack("{s:o, s:O, s:i, s:b}", "key",
                                               json_sprintf("model %s %s", json_string_value(json_array_get(read, 1)),
                                                            json_string_value(json_array_get(read, 2))),
                                               "value", json_array_get(read, 4), "turn", 0, "known", 1));
    }
}

void control__why_facts(json_t *story, const json_t *states)
{
    json_t *turn;
    size_t i;
    json_array_foreach(json_object_get(story, "turns"), i, turn)
    {
        struct adding a = {.states = states, .facts = json_array()};
        each_read(turn, add, &a);
        add_models(turn, a.facts);
        if (json_array_size(a.facts))
            json_object_set(turn, "facts", a.facts);
        json_decref(a.facts);
    }
}

static const char *version_of(const json_t *doc, const char *build)
{
    size_t i;
    json_t *plugin;
    json_array_foreach(json_object_get(doc, "plugins"), i, plugin)
    {
        const json_t *all[] = {plugin, json_object_get(plugin, "before")};
        for (int k = 0; *build && k < 2; k++)
            if (strncmp(cvm_json_str(all[k], "build", ""), build, strlen(build)) == 0)
                return cvm_json_str(all[k], "version", "");
    }
    return "";
}

void control__why_configurations(json_t *story, const json_t *rows)
{
    json_t *turn, *row, *docs = json_object();
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        json_t *doc = json_loads(cvm_json_str(row, "doc", "{}"), 0, NULL);
        numbers_put(docs, cvm_json_int(row, "id", 0),
                    json_pack("{s:o?, s:s}", "doc", doc, "hash", cvm_json_str(row, "hash", "")));
    }
    json_array_foreach(json_object_get(story, "turns"), i, turn)
    {
        json_int_t number =
            json_integer_value(json_array_get(json_object_get(json_object_get(turn, "record"), "run"), 0));
        const json_t *known = numbers_get(docs, number);
        const char *version = version_of(json_object_get(known, "doc"), cvm_json_str(turn, "build", ""));
        if (*version)
            json_object_set_new(turn, "version", json_string(version));
        if (known)
            json_object_set_new(turn, "configuration",
                                json_pack("{s:I, s:s}", "id", number, "hash", cvm_json_str(known, "hash", "")));
    }
    json_decref(docs);
}
