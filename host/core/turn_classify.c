/* What a text model says inside a turn: who may ask, the answer, and its place in the record, from which a replay
 * answers. See models.h. Loop thread. */
#include "core/internal.h"
#include "core/json_text.h"

#include "models/model.h"
#include <math.h>
#include <string.h>

#define CLASSIFY_TEXT_MAX_BYTES (64 * 1024)
#define CLASSIFY_ID_CHARS 12

static bool lists(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->n_models; i++)
        if (strcmp(m->models[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < m->needs_models.n; i++)
        if (strcmp(m->needs_models.at[i], name) == 0)
            return true;
    return false;
}

/* Tells texts of one turn apart in its record, where the text itself need not stand again (FNV-1a). */
static json_int_t mark_of(const char *text)
{
    uint32_t h = 2166136261u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return (json_int_t)h;
}

/* {"head": ["label", 934, "other", 41], ..}: thousandths, without what rounds to none. */
static json_t *compact_of(const struct model *m, struct model_answer (*best)[MODEL_BEST])
{
    json_t *all = json_object();
    for (size_t h = 0; h < model_heads(m); h++) {
        json_t *list = json_array();
        for (size_t i = 0; i < MODEL_BEST && i < model_labels(m, h); i++) {
            json_int_t thousandths = (json_int_t)lround(best[h][i].probability * 1000);
            if (i && !thousandths)
                break;
            json_array_append_new(list, json_string(model_label(m, h, best[h][i].label)));
            json_array_append_new(list, json_integer(thousandths));
        }
        json_object_set_new(all, model_head(m, h), list);
    }
    return all;
}

/* {"head": [["label", .934], ["other", .041]], ..} */
static json_t *expanded(const json_t *compact)
{
    const char *head;
    json_t *list, *all = json_object();
    json_object_foreach((json_t *)(uintptr_t)compact, head, list)
    {
        json_t *pairs = json_array();
        for (size_t i = 0; i + 1 < json_array_size(list); i += 2)
            json_array_append_new(pairs, json_pack("[O, f]", json_array_get(list, i),
                                                   json_number_value(json_array_get(list, i + 1)) / 1000.0));
        json_object_set_new(all, head, pairs);
    }
    return all;
}

/* Gives *ret_read: ["model", name, hash, mark of the text, what it said]. */
static int ask(struct turn *t, const char *name, const char *text, json_t **ret_read)
{
    struct model_answer best[EXAMPLES_HEADS][MODEL_BEST];
    if (t->core->replay)
        return replay_model(t->core, name, mark_of(text), ret_read);
    const struct model *m = models_find(t->core, name);
    if (!m)
        return CVM_ENOENT;
    CVM_TRY(model_best(m, text, best));
    *ret_read = json_pack("[s, s, s#, I, o]", "model", name, model_id(m), CLASSIFY_ID_CHARS, mark_of(text),
                          compact_of(m, best));
    return *ret_read ? 0 : CVM_ENOMEM;
}

int classify_text(const struct model *m, const char *text, json_t **ret_labels)
{
    struct model_answer best[EXAMPLES_HEADS][MODEL_BEST];
    if (strlen(text) > CLASSIFY_TEXT_MAX_BYTES)
        return CVM_ELIMIT;
    if (!text_is_utf8(text, strlen(text)))
        return CVM_EINVAL;
    CVM_TRY(model_best(m, text, best));
    json_t *compact = compact_of(m, best);
    *ret_labels = expanded(compact);
    json_decref(compact);
    return *ret_labels ? 0 : CVM_ENOMEM;
}

int turn_classify(cvm_turn *pub, const char *name, const char *text, json_t **ret_labels)
{
    struct turn *t = (struct turn *)pub;
    const struct generation *g = t->component->now->generation;
    json_t *read;
    if (!name || !text)
        return CVM_EINVAL;
    if (!g || !lists(g->manifest, name))
        return CVM_EACCES;
    if (strlen(text) > CLASSIFY_TEXT_MAX_BYTES)
        return CVM_ELIMIT;
    if (!text_is_utf8(text, strlen(text)))
        return CVM_EINVAL;
    CVM_TRY(ask(t, name, text, &read));
    json_t *labels = expanded(json_array_get(read, 4));
    if (!labels) {
        json_decref(read);
        return CVM_ENOMEM;
    }
    *ret_labels = labels;
    if (t->conversation)
        turn_note_read(t, read);
    else
        json_decref(read);
    return 0;
}
