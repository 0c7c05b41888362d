/* The stores: the table of routes. */
#include "stores.h"

/* clang-format off */
#define STORE(ID) \
    { ID, "get", store_get }, { ID, "get_several", store_get_several }, { ID, "put", store_put }, \
    { ID, "delete", store_delete }, { ID, "list", store_list }

static const cvm_component components[] = {
    { .id = "support.customer_state", .state_version = 1 }, { .id = "support.system_state", .state_version = 1 },
    { .id = "support.analysis_state", .state_version = 1 }, { .id = "support.execution_state", .state_version = 1 },
    { .id = "support.memory_state", .state_version = 1 },   { .id = REGISTRY, .state_version = 1 },
    { 0 }
};

static const cvm_route routes[] = {
    STORE("support.customer_state"),
    STORE("support.system_state"),
    STORE("support.analysis_state"),
    STORE("support.execution_state"),
    STORE("support.memory_state"),

    { REGISTRY, "start",         registry_fill },
    { REGISTRY, "host.registry", registry_fill },
    { REGISTRY, "get",           store_get },
    { REGISTRY, "get_several",   store_get_several },
    { REGISTRY, "list",          store_list },
    { REGISTRY, "put",           registry_refuse },
    { REGISTRY, "delete",        registry_refuse },
    { 0 }
};
/* clang-format on */

static void destroy(void *instance)
{
    (void)instance;
    store_forget();
}

CVM_PLUGIN(.name = "stores", .version = "1.0.0", .components = components, .routes = routes, .destroy = destroy);
