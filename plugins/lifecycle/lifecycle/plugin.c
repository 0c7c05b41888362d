/* The plugin `lifecycle`: which component takes which messages. Loop thread. */
#include "lifecycle.h"

static const cvm_component components[] = {{.id = OBSERVER, .state_version = 1},
                                           {.id = DECISION, .state_version = 1},
                                           {.id = SIMULATION, .state_version = 1},
                                           {.id = MEMORY, .state_version = 1},
                                           {0}};

/* clang-format off */
static const cvm_route routes[] = {
    {OBSERVER, "analyze", observe_on_analyze},
    {OBSERVER, "verify", verify_on_verify},
    {OBSERVER, "simulate_user_behavior.reply", verify_on_reply},
    {OBSERVER, "evaluate_agent_action.reply", verify_on_reply},
    {OBSERVER, "analyze.reply", verify_on_reply},
    {OBSERVER, "get_forbidden_actions.reply", verify_on_reply},
    {OBSERVER, "get_success_hints.reply", verify_on_reply},
    {OBSERVER, "decide.reply", verify_on_reply},
    {DECISION, "decide", decide_on_decide},
    {DECISION, "chat.reply", decide_on_chat},
    {DECISION, "learn", decide_on_learn},
    {DECISION, "clear", decide_on_clear},
    {SIMULATION, "start", load_on_start},
    {SIMULATION, "wait", load_on_wait},
    {SIMULATION, "wait.reply", look_on_waited},
    {SIMULATION, "load.reply", load_on_job},
    {SIMULATION, "reset", load_on_reset},
    {SIMULATION, "clear.reply", load_on_cleared},
    {SIMULATION, "sweep", load_on_sweep},
    {SIMULATION, "next_day", day_on_next},
    {SIMULATION, "run", day_on_run},
    {SIMULATION, "describe.reply", day_on_described},
    {SIMULATION, "running.reply", day_on_experiments},
    {SIMULATION, "observe_day.reply", day_on_told},
    {SIMULATION, "simulate_user_behavior", batch_on_simulate},
    {SIMULATION, "simulate_user_behavior.reply", day_on_batch_done},
    {SIMULATION, "analyze.reply", batch_on_observed},
    {SIMULATION, "recall.reply", batch_on_recalled},
    {SIMULATION, "decide.reply", batch_on_decided},
    {SIMULATION, "apply.reply", batch_on_applied},
    {SIMULATION, "evaluate_agent_action", batch_on_evaluate},
    {SIMULATION, "evaluate_agent_action.reply", batch_on_evaluated},
    {SIMULATION, "update.reply", batch_on_learnt},
    {SIMULATION, "learn.reply", batch_on_learnt},
    {SIMULATION, "query.reply", look_on_rows},
    {SIMULATION, "status", look_on_status},
    {SIMULATION, "stories", look_on_stories},
    {SIMULATION, "metrics", look_on_metrics},
    {SIMULATION, "export", look_on_export},
    {SIMULATION, "download", look_on_export},
    {SIMULATION, "download.reply", look_on_report},
    {SIMULATION, "report.reply", look_on_report},
    {MEMORY, "update", memory_on_update},
    {MEMORY, "get_forbidden_actions", memory_on_forbidden},
    {MEMORY, "get_success_hints", memory_on_hints},
    {MEMORY, "recall", memory_on_recall},
    {MEMORY, "show", memory_on_show},
    {MEMORY, "download", memory_on_download},
    {MEMORY, "query.reply", memory_on_who},
    {MEMORY, "segments", memory_on_segments},
    {MEMORY, "clear", memory_on_clear},
    {0},
};
/* clang-format on */

static const cvm_job_entry jobs[] = {{"load", load_job}, {"report", report_job}, {0}};

CVM_PLUGIN(.name = "lifecycle", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
