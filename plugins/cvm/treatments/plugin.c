/* The plugin `treatments`: routes and jobs; the work is in the files named in treatments.h. Loop thread. */
#include "treatments.h"

static const cvm_component components[] = {{.id = CATALOGUE, .state_version = 1},
                                           {.id = STANDARD, .state_version = 1},
                                           {.id = ALLOCATION, .state_version = 1},
                                           {0}};

/* clang-format off */
static const cvm_route routes[] = {
    {CATALOGUE, "start", catalogue_start},
    {CATALOGUE, "host.registry", catalogue_changed},
    {CATALOGUE, "describe.reply", catalogue_described},
    {CATALOGUE, "list", catalogue_list},
    {CATALOGUE, "get", catalogue_get},
    {CATALOGUE, "help", catalogue_help},
    {CATALOGUE, "add", change_add},
    {CATALOGUE, "update", change_update},
    {CATALOGUE, "remove", change_remove},
    {CATALOGUE, "chat.reply", change_read},
    {CATALOGUE, "load.reply", keep_loaded},
    {CATALOGUE, "keep.reply", keep_kept},
    {CATALOGUE, "check", custom_check},
    {CATALOGUE, "apply", custom_apply},
    {CATALOGUE, "get_customer_data.reply", apply_permissions},
    {CATALOGUE, "confirm_contact.reply", apply_confirmed},
    {CATALOGUE, "deliver.reply", apply_delivered},
    {STANDARD, "describe", standard_describe},
    {STANDARD, "check", standard_check},
    {STANDARD, "apply", standard_apply},
    {STANDARD, "get_customer_data.reply", apply_permissions},
    {STANDARD, "confirm_contact.reply", apply_confirmed},
    {STANDARD, "deliver.reply", apply_delivered},
    {ALLOCATION, "start", allocation_start},
    {ALLOCATION, TOPIC, allocation_limits},
    {ALLOCATION, PRICES, allocation_prices},
    {ALLOCATION, "list.reply", allocate_listed},
    {ALLOCATION, "allocate_resource", allocate_resource},
    {ALLOCATION, "release_resource", release_resource},
    {ALLOCATION, "confirm_contact", confirm_contact},
    {ALLOCATION, "check_contact", check_contact},
    {ALLOCATION, "check_availability", allocation_check},
    {ALLOCATION, "get_constraints", allocation_constraints},
    {ALLOCATION, "reset_constraints", allocation_reset},
    {ALLOCATION, "get_history", history_get},
    {ALLOCATION, "history.reply", history_got},
    {ALLOCATION, "bar.reply", bar_counted},
    {ALLOCATION, "prune", prune_used},
    {0},
};
/* clang-format on */

static const cvm_job_entry jobs[] = {
    {"load", keep_job_load}, {"keep", keep_job_keep}, {"history", history_job}, {"bar", bar_job}, {0}};

CVM_PLUGIN(.name = "treatments", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
