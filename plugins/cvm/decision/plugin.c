/* The plugin `decision`: which customer gets which treatment. Owns the tables of routes and jobs; the work is in the
 * files named in the headers. Loop thread. */
#include "allocate.h"

static const cvm_component components[] = {{.id = ALLOCATION_SOLVER, .state_version = 1}, {0}};

/* clang-format off */
static const cvm_route routes[] = {
    {ALLOCATION_SOLVER, "solve_file", allocate_on_solve},
    {ALLOCATION_SOLVER, "solve_file.reply", allocate_on_reply},
    {ALLOCATION_SOLVER, "solve_plan", allocate_on_plan},
    {ALLOCATION_SOLVER, "solve_plan.reply", allocate_on_reply},
    {0},
};

static const cvm_job_entry jobs[] = {
    {"solve_file", allocate_file},
    {"solve_plan", allocate_plan},
    {0},
};
/* clang-format on */

CVM_PLUGIN(.name = "decision", .version = "1.0.0", .components = components, .routes = routes, .jobs = jobs);
