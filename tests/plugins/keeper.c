/* A component that keeps in the named stores: hands on what it is asked to whoever holds the role. */
#include <cvm/cvm.h>
#include <cvm/json.h>

static int ask(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_forward(t, m->id, "role:store", cvm_json_str(m->data, "type", ""),
                        cvm_json_share(json_object_get(m->data, "data"))));
    return CVM_PENDING;
}

static const cvm_component components[] = {{.id = "test.keeper", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.keeper", "ask", ask}, {0}};

CVM_PLUGIN(.name = "keeper", .version = "1.0.0", .components = components, .routes = routes);
