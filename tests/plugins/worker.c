/* test.worker1 to 5: a line of business with five agents, none of which settles anything. */
#include <cvm/cvm.h>
#include <cvm/json.h>

static int handle(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m,
                     json_pack("{s:s, s:{}, s:n, s:b}", "content", "It is nonsense, and somebody else's gutter.",
                               "structured_data", "next", "end", 0));
}

#define WORKER(n)                                                                                                      \
    {                                                                                                                  \
        .id = "test.worker" #n, .state_version = 1                                                                     \
    }
#define ROUTE(n)                                                                                                       \
    {                                                                                                                  \
        "test.worker" #n, "handle", handle                                                                             \
    }

static const cvm_component components[] = {WORKER(1), WORKER(2), WORKER(3), WORKER(4), WORKER(5), {0}};
static const cvm_route routes[] = {ROUTE(1), ROUTE(2), ROUTE(3), ROUTE(4), ROUTE(5), {0}};

CVM_PLUGIN(.name = "worker", .version = "1.0.0", .components = components, .routes = routes);
