/* The workflows of a manifest: whole ones, and steps for those of others. Loop thread. */
#include "core/manifest_parts.h"
#include "harness/workflows.h"

#include <cvm/json.h>

#include <stdio.h>

static int wrong_at(struct reading *r, size_t workflow, const char *part, const struct workflow_fault *fault)
{
    struct field field;
    const char *dot = *part && *fault->field ? "." : "";
    manifest_field(&field, "workflows[%zu].%s%s%s", workflow, part, dot, fault->field);
    return manifest_wrong(r, field.text, "%s", fault->text);
}

static int check_steps(struct reading *r, size_t index, const json_t *list, bool added)
{
    struct workflow_fault fault;
    char part[64];
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        snprintf(part, sizeof part, added ? "add[%zu].step" : "steps[%zu]", i);
        if (workflows_check_step(added ? json_object_get(one, "step") : one, &fault) < 0)
            return wrong_at(r, index, part, &fault);
    }
    if (added)
        return 0;
    int e = workflows_check(list, &fault);
    return e == CVM_EINVAL ? wrong_at(r, index, "", &fault) : e;
}

int manifest_read_workflows(struct reading *r, const json_t *workflows)
{
    struct field field;
    r->m->workflows = workflows;
    for (size_t i = 0; i < json_array_size(workflows); i++) {
        const json_t *one = json_array_get(workflows, i), *steps = json_object_get(one, "steps");
        const json_t *add = json_object_get(one, "add");
        const char *name = cvm_json_str(one, "name", "");
        if (!steps == !add)
            return manifest_wrong(r, manifest_field(&field, "workflows[%zu]", i),
                                  "\"%s\" must have either \"steps\", which make it, or \"add\", for another plugin's",
                                  name);
        for (size_t k = 0; steps && k < i; k++) {
            const json_t *other = json_array_get(workflows, k);
            if (json_object_get(other, "steps") && strcmp(cvm_json_str(other, "name", ""), name) == 0)
                return manifest_wrong(r, manifest_field(&field, "workflows[%zu].name", i), "\"%s\" is declared twice",
                                      name);
        }
        CVM_TRY(check_steps(r, i, steps ? steps : add, add != NULL));
    }
    return 0;
}
