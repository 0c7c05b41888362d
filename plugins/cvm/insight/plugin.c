/* The plugin `insight`: segments of customers, what treatments did, experiments. Owns the tables of routes and jobs;
 * the work is in the files that insight.h names. Loop thread. */
#include "insight.h"

static const cvm_component components[] = {{.id = SEGMENTATION, .state_version = 1},
                                           {.id = EVALUATION, .state_version = 1},
                                           {.id = EXPERIMENTS, .state_version = 1},
                                           {0}};

/* clang-format off */
static const cvm_route routes[] = {
    {SEGMENTATION, "assign_segments", segment_on_assign},
    {SEGMENTATION, "assign_segments.reply", segment_on_assigned},
    {SEGMENTATION, "list_segments", segment_on_list},
    {SEGMENTATION, "get_segment", segment_on_get},
    {SEGMENTATION, "show_segment", segment_on_show},
    {SEGMENTATION, "query.reply", segment_on_found},
    {EVALUATION, "record_outcome", evaluation_on_record},
    {EVALUATION, "get.reply", evaluation_on_treatment},
    {EVALUATION, "applied.reply", evaluation_on_applied},
    {EVALUATION, "assign", evaluation_on_assign},
    {EVALUATION, "query.reply", evaluation_on_found},
    {EVALUATION, "evaluate_treatment", evaluation_on_evaluate},
    {EVALUATION, "report", evaluation_on_report},
    {EVALUATION, "evaluate.reply", insight_relay},
    {EXPERIMENTS, "create", experiment_on_create},
    {EXPERIMENTS, "describe.reply", experiment_on_described},
    {EXPERIMENTS, "list", experiment_on_list},
    {EXPERIMENTS, "get", experiment_on_get},
    {EXPERIMENTS, "start_experiment", experiment_on_start},
    {EXPERIMENTS, "stop_experiment", experiment_on_stop},
    {EXPERIMENTS, "assign", experiment_on_assign},
    {EXPERIMENTS, "query.reply", experiment_on_found},
    {EXPERIMENTS, "observe", experiment_on_observe},
    {EXPERIMENTS, "report", experiment_on_report},
    {EXPERIMENTS, "running", experiment_on_running},
    {EXPERIMENTS, "observe_day", experiment_on_observe_day},
    {EXPERIMENTS, "compare.reply", insight_relay},
    {0},
};

static const cvm_job_entry jobs[] = {
    {"assign_segments", segment_job},
    {"evaluate", evaluation_job},
    {"applied", evaluation_applied_job},
    {"compare", experiment_job},
    {0},
};
/* clang-format on */

CVM_PLUGIN(.name = "insight", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
