/* The models of a manifest: what is declared, and which of others it may ask. What a model is made of is known to
 * models/. Loop thread. */
#include "core/manifest_parts.h"
#include "models/examples.h"

#include <cvm/json.h>

#include <stdio.h>
#include <stdlib.h>

static int check_heads(struct reading *r, const json_t *heads, const char *field)
{
    struct examples e;
    char why[320];
    examples_init(&e);
    int error = examples_heads(&e, heads, why, sizeof why);
    examples_fini(&e);
    return error == CVM_ENOMEM ? error : error ? manifest_wrong(r, field, "%s", why) : 0;
}

int manifest_read_models(struct reading *r, const json_t *models, const json_t *needed)
{
    struct field field;
    struct manifest *m = r->m;
    size_t i;
    const json_t *one;
    m->models = calloc(json_array_size(models) + 1, sizeof *m->models);
    if (!m->models)
        return CVM_ENOMEM;
    json_array_foreach(models, i, one)
    {
        struct manifest_model *model = &m->models[m->n_models];
        model->name = json_string_value(json_object_get(one, "name"));
        model->heads = json_object_get(one, "heads");
        model->notes = cvm_json_str(one, "notes", "");
        manifest_field(&field, "models[%zu].heads", i);
        CVM_TRY(check_heads(r, model->heads, field.text));
        for (size_t k = 0; k < m->n_models; k++)
            if (strcmp(m->models[k].name, model->name) == 0)
                return manifest_wrong(r, "models", "\"%s\" is declared twice", model->name);
        m->n_models++;
    }
    return manifest_strings_make(r, needed, "needs.models", &m->needs_models);
}
