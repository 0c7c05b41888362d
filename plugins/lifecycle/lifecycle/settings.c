/* What the settings of a run must be. Knows nothing but them. Any thread. */
#include "lifecycle.h"

#include "../common/policy.h"

#include <stdio.h>

static const struct {
    const char *name;
    double least, most;
} numbers[] = {
    {"seed", 0, 9007199254740991.0}, {"noise", 0, 50},
    {"explore_rate", 0, 1},          {"churn_score", 0, 100},
    {"churn_inactive_days", 1, 1e6}, {"clv_discount_rate", 0.0001, 1},
};

bool settings_fault(const json_t *settings, char ret_field[64], char ret_text[200])
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const json_t *value = json_object_get(settings, numbers[i].name);
        double n = json_number_value(value);
        if (!value || (json_is_number(value) && n >= numbers[i].least && n <= numbers[i].most))
            continue;
        snprintf(ret_field, 64, "lifecycle.%s", numbers[i].name);
        snprintf(ret_text, 200, "%s: must be a number from %.16g to %.16g; it stands in config/cvmhost.json", ret_field,
                 numbers[i].least, numbers[i].most);
        return true;
    }
    enum policy_kind kind;
    if (policy_kind_of(cvm_json_str(settings, "policy", "source"), &kind))
        return false;
    snprintf(ret_field, 64, "lifecycle.policy");
    snprintf(ret_text, 200, "lifecycle.policy: must be source, thompson or random; it stands in config/cvmhost.json");
    return true;
}
